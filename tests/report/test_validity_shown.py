"""Validity is as visible as status: in the counts, both matrices, the lists of the page, the live log and `status`."""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from builder import SessionBuilder, make_case, make_facts, make_oom, make_record
from typer.testing import CliRunner

from harness.analysis.findings import find
from harness.analysis.outcomes import explain_outcome, outcome_of
from harness.cli.app import app
from harness.console import Console
from harness.report.page import render_page
from harness.report.source import read_source
from harness.report.terminal import view_terminal
from harness.values.event import CommandStarted, InvocationFinished, SessionStarted

MINE = "/home/somebody/mine.py:make"
SAYS = f"{MINE} does not do the same work as the others: it drops the last batch"
WORK = find("work-differs", SAYS, "mend the loader")
BUSY = find("host-busy", "others used 1.2 of 2 CPUs", "measure again")


def read_words(page: Any) -> str:
    text = re.sub(r"<(script|style).*?</\1>", " ", page, flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", " ", text).split())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """17 that ended well, 11 of them of a loader that does other work; one of its cases was not measured at all."""
    builder = SessionBuilder(rounds=2).add_host("ws01", make_facts())
    bad = [make_case(loader=MINE, batch_size=size) for size in (8, 16, 32, 64, 128)]
    for number in (1, 2):
        at: dict[str, Any] = {"round": number, "memory": make_record(make_case()).memory}
        builder.add(make_record(make_case(loader="keras-idg"), **at), make_record(make_case(), **at))
        builder.add(make_record(make_case(cache="file"), **at), make_oom(make_case(cache="memory"), round=number))
        builder.add(*(make_record(case, findings=(WORK,), validity="invalid", **at) for case in bad))
    unmeasured = make_case(loader=MINE, cache="memory")
    builder.add(
        make_record(make_case(loader=MINE, memory_limit="none"), findings=(WORK,), validity="invalid"),
        make_record(unmeasured, status="skipped", findings=(WORK,), validity="invalid", epochs=(), cache=None),
    )
    return builder.write(tmp_path_factory.mktemp("invalid") / builder.name)


@pytest.fixture(scope="module")
def words(folder: Any) -> Any:
    return read_words(render_page(read_source(folder)))


def test_the_page_counts_no_invalid_one_as_ok(words: Any) -> None:
    assert "✓ 6 ok ⊠ 2 out of memory ✗ 12 invalid" in words
    assert "17 ok" not in words


def test_the_page_lists_all_of_them_by_name(words: Any) -> None:
    names = [f"mine.py:make, no cache, limit 1.5 GB, batch size {size}" for size in (8, 16, 32, 64, 128)]
    names += [
        "mine.py:make, memory cache, limit 1.5 GB, batch size 32",
        "mine.py:make, no cache, no limit, batch size 32",
    ]
    for name in names:
        assert words.count(name) >= 4, f"{name}: failures, trouble, two caveats"
    assert "12 invalid: does other work" in words
    assert "12 invalid runs, left out of all averages" in words
    assert "more like it" not in words and "and 4 more" not in words


def test_the_page_says_why_and_what_to_do(words: Any) -> None:
    assert words.count("drops the last batch") >= 8
    assert "→ mend the loader" in words
    assert "--rerun-failed" in words


def test_the_matrices_of_page_and_terminal_say_it(folder: Any, words: Any) -> None:
    (view,) = view_terminal(read_source(folder))
    cells = {
        (row[0], table.columns[place]): cell
        for table in view.tables
        for row in table.rows
        for place, cell in enumerate(row)
    }
    cell = next(text for (row, column), text in cells.items() if "mine.py" in row and text.startswith("✗"))
    assert cell == "✗ invalid: does other work (2 runs)"
    assert "✗ invalid: does other work 2 runs" in words
    assert not [text for (row, _), text in cells.items() if "mine.py" in row and "ok" in text.split()]


def test_the_table_of_cases_says_it_and_can_be_narrowed_to_it(folder: Any) -> None:
    page = render_page(read_source(folder))
    assert '<option value="invalid">invalid</option>' in page
    assert '<td class="bad"><span class="sign" aria-hidden="true">✗</span> invalid: does other work' in page


def test_a_case_with_a_rate_shows_what_was_not_well(tmp_path: Path) -> None:
    builder = SessionBuilder(rounds=3)
    for number in (1, 2, 3):
        builder.add(make_record(make_case(loader="keras-idg"), round=number, findings=(BUSY,), validity="degraded"))
        doubt: dict[str, Any] = {"findings": (WORK,), "validity": "invalid"} if number == 3 else {}
        builder.add(make_record(make_case(), round=number, **doubt))
    (view,) = view_terminal(read_source(builder.write(tmp_path / builder.name)))
    cells = {row[0]: row[1] for row in view.tables[0].rows}
    assert cells["keras-idg, no cache"].endswith("(baseline; on a busy host)")
    assert "1 of 3 invalid: does other work" in cells["tfdata, no cache"]


def test_advice_does_not_say_that_an_invalid_baseline_ended_ok(tmp_path: Path) -> None:
    builder = SessionBuilder(rounds=1)
    builder.add(make_record(make_case(), findings=(WORK,), validity="invalid"))
    (view,) = view_terminal(read_source(builder.write(tmp_path / builder.name)))
    assert "no pipeline has a result here (invalid: does other work)" in view.advice[0]


def finish(record: Any, label: str = "mine.py:make, no cache") -> Any:
    outcome = outcome_of(record)
    return InvocationFinished(
        "ws01", record.invocation, 1, record.round, record.case_id, label, record.status, record.cause, 4.2, 3, 18,
        outcome=outcome.kind, reason=outcome.reason, why=explain_outcome(record),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "lines"),
    [
        ({}, ["[3/18] ws01 round 1  ✓ ok             mine.py:make, no cache  4.2 s"]),
        (
            {"validity": "invalid", "findings": (WORK,)},
            ["[3/18] ws01 round 1  ✗ invalid: does other work  mine.py:make, no cache  4.2 s", f"    {SAYS}"],
        ),
        (
            {"validity": "invalid", "findings": (WORK,), "status": "skipped", "epochs": ()},
            ["[3/18] ws01 round 1  ✗ invalid: does other work  mine.py:make, no cache  4.2 s", f"    {SAYS}"],
        ),
        (
            {"validity": "degraded", "findings": (BUSY,)},
            ["[3/18] ws01 round 1  ~ disturbed: the host was busy  mine.py:make, no cache  4.2 s"],
        ),
        (
            {"status": "error", "epochs": (), "cause": "no\n\tnode"},
            ["[3/18] ws01 round 1  ! error          mine.py:make, no cache  4.2 s", "    no node"],
        ),
        (
            {"status": "skipped", "epochs": (), "cause": "needs 40.0 GB"},
            ["[3/18] ws01 round 1  ∅ skipped        mine.py:make, no cache  4.2 s", "    needs 40.0 GB"],
        ),
    ],
)
def test_the_live_log_says_it(monkeypatch: pytest.MonkeyPatch, changes: Any, lines: Any) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    Console().handle(finish(make_record(make_case(), **changes)))
    assert stream.getvalue().splitlines() == lines


def test_the_sessions_counts_say_it(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    Console().handle(CommandStarted("lab-1", "reports/lab-1", True))
    Console().handle(CommandStarted("lab-1", "reports/lab-1", False))
    counts = {"ok": 3, "invalid": 2}
    Console().handle(SessionStarted("lab-1", "reports/lab-1", True, 5, 18, (), counts, host="ws01"))
    Console().handle(SessionStarted("lab-1", "reports/lab-1", False, 0, 18, host="ws01"))
    assert stream.getvalue().splitlines() == [
        "session lab-1 continues (reports/lab-1)",
        "session lab-1 begins (reports/lab-1)",
        "ws01: 5 of 18 runs done: 3 ok, 2 invalid",
        "ws01: 0 of 18 runs done",
    ]


def test_status_says_it(folder: Any) -> None:
    done = CliRunner().invoke(app, ["status", str(folder)])
    assert done.exit_code == 0, done.output
    assert "not running; 6 ok, 2 out of memory, 12 invalid" in done.stdout
    assert '"invalid": 12' in CliRunner().invoke(app, ["status", str(folder), "--json"]).stdout


def test_status_reads_what_it_can_and_says_what_it_cannot(folder: Any) -> None:
    with (folder / "events.jsonl").open("a") as stream:
        stream.write('{"event": "HostStateChanged", "host": "ws01"}\n')
    done = CliRunner().invoke(app, ["status", str(folder)])
    assert done.exit_code == 0 and "6 ok, 2 out of memory, 12 invalid" in done.stdout
    assert "note: an event HostStateChanged does not fit the format: state" in " ".join(done.stderr.split())


def test_a_chart_does_not_say_that_an_invalid_case_ended_well(folder: Any) -> None:
    page = render_page(read_source(folder))
    assert "peak, no valid result" in page
    assert re.search(r"mine\.py:make, limit 1\.5 GB: 820 MB of 1\.5 GB, invalid: does other work", page)
