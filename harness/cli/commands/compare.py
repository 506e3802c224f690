"""The command ``compare``: compare two sessions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.completion import complete_session
from harness.cli.group import Commands, console_of
from harness.values.options import JsonOption, OutputOption, ReportsFolder
from harness.values.text import plural


def register(app: typer.Typer) -> None:
    """Add this command to the program."""
    app.command(epilog="Example:  harness compare OLD NEW  ·  harness compare OLD NEW --fail-slower 10")(compare)


def compare(
    context: typer.Context,
    old: Annotated[
        Path,
        typer.Argument(
            metavar="OLD", help="Session folder or report page.", show_default=False, autocompletion=complete_session
        ),
    ],
    new: Annotated[
        Path,
        typer.Argument(
            metavar="NEW", help="The one to compare with OLD.", show_default=False, autocompletion=complete_session
        ),
    ],
    output: OutputOption = ReportsFolder,
    to: Annotated[Path | None, typer.Option("--to", metavar="FILE", help="Also write a page to this file.")] = None,
    fail_slower: Annotated[
        float | None,
        typer.Option(
            "--fail-slower",
            metavar="PERCENT",
            min=0.0,
            help="Exit with 1 if a case is certainly slower by more than this, or no longer has a result.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Compare two sessions: what changed, and each case's images/s before and after, with ratio and verdict."""
    from harness.workflow.local.reports import compare_two

    console = console_of(context)
    view = compare_two(old, new, output, to, fail_slower)
    if as_json:
        console.result_json(view.to_json())
    else:
        console.result(
            "\n".join(["What changed:", *(f"  - {fact}" for fact in view.facts or ("no recorded property",)), ""])
        )
        for group in view.groups:
            columns = ["case", "data set", "old, images/s", "new, images/s", "ratio", "95 %", "verdict"]
            rows = [
                [
                    r.case,
                    r.data,
                    r.old,
                    r.new,
                    r.ratio,
                    r.interval,
                    f"{r.verdict.sign} {r.verdict.text} {r.verdict.detail}".strip(),
                ]
                for r in group.rows
            ]
            if rows:
                console.table(columns, rows, title=f"{group.heading} ({group.note})")
            else:
                console.result(f"{group.heading} ({group.note})")
            console.result("\n".join([*(f"  {line}" for line in group.only), ""]))
        if to is not None:
            console.result(to.resolve().as_uri())
    if fail_slower is not None and view.not_compared:
        console.warning(say_not_compared(view.not_compared))
    if view.failing:
        failing = plural(view.failing, "case")
        console.error(f"{failing} certainly slower by more than {fail_slower:g} %, or without a result")
        raise typer.Exit(1)


def say_not_compared(count: int) -> str:
    """Return ``1 case is not compared: its line says why``."""
    if count == 1:
        return "1 case is not compared: its line says why"
    return f"{count} cases are not compared: their lines say why"


COMMANDS = Commands(rank=50, register=register)
