"""Commands that look at hosts or tidy them: check, plan, trust, facts, clean, unlock."""

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
    ship: Annotated[bool, typer.Option("--ship", help="Build or send what is missing, to prove a limit.")] = False,
    base_image: BaseImageOption = None,
    forks: ForksOption = DEFAULT_FORKS,
    split: SplitOption = None,
    skip_unreadable: SkipUnreadableOption = False,
    as_json: JsonOption = False,
) -> None:
    """Say for each host what works and what does not, with the cure. Exit 1 where one is not ready, 3 where none is."""
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
    offline: Annotated[bool, typer.Option("--offline", help="Ask no host; assume that all are ready.")] = False,
    explain: Annotated[
        str | None,
        typer.Option(
            "--explain",
            metavar="HOST",
            help="Each value of a host, with its file and line.",
            autocompletion=complete_hosts,
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show what `run` would do: hosts × cases, order, predicted memory and disk, what cannot fit. Changes nothing.

    The exit code is that of a `run` which cannot begin: 1 where a host is not ready, 3 where none is, 2 for wrong data.
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
    yes: Annotated[bool, typer.Option("--yes", help="Keep keys that were unknown without asking.")] = False,
    replace: Annotated[bool, typer.Option("--replace", help="With --yes: also those that changed.")] = False,
    forks: ForksOption = DEFAULT_FORKS,
    as_json: JsonOption = False,
) -> None:
    """Show the fingerprint of every host key once, and keep those you accept in `known_hosts` beside the inventory."""
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
        bool, typer.Option("--record", help="Write what each command answered, to send it; names are taken out.")
    ] = False,
    output: Annotated[Path, typer.Option("--output", metavar="FOLDER", help="Where recordings go.")] = Path(),
    forks: ForksOption = DEFAULT_FORKS,
    as_json: JsonOption = False,
) -> None:
    """Show what hosts are, those of one hardware together and where they differ; or record it."""
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
        bool, typer.Option("--data", help="Data sets, weights and file lists too, where harness made their folder.")
    ] = False,
    environments: Annotated[
        bool, typer.Option("--environments", help="Environments of the engine process that harness made, too.")
    ] = False,
    images: Annotated[bool, typer.Option("--images", help="Images that harness built or sent, too.")] = False,
    everything: Annotated[
        bool,
        typer.Option("--all", help="Data, environments, images, results of proofs, rehearsals and stage runs, too."),
    ] = False,
    adopt: Annotated[
        bool, typer.Option("--adopt", help="Mark such folders of earlier versions as made by harness; removes none.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before data is removed or adopted.")] = False,
    forks: ForksOption = DEFAULT_FORKS,
    as_json: JsonOption = False,
) -> None:
    """Find and remove what dead sessions left on hosts: containers, volumes, cgroups, cache folders, locks.

    What the next session would use again stays, and is listed with its size.
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
    yes: Annotated[
        bool, typer.Option("--yes", help="Do not ask; a living holder keeps its lock all the same.")
    ] = False,
    force: Annotated[
        str | None,
        typer.Option(
            "--force", metavar="HOLDER", help="Take it from this living holder: user@machine, or its session."
        ),
    ] = None,
    forks: ForksOption = DEFAULT_FORKS,
) -> None:
    """Take a lock away that a session left behind, after showing who holds it since when."""
    from harness.workflow.machines.clean import unlock_hosts

    raise typer.Exit(unlock_hosts(console_of(context), inventory, limit=limit, yes=yes, force=force, forks=forks))


COMMANDS = Commands(rank=20, register=register)
