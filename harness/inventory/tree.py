"""Read the tree of groups and hosts of an inventory file in Ansible's YAML format.

The rules are those of ansible-core's ``plugins/inventory/yaml.py`` and ``inventory/group.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from harness.inventory.layers import OWN, Layer, Notes, Setting
from harness.inventory.ranges import MOST_NAME, expand_host_pattern, split_port
from harness.inventory.variable_reading import read_layer
from harness.values.document import Document, Opaque, describe, near_miss
from harness.values.text import clean_text
from harness.values.units import parse_whole

ALL, UNGROUPED = "all", "ungrouped"
_SECTIONS = ("hosts", "children", "vars")
_PRIORITY = "ansible_group_priority"
_MOST_PRIORITY = 10**9
_MOST_STEPS = 2_000_000
_MOST_NAMES = 100_000
"""The most host names in a file with all ranges expanded; a name that is listed again counts again."""
_COLONS = "write a colon after each name, as in `ws01:`"
_Path = tuple[str | int, ...]


@dataclass
class Group:
    """A group while the file is read; ``hosts`` and ``children`` are its direct ones, by name, in the file's order."""

    name: str
    hosts: dict[str, None] = field(default_factory=dict)
    children: dict[str, None] = field(default_factory=dict)
    layers: list[Layer] = field(default_factory=list)
    priority: int = 1
    depth: int = 0


@dataclass
class Entry:
    """A host while the file is read: its first place, its variables by place in the file's order, its direct groups."""

    setting: Setting
    layers: list[Layer] = field(default_factory=list)
    groups: dict[str, None] = field(default_factory=dict)


class Tree:
    """The groups and hosts of one file, always including the groups ``all`` and ``ungrouped``."""

    def __init__(self, document: Document, notes: Notes) -> None:
        self.groups: dict[str, Group] = {ALL: Group(ALL), UNGROUPED: Group(UNGROUPED)}
        self.hosts: dict[str, Entry] = {}
        self._document = document
        self._notes = notes
        self._names = 0
        self._steps = 0
        self._parents: dict[str, set[str]] = {}
        self._link(ALL, UNGROUPED)
        self._read_groups((), document.value)
        self._settle()

    @property
    def file(self) -> Path:
        """Return the path of the inventory file."""
        return Path(self._document.file)

    def parents(self, name: str) -> list[str]:
        """Return the names of groups with ``name`` among their direct children."""
        return sorted(self._parents.get(name, ()))

    def ancestors(self, name: str) -> set[str]:
        """Return the names of all groups above a group."""
        found: set[str] = set()
        open_names = [name]
        while open_names and self._has_time(1):
            new = self._parents.get(open_names.pop(), set()) - found
            found.update(new)
            open_names += new
        return found

    def _link(self, parent: str, child: str) -> None:
        self.groups[parent].children[child] = None
        self._parents.setdefault(child, set()).add(parent)

    def _has_time(self, steps: int) -> bool:
        """Count steps through the tree and return whether the limit is not reached; add a mistake when it is."""
        if self._steps <= _MOST_STEPS < self._steps + steps:
            self._mistake((), "the groups contain one another in too many ways", "write fewer groups")
        self._steps += steps
        return self._steps <= _MOST_STEPS

    def groups_of(self, host: str) -> list[Group]:
        """Return all groups of a host except ``all``, weakest first: by depth, then priority, then name."""
        direct = self.hosts[host].groups
        names = {*direct, *(above for name in direct for above in self.ancestors(name))} - {ALL}
        return sorted((self.groups[name] for name in names), key=lambda g: (g.depth, g.priority, g.name))

    def members(self, name: str) -> tuple[str, ...]:
        """Return the hosts of a group and of all groups below it, level by level, in Ansible's order."""
        hosts: dict[str, None] = {}
        level, seen = [name], {name}
        while level and self._has_time(sum(1 + len(self.groups[group].hosts) for group in level)):
            for group in level:
                hosts.update(self.groups[group].hosts)
            below = [child for group in level for child in self.groups[group].children]
            level = [child for child in dict.fromkeys(below) if child not in seen]
            seen.update(level)
        return tuple(hosts)

    def _mistake(self, path: _Path, message: str, hint: str | None = None) -> None:
        self._notes.mistakes.append(self._document.mistake(path, message, hint))

    def _warn(self, path: _Path, message: str, hint: str | None = None) -> None:
        self._notes.warnings.append(self._document.mistake(path, message, hint))

    def _read_groups(self, path: _Path, value: object, parent: str | None = None) -> None:
        if isinstance(value, str):  # Ansible takes `children: name` for one group
            if len(value.split()) != 1:
                self._mistake(path, f"groups are a mapping, found {describe(value)}", _COLONS)
                return
            value = {value: None}
        if not isinstance(value, Mapping):
            hint = "write `name:` lines instead of `- name` items" if isinstance(value, list) else "write `name:` lines"
            self._mistake(path, f"groups are a mapping, found {describe(value)}", hint)
            return
        for name, content in value.items():
            if not isinstance(name, str) or not name.strip():
                message = f"a group's name must be text, and YAML reads this one as {describe(name)}"
                self._mistake((*path, name), message, "put the name in quotes")
                continue
            if len(name.encode()) > MOST_NAME or "/" in name or not name.isprintable():
                message = f"{clean_text(name, 60)!r} cannot be a group's name: files of variables are named after it"
                self._mistake((*path, name), message, "use letters, digits, '.', '_' and '-'")
                continue
            self._read_group(name, content, (*path, name))
            if parent is not None:
                self._add_child(parent, name, (*path, name))

    def _add_child(self, parent: str, child: str, path: _Path) -> None:
        if child in (parent, ALL) or child in self.ancestors(parent):
            self._mistake(path, f"group {child} would contain itself", f"remove it from the children of {parent}")
        elif child in self.groups:
            self._link(parent, child)

    def _read_group(self, name: str, content: object, path: _Path) -> None:
        if content is not None and not isinstance(content, Mapping):
            hint = "a group holds `hosts:`, `children:` and `vars:`"
            self._mistake(path, f"group {name}: found {describe(content)}", hint)
            return
        group = self.groups.setdefault(name, Group(name))
        for key, section in (content or {}).items():
            if key not in _SECTIONS:
                self._judge_section(name, key, (*path, key))
            elif section is None:
                continue
            elif key == "vars":
                self._read_vars(group, section, (*path, key))
            elif key == "children":
                self._read_groups((*path, key), section, parent=name)
            else:
                self._read_hosts(group, section, (*path, key))

    def _judge_section(self, group: str, key: object, path: _Path) -> None:
        name = clean_text(key, 60)
        guess = near_miss(name, _SECTIONS)
        if guess:
            self._mistake(path, f"{name}: not a key of a group", f"did you mean {guess}?")
        elif name == OWN or name.startswith("ansible_"):
            self._mistake(path, f"{name}: variables of a group belong under `vars:`", f"put it under {group}: vars:")
        else:
            hint = f"the keys of a group are {', '.join(_SECTIONS)}; groups below it belong under `children:`"
            self._warn(path, f"{name}: ignored, it is not a key of a group", hint)

    def _read_vars(self, group: Group, section: object, path: _Path) -> None:
        layer = dict(read_layer(self._document, path, section, self._notes))
        priority = layer.pop(_PRIORITY, None)
        if priority is not None:
            number = parse_whole(str(priority.value), _MOST_PRIORITY)
            if number is not None:
                group.priority = number
            else:
                message = f"{_PRIORITY}: expected a whole number, found {describe(priority.value)}"
                self._notes.mistakes.append(priority.mistake(message, "write a number; the default is 1"))
        group.layers.append(layer)

    def _read_hosts(self, group: Group, section: object, path: _Path) -> None:
        if isinstance(section, str):
            if len(section.split()) != 1:
                self._mistake(path, f"hosts are a mapping, found {describe(section)}", _COLONS)
                return
            section = {section: None}
        if not isinstance(section, Mapping):
            hint = (
                "write `ws01:` lines instead of `- ws01` items" if isinstance(section, list) else "write `ws01:` lines"
            )
            self._mistake(path, f"hosts are a mapping, found {describe(section)}", hint)
            return
        for key, value in section.items():
            if not isinstance(key, str):
                message = f"a host's name must be text, and YAML reads this one as {describe(key)}"
                self._mistake((*path, key), message, "put the name in quotes")
                continue
            self._read_host(group, key, value, (*path, key))

    def _read_host(self, group: Group, key: str, value: object, path: _Path) -> None:
        pattern, port = split_port(key)
        try:
            names = expand_host_pattern(pattern)
        except ValueError as error:
            message, _, hint = str(error).partition("\n")
            self._mistake(path, message, hint or None)
            return
        self._names += len(names)
        if self._names > _MOST_NAMES:
            if self._names - len(names) <= _MOST_NAMES:
                self._mistake(path, f"the file names more than {_MOST_NAMES} hosts", "is a digit too many in a range?")
            return
        if value is not None and not isinstance(value, Mapping | Opaque):
            hint = f"write `{clean_text(key, 60)}:` alone"
            self._mistake(path, f"host {clean_text(key, 60)}: variables are a mapping, found {describe(value)}", hint)
            return
        layer = read_layer(self._document, path, value, self._notes)
        if port == 0:
            message = f"the number after the colon in {clean_text(key, 60)} is not a port"
            self._mistake(path, message, "write a number from 1 to 65535")
        elif port is not None:
            layer = {"ansible_port": Setting(port, self._document, path), **layer}
        for name in names:
            group.hosts[name] = None
            entry = self.hosts.setdefault(name, Entry(Setting(None, self._document, path)))
            entry.layers.append(layer)
            entry.groups[group.name] = None

    def _settle(self) -> None:
        """Put groups without parents below ``all`` and hosts without groups into ``ungrouped``; set each group's depth.

        The depth is the length of the longest path from ``all``.
        """
        for name in self.groups:
            if name != ALL and not self.parents(name):
                self._link(ALL, name)
        for host, entry in self.hosts.items():
            if entry.groups.keys() <= {ALL, UNGROUPED}:
                self.groups[UNGROUPED].hosts[host] = entry.groups[UNGROUPED] = None
            else:
                self.groups[UNGROUPED].hosts.pop(host, None)
                entry.groups.pop(UNGROUPED, None)
        level, depth = [ALL], 0
        while level and self._has_time(len(level)) and depth <= len(self.groups):
            for name in level:
                self.groups[name].depth = depth
            level, depth = list(dict.fromkeys(c for name in level for c in self.groups[name].children)), depth + 1
        for name in sorted(self.groups.keys() & self.hosts.keys()):
            self._notes.warnings.append(
                self.hosts[name].setting.mistake(f"{name} is both a group and a host", "give one of them another name")
            )
