"""Download files, resumable and verified by size and SHA-256, after a check of the free disk space; unpack archives."""

from __future__ import annotations

import hashlib
import http.client
import shutil
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable
from pathlib import Path

from harness.bench.protocol.atomic import replace_file
from harness.ship.public_sets import PublicFile
from harness.values.errors import DataError
from harness.values.units import format_bytes

CHUNK_BYTES = 2**20
TIMEOUT_S = 30.0
DISK_RESERVE = 2**30
MOST_UNKNOWN_BYTES = 2**30
"""The most bytes of a file without a published size; weights have some megabytes."""
PINNED = ".sha256"
"""Suffix of the file with the checksum of the first download, for files without a published checksum."""

OnProgress = Callable[[int, int | None], None]
"""Called with the bytes so far, and the total if known."""


def check_disk(folder: Path, needed: int) -> None:
    """Raise DataError where a folder's disk has less than ``needed`` bytes free besides a reserve."""
    place = folder
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free - DISK_RESERVE
    if free < needed:
        raise DataError(
            f"{format_bytes(needed)} are needed at {place}, but {format_bytes(max(0, free))} are available besides a "
            f"reserve of {format_bytes(DISK_RESERVE)}: {format_bytes(needed - free)} are missing",
            hint="free some space, or name another disk with --to",
        )


def download(file: PublicFile, folder: Path, report: OnProgress) -> Path:
    """Download a file into ``folder``, continuing an earlier part, verify it and return its path. Raises DataError."""
    target = folder / file.name
    if target.exists():
        verify(file, target)
        return target
    folder.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    try:
        _fetch(file, part, report)
    except urllib.error.HTTPError as error:
        hint = "the file may have been moved by its publisher"
        raise DataError(f"{file.url} answers {error.code} {error.reason}", hint=hint) from error
    except (OSError, http.client.HTTPException) as error:  # URLError is an OSError
        if isinstance(error, OSError) and error.errno is not None and part.parent.exists() and _is_local(error):
            raise DataError(
                f"cannot write {part}: {error.strerror}", hint="free disk space, or name another disk with --to"
            ) from error
        kept = f"; {format_bytes(part.stat().st_size)} are kept in {part}" if part.exists() else ""
        hint = "the same command continues where this one stopped; without a network, copy the files there by hand"
        raise DataError(f"{file.url} cannot be read: {getattr(error, 'reason', error)}{kept}", hint=hint) from error
    verify(file, part)
    part.replace(target)
    return target


def _is_local(error: OSError) -> bool:
    return error.errno in {28, 30, 13, 122}  # no space, read-only, not allowed, quota


def _fetch(file: PublicFile, part: Path, report: OnProgress) -> None:
    have = part.stat().st_size if part.exists() else 0
    if file.bytes is not None and have > file.bytes:
        part.unlink()
        have = 0
    if file.bytes is not None and have == file.bytes:
        return
    request = urllib.request.Request(file.url, headers={"Range": f"bytes={have}-"} if have else {})  # noqa: S310 # http(s) from our own table
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310 # as above
        if answer.status != 206:  # the server sends the file from its beginning
            have = 0
        with part.open("ab" if have else "wb") as stream:
            most = MOST_UNKNOWN_BYTES if file.bytes is None else file.bytes
            while chunk := answer.read(CHUNK_BYTES):
                have += len(chunk)
                if have > most:
                    part.unlink()
                    hint = "check what answers at this address; nothing of the answer is kept"
                    raise DataError(f"{file.url} sends more than {format_bytes(most)}", hint=hint)
                stream.write(chunk)
                report(have, file.bytes)
    if file.bytes is not None and have < file.bytes:
        raise http.client.IncompleteRead(b"", file.bytes - have)


def verify(file: PublicFile, path: Path) -> None:
    """Raise DataError where size or SHA-256 differ from the published ones, or from those of the first download."""
    size = path.stat().st_size
    if file.bytes is not None and size != file.bytes:
        raise _wrong(path, f"has {size} bytes, not {file.bytes}")
    with path.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    pin = path.parent / (file.name + PINNED)
    wanted = file.sha256 or (pin.read_text(encoding="ascii").strip() if pin.exists() else None)
    if wanted is None:
        pin.write_text(found + "\n", encoding="ascii")
    elif found != wanted:
        raise _wrong(path, f"has the SHA-256 {found}, not {wanted}")


def _wrong(path: Path, what: str) -> DataError:
    aside = path.with_name(path.name + ".wrong")
    path.replace(aside)
    return DataError(f"{path.name} {what}; it was renamed to {aside}", hint="run the same command again")


def unpack(file: PublicFile, archive: Path, folder: Path, report: OnProgress) -> int:
    """Unpack the wanted members into ``folder`` and return their number; files of the right size are kept."""
    with zipfile.ZipFile(archive) as content:
        wanted = [item for item in content.infolist() if not item.is_dir() and _is_wanted(item.filename, file)]
        needed = sum(item.file_size for item in wanted if not _is_there(item, folder, file))
        check_disk(folder, needed)
        for number, item in enumerate(wanted, 1):
            if not _is_there(item, folder, file):
                _extract(content, item, _target(item, folder, file))
            report(number, len(wanted))
    return len(wanted)


def _is_wanted(name: str, file: PublicFile) -> bool:
    return ".." not in Path(name).parts and (not file.members or name.startswith(file.members))


def _target(item: zipfile.ZipInfo, folder: Path, file: PublicFile) -> Path:
    return folder / item.filename.removeprefix(file.strip).lstrip("/")


def _is_there(item: zipfile.ZipInfo, folder: Path, file: PublicFile) -> bool:
    target = _target(item, folder, file)
    return target.is_file() and target.stat().st_size == item.file_size


def _extract(content: zipfile.ZipFile, item: zipfile.ZipInfo, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with content.open(item) as source, replace_file(target, sync=False) as stream:
        shutil.copyfileobj(source, stream, CHUNK_BYTES)


def remove_damaged_jpegs(folder: Path) -> int:
    """Remove files without a JFIF header, as tensorflow-datasets does for cats and dogs; return their number."""
    removed = 0
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            with path.open("rb") as stream:
                head = stream.read(10)
            if b"JFIF" not in head:
                path.unlink()
                removed += 1
    return removed
