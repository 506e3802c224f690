"""Read an inventory file and the files beside it into an ``Inventory``, and report all mistakes at once.

Precedence, weakest first (``VARIABLE_PRECEDENCE`` and ``VariableManager.get_vars`` of ansible-core): ``vars`` of
``all``; ``vars`` of the host's groups by depth, priority and name; ``group_vars/all``; ``group_vars/`` of those groups;
the host's own variables in the inventory file; ``host_vars/``.
"""

from __future__ import annotations

import contextlib
import os
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from harness.inventory.access import ACCESS_NAMES, Access, Judged, resolve_access
from harness.inventory.host import Host, Inventory, Origin
from harness.inventory.layers import OWN, Layer, Merged, Notes, Setting, merge_layers
from harness.inventory.patterns import select_names
from harness.inventory.slurm_settings import SLURM
from harness.inventory.templates import Templates
from harness.inventory.tree import ALL, UNGROUPED, Entry, Group, Tree
from harness.inventory.var_files import VarFiles
from harness.inventory.variables import HostVariables
from harness.values.document import Document, Opaque, load_document, read_bounded
from harness.values.errors import ConfigurationError, Mistake
from harness.values.paths import expand_home

_INI_LINE = re.compile(r"^(\[[\w.:-]+\][ \t]*$|[^\s#:=]+[ \t]+ansible_\w+=)", re.MULTILINE)
_TO_YAML = "`ansible-inventory -i FILE --list --yaml --output hosts.yaml`"
_DATA_KEYS = ("folder", "images", "annotations", "tfrecord")
_MOST_SETTINGS = 1_000_000
"""The most variables of all hosts together; a group's count for each of its hosts. Each takes about 200 bytes."""


def load_inventory(path: Path, limit: str | None = None) -> Inventory:
    """Read an inventory file and the variable files beside it. Raises ConfigurationError with all mistakes.

    Mistakes in how a host is reached are raised only for the hosts of the pattern ``limit``; those of other hosts are
    kept in ``Inventory.unfit``.
    """
    document = _load(path)
    notes = Notes()
    tree = Tree(document, notes)
    files = VarFiles(path.parent, notes)
    if not tree.hosts and not notes.mistakes:
        hint = "write at least one under `hosts:`; `harness init` writes an example"
        notes.mistakes.append(Mistake(str(path), None, "the inventory holds no host", hint))
    judged = {name: Judged() for name in tree.hosts}
    hosts = _make_hosts(tree, files, notes, judged)
    files.warn_strays(tree.groups, tree.hosts)
    groups = {name: tree.members(name) for name in tree.groups}  # this may find mistakes, too
    if not groups[UNGROUPED]:
        del groups[UNGROUPED]
    unfit = {name: tuple(found.mistakes) for name, found in judged.items() if found.mistakes}
    fit = [replace(host, inventory=path) for host in hosts if host is not None and host.name not in unfit]
    nodes = {host.name: split_login(host) for host in fit if host.variables.slurm is not None}
    groups = {**{name: (name,) for name in nodes}, **groups}
    warnings = [*notes.warnings, *(warning for found in judged.values() for warning in found.warnings)]
    inventory = Inventory(
        path,
        path.stem,
        tuple(node for host in fit for node in nodes.get(host.name, (host,))),
        {name: _with_nodes(members, nodes) for name, members in groups.items()},
        tuple(_in_order(warnings, path)),
        unfit,
        _with_nodes(tree.hosts, nodes),
    )
    asked = _names_of(inventory, limit, is_whole=not notes.mistakes) if unfit else ()
    mistakes = [*notes.mistakes, *(mistake for name in asked for mistake in unfit.get(name, ()))]
    if mistakes:
        raise ConfigurationError(_in_order(mistakes, path))
    return inventory


def split_login(host: Host) -> tuple[Host, ...]:
    """Return the hosts that a login node of Slurm represents, one for each node; none for any other host."""
    places = () if host.variables.slurm is None else host.variables.slurm.places()
    return tuple(
        replace(host, name=f"{host.name}/{one.place}", variables=host.variables.model_copy(update={SLURM: one}))
        for one in places
    )


def _with_nodes(names: Iterable[str], nodes: Mapping[str, tuple[Host, ...]]) -> tuple[str, ...]:
    """Return host names with each login node replaced by its nodes."""
    return tuple(each for name in names for each in ([node.name for node in nodes[name]] if name in nodes else [name]))


def _names_of(inventory: Inventory, limit: str | None, *, is_whole: bool) -> Iterable[str]:
    """Return the names that ``limit`` selects; all names where both the file and the pattern are wrong."""
    try:
        return select_names(inventory, limit)
    except ConfigurationError:
        if is_whole:
            raise
        return inventory.names


def _load(path: Path) -> Document:
    hint = f"convert an INI file to YAML: {_TO_YAML}"
    is_ini = False
    with contextlib.suppress(OSError, ConfigurationError):  # load_document says what is wrong
        is_ini = path.is_file() and bool(_INI_LINE.search(read_bounded(path).decode(errors="replace")))
    try:
        document = load_document(path)
    except ConfigurationError as error:
        if is_ini:
            mistakes = [Mistake(m.file, m.line, m.message, hint) for m in error.mistakes]
            raise ConfigurationError(mistakes) from None
        raise
    value = document.value
    if isinstance(value, Opaque):
        cure = "decrypt a copy: `ansible-vault decrypt --output hosts.yaml FILE`"
        raise ConfigurationError([document.mistake((), "the file is encrypted, and cannot be read here", cure)])
    if not isinstance(value, Mapping):
        text = "an inventory is a mapping of groups, beginning with `all:`"
        cure = hint if is_ini or isinstance(value, str) else "`harness init` writes an example"
        raise ConfigurationError([document.mistake((), text, cure)])
    if isinstance(value.get("plugin"), str):
        message = "a dynamic inventory is not read here"
        raise ConfigurationError([document.mistake(("plugin",), message, f"write its hosts out: {_TO_YAML}")])
    return document


def _in_order(mistakes: Iterable[Mistake], path: Path) -> list[Mistake]:
    return sorted(dict.fromkeys(mistakes), key=lambda m: (m.file != str(path), m.file, m.line or 0))


def _make_hosts(tree: Tree, files: VarFiles, notes: Notes, judged: Mapping[str, Judged]) -> list[Host | None]:
    """Return all hosts; stop with a mistake where they have more than ``_MOST_SETTINGS`` variables together."""
    hosts: list[Host | None] = []
    count = 0
    for name, entry in tree.hosts.items():
        groups = tree.groups_of(name)
        chain = _chain_of(name, entry, groups, tree, files)
        count += sum(map(_count, chain))
        if count > _MOST_SETTINGS:
            message = f"{name}: the hosts up to this one have more than {_MOST_SETTINGS} variables"
            hint = "keep the hosts that are measured in a separate file, without the variables of other programs"
            notes.mistakes.append(entry.setting.mistake(message, hint))
            break
        hosts.append(_make_host(name, groups, chain, tree, notes, judged[name]))
    return hosts


def _count(layer: Layer) -> int:
    own = layer[OWN].below() if OWN in layer else {}
    return len(layer) + sum(len(setting.below()) for setting in own.values())


def _chain_of(name: str, entry: Entry, groups: Sequence[Group], tree: Tree, files: VarFiles) -> list[Layer]:
    """Return the layers of variables that apply to a host, weakest first."""
    return [
        *tree.groups[ALL].layers,
        *(layer for group in groups for layer in group.layers),
        *files.group_layers(ALL),
        *(layer for group in groups for layer in files.group_layers(group.name)),
        *entry.layers,
        *files.host_layers(name),
    ]


def _make_host(
    name: str, groups: Sequence[Group], chain: Sequence[Layer], tree: Tree, notes: Notes, judged: Judged
) -> Host | None:
    merged = merge_layers(chain)
    access = resolve_access(name, merged.others, Templates(name, tree.file, merged.others), judged)
    is_local = access.connection == "local"
    if name == "localhost" and is_local and "connection" not in access.settings:
        for key in sorted({"address", "port", "user"} & access.settings.keys()):
            message = f"localhost: its {key} is ignored, because localhost is this machine"
            judged.warnings.append(
                access.settings[key].mistake(message, "set `ansible_connection: ssh` to reach it by SSH")
            )
    own = place_folders(merged.own, is_local=is_local, mistakes=notes.mistakes)
    foreign = {key: setting for key, setting in merged.others.items() if key not in ACCESS_NAMES}
    variables = _check_variables(Merged(own, merged.others), name, is_local, notes)
    if variables is None:
        return None
    origins = _origins(tree.hosts[name].setting, access, own, foreign)
    if access.python is not None and "python" not in own:
        variables = variables.model_copy(update={"python": access.python})
        origins[f"{OWN}.python"] = access.settings["python"].origin
    return Host(
        name=name,
        groups=tuple(group.name for group in groups if group.name != UNGROUPED),
        address=access.address,
        port=access.port,
        user=access.user,
        connection=access.connection,
        private_key=access.private_key,
        proxy_jump=access.proxy_jump,
        proxy_command=access.proxy_command,
        variables=variables,
        origins=origins,
        foreign={key: setting.value for key, setting in foreign.items()},
    )


def _check_variables(merged: Merged, name: str, is_local: bool, notes: Notes) -> HostVariables | None:
    """Return the checked variables of one host; None where they have a mistake, which is already reported."""
    from pydantic import ValidationError

    try:
        variables = HostVariables.model_validate(merged.own_values())
    except ValidationError:
        return None
    for keys, message, hint in folder_conflicts(variables, is_local=is_local):
        setting = next(merged.own[key] for key in keys if key in merged.own)
        notes.mistakes.append(setting.mistake(f"{OWN}.{message}", hint))
    if (variables.slurm is None) != (variables.engine != SLURM):
        lacking = "the setting `slurm:`" if variables.slurm is None else f"`engine: {SLURM}`"
        setting = next(merged.own[key] for key in (SLURM, "engine") if key in merged.own)
        hint = "`engine: slurm` and `slurm: {partition: …, nodes: […]}` go together: see docs/slurm.md"
        notes.mistakes.append(setting.mistake(f"{OWN}: {lacking} is missing", hint))
    return variables


def _origins(
    first: Setting, access: Access, own: Mapping[str, Setting], foreign: Mapping[str, Setting]
) -> dict[str, Origin]:
    origins = {"name": first.origin}
    origins.update((key, setting.origin) for key, setting in access.settings.items())
    origins.update((f"foreign.{key}", setting.origin) for key, setting in foreign.items())
    for key, setting in own.items():
        _add_origins(origins, f"{OWN}.{key}", setting)
    return origins


def _add_origins(origins: dict[str, Origin], key: str, setting: Setting) -> None:
    origins[key] = setting.origin
    for name, below in setting.below().items():
        _add_origins(origins, f"{key}.{name}", below)


def place_folders(own: Mapping[str, Setting], *, is_local: bool, mistakes: list[Mistake]) -> dict[str, Setting]:
    """Return the settings with relative paths made absolute, relative to the file that contains them.

    For another machine a relative path is a mistake. A YAML file under ``experiment`` is always on this machine.
    """
    placed: dict[str, Setting] = {}
    for key, setting in own.items():
        head, value = key.partition(".")[0], setting.value
        if head == "experiment" and isinstance(value, str) and value.endswith((".yaml", ".yml")):
            value = _from_file(value, setting)
        elif head in {"scratch", "disks"}:
            value = _place(setting, is_local, mistakes)
        elif head == "data" and isinstance(value, Mapping):
            value = {
                name: _place(below, is_local, mistakes) if name in _DATA_KEYS else below.value
                for name, below in setting.below().items()
            }
        placed[key] = Setting(value, setting.document, setting.path)
    return placed


def _place(setting: Setting, is_local: bool, mistakes: list[Mistake]) -> object:
    path = setting.value
    if not isinstance(path, str) or not path.strip() or path.startswith(("/", "~")) or "{{" in path:
        return path
    if is_local:
        return _from_file(path, setting)
    mistakes.append(
        setting.mistake(
            f"{path!r}: a relative path has no meaning on another machine", "write an absolute path, or begin with ~/"
        )
    )
    return path


def _from_file(path: str, setting: Setting) -> str:
    if path.startswith("~"):
        return path
    return os.path.normpath(Path(setting.document.file).absolute().parent / path)


_CURE = "name a folder outside the data, such as /nvme/harness"


def folder_conflicts(variables: HostVariables, *, is_local: bool) -> Iterator[tuple[tuple[str, str], str, str]]:
    """Yield each cache folder that overlaps a data folder: (keys of the two, message, hint)."""
    for name, data in variables.data.items():
        for kind in {"folder", "images", "tfrecord"} & data.paths.keys():
            path = data.paths[kind]
            for disk, place in variables.cache_disks.items():
                key = "scratch" if disk == "scratch" else f"disks.{disk}"
                relation = _relation(place, path, is_local)
                if relation is None or (relation == "contains" and disk != "scratch"):
                    continue  # a disk may hold data beside its caches; scratch may not
                yield (key, f"data.{name}"), f"{key} ({place}) {relation} data.{name}.{kind} ({path})", _CURE


def _relation(place: str, data: str, is_local: bool) -> str | None:
    first, second = _normal(place, is_local), _normal(data, is_local)
    if first == second:
        return "is the same folder as"
    if first.startswith(second.rstrip("/") + "/"):
        return "is inside"
    return "contains" if second.startswith(first.rstrip("/") + "/") else None


def _normal(path: str, is_local: bool) -> str:
    text = posixpath.normpath(str(expand_home(path)) if is_local else path)
    return "/" + text.lstrip("/") if text.startswith("/") else text
