"""A session that was begun before rules were written into its file is read, and judged by today's rules."""

from __future__ import annotations

from pathlib import Path

from harness.analysis.statistics import LEAST_PAIRS
from harness.report.groups import group_sessions
from harness.report.source import read_source

FOLDER = Path(__file__).parent / "session_format_1"


def test_an_old_session_is_judged_by_confidence_sequences() -> None:
    (session,) = read_source(FOLDER)
    assert session.content.rules.evidence is None and session.content.experiment.rounds == 3
    (group,) = group_sessions([session])
    comparisons = [row.comparison for setting in group.settings for row in setting.rows if row.comparison is not None]
    assert comparisons
    for found in comparisons:
        assert found.ratio is not None
        if found.ratio.n < LEAST_PAIRS:
            assert found.ratio.low is None and found.verdict.kind == "unknown"
    # Its host was noisy: more evidence is asked for than three pairs can give, where Student's interval named a winner.
    (busy,) = (setting for setting in group.settings if setting.evidence > 20)
    assert {row.comparison.verdict.kind for row in busy.rows if row.comparison is not None} == {"unknown"}
