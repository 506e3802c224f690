"""The recap of a session on its page: the same values as on the last screen of ``harness run`` and ``status``."""

from __future__ import annotations

from harness.records.recap import Alike, HostRecap, recap_session, say_time
from harness.records.session_data import SessionData
from harness.report.view import RecapView
from harness.values.text import NOTHING, clean_text

_COLUMNS = ("host", "state", "done", "failed", "why", "what to do")
_MOST_LINES = 40


def view_recap(session: SessionData) -> RecapView:
    """View the state of a session. Whether a controller still runs it is left out, since a page is read later."""
    recap = recap_session(session, is_live=None if session.is_live else session.is_live, heard_at=session.heard_at)
    alike = (*recap.failures, *recap.skips)
    more = [f"and {len(alike) - _MOST_LINES} more"] if len(alike) > _MOST_LINES else []
    return RecapView(
        heading=clean_text(recap.session, 120),
        state=f"{recap.state}; {recap.counts_text}",
        columns=_COLUMNS,
        rows=tuple(_row(host) for host in recap.hosts),
        lines=(*(_say_alike(one) for one in alike[:_MOST_LINES]), *more),
        command=clean_text(recap.command, 600),
    )


def _row(host: HostRecap) -> tuple[str, ...]:
    since = f" since {say_time(host.since)}" if host.since else ""
    state = host.state.replace("_", " ") + since
    said = (host.host, state, host.share, host.failed_text, host.why or NOTHING, host.next or NOTHING)
    return tuple(clean_text(text, 600) for text in said)


def _say_alike(one: Alike) -> str:
    times = f" ×{one.count}" if one.count > 1 else ""
    return clean_text(f"{one.outcome}{times} ({one.places}): {one.why or one.cases_text}", 600)
