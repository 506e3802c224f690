"""Expand templates in variables about how a host is reached: only ``{{ name }}`` of a plain variable is supported.

A template can name variables that are templates. Each is expanded once, and the size of the text is limited, so that no
file makes the expansion slow.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from harness.inventory.layers import Setting
from harness.inventory.unfit import UnfitError
from harness.values.document import UnsafeText, near_miss
from harness.values.text import clean_text

_TEMPLATE = re.compile(r"\{\{\s*([A-Za-z_]\w*)\s*\}\}")
_OF_A_HOST = ("inventory_hostname", "inventory_hostname_short")
_KNOWN = (*_OF_A_HOST, "inventory_dir", "inventory_file", "ansible_playbook_python")
"""Variables that Ansible itself sets: names of the host, of the inventory file, and of Ansible's Python."""
_BEGINNINGS = ("{{", "{%", "{#")
_MOST_TEXT = 2000
"""The most characters of one expanded value; a long ProxyCommand has 200."""
_MOST_LEVELS = 20
_CLOSE = 0.8
_MOST_GUESSED = 1000
"""The most variables among which the name closest to a mistyped one is searched for; the search is per host."""
_CURE = "only {{ name }} of a plain variable is supported: write the value"


def is_template(text: str) -> bool:
    """Return whether Ansible would treat a text as a template."""
    return not isinstance(text, UnsafeText) and any(mark in text for mark in _BEGINNINGS)


@lru_cache(maxsize=256)  # the hosts of a group have the same names
def _guess(name: str, names: tuple[str, ...]) -> str | None:
    return near_miss(name, names, cutoff=_CLOSE)


class Templates:
    """The values for templates of one host: its variables, and those that Ansible itself sets."""

    def __init__(self, host: str, file: Path, variables: Mapping[str, Setting]) -> None:
        self._variables = variables
        path = file.absolute()
        known = (host, host.split(".", maxsplit=1)[0], str(path.parent), str(path), sys.executable)
        self._known = dict(zip(_KNOWN, known, strict=True))
        self._open: list[str] = []

    def expand(self, value: object) -> object:
        """Return a value with its templates replaced. Raises UnfitError for a template that cannot be expanded."""
        if not isinstance(value, str) or not is_template(value):
            return value
        shown = clean_text(value, 80)
        parts, end, size = [], 0, 0
        for match in _TEMPLATE.finditer(value):
            parts += [value[end : match.start()], self._look_up(match[1], shown)]
            end, size = match.end(), size + sum(map(len, parts[-2:]))
            if size > _MOST_TEXT:
                break
        text = "".join([*parts, value[end:]])
        if len(text) > _MOST_TEXT:
            raise UnfitError(
                (f"the template `{shown}` expands to more than {_MOST_TEXT} characters", "write the value itself")
            )
        if any(mark in text for mark in _BEGINNINGS):
            raise UnfitError((f"the template `{shown}` cannot be read", _CURE))
        return text

    def _look_up(self, name: str, shown: str) -> str:
        if name in self._known:
            return self._known[name]
        setting = self._variables.get(name)
        if setting is None or not isinstance(setting.value, str | int) or isinstance(setting.value, bool):
            names = (*_KNOWN, *self._variables) if len(self._variables) <= _MOST_GUESSED else _KNOWN
            guess = _guess(name, names)
            hint = f"did you mean {{{{ {guess} }}}}?" if guess and guess != name else "write the value itself"
            raise UnfitError((f"the template's {name} is not a known variable with a text or number", hint))
        if name in self._open or len(self._open) == _MOST_LEVELS:
            raise UnfitError((f"the template `{shown}` refers to itself", "write the value itself"))
        self._open.append(name)
        try:
            self._known[name] = str(self.expand(setting.value))
        finally:
            self._open.pop()
        return self._known[name]
