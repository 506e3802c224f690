"""Make, list and remove this program's folders in a host's scratch.

A new folder gets a mark, and only folders with the mark are removed. A folder that existed before gets no mark. A
folder of an earlier version is marked at a user's request, after its contents were shown.
"""

from __future__ import annotations

import posixpath
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from harness.hosts.answers import parse_int, reading
from harness.hosts.connection import Connection, last_line
from harness.values.errors import HostNotReady
from harness.values.text import clean_text

MARK = ".made-by-harness"
MARK_TEXT = "Made by the program `harness`: `harness clean --data` removes this folder with all that is in it.\n"

_MOST_NAMES = 6
_SIZE_PATIENCE_S = 30
_LOOK_TIMEOUT_S = 300.0
_REMOVE_TIMEOUT_S = 1800.0

_IS_MARKED = f"""
mark={shlex.quote(MARK)} text={shlex.quote(MARK_TEXT.strip())}
is_folder() {{ [ -d "$1" ] && [ ! -L "$1" ]; }}
is_marked() {{
  is_folder "$1" && [ -f "$1/$mark" ] && [ ! -L "$1/$mark" ] && [ "$(head -c 200 -- "$1/$mark" | head -n 1)" = "$text" ]
}}
"""
_MAKE = (
    _IS_MARKED
    + """
mkdir -p -m 755 -- "$1" || exit 1
if mkdir -m 755 -- "$1/$2" 2>/dev/null; then printf '%s\\n' "$text" > "$1/$2/$mark" || exit 1; fi
mkdir -p -m 755 -- "$1/$2/$3"
"""
)
_LOOK = (
    _IS_MARKED
    + f"""
for folder in "$@"; do
  is_folder "$folder" || continue
  if is_marked "$folder"; then is=marked; else is=unmarked; fi
  names=$(find "$folder" -mindepth 1 -maxdepth 1 ! -name "$mark" -printf '%f/' | head -c 4000)
  count=$(find "$folder" -mindepth 1 -maxdepth 1 ! -name "$mark" -printf x | wc -c)
  size=$(timeout {_SIZE_PATIENCE_S} du -skx -- "$folder" 2>/dev/null | cut -f 1)
  printf '%s\\0%s\\0%s\\0%s\\0%s\\0' "$folder" "$is" "$count" "$size" "$names"
done
"""
)
_ADOPT = _IS_MARKED + 'is_folder "$1" || exit 1\nis_marked "$1" || (set -C; printf \'%s\\n\' "$text" > "$1/$mark")\n'
_REMOVE = _IS_MARKED + 'is_marked "$1" || exit 3\nrm -rf --one-file-system -- "$1"\n'


@dataclass(frozen=True)
class OwnFolder:
    """A folder in scratch and its contents. ``bytes`` is None where counting took too long."""

    path: str
    is_marked: bool
    count: int
    bytes: int | None
    names: tuple[str, ...]


def make_own_folder(connection: Connection, scratch: str, path: str) -> None:
    """Make a folder below scratch. Its top folder in scratch gets the mark if it is new. Raises HostNotReady."""
    name, _, rest = posixpath.relpath(path, scratch).partition("/")
    done = connection.run(["sh", "-c", _MAKE, "sh", scratch, name, rest])
    if done.returncode != 0:
        hint = "name a folder that this user can write, with `scratch:` or `disks:` in the inventory"
        message = f"the folder {path} cannot be made: {last_line(done.stderr)}"
        raise HostNotReady(message, where=connection.host, hint=hint)


def mark_folder(folder: Path) -> None:
    """Make a folder with the mark on this machine, unless the folder exists. Raises OSError."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        folder.mkdir()
    except FileExistsError:
        return
    (folder / MARK).write_text(MARK_TEXT, encoding="utf-8")


def look_at_folders(connection: Connection, scratch: str, names: Iterable[str]) -> list[OwnFolder]:
    """Return the folders of these names that exist in scratch. Raises HostNotReady."""
    wanted = [posixpath.join(scratch, name) for name in names]
    done = connection.run(["sh", "-c", _LOOK, "sh", *wanted], timeout_s=_LOOK_TIMEOUT_S)
    with reading(connection.host, f"the list of folders in {scratch}", done.stdout):
        fields = done.text.split("\0")[:-1]
        rows = [fields[begin : begin + 5] for begin in range(0, len(fields), 5)]
        return [_read_row(row, wanted) for row in rows]


def _read_row(row: list[str], wanted: list[str]) -> OwnFolder:
    path, state, count, kib, names = row
    number = parse_int(count)
    if path not in wanted or state not in ("marked", "unmarked") or number is None:
        raise ValueError("no folder that was asked for")
    size = parse_int(kib, most=2**50)
    shown = tuple(clean_text(name, 60) for name in names.split("/")[:_MOST_NAMES] if name)
    return OwnFolder(path, state == "marked", number, None if size is None else size * 1024, shown)


def adopt_folder(connection: Connection, path: str) -> None:
    """Mark a folder of an earlier version, at a user's request. Raises HostNotReady."""
    done = connection.run(["sh", "-c", _ADOPT, "sh", path])
    if done.returncode != 0:
        reason = last_line(done.stderr)
        hint = "check that it is a folder and that this user can write it"
        raise HostNotReady(f"{path} cannot be marked: {reason}", where=connection.host, hint=hint)


def remove_own_folder(connection: Connection, path: str) -> bool:
    """Remove a marked folder with its contents; return False for one without the mark. Raises HostNotReady."""
    done = connection.run(["sh", "-c", _REMOVE, "sh", path], timeout_s=_REMOVE_TIMEOUT_S)
    if done.returncode not in (0, 3):
        reason = last_line(done.stderr)
        hint = "check who owns its contents, and whether something is mounted in it"
        raise HostNotReady(f"{path} could not be removed completely: {reason}", where=connection.host, hint=hint)
    return done.returncode == 0
