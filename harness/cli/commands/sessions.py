"""Commands about sessions: run, status."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.completion import complete_session
from harness.cli.group import Commands, console_of, with_options
from harness.session.run_options import RunOptions
from harness.values.options import JsonOption, OutputOption, ReportsFolder

_RUN_EPILOG = (
    "Examples:  harness run inventory/local.yaml  ·  harness run inventory/lab.yaml --experiment article"
    " --limit 'gpu:!ws03'  ·  harness run inventory/local.yaml --only loader=tfdata,cache=file --rerun-failed"
)


def register(app: typer.Typer) -> None:
    """Add these commands to the program."""
    app.command(epilog=_RUN_EPILOG)(run)
    app.command(epilog="Example:  harness status  ·  harness status reports/local-quick-1f2e3d4c --json")(status)


@with_options(RunOptions)
def run(context: typer.Context, options: RunOptions) -> None:
    """Measure every case that has no record yet, round by round on each host, and write the report.

    The same command continues an interrupted session.
    """
    from harness.workflow.run.run import run_session

    raise typer.Exit(run_session(console_of(context), options))


def status(
    context: typer.Context,
    session: Annotated[
        Path | None,
        typer.Argument(
            metavar="SESSION", help="Session folder; default: the newest session.", autocompletion=complete_session
        ),
    ] = None,
    output: OutputOption = ReportsFolder,
    as_json: JsonOption = False,
) -> None:
    """Show what is running, how much is done and how much time is left. Changes nothing; works in any terminal."""
    from harness.workflow.local.show_status import show_status

    show_status(console_of(context), session, output, as_json=as_json)


COMMANDS = Commands(rank=30, register=register)
