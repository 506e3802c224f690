"""CSV as RFC 4180 has it, UTF-8; empty cells for what was not measured."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from harness.report.columns import COLUMNS, Value, tabulate_rows
from harness.values.record import Record

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def export_csv(records: Sequence[Record]) -> bytes:
    """A header line and one line a record."""
    stream = io.StringIO(newline="")
    writer = csv.writer(stream)
    writer.writerow([column.name for column in COLUMNS])
    for row in tabulate_rows(records):
        writer.writerow([_cell(value) for value in row.values()])
    return stream.getvalue().encode()


def _cell(value: Value) -> Value:
    """Text from hosts that a spreadsheet would run as a formula gets an apostrophe (OWASP, "CSV Injection")."""
    if isinstance(value, str):
        value = value.replace("\0", "�")
        return f"'{value}" if value.startswith(_FORMULA_STARTS) else value
    return value
