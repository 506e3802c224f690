"""Read a mapping of variables into a layer, and check once what applies to every host of the file.

Variables about how a host is reached are checked for each host (``access.py``), because mistakes of hosts that are not
selected do not count.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache

from harness.inventory.access import ACCESS_NAMES, VAULT_HINT, is_login_of_another, is_password
from harness.inventory.layers import OWN, Layer, Notes, Setting
from harness.inventory.templates import is_template
from harness.inventory.variables import HostVariables
from harness.values.document import Document, Opaque, describe, near_miss, validate
from harness.values.text import clean_text

_CLOSE = 0.85
_OWN_KEYS = tuple(HostVariables.model_fields)


def read_layer(document: Document, path: tuple[str | int, ...], value: object, notes: Notes) -> Layer:
    """Return the layer of the mapping ``value`` at ``path``; an empty layer for anything but a mapping."""
    if value is None:
        return {}
    if isinstance(value, Opaque):
        notes.warnings.append(document.mistake(path, "encrypted variables are kept, but cannot be read here"))
        return {}
    if not isinstance(value, Mapping):
        hint = "write `name: value` lines"
        notes.mistakes.append(document.mistake(path, f"variables are a mapping, found {describe(value)}", hint))
        return {}
    layer: dict[str, Setting] = {}
    for name in value:
        setting = Setting(value[name], document, (*path, name))
        if not isinstance(name, str):
            message = f"a variable's name must be text, and YAML reads this one as {describe(name)}"
            notes.mistakes.append(setting.mistake(message, "put the name in quotes"))
            continue
        if _is_fit(name, setting, notes):
            layer[name] = setting
    return layer


def _is_fit(name: str, setting: Setting, notes: Notes) -> bool:
    """Check one variable, and return whether it can be merged with others."""
    if name == OWN:
        return _judge_own(setting, notes)
    if name not in ACCESS_NAMES and not is_password(name):
        notes.warnings += [setting.mistake(message, hint) for message, hint in _misplaced(name)]
    return True


def _judge_own(setting: Setting, notes: Notes) -> bool:
    if setting.value is None:
        return False
    if isinstance(setting.value, Opaque):
        notes.mistakes.append(setting.mistake(f"{OWN}: found {describe(setting.value)}", VAULT_HINT))
        return False
    _, mistakes = validate(HostVariables, setting.value, setting.document, prefix=setting.path)
    notes.mistakes += mistakes
    for path, text in _texts(setting.value, ()):
        if is_template(text):
            message = f"{OWN}.{'.'.join(map(str, path))}: the template `{clean_text(text, 80)}` is not expanded"
            hint = "write the value itself, at the group or host that it holds for"
            notes.mistakes.append(setting.document.mistake((*setting.path, *path), message, hint))
    return not mistakes


def _texts(value: object, path: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _texts(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _texts(item, (*path, index))


@cache
def _misplaced(name: str) -> tuple[tuple[str, str], ...]:
    """Return a warning for a foreign variable whose name is close to one of ours or to one that is read here."""
    if is_login_of_another(name):
        return ((f"{name}: ignored, harness never becomes another user", "keep it, or remove it from this file"),)
    bare = name.removeprefix(f"{OWN}_").removeprefix(f"{OWN}.")
    if bare != name or _is_close(name, _OWN_KEYS):
        key = near_miss(bare, _OWN_KEYS) or bare
        return ((f"{name}: ignored, it is not under `{OWN}:`", f"if it is meant for harness: `{OWN}: {{{key}: …}}`"),)
    if _is_close(name, (OWN,)):
        return ((f"{name}: ignored", f"did you mean `{OWN}:`?"),)
    if name.startswith("ansible_") and _is_close(name, ACCESS_NAMES):
        return ((f"{name}: ignored", f"did you mean {near_miss(name, ACCESS_NAMES)}?"),)
    return ()


def _is_close(name: str, known: tuple[str, ...]) -> bool:
    return near_miss(name, known, cutoff=_CLOSE) is not None
