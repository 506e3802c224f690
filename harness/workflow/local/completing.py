"""Names for shell completion: engines, experiments, loaders, hosts and sessions. Unreadable files give no names."""

from __future__ import annotations

from pathlib import Path

from harness.records.folder import list_folders
from harness.values.errors import HarnessError


def list_engines() -> list[str]:
    """Return the values of ``--engine``."""
    from harness.values.engine_names import engine_choices

    return list(engine_choices())


def list_experiments(begun: str) -> list[str]:
    """Return the presets, and the YAML files that complete a path."""
    from harness.experiment import preset_names

    return [*preset_names(), *list_files(begun, (".yaml", ".yml"))]


def list_loaders() -> list[str]:
    """Return the loaders that ship with the program."""
    from harness.bench.protocol.loader_registry import LOADERS

    return list(LOADERS)


def list_hosts(inventory: Path | None) -> list[str]:
    """Return the hosts and groups of an inventory; none if it cannot be read."""
    if inventory is None:
        return []
    from harness.inventory import load_inventory

    try:
        read = load_inventory(inventory)
    except HarnessError:
        return []
    return [*read.names, *read.groups]


def list_remotes() -> list[str]:
    """Return the host names in ``~/.ssh/config``, without patterns."""
    from harness.hosts.ssh import read_config

    try:
        names = read_config().get_hostnames()
    except HarnessError:
        return []
    return sorted(name for name in names if not set("*?!") & set(name))


def list_sessions(output: Path, begun: str) -> list[str]:
    """Return the sessions below a folder, newest first: as paths if a path was begun, else as names."""
    folders = list_folders(output)
    if "/" in begun:
        return [str(folder.path) for folder in folders]
    return [folder.name for folder in folders]


def list_files(begun: str, suffixes: tuple[str, ...]) -> list[str]:
    """Return the folders, and the files with some suffixes, that complete a path."""
    place = Path(begun) if begun.endswith("/") else Path(begun).parent
    shown = "" if str(place) == "." and not begun.startswith("./") else f"{place}/"
    try:
        entries = sorted(place.iterdir())
    except OSError:
        return []
    found = [path for path in entries if not path.name.startswith(".")]
    return [f"{shown}{path.name}{'/' * path.is_dir()}" for path in found if path.is_dir() or path.suffix in suffixes]
