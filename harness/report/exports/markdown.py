"""Markdown: a table for an issue or a chat, with the columns that a reader asks for first."""

from __future__ import annotations

from collections.abc import Sequence

from harness.report.columns import tabulate_rows
from harness.report.words import NOTHING, clean_text, format_number
from harness.values.record import Record
from harness.values.units import format_bytes

SHOWN = (
    "host",
    "round",
    "mode",
    "loader",
    "cache",
    "memory_limit_bytes",
    "status",
    "first_epoch_s",
    "steady_images_per_s",
    "images_per_cpu_s",
    "peak_anon_bytes",
    "cache_bytes",
    "cause",
)


def export_markdown(records: Sequence[Record]) -> bytes:
    """One row a record; numbers to three digits, bytes with their unit."""
    from tabulate import tabulate

    rows = [[_cell(name, row[name]) for name in SHOWN] for row in tabulate_rows(records)]
    headers = [name.removesuffix("_bytes") for name in SHOWN]
    text = tabulate(rows, headers=headers, tablefmt="pipe", disable_numparse=True)
    return (text + "\n").encode()


def _cell(name: str, value: object) -> str:
    if value is None:
        return "none" if name == "memory_limit_bytes" else NOTHING
    if name.endswith("_bytes") and isinstance(value, int):
        return format_bytes(value)
    if isinstance(value, float):
        return format_number(value)
    text = clean_text(value, 160)
    for character in ("\\", "|", "<", "`", "*", "_", "["):
        text = text.replace(character, "\\" + character)
    return text
