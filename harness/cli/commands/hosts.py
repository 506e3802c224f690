"""Commands that inspect or clean up hosts: check, plan, trust, facts, clean, unlock."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.completion import complete_hosts
from harness.cli.group import Commands, console_of, with_options
from harness.session.run_options import SessionOptions
from harness.values.defaults import DEFAULT_FORKS
from harness.values.options import (
    BaseImageOption,
    EngineOption,
    ForksOption,
    InventoryArgument,
    JsonOption,
    LimitOption,
    SkipUnreadableOption,
    SplitOption,
)


def register(app: typer.Typer) -> None:
    """Add these commands to the program."""
    app.command(epilog="Example:  harness check inventory/local.yaml --ship")(check)
    app.command(epilog="Example:  harness plan inventory/local.yaml --experiment article --offline")(plan)
    app.command(epilog="Example:  harness trust inventory/lab.yaml")(trust)
    app.command(epilog="Example:  harness facts inventory/lab.yaml --limit ws03 --record")(facts)
    app.command(epilog="Example:  harness clean inventory/local.yaml --dry-run")(clean)
    app.command(epilog="Example:  harness unlock inventory/local.yaml --limit ws03")(unlock)


def check(
    context: typer.Context,
    inventory: InventoryArgument,
    limit: LimitOption = None,
    engine: EngineOption = None,
    ship: Annotated[
        bool, typer.Option("--ship", help="Build or send a missing image, so that limits can be tested.")
    ] = False,
    base_image: BaseImageOption = None,
    forks: ForksOption = DEFAULT_FORKS,
    split: SplitOption = None,
    skip_unreadable: SkipUnreadableOption = False,
    as_json: JsonOption = False,
) -> None:
    """Report what works on each host, what does not, and how to fix it.

    Exits with 1 if a host is not ready, with 3 if none is.
    """
    from harness.workflow.machines.check_hosts import check_hosts

    console = console_of(context)
    code = check_hosts(
        console,
        inventory,
        limit=limit,
        engine=engine,
        ship=ship,
        base_image=base_image,
        forks=forks,
        as_json=as_json,
        split=split,
        skip_unreadable=skip_unreadable,
    )
    raise typer.Exit(code)


@with_options(SessionOptions)
def plan(
    context: typer.Context,
    options: SessionOptions,
    offline: Annotated[bool, typer.Option("--offline", help="Contact no host; assume that all are ready.")] = False,
    explain: Annotated[
        str | None,
        typer.Option(
            "--explain",
            metavar="HOST",
            help="Print each value of a host with its file and line.",
            autocompletion=complete_hosts,
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show what `run` would do: hosts, cases, order, predicted memory and disk, what does not fit. Changes nothing.

    The exit code is what `run` would return before measuring: 1 if a host is not ready, 3 if none is, 2 for wrong data.
    """
    from harness.workflow.plan.plan import explain_inventory, show_plan

    console = console_of(context)
    if explain is not None:
        explain_inventory(console, options.inventory, explain, as_json=as_json)
        return
    raise typer.Exit(show_plan(console, options, is_offline=offline, as_json=as_json))


def trust(
    context: typer.Context,
    inventory: InventoryArgument,
    limit: LimitOption = None,
    yes: Annotated[bool, typer.Option("--yes", help="Accept unknown keys without asking.")] = False,
    replace: Annotated[bool, typer.Option("--replace", help="With --yes: also accept changed keys.")] = False,
    forks: ForksOption = DEFAULT_FORKS,
    as_json: JsonOption = False,
) -> None:
    """Show the fingerprint of each host key, and store the keys you accept in `known_hosts` beside the inventory."""
    from harness.workflow.machines.trust import trust_hosts

    raise typer.Exit(
        trust_hosts(
            console_of(context), inventory, limit=limit, yes=yes, replace_changed=replace, forks=forks, as_json=as_json
        )
    )


def facts(
    context: typer.Context,
    inventory: InventoryArgument,
    limit: LimitOption = None,
    record: Annotated[
        bool, typer.Option("--record", help="Write the output of each command to a file to share; names are removed.")
    ] = False,
    output: Annotated[Path, typer.Option("--output", metavar="FOLDER", help="Folder for recordings.")] = Path(),
    forks: ForksOption = DEFAULT_FORKS,
    as_json: JsonOption = False,
) -> None:
    """Show the facts of hosts, grouped by hardware, with the differences within a group; or record them."""
    from harness.workflow.machines.show_facts import record_facts, show_facts

    console = console_of(context)
    if record:
        raise typer.Exit(record_facts(console, inventory, limit=limit, folder=output, forks=forks))
    raise typer.Exit(show_facts(console, inventory, limit=limit, forks=forks, as_json=as_json))


def clean(
    context: typer.Context,
    inventory: InventoryArgument,
    limit: LimitOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list what would be removed.")] = False,
    data: Annotated[
        bool, typer.Option("--data", help="Also data sets, weights and file lists in folders that harness created.")
    ] = False,
    environments: Annotated[
        bool, typer.Option("--environments", help="Also environments that harness created for the engine process.")
    ] = False,
    images: Annotated[bool, typer.Option("--images", help="Also images that harness built or sent.")] = False,
    everything: Annotated[
        bool,
        typer.Option("--all", help="Also all of these, and stored results of checks, trial runs and stage timings."),
    ] = False,
    adopt: Annotated[
        bool, typer.Option("--adopt", help="Mark data folders of earlier versions as created by harness; removes none.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before data is removed or adopted.")] = False,
    forks: ForksOption = DEFAULT_FORKS,
    as_json: JsonOption = False,
) -> None:
    """Remove what ended sessions left on hosts: containers, volumes, cgroups, cache folders, locks.

    What the next session can use again stays and is listed with its size.
    """
    from harness.workflow.machines.clean import CleanOptions, clean_hosts

    options = CleanOptions(
        dry_run=dry_run,
        data=data or everything,
        environments=environments or everything,
        images=images or everything,
        results=everything,
        adopt=adopt,
        yes=yes,
    )
    raise typer.Exit(clean_hosts(console_of(context), inventory, options, limit=limit, forks=forks, as_json=as_json))


def unlock(
    context: typer.Context,
    inventory: InventoryArgument,
    limit: LimitOption = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask; a running session still keeps its lock.")] = False,
    force: Annotated[
        str | None,
        typer.Option(
            "--force", metavar="HOLDER", help="Take the lock from this running holder: user@machine, or its session."
        ),
    ] = None,
    forks: ForksOption = DEFAULT_FORKS,
) -> None:
    """Remove a lock that a session left behind, after showing who has held it since when."""
    from harness.workflow.machines.clean import unlock_hosts

    raise typer.Exit(unlock_hosts(console_of(context), inventory, limit=limit, yes=yes, force=force, forks=forks))


COMMANDS = Commands(rank=20, register=register)
