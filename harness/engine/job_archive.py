"""Results out of a tar stream that a container wrote: nothing outside the folder, no links, a capped size."""

from __future__ import annotations

import shutil
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from harness.bench.protocol.atomic import replace_file
from harness.values.errors import EngineError, ResultsRefused

RESULTS_BYTES = 512 * 2**20
"""More than this is no result: a log of some millions of lines is a tenth of it."""


def extract_results(
    chunks: Iterable[bytes], destination: Path, *, host: str, job: str, limit_bytes: int = RESULTS_BYTES
) -> None:
    """Write the regular files of a tar into ``destination``, its first path component left out.

    Whatever is not a plain file or folder below it is passed over: what runs in a
    container is not trusted. Each file is replaced whole. Raises ResultsRefused where they are larger than
    ``limit_bytes``, EngineError where the stream is cut or no tar.
    """
    destination.mkdir(parents=True, exist_ok=True)
    left = limit_bytes
    try:
        with tarfile.open(fileobj=_Stream(chunks), mode="r|") as archive:  # type: ignore[call-overload]
            for member in archive:
                target = _target_of(member, destination)
                if target is None:
                    continue
                left -= member.size
                if left < 0:
                    message = f"the results are larger than {limit_bytes} bytes"
                    raise ResultsRefused(message, where=host, hint="see what the job writes there")
                source = archive.extractfile(member)
                if source is not None:
                    with replace_file(target, sync=False) as stream:
                        shutil.copyfileobj(source, stream, 2**18)
    except (tarfile.TarError, EOFError) as error:
        message = f"the results came as a broken archive: {error}"
        raise EngineError(message, where=host, hint=f"look at the job {job}") from error


def _target_of(member: tarfile.TarInfo, destination: Path) -> Path | None:
    path = PurePosixPath(member.name)
    parts = path.parts[1:]
    if not member.isreg() or path.is_absolute() or not parts or ".." in path.parts or path.name.endswith(".part"):
        return None
    folder = destination.joinpath(*parts[:-1])
    folder.mkdir(parents=True, exist_ok=True)
    if not folder.resolve().is_relative_to(destination.resolve()):
        return None
    return folder / parts[-1]


class _Stream:
    """A generator of chunks as the file that tarfile reads."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks: Iterator[bytes] = iter(chunks)
        self._rest = b""

    def read(self, size: int) -> bytes:
        parts, missing = [], size
        while missing > 0:
            if not self._rest:
                self._rest = next(self._chunks, b"")
                if not self._rest:
                    break
            part, self._rest = self._rest[:missing], self._rest[missing:]
            parts.append(part)
            missing -= len(part)
        return b"".join(parts)
