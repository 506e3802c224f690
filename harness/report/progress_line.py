"""How much of a session has been measured, in words."""

from __future__ import annotations

from collections.abc import Sequence

from harness.records.progress import complete_rounds, planned_rounds
from harness.records.session_data import SessionData
from harness.values.text import clean_text, plural


def describe_progress(sessions: Sequence[SessionData]) -> str:
    """``3 of 5 rounds``; for several sessions, one after the other."""
    said = []
    for session in sessions:
        done, planned = complete_rounds(session), planned_rounds(session)
        is_more = planned is None or done > planned  # it was asked for fewer rounds after it had run more
        text = plural(done, "round") if is_more else f"{done} of {plural(planned or 0, 'round')}"
        if planned is not None and done < planned:
            text += " so far"
        said.append(text if len(sessions) == 1 else f"{clean_text(session.name, 80)}: {text}")
    return "; ".join(said)
