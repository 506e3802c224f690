"""Send files to a host over any connection: small ones as archives, large ones in pieces; each verified by its hash.

The host needs only a shell, tar, dd, GNU find and sha256sum.
"""

from __future__ import annotations

import io
import posixpath
import re
import tarfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from harness.hosts.answers import reading
from harness.hosts.connection import Completed, Connection, last_line
from harness.hosts.temporary import temporary_folder
from harness.ship.datasource import SourceFile
from harness.values.errors import DataError

BATCH_BYTES = 32 * 2**20
"""The most bytes of one transfer; a larger file is sent in pieces and can be resumed after any piece."""
KNOWN = "hashes.tsv"
"""The list of files that were verified on the host: lines of hash, size, modification time and place."""
_LIST_BYTES = 96 * 2**20
"""The most bytes of a list of files, enough for 1.5 million."""
_SLOWEST_BYTES_PER_S = 100_000
_PARTS = "parts"

_TAKE_BATCH = """
set -e
cd -- "$1"
rm -rf .batch
tar -x -f - --no-same-owner --no-same-permissions
sha256sum --status -c .batch/sums || { rm -rf .batch; echo 'the files differ from those sent' >&2; exit 3; }
cat .batch/known >> "$2"
rm -rf .batch
"""
_TAKE_PIECE = 'exec dd of="$1" bs=1048576 iflag=fullblock oflag=seek_bytes conv=notrunc seek="$2" status=none'
_FINISH = """
set -e
cd -- "$1"
if ! echo "$3  $2" | sha256sum --status -c -; then rm -f -- "$2"; exit 3; fi
mkdir -p -- "$(dirname -- "$4")"
touch -d "@$5" -- "$2"
mv -f -- "$2" "$4"
printf '%s\\t%s\\t%s\\t%s\\n' "$3" "$6" "$5" "$4" >> "$7"
"""
_SIZE, _TIME = re.compile(rb"[0-9]{1,18}"), re.compile(rb"-?[0-9]{1,12}(\.[0-9]{1,12})?")
_WHOLE_TIME = re.compile(rb"-?[0-9]{1,12}")
_HASH_FOUND = re.compile(r"[0-9a-f]{64}")
_HASH = 'cd -- "$1" && xargs -0 sha256sum -z --'


@dataclass(frozen=True)
class FileStamp:
    """Size and modification time of a file on the host; the time in seconds, whole ones for files that were sent."""

    size: int
    mtime: float


def list_files(connection: Connection, folder: str) -> dict[str, FileStamp]:
    """Return all files below a folder by their place in it; none where there is no folder. Raises DataError."""
    argv = ["find", folder, "-type", "f", "-printf", "%s\\t%T@\\t%P\\0"]
    done = connection.run(argv, timeout_s=600.0, most_bytes=_LIST_BYTES)
    if done.returncode != 0 and connection.run(["test", "-d", folder]).returncode != 0:
        return {}
    _check(connection, done, f"list {folder}")
    found: dict[str, FileStamp] = {}
    with reading(connection.host, f"the list of files in {folder}", done.stdout):
        for line in done.stdout.split(b"\0")[:-1]:
            size, mtime, place = line.split(b"\t", 2)
            if not _SIZE.fullmatch(size) or not _TIME.fullmatch(mtime):
                raise ValueError("no stamp of a file")
            found[place.decode(errors="surrogateescape")] = FileStamp(int(size), float(mtime))
    return found


def read_known(connection: Connection, folder: str) -> dict[str, tuple[FileStamp, str]]:
    """Return the files that earlier transfers verified, by place; an incomplete last line is ignored."""
    known: dict[str, tuple[FileStamp, str]] = {}
    with temporary_folder() as here:
        target = here / KNOWN
        try:
            connection.get(posixpath.join(folder, KNOWN), target)
        except FileNotFoundError:
            return known
        for line in target.read_text(encoding="utf-8", errors="replace").split("\n")[:-1]:
            fields = line.split("\t", 3)
            size, mtime = (field.encode() for field in fields[1:3]) if len(fields) == 4 else (b"", b"")
            if _SIZE.fullmatch(size) and _WHOLE_TIME.fullmatch(mtime):
                known[fields[3]] = (FileStamp(int(size), int(mtime)), fields[0])
    return known


def hash_files(connection: Connection, folder: str, places: Sequence[str], size: int) -> dict[str, str]:
    """Return the SHA-256 of files on the host by place. Raises DataError."""
    if not places:
        return {}
    text = b"\0".join(place.encode() for place in places) + b"\0"
    argv = ["sh", "-c", _HASH, "sh", folder]
    done = connection.run(argv, input=text, timeout_s=_patience(size), most_bytes=len(text) + 100 * len(places))
    _check(connection, done, f"hash files in {folder}")
    lines = [line.decode(errors="replace").split("  ", 1) for line in done.stdout.split(b"\0") if b"  " in line]
    return {place: digest for digest, place in lines if _HASH_FOUND.fullmatch(digest)}


def send_files(
    connection: Connection,
    folder: str,
    files: Iterable[SourceFile],
    folders: Sequence[str] = (),
    *,
    on_bytes: Callable[[int], None],
) -> None:
    """Send files to their places below an existing folder. Raises DataError, HostUnreachable.

    Files that arrived completely are kept and noted as verified when the connection is lost.
    """
    small: list[SourceFile] = []
    for file in files:
        if file.size > BATCH_BYTES:
            send_large(connection, folder, file, on_bytes=on_bytes)
        else:
            small.append(file)
    for number, batch in enumerate(_batches(small)):
        archive = _pack(batch, folders if number == 0 else ())
        script = ["sh", "-c", _TAKE_BATCH, "sh", folder, KNOWN]
        done = connection.run(script, input=archive, timeout_s=_patience(len(archive)))
        _check(connection, done, f"write {len(batch)} files to {folder}")
        on_bytes(len(archive))
    if folders and not small:
        argv = ["mkdir", "-p", "--", *(posixpath.join(folder, one) for one in folders)]
        _check(connection, connection.run(argv), f"make folders in {folder}")


def send_large(
    connection: Connection, folder: str, file: SourceFile, *, on_bytes: Callable[[int], None] = lambda count: None
) -> None:
    """Send one file in pieces, continuing an earlier attempt (``parts/<hash>.part``). Raises DataError."""
    part = f"{_PARTS}/{file.sha256}.part"
    path = posixpath.join(folder, part)
    made = connection.run(["mkdir", "-p", "--", posixpath.join(folder, _PARTS)])
    _check(connection, made, f"make a folder in {folder}")
    there = list_files(connection, posixpath.join(folder, _PARTS)).get(f"{file.sha256}.part")
    offset = min(there.size, file.size) if there is not None else 0
    with file.source.open("rb") as stream:
        stream.seek(offset)
        while piece := stream.read(BATCH_BYTES):
            script = ["sh", "-c", _TAKE_PIECE, "sh", path, str(offset)]
            done = connection.run(script, input=piece, timeout_s=_patience(len(piece)))
            _check(connection, done, f"write {path}")
            offset += len(piece)
            on_bytes(len(piece))
    place = [part, file.sha256, file.place, str(file.mtime), str(file.size), KNOWN]
    done = connection.run(["sh", "-c", _FINISH, "sh", folder, *place], timeout_s=_patience(file.size))
    if done.returncode == 3:
        hint = "run the same command again; if it happens again, test the memory and the disk of both machines"
        raise DataError(f"{file.place} differs from the file that was sent", where=connection.host, hint=hint)
    _check(connection, done, f"finish {file.place}")


def _batches(files: Sequence[SourceFile]) -> Iterator[list[SourceFile]]:
    batch: list[SourceFile] = []
    size = 0
    for file in files:
        if batch and size + file.size > BATCH_BYTES:
            yield batch
            batch, size = [], 0
        batch.append(file)
        size += file.size
    if batch:
        yield batch


def _pack(batch: Sequence[SourceFile], folders: Sequence[str]) -> bytes:
    """Return a tar of files at their places, with their checksums."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for folder in folders:
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(entry)
        sums = "".join(_sum_line(file) for file in batch)
        known = "".join(f"{file.sha256}\t{file.size}\t{file.mtime}\t{file.place}\n" for file in batch)
        for name, text in ((".batch/sums", sums), (".batch/known", known)):
            _add(archive, name, text.encode(), 0)
        for file in batch:
            try:
                content = file.source.read_bytes()
            except OSError as error:
                message = f"{file.source} cannot be read any more: {error.strerror}"
                raise DataError(message, hint="check that the file still exists, then run the same command") from error
            _add(archive, file.place, content, file.mtime)
    return buffer.getvalue()


def _add(archive: tarfile.TarFile, name: str, content: bytes, mtime: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode, entry.mtime = len(content), 0o644, mtime
    archive.addfile(entry, io.BytesIO(content))


def _sum_line(file: SourceFile) -> str:
    """Return a line for ``sha256sum -c``; a name with backslashes has them doubled, and one before the line."""
    if "\\" in file.place:
        return f"\\{file.sha256}  " + file.place.replace("\\", "\\\\") + "\n"
    return f"{file.sha256}  {file.place}\n"


def _patience(size: int) -> float:
    return 120.0 + size / _SLOWEST_BYTES_PER_S


def _check(connection: Connection, done: Completed, doing: str) -> None:
    if done.returncode == 0:
        return
    reason = last_line(done.stderr, f"exit code {done.returncode}")
    hint = "check that the host's scratch folder is writable and not full, then run the same command again"
    raise DataError(f"could not {doing}: {reason}", where=connection.host, hint=hint)
