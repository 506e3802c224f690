"""docs/results.md lists every column of the exports, with its type and its words, and no other."""

from __future__ import annotations

import re
from pathlib import Path

from harness.report.columns import COLUMNS

DOC = Path(__file__).parents[2] / "docs" / "results.md"


def test_the_documented_columns_are_those_of_the_code():
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (.+?) \|$", DOC.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert rows == [(column.name, column.kind, column.meaning) for column in COLUMNS]
