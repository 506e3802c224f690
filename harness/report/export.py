"""Exports of a session: which formats there are, and where their bytes go."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from harness.report.exports.csv import export_csv
from harness.report.exports.json import export_json
from harness.report.exports.markdown import export_markdown
from harness.report.exports.parquet import export_parquet
from harness.report.source import read_source
from harness.values.errors import SessionError
from harness.values.record import Record

EXPORTERS: dict[str, Callable[[Sequence[Record]], bytes]] = {
    "csv": export_csv,
    "json": export_json,
    "parquet": export_parquet,
    "markdown": export_markdown,
}
"""Formats by name; all but ``parquet`` are UTF-8 text."""


def export_records(source: Path, format: str, output: Path | None = None) -> bytes:
    """The newest records of a session folder (or of a page that carries them) as the bytes of ``format``.

    With ``output`` they are written there too, whole or not at all. Raises SessionError for an
    unknown format, no session, or a place that cannot be written.
    """
    exporter = EXPORTERS.get(format)
    if exporter is None:
        raise SessionError(f"no format {format!r}", hint=f"there are {', '.join(EXPORTERS)}")
    records = [record for session in read_source(source) for record in session.records]
    content = exporter(records)
    if output is not None:
        _write(content, output)
    return content


def _write(content: bytes, output: Path) -> None:
    temporary = output.with_name(f".{output.name}.{os.getpid()}.part")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(content)
        temporary.replace(output)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        hint = "make room there, or choose another place with --output"
        raise SessionError(f"the export cannot be written: {error.strerror}", where=str(output), hint=hint) from error
