"""``docs/contributing/chart.md``, followed: its chart stands in the report, at its place."""

from __future__ import annotations

import re
from pathlib import Path

from builder import build_lab
from following import followed
from typer.testing import CliRunner

from harness.cli.app import app
from harness.report import charts
from harness.report.drawing import load_charts


def test_its_file_is_all_that_the_report_needs(tmp_path: Path) -> None:
    session = build_lab().write(tmp_path / "lab-test-12345678")

    def titles() -> list[str]:
        done = CliRunner().invoke(app, ["report", str(session), "--to", str(tmp_path / "page.html")])
        assert done.exit_code == 0, done.output
        page = re.sub(r'<a class="term"[^>]*>([^<]*)</a>', r"\1", (tmp_path / "page.html").read_text(encoding="utf-8"))
        return re.findall(r'<p class="soft">([^.,<]*)[^<]*</p>\s*</figure>', page)

    before, ranks = titles(), [chart.rank for chart in load_charts()]
    with followed("chart.md", charts, tmp_path / "charts") as file:
        after = titles()
        assert [chart.rank for chart in load_charts()] == sorted([*ranks, 35])
    drawn = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert file.name == "counts.py"
    assert "Runs behind each average" not in before
    place = sum(rank < 35 for rank in ranks)
    assert after[: place + 1] == [*before[:place], "Runs behind each average"]
    assert [title for title in after if title != "Runs behind each average"] == before
    assert "tfdata · file cache, limit 1.5 GB: 3" in drawn
    assert titles() == before
