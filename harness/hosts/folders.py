"""Paths and folders on a host, over any connection."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from typing import TYPE_CHECKING

from harness.hosts.answers import first_line, parse_int
from harness.hosts.connection import Connection
from harness.values.errors import HostNotReady

if TYPE_CHECKING:
    from harness.inventory import DataSet

# The last dot keeps line ends that belong to a folder's name.
_PLACES_SCRIPT = 'printf "%s\\0%s\\0" "$HOME" "$(pwd; printf .)"'
_LONGEST_PATH = 4096
_FREE_SCRIPT = 'd=$1; while [ ! -e "$d" ]; do d=$(dirname "$d"); done; df -PB1 "$d" | tail -n 1'


def read_home(connection: Connection) -> str:
    """The connected user's home folder, absolute."""
    return _read_places(connection)[0]


def resolve_path(connection: Connection, path: str) -> str:
    """``path`` on the host, absolute and without ``..``: ``~`` and ``~user`` are expanded, links left as they are.

    A relative path starts in the folder in which commands start: home over SSH, the current
    folder on this machine. Raises HostNotReady where a home folder is unknown.
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
    """Return an inventory's data sets with their paths as they are on the host: absolute, ``~`` expanded."""
    return {
        name: source.model_copy(update={key: resolve_path(connection, path) for key, path in source.paths.items()})
        for name, source in data.items()
    }


def data_folders(data: Mapping[str, DataSet]) -> dict[str, str]:
    """Return the folder in which the images of each data set lie; a generated one has none yet."""
    return {name: source.place for name, source in data.items() if source.place}


def read_free_bytes(connection: Connection, path: str) -> int | None:
    """Bytes that this user may still write where ``path`` is or would be made; None where df cannot tell."""
    done = connection.run(["sh", "-c", _FREE_SCRIPT, "sh", path])
    fields = done.text.split()
    return parse_int(fields[3]) if done.returncode == 0 and len(fields) >= 6 else None


def _read_places(connection: Connection) -> tuple[str, str]:
    done = connection.run(["sh", "-c", _PLACES_SCRIPT])
    parts = done.text.split("\0")
    home, current = (parts[0], parts[1].removesuffix(".").removesuffix("\n")) if len(parts) > 2 else ("", "")
    if done.returncode != 0 or not _is_path(home):
        said = " ($HOME is not set)" if len(parts) > 2 and not home else f": the host said {first_line(done.stdout)}"
        raise HostNotReady(
            f"the user has no home folder{said}",
            where=connection.host,
            hint="give absolute paths in the inventory, or set HOME for this user",
        )
    return home, current if _is_path(current) else home


def _is_path(text: str) -> bool:
    """Return whether a text can be an absolute path: Linux takes no longer one (PATH_MAX)."""
    return text.startswith("/") and len(text) < _LONGEST_PATH


def _read_home_of(connection: Connection, user: str) -> str:
    done = connection.run(["getent", "passwd", "--", user])
    fields = done.text.rstrip("\n").split(":")
    if done.returncode != 0 or len(fields) != 7 or not _is_path(fields[5]):
        raise HostNotReady(
            f"there is no user {user!r} whose home folder ~{user} could be",
            where=connection.host,
            hint="give an absolute path in the inventory",
        )
    return fields[5]
