"""Merge layers: the variables of one place (a ``vars:``, a host, a file of group_vars), each with its origin.

Ansible's precedence gives a host a chain of layers, weakest first. As in Ansible, the strongest layer's value of an
ordinary variable replaces the others. ``harness:`` merges key by key over the chain, and its ``data`` and ``disks``
name by name, so that a host can add a data set to those of its group.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from harness.inventory.host import Origin
from harness.inventory.variables import MERGED_BY_NAME
from harness.values.document import Document
from harness.values.errors import Mistake

OWN = "harness"
"""The key that contains all variables of this project."""


@dataclass(frozen=True)
class Setting:
    """A value and its place: ``path`` within ``document``."""

    value: object
    document: Document = field(repr=False)
    path: tuple[str | int, ...]

    @cached_property
    def origin(self) -> Origin:
        """Return the file, the line and the text of the value."""
        text = self.value if isinstance(self.value, str) else None
        return Origin(self.document.file, self.document.line_of(self.path), text)

    def mistake(self, message: str, hint: str | None = None) -> Mistake:
        """Return a mistake at this place."""
        return self.document.mistake(self.path, message, hint)

    def below(self) -> dict[str, Setting]:
        """Return the settings in a mapping by key, for keys that are text; none where the value is no mapping."""
        items = self.value.items() if isinstance(self.value, Mapping) else ()
        return {key: Setting(value, self.document, (*self.path, key)) for key, value in items if isinstance(key, str)}


Layer = Mapping[str, Setting]


@dataclass
class Notes:
    """The problems that are collected while reading: after all files, mistakes are raised, warnings are not."""

    mistakes: list[Mistake] = field(default_factory=list)
    warnings: list[Mistake] = field(default_factory=list)


@dataclass(frozen=True)
class Merged:
    """A host's merged variables: ``own`` below ``harness:`` (by key, data and disks by ``key.name``), and others."""

    own: Mapping[str, Setting]
    others: Mapping[str, Setting]

    def own_values(self) -> dict[str, object]:
        """Return the merged ``harness:`` as one mapping."""
        values: dict[str, object] = {}
        by_name: dict[str, dict[str, object]] = {}
        for key, setting in self.own.items():
            head, _, name = key.partition(".")
            if name:
                by_name.setdefault(head, {})[name] = setting.value
            else:
                values[head] = setting.value
        return values | by_name


def merge_layers(chain: Iterable[Layer]) -> Merged:
    """Merge the layers of one host, weakest first."""
    own: dict[str, Setting] = {}
    others: dict[str, Setting] = {}
    for layer in chain:
        for name, setting in layer.items():
            if name != OWN:
                others[name] = setting
            else:
                for key, below in setting.below().items():
                    _merge_own(own, key, below)
    return Merged(own, others)


def _merge_own(own: dict[str, Setting], key: str, setting: Setting) -> None:
    if key in MERGED_BY_NAME and isinstance(setting.value, Mapping):
        own.update((f"{key}.{name}", below) for name, below in setting.below().items())
    else:
        own[key] = setting
