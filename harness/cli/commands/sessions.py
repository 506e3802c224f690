"""Commands about sessions: run, status."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.group import Commands
from harness.cli.options import (
    BaseImageOption,
    EngineOption,
    ExperimentOption,
    ForksOption,
    InventoryArgument,
    JsonOption,
    LimitOption,
    MaxTransfersOption,
    OutputOption,
    ReportsFolder,
)
from harness.values.defaults import DEFAULT_FORKS, DEFAULT_TRANSFERS

_RUN_EPILOG = (
    "Examples:  harness run inventory/local.yaml  ·  harness run inventory/lab.yaml --experiment article"
    " --limit 'gpu:!ws03'  ·  harness run inventory/local.yaml --only loader=tfdata,cache=file --rerun-failed"
)


def register(app: typer.Typer) -> None:
    """Add these commands to the program."""
    app.command(epilog=_RUN_EPILOG)(run)
    app.command(epilog="Example:  harness status  ·  harness status reports/local-quick-1f2e3d4c --json")(status)


def run(
    context: typer.Context,
    inventory: InventoryArgument,
    limit: LimitOption = None,
    experiment: ExperimentOption = None,
    output: OutputOption = ReportsFolder,
    engine: EngineOption = None,
    rounds: Annotated[int | None, typer.Option("--rounds", min=1, help="Overrides the experiment's rounds.")] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Of orders and shuffles; fixed unless given.")] = None,
    only: Annotated[
        list[str] | None,
        typer.Option("--only", metavar="CASES", help="loader=tfdata,cache=file or a case id; repeatable."),
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Start a new session instead of continuing one.")] = False,
    rerun_failed: Annotated[
        bool, typer.Option("--rerun-failed", help="Do again what ended as error, timeout, disk_full or invalid.")
    ] = False,
    name: Annotated[str | None, typer.Option("--name", help="The session folder's name.")] = None,
    base_image: BaseImageOption = None,
    allow_busy: Annotated[
        bool, typer.Option("--allow-busy", help="Measure even where somebody else computes.")
    ] = False,
    forks: ForksOption = DEFAULT_FORKS,
    ship_data: Annotated[
        bool, typer.Option("--ship-data", help="Send data sets of this machine to hosts that lack them.")
    ] = False,
    max_transfers: MaxTransfersOption = DEFAULT_TRANSFERS,
    max_fail: Annotated[
        float | None,
        typer.Option("--max-fail", metavar="PERCENT", min=0, max=100, help="Begin nothing more where more hosts fail."),
    ] = None,
    when_idle: Annotated[
        bool, typer.Option("--when-idle", help="Begin a case only while nobody else computes on the host.")
    ] = False,
    between: Annotated[
        str | None,
        typer.Option("--between", metavar="HH:MM-HH:MM", help="Begin cases in these hours only: 20:00-07:00."),
    ] = None,
    on_interrupt: Annotated[
        str, typer.Option("--on-interrupt", metavar="stop|finish", help="What the first Ctrl-C does to running cases.")
    ] = "stop",
    link_patience: Annotated[
        str | None,
        typer.Option("--link-patience", metavar="TIME", help="How long a host may be away, like 90s. [default: 10min]"),
    ] = None,
) -> None:
    """Measure: run what has no record yet, host by host and round by round, and write the report.

    The same command continues where the last one ended, whatever ended it.
    """
    from harness.cli.session_console import console_of
    from harness.workflow.options import RunOptions, read_between, read_on_interrupt, read_patience
    from harness.workflow.run import run_session

    wanted = RunOptions(
        inventory=inventory,
        limit=limit,
        experiment=experiment,
        output=output,
        engine=engine,
        rounds=rounds,
        seed=seed,
        only=tuple(only or ()),
        is_fresh=fresh,
        rerun_failed=rerun_failed,
        name=name,
        base_image=base_image,
        allow_busy=allow_busy,
        forks=forks,
        ship_data=ship_data,
        max_transfers=max_transfers,
        max_fail_percent=max_fail,
        when_idle=when_idle,
        between=read_between(between),
        on_interrupt=read_on_interrupt(on_interrupt),
        link_patience_s=read_patience(link_patience),
    )
    raise typer.Exit(run_session(console_of(context), wanted))


def status(
    context: typer.Context,
    session: Annotated[Path | None, typer.Argument(metavar="SESSION", help="Session folder; else the newest.")] = None,
    output: OutputOption = ReportsFolder,
    as_json: JsonOption = False,
) -> None:
    """Show what runs, how far it is and how long it still takes. Read-only, from any terminal."""
    from harness.cli.session_console import console_of
    from harness.workflow.status import show_status

    show_status(console_of(context), session, output, as_json=as_json)


COMMANDS = Commands(rank=30, register=register)
