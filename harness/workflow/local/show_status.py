"""``harness status``: what runs, how far, how long still. Reads a session's folder and changes nothing."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from harness.analysis.outcomes import say_counts
from harness.records.journal import is_taken
from harness.records.progress import SessionProgress, read_progress, say_place
from harness.records.reading import Fault, read_content, read_events, read_records
from harness.values.units import format_duration
from harness.workflow.local.reports import choose_session

if TYPE_CHECKING:
    from harness.console import Console


def show_status(console: Console, session: Path | None, output: Path, *, as_json: bool) -> None:
    """Print how far a session is."""
    folder = choose_session(session, output)

    def tell(fault: Fault) -> None:
        if not fault.is_expected:
            console.note(f"note: {fault.message}")

    progress = read_progress(
        read_content(folder, tell),
        read_records(folder, tell),
        read_events(folder, tell),
        is_live=is_taken(folder),
        now=datetime.now(UTC),
    )
    if as_json:
        console.result_json({**asdict(progress), "folder": str(folder.path), "report": str(folder.report_file)})
        return
    _print(console, progress)
    if folder.report_file.exists():
        console.result(folder.report_file.resolve().as_uri())


def _print(console: Console, progress: SessionProgress) -> None:
    state = "running" if progress.is_live else "not running"
    counts = say_counts(progress.counts) or "no record yet"
    console.result(f"{progress.session} ({progress.experiment}): {state}; {counts}")
    rows = []
    for host in progress.hosts:
        planned = "?" if host.planned is None else str(host.planned)
        left = "" if host.left_s is None else f"about {format_duration(host.left_s)}" if host.left_s >= 1 else "moments"
        place = say_place(host.round, progress.rounds, host.open)
        done = f"{host.done}/{planned}"
        rows.append([host.host, host.state, done, place, host.running or "–", host.since or "–", left or "–"])
    if rows:
        console.table(["host", "state", "done", "round", "runs now", "since", "left"], rows)
