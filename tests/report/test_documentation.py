"""What docs/results.md says of the exports is what the code does."""

from __future__ import annotations

import re
from pathlib import Path

from harness.report.columns import COLUMNS
from harness.report.export import EXPORTERS

TEXT = (Path(__file__).parents[2] / "docs" / "results.md").read_text(encoding="utf-8")


def test_every_column_is_documented_as_it_is_and_no_other() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (.+) \|$", TEXT.split("## The exports")[1], re.MULTILINE)
    assert rows == [(column.name, column.kind, column.meaning) for column in COLUMNS]


def test_every_format_is_named() -> None:
    assert list(EXPORTERS) == ["csv", "json", "markdown", "parquet", "records"]
    assert "`harness export --format csv|json|markdown|parquet`" in TEXT
    assert "`harness export --format records`" in TEXT
