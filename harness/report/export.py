"""Exports of a session: one table of its newest records in four formats, and the records themselves.

csv, json, markdown and parquet hold the same columns under the same names with the same values (``columns.COLUMNS``,
documented in docs/results.md); ``records`` holds the records as they are on the disk.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path

from harness.report.columns import COLUMNS, Value, make_frame, tabulate_rows
from harness.report.source import read_source
from harness.report.writing import write_result
from harness.values.errors import SessionError
from harness.values.record import Record

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
_MARKDOWN = ("\\", "|", "<", "`", "*", "_", "[")


def export_csv(records: Sequence[Record]) -> bytes:
    """Write the table as CSV (RFC 4180), UTF-8; a value that was not measured is an empty cell."""
    stream = io.StringIO(newline="")
    writer = csv.writer(stream)
    writer.writerow([column.name for column in COLUMNS])
    for row in tabulate_rows(records):
        writer.writerow([_defuse(_say(value)) if isinstance(value, str) else _say(value) for value in row.values()])
    return stream.getvalue().encode()


def export_json(records: Sequence[Record]) -> bytes:
    """Write the table as JSON: an array with an object for each row; a value that was not measured is null."""
    return (json.dumps(tabulate_rows(records), indent=1, ensure_ascii=False) + "\n").encode()


def export_markdown(records: Sequence[Record]) -> bytes:
    """Write the table as Markdown; a value that was not measured is an empty cell."""
    from tabulate import tabulate

    rows = [[_escape(_say(value)) for value in row.values()] for row in tabulate_rows(records)]
    headers = [column.name for column in COLUMNS]
    return (tabulate(rows, headers=headers, tablefmt="pipe", disable_numparse=True) + "\n").encode()


def export_parquet(records: Sequence[Record]) -> bytes:
    """Write the table as Parquet, with its types; a value that was not measured is null."""
    stream = io.BytesIO()
    make_frame(records).to_parquet(stream, engine="pyarrow", index=False)
    return stream.getvalue()


def export_lines(records: Sequence[Record]) -> bytes:
    """Write the raw records as JSON lines; ``harness schema record`` describes them."""
    lines = (json.dumps(record.model_dump(mode="json"), sort_keys=True, ensure_ascii=False) for record in records)
    return "".join(line + "\n" for line in lines).encode(errors="replace")


EXPORTERS: dict[str, Callable[[Sequence[Record]], bytes]] = {
    "csv": export_csv,
    "json": export_json,
    "markdown": export_markdown,
    "parquet": export_parquet,
    "records": export_lines,
}
"""Formats by name; all but ``parquet`` are UTF-8 text."""


def export_records(source: Path, format: str, output: Path | None = None) -> bytes:
    """Return the newest records of a session folder (or of a page that contains them) in a format.

    With ``output`` they are written there too, whole or not at all. Raises SessionError for an
    unknown format, no session, or a place that cannot be written.
    """
    exporter = EXPORTERS.get(format)
    if exporter is None:
        raise SessionError(f"no format {format!r}", hint=f"use one of {', '.join(EXPORTERS)}")
    records = [record for session in read_source(source) for record in session.records]
    content = exporter(records)
    if output is not None:
        write_result(content, output, what="export")
    return content


def _say(value: Value) -> str:
    """Return a value as text that reads back as the same value; empty for None."""
    if value is None:
        return ""
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


def _defuse(text: str) -> str:
    """Put an apostrophe before text that a spreadsheet would run as a formula (OWASP, "CSV Injection")."""
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text


def _escape(text: str) -> str:
    for character in _MARKDOWN:
        text = text.replace(character, "\\" + character)
    return text
