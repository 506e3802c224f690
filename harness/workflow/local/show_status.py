"""``harness status``: what is running, how much is done and how much time is left. Changes nothing."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from harness.records.reading import Fault, read_under_way
from harness.records.recap import recap_session
from harness.records.session_data import read_session
from harness.workflow.local.reports import choose_session
from harness.workflow.recap_screen import print_recap

if TYPE_CHECKING:
    from harness.console import Console


def show_status(console: Console, session: Path | None, output: Path, *, as_json: bool) -> None:
    """Print the state of a session: the one that the user named, else the newest."""
    folder = choose_session(session, output)

    def tell(fault: Fault) -> None:
        if not fault.is_expected:
            console.note(f"note: {fault.message}")

    found = read_session(folder.path, kinds=None, on_fault=tell)
    recap = recap_session(
        found,
        is_live=found.is_live,
        now=datetime.now(UTC),
        heard_at=found.heard_at,
        under_way=read_under_way(folder),
    )
    if as_json:
        places = {"folder": str(folder.path), "report": str(folder.report_file)}
        console.result_json({**asdict(recap), "is_live": found.is_live, **places})
        return
    print_recap(console, recap, folder)
    if folder.report_file.exists():
        console.result(folder.report_file.resolve().as_uri())
