"""A session of format 1, as the first release wrote it, is read whole, and its report says the same as ever.

The folder was written by a real session: three rounds, process engine, a loader of the user's own that does other work.
Some of its records were taken out to keep it small. ``expected.json`` is what the report says: change it only together
with a change of wording, or of a rule, that is meant.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from harness.report.composition import build_view
from harness.report.source import read_source

FOLDER = Path(__file__).parent / "session_format_1"


def read_words(folder: Path) -> dict[str, object]:
    view = build_view(read_source(folder))
    return {
        "summary": [list(pair) for pair in view.summary],
        "counts": [mark.text for mark in view.counts],
        "advice": [
            [advice.lead, [[span.where, span.answer, span.text] for span in advice.spans], list(advice.notes)]
            for group in view.groups
            for advice in group.advice
        ],
        "caveats": [belief.message for belief in view.beliefs],
        "failures": [[failure.mark.text, failure.case, failure.cause] for failure in view.failures],
    }


def test_every_line_is_read() -> None:
    (session,) = read_source(FOLDER)
    assert session.notes == ()
    assert Counter(record.status for record in session.records) == {"ok": 18, "oom": 6, "skipped": 1}
    assert [record.validity for record in session.records].count("invalid") == 3


def test_the_report_says_the_same_as_ever() -> None:
    assert read_words(FOLDER) == json.loads((FOLDER / "expected.json").read_text(encoding="utf-8"))
