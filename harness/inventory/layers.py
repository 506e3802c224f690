"""Layers: the variables of one place (a ``vars:``, a host, a file of group_vars), each with its origin; their merging.

A chain of layers, weakest first, is what Ansible's precedence makes for a host. Of an ordinary variable the
strongest place counts, whole, as in Ansible. ``harness:`` merges key by key over the chain, and its ``data``
and ``disks`` name by name, so that a host adds a data set to those of its group.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.inventory.host import Origin
from harness.inventory.variables import MERGED_BY_NAME
from harness.values.document import Document
from harness.values.errors import Mistake

OWN = "harness"
"""The one key under which this project's variables stand."""


@dataclass(frozen=True)
class Setting:
    """A value and where it stands: ``path`` leads to it in ``document``."""

    value: Any
    document: Document = field(repr=False)
    path: tuple[str | int, ...]

    @property
    def origin(self) -> Origin:
        """File and line."""
        return Origin(self.document.file, self.document.line_of(self.path))

    def mistake(self, message: str, hint: str | None = None) -> Mistake:
        """A mistake at this place."""
        return self.document.mistake(self.path, message, hint)

    def below(self, key: str) -> Setting:
        """The setting of one key of this mapping."""
        return Setting(self.value[key], self.document, (*self.path, key))


Layer = Mapping[str, Setting]


@dataclass
class Notes:
    """What reading collects: mistakes stop the loading at its end, warnings do not."""

    mistakes: list[Mistake] = field(default_factory=list)
    warnings: list[Mistake] = field(default_factory=list)


@dataclass(frozen=True)
class Merged:
    """One host's variables: ``own`` below ``harness:`` (by key; by ``key.name`` for data and disks), and all others."""

    own: Mapping[str, Setting]
    others: Mapping[str, Setting]

    def own_values(self) -> dict[str, Any]:
        """The mapping that ``harness:`` would be if it stood in one place."""
        values: dict[str, Any] = {}
        for key, setting in self.own.items():
            head, _, name = key.partition(".")
            if name:
                values.setdefault(head, {})[name] = setting.value
            else:
                values[head] = setting.value
        return values


def merge_layers(chain: Iterable[Layer]) -> Merged:
    """One host's variables from its layers, weakest first."""
    own: dict[str, Setting] = {}
    others: dict[str, Setting] = {}
    for layer in chain:
        for name, setting in layer.items():
            if name != OWN:
                others[name] = setting
            elif isinstance(setting.value, Mapping):
                for key in setting.value:
                    _merge_own(own, key, setting.below(key))
    return Merged(own, others)


def _merge_own(own: dict[str, Setting], key: str, setting: Setting) -> None:
    if key in MERGED_BY_NAME and isinstance(setting.value, Mapping):
        for name in setting.value:
            own[f"{key}.{name}"] = setting.below(name)
    else:
        own[key] = setting
