"""The index of all sessions, pages over several of them, and what the commands print."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from builder import SessionBuilder, build_lab, make_case, make_facts, make_record
from typer.testing import CliRunner

from harness.cli.app import app
from harness.report.index import list_pages
from harness.report.page import write_report


def make_session(folder: Path, name: str, date: Any, rate: float = 90.0) -> Any:
    builder = SessionBuilder(name).add_host("ws01", make_facts("Test CPU"))
    builder.description["created_at"] = date
    for number in (1, 2, 3):
        at: dict[str, Any] = {"facts": make_facts("Test CPU"), "round": number}
        builder.add(
            make_record(make_case(loader="keras-idg"), rate=30, **at), make_record(make_case(), rate=rate, **at)
        )
    source = builder.write(folder / name)
    return write_report([source], source / "report.html")


def test_each_page_renews_the_index_newest_first(tmp_path: Path) -> None:
    make_session(tmp_path, "first-1", "2026-01-01T10:00:00Z")
    index = (tmp_path / "index.html").read_text()
    assert "first-1" in index and "second-2" not in index
    make_session(tmp_path, "second-2", "2026-02-01T10:00:00Z")
    index = (tmp_path / "index.html").read_text()
    assert index.index("second-2") < index.index("first-1")
    assert 'href="second-2/report.html"' in index
    assert "2026-02-01 10:00 UTC" in index and "3 of 3 rounds" in index and "ws01" in index
    assert re.search(r"Test CPU \(test data\).*tfdata, 2\.\d\d×", index, re.DOTALL)


def test_old_and_foreign_pages_are_listed_and_kept(tmp_path: Path) -> None:
    old = tmp_path / "ancient" / "report.html"
    old.parent.mkdir()
    old.write_text("<html><title>an old page</title></html>")
    broken = tmp_path / "broken" / "report.html"
    broken.parent.mkdir()
    broken.write_text('<script type="application/json" id="harness-summary">{"hosts": 7, "advice": [3]}</script>')
    os.mkfifo(tmp_path / "pipe.html")  # nobody writes into it
    make_session(tmp_path, "first-1", "2026-01-01T10:00:00Z")
    rows = {row.name: row for row in list_pages(tmp_path)}
    assert set(rows) == {"first-1", "ancient", "broken"}
    assert rows["ancient"].progress == "a page of another version"
    assert rows["broken"].advice == ()
    assert old.read_text() == "<html><title>an old page</title></html>"


def test_a_page_elsewhere_makes_no_index(tmp_path: Path) -> None:
    source = SessionBuilder("one-1").add(make_record(make_case())).write(tmp_path / "one-1")
    (tmp_path / "elsewhere").mkdir()
    write_report([source], tmp_path / "elsewhere" / "page.html")
    assert [path.name for path in (tmp_path / "elsewhere").iterdir()] == ["page.html"]


def test_the_command_prints_advice_matrix_and_place(tmp_path: Path) -> None:
    build_lab().write(tmp_path / "lab-1")
    done = CliRunner().invoke(app, ["report", "--output", str(tmp_path)])
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert lines[-1] == (tmp_path / "lab-1" / "report.html").resolve().as_uri()
    assert any("tfdata with file cache, 4." in line for line in lines)
    assert any(re.match(r"tfdata, memory cache\s+⊠ out of memory", line) for line in lines)


def test_several_sessions_make_one_page(tmp_path: Path) -> None:
    for name in ("one-1", "two-2"):
        make_session(tmp_path, name, "2026-01-01T10:00:00Z")
    done = CliRunner().invoke(app, ["report", "one-1", "two-2", "--output", str(tmp_path)])
    assert done.exit_code == 0, done.output
    page = (tmp_path / "report.html").read_text()
    assert "one-1: 3 of 3 rounds; two-2: 3 of 3 rounds" in page and "2 sessions" in page
    assert 'href="report.html"' in (tmp_path / "index.html").read_text()


def test_a_session_that_is_named_twice_counts_once(tmp_path: Path) -> None:
    page = make_session(tmp_path, "one-1", "2026-01-01T10:00:00Z")
    single = page.read_text()
    both = write_report([page.parent, page], tmp_path / "both.html").read_text()
    assert both == single


def test_an_anonymous_page_stands_beside_the_other(tmp_path: Path) -> None:
    page = make_session(tmp_path, "one-1", "2026-01-01T10:00:00Z")
    before = page.read_bytes()
    done = CliRunner().invoke(app, ["report", "one-1", "--anonymise", "--output", str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert page.read_bytes() == before
    assert "ws01" not in (page.parent / "report-anonymous.html").read_text()
