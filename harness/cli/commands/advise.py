"""The command ``advise``: from a folder of images to an answer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.group import Commands, console_of, with_options
from harness.session.advise_options import AdviseOptions
from harness.values.options import JsonOption

_EPILOG = (
    "Examples:  harness advise ~/photos --size 224 --memory 16GB"
    "  ·  harness advise ~/coco/train2017 --annotations instances_train2017.json --model mobilenet --epochs 20"
    "  ·  harness advise ~/photos --host bench@ws03.lab.example --ship"
    "  ·  harness advise --host bench@ws03.lab.example:/srv/photos"
    "  ·  harness advise inventory/lab.yaml --data coco"
)


@with_options(AdviseOptions)
def advise(
    context: typer.Context,
    options: AdviseOptions,
    write: Annotated[
        Path | None, typer.Option("--write", metavar="FILE", help="Write the code to this file instead of printing it.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Measure a few pipelines on a folder of images; print which to use, how sure that is, and what it costs.

    The measurements are a session, with an inventory and an experiment beside it; the same command continues it.
    """
    from harness.workflow.advise.advise import give_advice

    raise typer.Exit(give_advice(console_of(context), options, write=write, as_json=as_json))


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command(epilog=_EPILOG)(advise)


COMMANDS = Commands(rank=5, register=register)
