"""``docs/contributing/finding.md``, followed: its finding is in catalogue, documents and report."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import write_findings  # a script beside the page, not a package
from builder import SessionBuilder, make_case, make_facts, make_record
from following import followed
from typer.testing import CliRunner

from harness.analysis import rules
from harness.analysis.findings import catalogue, load_families
from harness.cli.app import app


def forget() -> None:
    catalogue.cache_clear()
    load_families.cache_clear()


@contextmanager
def added(folder: Path) -> Iterator[None]:
    try:
        with followed("finding.md", rules, folder):
            forget()
            yield
    finally:
        forget()


def test_its_file_is_all_that_catalogue_documents_and_report_need(tmp_path: Path) -> None:
    builder, facts = SessionBuilder(rounds=1), make_facts()
    builder.add_host("ws01", facts)
    builder.add(make_record(make_case(), host="ws01", facts=facts, round=1, images=50, evidence={"child": 0}))
    session = builder.write(tmp_path / "lab-test-12345678")

    def page() -> str:
        done = CliRunner().invoke(app, ["report", str(session), "--to", str(tmp_path / "page.html")])
        assert done.exit_code == 0, done.output
        return (tmp_path / "page.html").read_text(encoding="utf-8")

    said = "an epoch has only 50 images"
    assert "few-images" not in catalogue() and said not in page()
    with added(tmp_path / "rules"):
        assert catalogue()["few-images"].severity == "info"
        titles = [family.title for family in load_families()]
        assert titles.index("Caches and budgets") < titles.index("Small sets") < titles.index("Noise")
        assert "### `few-images` (info)\n**Cause**: an epoch has fewer than 100 images" in write_findings.write()
        assert said in page()
    assert "few-images" not in catalogue()
