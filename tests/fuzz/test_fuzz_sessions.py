"""Session folders and old pages, damaged, through status, report, export and compare."""

from __future__ import annotations

import base64
import gzip
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from fuzzing import damaged_bytes, damaged_json, fuzzed, fuzzed_with_fewer, one_case, run_command
from hypothesis import given
from hypothesis import strategies as st

from harness.report.embed import BLOCK_ID

GOOD = Path(__file__).parents[1] / "report" / "session_format_1"
RECORDS = [json.loads(line) for line in (GOOD / "records.jsonl").read_text().splitlines()[:6]]
EVENTS = [json.loads(line) for line in (GOOD / "events.jsonl").read_text().splitlines()]
SESSION = json.loads((GOOD / "session.json").read_text())
FACTS = json.loads((GOOD / "facts" / "ws1.json").read_text())
QUICK = (
    ["status"], ["status", "--json"], ["export"], ["export", "--format", "json"], ["export", "--format", "markdown"],
    ["export", "--format", "records"], ["export", "--format", "parquet", "--to", "out"], ["compare"],
)  # fmt: skip
SLOW = (["report"], ["report", "--anonymise"])


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A session folder of six records, and its page."""
    folder = tmp_path_factory.mktemp("good") / "session"
    shutil.copytree(GOOD, folder)
    (folder / "records.jsonl").write_text("".join(json.dumps(record) + "\n" for record in RECORDS))
    (folder / "logs" / "ws1").mkdir(parents=True)
    return folder


def damaged_lines(good_lines: list[Any]) -> st.SearchStrategy[bytes]:
    """Lines of which one is damaged, or of which the bytes are."""
    whole = [json.dumps(line).encode() for line in good_lines]

    def put(line: tuple[int, bytes]) -> bytes:
        return b"\n".join([*whole[: line[0]], line[1], *whole[line[0] + 1 :]]) + b"\n"

    one = st.sampled_from(range(len(whole))).flatmap(lambda n: st.tuples(st.just(n), damaged_json(good_lines[n])))
    return one.map(put) | one.map(put) | damaged_bytes(b"\n".join(whole) + b"\n")


DAMAGE = st.one_of(
    st.tuples(st.just("session.json"), damaged_json(SESSION)),
    st.tuples(st.just("records.jsonl"), damaged_lines(RECORDS)),
    st.tuples(st.just("events.jsonl"), damaged_lines(EVENTS)),
    st.tuples(st.just("facts/ws1.json"), damaged_json(FACTS)),
    st.tuples(
        st.sampled_from(["session.json", "records.jsonl", "events.jsonl", "facts/ws1.json", "facts", "logs"]),
        st.sampled_from([None, b"", b"\0" * 100, b"\xff\xfe", b"{}\n", b"[]\n"]),
    ),
)
"""A file of the folder, and what becomes its content; None: a folder stands there."""


def spoil(folder: Path, file: str, content: bytes | None) -> None:
    target = folder / file
    if target.is_dir():
        shutil.rmtree(target)
    else:
        target.unlink()
    if content is None:
        target.mkdir()
    else:
        target.write_bytes(content)


def command_on(folder: Path, session: Path, words: list[str]) -> list[str]:
    """The words of a command on a session, which writes below ``folder`` alone."""
    command, *options = [str(folder / word) if word == "out" else word for word in words]
    others = [str(session), "--to", str(folder / "page.html")] if command == "report" else [str(session)]
    return [command, *others, *([str(session)] if command == "compare" else []), *options]


@pytest.mark.slow
@fuzzed_with_fewer
@given(st.lists(DAMAGE, min_size=1, max_size=2), st.sampled_from([*QUICK, *SLOW]))
def test_session_folder(good: Path, damage: list[tuple[str, bytes | None]], words: list[str]) -> None:
    with one_case() as folder:
        session = folder / "session"
        shutil.copytree(good, session)
        for file, content in dict(damage).items():
            if (session / file).exists():
                spoil(session, file, content)
        run_command(*command_on(folder, session, words)).assert_plain()


EMBEDDED = {
    "format": 1,
    "sessions": [
        {
            "origin": "s",
            "session": SESSION,
            "facts": {"ws1": FACTS},
            "events": EVENTS[:6],
            "notes": [],
            "records": RECORDS,
        }
    ],
}


@pytest.mark.slow
@fuzzed_with_fewer
@given(damaged_json(EMBEDDED), damaged_bytes(b"", most=1), st.sampled_from([*QUICK[2:], *SLOW]))
def test_old_page(value: bytes, noise: bytes, words: list[str]) -> None:
    packed = base64.b64encode(gzip.compress(value, compresslevel=1)).decode()
    block = f'<script type="application/json" id="{BLOCK_ID}">"{packed}"</script>'
    with one_case() as folder:
        page = folder / "report.html"
        page.write_bytes(b"<html>" + noise + block.encode() + b"</html>")
        run_command(*command_on(folder, page, words)).assert_plain()


@fuzzed
@given(damaged_bytes(gzip.compress(json.dumps(EMBEDDED).encode(), compresslevel=1)))
def test_records_beside_a_page(packed: bytes) -> None:
    with one_case() as folder:
        (folder / "report.html").write_text("<html></html>")
        (folder / "report-records.json.gz").write_bytes(packed)
        run_command("export", str(folder / "report.html")).assert_plain()
