"""Command compare: two sessions, before and after."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.options import JsonOption, OutputOption, ReportsFolder


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command(epilog="Example:  harness compare reports/lab-quick-1f2e3d4c reports/lab-quick-1f2e3d4c-2")(compare)


def compare(
    context: typer.Context,
    old: Annotated[Path, typer.Argument(metavar="OLD", help="Session folder, or its name.", show_default=False)],
    new: Annotated[Path, typer.Argument(metavar="NEW", help="The later one.", show_default=False)],
    output: OutputOption = ReportsFolder,
    as_json: JsonOption = False,
) -> None:
    """Compare two sessions of the same hosts: what became faster or slower, and what changed. Exit 1 if worse."""
    from harness.cli.session_console import console_of
    from harness.workflow.compare import compare as compare_sessions

    raise typer.Exit(compare_sessions(console_of(context), old, new, output, as_json=as_json))
