"""The tree of groups and hosts in an inventory file: Ansible's YAML shape.

Source of the rules: ansible-core's ``plugins/inventory/yaml.py`` and ``inventory/group.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from harness.inventory.layers import OWN, Layer, Notes, Setting
from harness.inventory.ranges import expand_host_pattern, split_port
from harness.inventory.variable_reading import read_layer
from harness.values.document import Document, Opaque, describe, near_miss

ALL, UNGROUPED = "all", "ungrouped"
_SECTIONS = ("hosts", "children", "vars")
_PRIORITY = "ansible_group_priority"
_Path = tuple[str | int, ...]


@dataclass
class Group:
    """A group while the file is read: ``hosts`` and ``children`` are its own, by name, in the file's order."""

    name: str
    hosts: dict[str, None] = field(default_factory=dict)
    children: dict[str, None] = field(default_factory=dict)
    layers: list[Layer] = field(default_factory=list)
    priority: int = 1
    depth: int = 0


@dataclass
class Entry:
    """A host while the file is read: where it stands first, and its variables in each place, in the file's order."""

    setting: Setting
    layers: list[Layer] = field(default_factory=list)


class Tree:
    """Groups and hosts of one file; ``all`` and ``ungrouped`` are always there."""

    def __init__(self, document: Document, notes: Notes) -> None:
        self.groups: dict[str, Group] = {ALL: Group(ALL), UNGROUPED: Group(UNGROUPED)}
        self.hosts: dict[str, Entry] = {}
        self._document = document
        self._notes = notes
        self.groups[ALL].children[UNGROUPED] = None
        self._read_groups((), document.value)
        self._settle()

    def parents(self, name: str) -> list[str]:
        """Groups that have ``name`` among their own children."""
        return [group.name for group in self.groups.values() if name in group.children]

    def ancestors(self, name: str) -> set[str]:
        """All groups above a group."""
        found: set[str] = set()
        open_names = [name]
        while open_names:
            new = [parent for parent in self.parents(open_names.pop()) if parent not in found]
            found.update(new)
            open_names += new
        return found

    def groups_of(self, host: str) -> list[Group]:
        """All groups of a host but ``all``, weakest first: by depth, then priority, then name."""
        direct = [group.name for group in self.groups.values() if host in group.hosts]
        names = {*direct, *(above for name in direct for above in self.ancestors(name))} - {ALL}
        return sorted((self.groups[name] for name in names), key=lambda g: (g.depth, g.priority, g.name))

    def members(self, name: str) -> tuple[str, ...]:
        """The hosts of a group and of all groups below it, level by level, as Ansible orders them."""
        hosts: dict[str, None] = {}
        level, seen = [name], {name}
        while level:
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
            self._read_group(name, content, (*path, name))
            if parent is not None:
                self._add_child(parent, name, (*path, name))

    def _add_child(self, parent: str, child: str, path: _Path) -> None:
        if child in (parent, ALL) or child in self.ancestors(parent):
            self._mistake(path, f"group {child} would stand below itself", f"remove it from the children of {parent}")
        elif child in self.groups:
            self.groups[parent].children[child] = None

    def _read_group(self, name: str, content: object, path: _Path) -> None:
        if content is not None and not isinstance(content, Mapping):
            if path == ("plugin",):
                hint = "write its hosts out: `ansible-inventory -i FILE --list --yaml --output hosts.yaml`"
                self._mistake(path, "a dynamic inventory is not read here", hint)
                return
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
        name = str(key)
        guess = near_miss(name, _SECTIONS)
        if guess:
            self._mistake(path, f"{name}: no part of a group", f"did you mean {guess}?")
        elif name == OWN or name.startswith("ansible_"):
            self._mistake(path, f"{name}: variables of a group stand under `vars:`", f"put it under {group}: vars:")
        else:
            hint = f"a group holds {', '.join(_SECTIONS)}; groups below it stand under `children:`"
            self._warn(path, f"{name}: ignored, it is no part of a group", hint)

    def _read_vars(self, group: Group, section: object, path: _Path) -> None:
        layer = dict(read_layer(self._document, path, section, self._notes))
        priority = layer.pop(_PRIORITY, None)
        if priority is not None:
            try:
                group.priority = int(str(priority.value))
            except ValueError:
                message = f"{_PRIORITY}: a whole number is wanted, found {describe(priority.value)}"
                self._notes.mistakes.append(priority.mistake(message, "write a number; the default is 1"))
        group.layers.append(layer)

    def _read_hosts(self, group: Group, section: object, path: _Path) -> None:
        if isinstance(section, str):
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
        if value is not None and not isinstance(value, Mapping | Opaque):
            self._mistake(
                path, f"host {key}: variables are a mapping, found {describe(value)}", f"write `{key}:` alone"
            )
            return
        layer = read_layer(self._document, path, value, self._notes)
        if port is not None:
            layer = {"ansible_port": Setting(port, self._document, path), **layer}
            if not 1 <= port <= 65535:
                self._mistake(path, f"{port} is not a port", "write a number from 1 to 65535")
        for name in names:
            group.hosts[name] = None
            entry = self.hosts.setdefault(name, Entry(Setting(None, self._document, path)))
            entry.layers.append(layer)

    def _settle(self) -> None:
        """Groups without parents go below ``all``, hosts without groups into ``ungrouped``; depth: the longest way."""
        for name in self.groups:
            if name != ALL and not self.parents(name):
                self.groups[ALL].children[name] = None
        for host in self.hosts:
            own = {group.name for group in self.groups.values() if host in group.hosts}
            if own <= {ALL, UNGROUPED}:
                self.groups[UNGROUPED].hosts[host] = None
            else:
                self.groups[UNGROUPED].hosts.pop(host, None)
        level, depth = [ALL], 0
        while level and depth <= len(self.groups):
            for name in level:
                self.groups[name].depth = depth
            level, depth = list(dict.fromkeys(c for name in level for c in self.groups[name].children)), depth + 1
        for name in sorted(self.groups.keys() & self.hosts.keys()):
            self._notes.warnings.append(
                self.hosts[name].setting.mistake(f"{name} is both a group and a host", "give one of them another name")
            )
