"""``harness report``, ``export`` and ``compare``: which session is meant, and where the page or the table goes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from factory import plain_record
from typer.testing import CliRunner

from harness.cli.app import app
from harness.records.content import SessionContent, SessionExperiment
from harness.records.folder import SessionFolder
from harness.values.case import Case
from harness.values.errors import SessionError
from harness.values.record import Epoch
from harness.workflow.local.reports import choose_session, compare_two, export_session, make_report

LOADERS = ("keras-idg", "tfdata")


def make_session(output: Path, name: str, seconds: float = 10.0) -> Path:
    """A session of two loaders and three rounds."""
    folder = SessionFolder(output / name)
    experiment = SessionExperiment(name="one", rounds=3, baseline="keras-idg")
    folder.write(SessionContent(name=name, session=name, experiment=experiment, experiment_name="one"))
    lines = []
    for round_ in (1, 2, 3):
        for order, loader in enumerate(LOADERS, start=1):
            epochs = tuple(Epoch(index=index, images=100, seconds=seconds + round_ / 100) for index in (1, 2))
            planned = {"invocation": f"{loader}{round_}", "round": round_, "order": order, "host": "ws-secret"}
            case = Case(data="d", loader=loader, epochs=2)
            lines.append(plain_record(case, session=name, epochs=epochs, **planned).model_dump_json() + "\n")
    folder.records_file.write_text("".join(lines))
    return folder.path


def test_a_session_is_named_by_its_folder_or_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session = make_session(tmp_path / "reports", "lab-one-1")
    for named in (session, Path("lab-one-1"), None):
        assert choose_session(named, tmp_path / "reports").path == session
    monkeypatch.chdir(tmp_path)
    assert choose_session(Path("reports/lab-one-1"), tmp_path / "reports").path == Path("reports/lab-one-1")
    with pytest.raises(SessionError, match="this is not a session folder"):
        choose_session(Path("lab-two-2"), tmp_path / "reports")


def test_a_page_stands_in_its_session_and_an_anonymous_one_beside_it(tmp_path: Path) -> None:
    session = make_session(tmp_path, "lab-one-1")
    made = make_report([], tmp_path, None)
    assert made.page == session / "report.html" and "ws-secret" in made.page.read_text()
    assert len(made.views) == 1
    anonymous = make_report([], tmp_path, None, is_anonymous=True).page
    assert anonymous == session / "report-anonymous.html" and "ws-secret" not in anonymous.read_text()
    # Of a page alone: its own place, and never that for the one without names.
    page = tmp_path / "kept.html"
    page.write_bytes(made.page.read_bytes())
    assert make_report([page], tmp_path, None, is_anonymous=True).page == tmp_path / "kept-anonymous.html"


def test_one_page_of_several_sessions_lies_in_the_output_and_in_its_index(tmp_path: Path) -> None:
    for name in ("lab-one-1", "lab-two-2"):
        make_session(tmp_path, name)
    made = make_report([Path("lab-one-1"), Path("lab-two-2")], tmp_path, None)
    assert made.page == tmp_path / "report.html"
    assert 'href="report.html"' in (tmp_path / "index.html").read_text()
    elsewhere = tmp_path / "else" / "page.html"
    elsewhere.parent.mkdir()
    assert make_report([Path("lab-one-1")], tmp_path, elsewhere).page == elsewhere
    assert [path.name for path in elsewhere.parent.iterdir()] == ["page.html"]


def test_records_are_text_or_a_file(tmp_path: Path) -> None:
    make_session(tmp_path, "lab-one-1")
    text = export_session(None, tmp_path, "json", None)
    assert text is not None
    assert {each["loader"] for each in json.loads(text)} == set(LOADERS)
    table = tmp_path / "table.csv"
    assert export_session(Path("lab-one-1"), tmp_path, "csv", table) is None
    assert len(table.read_text().splitlines()) == 1 + 6
    with pytest.raises(SessionError, match="is a binary format and cannot be printed") as caught:
        export_session(None, tmp_path, "parquet", None)
    assert "--to" in str(caught.value.hint)


def test_two_sessions_are_compared_and_a_loss_can_fail(tmp_path: Path) -> None:
    old, new = make_session(tmp_path, "lab-one-1"), make_session(tmp_path, "lab-one-2", seconds=20.0)
    page = tmp_path / "changes.html"
    view = compare_two(old, new, tmp_path, page, 10.0)
    assert (view.failing, view.not_compared) == (len(LOADERS), 0)
    assert "lab-one-1" in page.read_text() and "lab-one-2" in page.read_text()
    assert compare_two(old, new, tmp_path, None, 60.0).failing == 0, "twice as long is a rate lower by half"
    assert compare_two(new, old, tmp_path, None, 10.0).failing == 0, "faster is no loss"


def test_a_loader_is_printed_as_code() -> None:
    done = CliRunner().invoke(app, ["loaders", "--show", "tfdata", "--cache", "file"])
    assert done.exit_code == 0 and "dataset = dataset.cache(CACHE)\n" in done.stdout
    assert 'IMAGES = "/path/to/your/images"  # one folder of images per class\n' in done.stdout
    assert "# This is for one folder of images per class: fill in the first constants.\n" in done.stdout
    compile(done.stdout, "recipe", "exec")


def test_a_loader_of_ones_own_is_its_own_code(tmp_path: Path) -> None:
    own = tmp_path / "own.py"
    own.write_text("def make(context): ...\n")
    done = CliRunner().invoke(app, ["loaders", "--show", f"{own}:make"])
    assert done.exit_code != 0 and "its source is the code to paste" in str(done.exception)


@pytest.mark.parametrize(
    "words, said",
    [
        (["keras-idg", "--cache", "memory"], "has no cache"),
        (["nothing"], "no loader"),
        (["decoder"], "made for measuring"),
        (["nowhere/own.py:make"], "cannot be read"),
    ],
)
def test_what_cannot_be_printed_is_said(words: list[str], said: str) -> None:
    done = CliRunner().invoke(app, ["loaders", "--show", *words])
    assert done.exit_code != 0 and said in str(done.exception)
