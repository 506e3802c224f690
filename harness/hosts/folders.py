"""Resolve paths and find folders on a host, over any connection."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from typing import TYPE_CHECKING

from harness.hosts.answers import first_line, parse_int
from harness.hosts.connection import Connection
from harness.values.errors import HostNotReady

if TYPE_CHECKING:
    from harness.inventory import DataSet

# The trailing dot keeps line ends that belong to a folder's name.
_PLACES_SCRIPT = 'printf "%s\\0%s\\0" "$HOME" "$(pwd; printf .)"'
_LONGEST_PATH = 4096
_FREE_SCRIPT = 'd=$1; while [ ! -e "$d" ]; do d=$(dirname "$d"); done; df -PB1 "$d" | tail -n 1'


def read_home(connection: Connection) -> str:
    """Return the connected user's home folder, absolute. Raises HostNotReady where there is none."""
    return _read_places(connection)[0]


def resolve_path(connection: Connection, path: str) -> str:
    """Return ``path`` on the host as an absolute path without ``..``, with ``~`` and ``~user`` expanded.

    Links are not resolved. A relative path is relative to the folder in which commands start: the home folder over SSH,
    the current folder on this machine. Raises HostNotReady where a home folder is unknown.
    """
    if path.startswith("/"):
        return posixpath.normpath(path)
    first, _, rest = path.partition("/")
    if first.startswith("~"):
        start = read_home(connection) if first == "~" else _read_home_of(connection, first[1:])
        return posixpath.normpath(posixpath.join(start, rest))
    return posixpath.normpath(posixpath.join(_read_places(connection)[1], path))


def resolve_word(connection: Connection, word: str) -> str:
    """Return a word of a command with a leading ``~/`` replaced by the host's home folder."""
    return resolve_path(connection, word) if word.startswith("~/") else word


def resolve_sources(connection: Connection, data: Mapping[str, DataSet]) -> dict[str, DataSet]:
    """Return an inventory's data sets with their paths resolved on the host."""
    return {
        name: source.model_copy(update={key: resolve_path(connection, path) for key, path in source.paths.items()})
        for name, source in data.items()
    }


def data_folders(data: Mapping[str, DataSet]) -> dict[str, str]:
    """Return the folder of each data set's images; generated data sets, which have none yet, are left out."""
    return {name: source.place for name, source in data.items() if source.place}


def read_free_bytes(connection: Connection, path: str) -> int | None:
    """Return the free bytes for this user on the disk of ``path``, which need not exist; None where df fails."""
    done = connection.run(["sh", "-c", _FREE_SCRIPT, "sh", path])
    fields = done.text.split()
    return parse_int(fields[3]) if done.returncode == 0 and len(fields) >= 6 else None


def _read_places(connection: Connection) -> tuple[str, str]:
    done = connection.run(["sh", "-c", _PLACES_SCRIPT])
    parts = done.text.split("\0")
    home, current = (parts[0], parts[1].removesuffix(".").removesuffix("\n")) if len(parts) > 2 else ("", "")
    if done.returncode != 0 or not _is_path(home):
        is_unset = len(parts) > 2 and not home
        said = " ($HOME is not set)" if is_unset else f": the host answered {first_line(done.stdout)}"
        raise HostNotReady(
            f"the user has no home folder{said}",
            where=connection.host,
            hint="use absolute paths in the inventory, or set HOME for this user",
        )
    return home, current if _is_path(current) else home


def _is_path(text: str) -> bool:
    """Return whether a text can be an absolute path, at most as long as Linux accepts (PATH_MAX)."""
    return text.startswith("/") and len(text) < _LONGEST_PATH


def _read_home_of(connection: Connection, user: str) -> str:
    done = connection.run(["getent", "passwd", "--", user])
    fields = done.text.rstrip("\n").split(":")
    if done.returncode != 0 or len(fields) != 7 or not _is_path(fields[5]):
        raise HostNotReady(
            f"~{user} cannot be resolved: there is no user {user!r}",
            where=connection.host,
            hint="use an absolute path in the inventory",
        )
    return fields[5]
