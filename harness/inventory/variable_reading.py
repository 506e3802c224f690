"""Reading one mapping of variables into a layer: everything that can be judged where it stands is judged here, once."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from harness.inventory.access import ACCESS_NAMES, check_access
from harness.inventory.layers import OWN, Layer, Notes, Setting
from harness.inventory.variables import HostVariables
from harness.values.document import Document, Opaque, describe, near_miss, validate
from harness.values.errors import Mistake

_PASSWORD = re.compile(r"ansible_(\w+_)?(pass|password|passphrase)\Z")
_VAULT_HINT = "write this value openly, or leave it out: encrypted values are kept, but cannot be read"
_CLOSE = 0.85
_OWN_KEYS = tuple(HostVariables.model_fields)


def read_layer(document: Document, path: tuple[str | int, ...], value: object, notes: Notes) -> Layer:
    """The layer of the mapping ``value`` at ``path``; None and values that are no mapping give an empty one."""
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
        layer[name] = setting
        _judge(name, setting, notes)
    return layer


def _judge(name: str, setting: Setting, notes: Notes) -> None:
    if name == OWN:
        _judge_own(setting, notes)
    elif _PASSWORD.match(name):
        notes.mistakes.append(setting.mistake(f"{name}: passwords are not used here", _password_cure(name)))
    elif name in ACCESS_NAMES:
        if isinstance(setting.value, Opaque):
            message = f"{name}: found {describe(setting.value)}"
            notes.mistakes.append(setting.mistake(message, _VAULT_HINT))
        elif setting.value is not None:
            notes.mistakes += check_access(name, setting)
    else:
        notes.warnings += _misplaced(name, setting)


def _password_cure(name: str) -> str:
    if "become" in name or "su_" in name or "sudo" in name:
        return "remove it, or keep it in an inventory of its own: harness never becomes another user"
    if "passphrase" in name or "private_key" in name:
        return "remove it and load the key into ssh-agent (`ssh-add`)"
    return "remove it and use a key: `ssh-copy-id USER@HOST`, then ansible_ssh_private_key_file or ssh-agent"


def _judge_own(setting: Setting, notes: Notes) -> None:
    if setting.value is None:
        return
    if isinstance(setting.value, Opaque):
        notes.mistakes.append(setting.mistake(f"{OWN}: found {describe(setting.value)}", _VAULT_HINT))
        return
    _, mistakes = validate(HostVariables, setting.value, setting.document, prefix=setting.path)
    notes.mistakes += mistakes
    for path, text in _texts(setting.value, ()):
        if "{{" in text or "{%" in text:
            message = f"{OWN}.{'.'.join(map(str, path))}: the template `{text}` is not expanded"
            hint = "write the value itself, at the group or host that it holds for"
            notes.mistakes.append(setting.document.mistake((*setting.path, *path), message, hint))


def _texts(value: object, path: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _texts(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _texts(item, (*path, index))


def _misplaced(name: str, setting: Setting) -> list[Mistake]:
    """A warning where a foreign variable looks like one of ours, or like one of Ansible's that is read here."""
    bare = name.removeprefix(f"{OWN}_").removeprefix(f"{OWN}.")
    if bare != name or _is_close(name, _OWN_KEYS):
        key = near_miss(bare, _OWN_KEYS) or bare
        return [
            setting.mistake(
                f"{name}: ignored, it is not under `{OWN}:`", f"if it is meant for harness: `{OWN}: {{{key}: …}}`"
            )
        ]
    if _is_close(name, (OWN,)):
        return [setting.mistake(f"{name}: ignored", f"did you mean `{OWN}:`?")]
    if name.startswith("ansible_") and _is_close(name, ACCESS_NAMES):
        return [setting.mistake(f"{name}: ignored", f"did you mean {near_miss(name, ACCESS_NAMES)}?")]
    return []


def _is_close(name: str, known: tuple[str, ...]) -> bool:
    return near_miss(name, known, cutoff=_CLOSE) is not None
