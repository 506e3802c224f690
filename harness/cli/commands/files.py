"""Commands about files: init, schema, report, export, loaders."""

from __future__ import annotations

import shlex
import shutil
import textwrap
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from harness.cli.completion import complete_loader, complete_session
from harness.cli.group import Commands, console_of
from harness.values.options import JsonOption, OutputOption, ReportsFolder


class SchemaName(StrEnum):
    """The kinds of files that have a JSON Schema."""

    inventory = "inventory"
    experiment = "experiment"
    session = "session"
    record = "record"


class ExportFormat(StrEnum):
    """The formats in which records can be exported."""

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
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder to write to.")] = Path(),
    force: Annotated[bool, typer.Option("--force", help="Overwrite existing files.")] = False,
) -> None:
    """Write a commented inventory and experiment to start from, with their schemas."""
    from harness.workflow.local.starters import write_starters

    console = console_of(context)
    inventory, experiment, *schemas = write_starters(folder, force=force)
    for path in (inventory, experiment, *schemas):
        console.result(str(path))
    names = shlex.quote(str(inventory)), shlex.quote(str(experiment))
    console.note("next, after editing them:")
    console.note(f"  harness check {names[0]}")
    console.note(f"  harness plan {names[0]} --experiment {names[1]}")
    console.note(f"  harness run {names[0]} --experiment {names[1]}")


def schema(
    context: typer.Context,
    name: Annotated[SchemaName, typer.Argument(metavar="NAME", help="The kind of file.")],
) -> None:
    """Print the JSON Schema of a kind of file, made from the models that check these files."""
    from harness.workflow.local.starters import schema_text

    console_of(context).result(schema_text(name.value), as_it_is=True)


def report(
    context: typer.Context,
    sessions: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="SESSION",
            help="Session folders or report pages; default: the newest session.",
            autocompletion=complete_session,
        ),
    ] = None,
    output: OutputOption = ReportsFolder,
    to: Annotated[Path | None, typer.Option("--to", metavar="FILE", help="Write the page to this file.")] = None,
    anonymise: Annotated[
        bool, typer.Option("--anonymise", help="Remove all names: hosts, users, paths, sessions, logs.")
    ] = False,
    open_it: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
) -> None:
    """Write the HTML report of one or several sessions; print the advice and the address of the page."""
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
        typer.Argument(
            metavar="SESSION", help="Session folder; default: the newest session.", autocompletion=complete_session
        ),
    ] = None,
    output: OutputOption = ReportsFolder,
    format_: Annotated[ExportFormat, typer.Option("--format", help="Output format.")] = ExportFormat.csv,
    to: Annotated[Path | None, typer.Option("--to", metavar="FILE", help="Write to a file instead of stdout.")] = None,
) -> None:
    """Export a session's records as a table (CSV, JSON, Markdown or Parquet), or unchanged (`records`)."""
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
    cache: Annotated[str, typer.Option("--cache", help="With --show: one of the loader's caches.")] = "none",
    element: Annotated[
        str | None, typer.Option("--element", help="With --show: what the cache holds (float32, uint8 or encoded).")
    ] = None,
    deliver: Annotated[str, typer.Option("--deliver", help="With --show: the type of its batches.")] = "float32",
) -> None:
    """List loaders and caches: what each does, what it is for and what it supports; or print one as code to paste."""
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
    lines = [
        _describe(spec.name, spec.summary, spec.for_what, caches=spec.caches,
                  interpolations=spec.interpolations, **{"augment, decoding": (*spec.augments, *spec.decodings)},
                  workers=(spec.workers,))
        for spec in LOADERS.values()
    ]  # fmt: skip
    kept = [
        _describe(spec.name, spec.summary, spec.for_what, elements=spec.elements * (spec.name != "none"),
                  compression=spec.compressions)
        for spec in CACHES.values()
    ]  # fmt: skip
    console.result("\n".join(["Loaders:", *lines, "", "Caches:", *kept]))


def _describe(name: str, summary: str, for_what: str, **values: tuple[str, ...]) -> str:
    """Return one entry of the list, wrapped to the terminal: name, summary, purpose and supported settings."""
    width = min(max(shutil.get_terminal_size((100, 20)).columns, 60), 120)
    can = [f"{what}: {', '.join(found)}" for what, one in values.items() if (found := _words(one))]
    said = [summary, *([f"for {for_what}"] if for_what else []), *(["; ".join(can)] if can else [])]
    indent = " " * _NAME_WIDTH
    wrapper = textwrap.TextWrapper(width - 2, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False)
    wrapped = [wrapper.fill(line) for line in said]
    return "\n".join(["  " + f"{name:<{_NAME_WIDTH - 2}}" + wrapped[0][_NAME_WIDTH:], *wrapped[1:]])


_NAME_WIDTH = 23


def _words(values: tuple[str, ...]) -> list[str]:
    return [value for value in values if value not in ("none", "exact", "")]


COMMANDS = Commands(rank=10, register=register)
