"""Commands about files: init, schema, report, export, loaders."""

from __future__ import annotations

import shlex
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from harness.cli.completion import complete_loader, complete_session
from harness.cli.group import Commands, console_of
from harness.values.options import JsonOption, OutputOption, ReportsFolder


class SchemaName(StrEnum):
    """What has a JSON Schema."""

    inventory = "inventory"
    experiment = "experiment"
    session = "session"
    record = "record"


class ExportFormat(StrEnum):
    """What records can be exported as."""

    csv = "csv"
    json = "json"
    markdown = "markdown"
    parquet = "parquet"
    records = "records"


def register(app: typer.Typer) -> None:
    """Add these commands to the program."""
    app.command(epilog="Example:  harness init my-lab")(init)
    app.command(epilog="Example:  harness schema inventory > inventory.schema.json")(schema)
    app.command(
        epilog="Example:  harness report --open  ·  harness report A B --to both.html  ·  harness report A --anonymise"
    )(report)
    app.command(epilog="Example:  harness export --format csv --to records.csv")(export)
    app.command(epilog="Example:  harness loaders  ·  harness loaders --show tfdata --cache file")(loaders)


def init(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where to write them.")] = Path(),
    force: Annotated[bool, typer.Option("--force", help="Overwrite files that are there.")] = False,
) -> None:
    """Write a commented inventory and experiment to start from, and their schemas beside them."""
    from harness.workflow.local.starters import write_starters

    console = console_of(context)
    inventory, experiment, *schemas = write_starters(folder, force=force)
    for path in (inventory, experiment, *schemas):
        console.result(str(path))
    names = shlex.quote(str(inventory)), shlex.quote(str(experiment))
    console.note("next, when you have looked at them:")
    console.note(f"  harness check {names[0]}")
    console.note(f"  harness plan {names[0]} --experiment {names[1]}")
    console.note(f"  harness run {names[0]} --experiment {names[1]}")


def schema(
    context: typer.Context,
    name: Annotated[SchemaName, typer.Argument(metavar="NAME", help="Which file's schema.")],
) -> None:
    """Print the JSON Schema made from the same models that check the files."""
    from harness.workflow.local.starters import schema_text

    console_of(context).result(schema_text(name.value), as_it_is=True)


def report(
    context: typer.Context,
    sessions: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="SESSION",
            help="Session folders or old reports; else the newest.",
            autocompletion=complete_session,
        ),
    ] = None,
    output: OutputOption = ReportsFolder,
    to: Annotated[Path | None, typer.Option("--to", metavar="FILE", help="Write the page here.")] = None,
    anonymise: Annotated[
        bool, typer.Option("--anonymise", help="Take all names out: hosts, users, paths, sessions, logs.")
    ] = False,
    open_it: Annotated[bool, typer.Option("--open", help="Show it in a browser.")] = False,
) -> None:
    """Make the HTML report of one session, or of several together; print the advice, and where the page is."""
    from harness.workflow.local.reports import make_report

    console = console_of(context)
    made = make_report(sessions or [], output, to, is_anonymous=anonymise)
    for view in made.views:
        console.result("\n".join([view.heading, "", *view.advice, ""]))
        for table in view.tables:
            console.table(table.columns, table.rows, title=table.title)
        console.result("")
    console.result(made.page.resolve().as_uri())
    if open_it:
        typer.launch(made.page.resolve().as_uri())


def export(
    context: typer.Context,
    session: Annotated[
        Path | None,
        typer.Argument(metavar="SESSION", help="Session folder; else the newest.", autocompletion=complete_session),
    ] = None,
    output: OutputOption = ReportsFolder,
    format_: Annotated[ExportFormat, typer.Option("--format", help="What to write.")] = ExportFormat.csv,
    to: Annotated[Path | None, typer.Option("--to", metavar="FILE", help="Write to a file instead of stdout.")] = None,
) -> None:
    """Write a session's records as a table (the same in CSV, JSON, Markdown and Parquet), or as they lie on disk."""
    from harness.workflow.local.reports import export_session

    text = export_session(session, output, format_.value, to)
    console_of(context).result(str(to) if text is None else text, as_it_is=True)


def loaders(
    context: typer.Context,
    as_json: JsonOption = False,
    show: Annotated[
        str | None,
        typer.Option(
            "--show", metavar="NAME", help="Print this loader as code to paste.", autocompletion=complete_loader
        ),
    ] = None,
    cache: Annotated[str, typer.Option("--cache", help="With --show: a cache that the loader has.")] = "none",
    element: Annotated[
        str | None, typer.Option("--element", help="With --show: what the cache holds (float32, uint8 or encoded).")
    ] = None,
    deliver: Annotated[str, typer.Option("--deliver", help="With --show: the type of its batches.")] = "float32",
) -> None:
    """List loaders and caches: what each is, what it can make, what it is for; or print one as code to paste."""
    from dataclasses import asdict

    from harness.bench.protocol.loader_registry import CACHES, LOADERS

    console = console_of(context)
    if show is not None:
        from harness.workflow.local.reports import recipe_text

        console.result(recipe_text(show, cache, element, deliver), as_it_is=True)
        return
    if as_json:
        console.result_json(
            {
                "loaders": [asdict(spec) for spec in LOADERS.values()],
                "caches": [asdict(spec) for spec in CACHES.values()],
            }
        )
        return
    rows = [
        [spec.name, spec.summary, *(_words(getattr(spec, part)) for part in ("caches", "interpolations")),
         _words((*spec.augments, *spec.decodings)), spec.workers or "–", spec.for_what]
        for spec in LOADERS.values()
    ]  # fmt: skip
    console.table(
        ["loader", "what it is", "caches", "interpolations", "augment, decoding", "workers", "what for"], rows
    )
    kept = [
        [s.name, s.summary, _words(s.elements) if s.name != "none" else "–", _words(s.compressions), s.for_what]
        for s in CACHES.values()
    ]
    console.table(["cache", "what it is", "elements", "compression", "what for"], kept)


def _words(values: tuple[str, ...]) -> str:
    named = [value for value in values if value not in ("none", "exact")]
    return ", ".join(named) or "–"


COMMANDS = Commands(rank=10, register=register)
