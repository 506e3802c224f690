"""The options of ``harness advise``: each once, with its flag, type, default and help."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from harness.session.run_options import say_command
from harness.values.defaults import DEFAULT_FORKS
from harness.values.options import (
    EngineOption,
    ForksOption,
    LimitOption,
    OutputOption,
    ReportsFolder,
    SkipUnreadableOption,
    SplitOption,
)

RemoteOption = Annotated[
    str | None,
    typer.Option("--host", metavar="[USER@]HOST[:PORT][:FOLDER]", help="Another machine, and a folder there."),
]


@dataclass(frozen=True)
class AdviseOptions:
    """The options of ``advise``. The command line is made from these fields, and so is the command that continues."""

    target: Annotated[
        Path | None,
        typer.Argument(metavar="FOLDER|INVENTORY", help="A folder of images, or an inventory.", show_default=False),
    ] = None
    annotations: Annotated[
        Path | None,
        typer.Option("--annotations", metavar="FILE", help="COCO's instances JSON, or a list of paths and labels."),
    ] = None
    data: Annotated[
        str | None, typer.Option("--data", metavar="NAME", help="With an inventory: which of its data sets.")
    ] = None
    host: RemoteOption = None
    ship: Annotated[bool, typer.Option("--ship", help="Send the folder of this machine to the host.")] = False
    limit: LimitOption = None
    size: Annotated[
        str, typer.Option("--size", metavar="PIXELS", help="Size of the images: 224, or HEIGHTxWIDTH like 256x320.")
    ] = "224"
    memory: Annotated[
        str | None,
        typer.Option(
            "--memory",
            metavar="SIZE",
            help="Memory that a pipeline may use, like 16GB; by default what is available.",
        ),
    ] = None
    model: Annotated[
        str | None,
        typer.Option("--model", metavar="NAME", help="Measure training of this model, too: mobilenet, …"),
    ] = None
    epochs: Annotated[
        int | None, typer.Option("--epochs", min=1, help="Epochs of your trainings: does a cache pay within them?")
    ] = None
    batch: Annotated[int, typer.Option("--batch", min=1, help="Images per batch.")] = 32
    time: Annotated[str, typer.Option("--time", metavar="TIME", help="Time to measure, like 90s or 1h.")] = "10min"
    output: OutputOption = ReportsFolder
    engine: EngineOption = None
    split: SplitOption = None
    skip_unreadable: SkipUnreadableOption = False
    is_fresh: Annotated[bool, typer.Option("--fresh", help="Start a new session instead of continuing one.")] = False
    rerun_failed: Annotated[
        bool, typer.Option("--rerun-failed", help="Repeat runs that ended as error, timeout, disk_full or invalid.")
    ] = False
    allow_busy: Annotated[bool, typer.Option("--allow-busy", help="Measure even on hosts that are busy.")] = False
    forks: ForksOption = DEFAULT_FORKS

    @property
    def argv_to_continue(self) -> tuple[str, ...]:
        """The command that continues this session for as long again."""
        return say_command("advise", self, without=("is_fresh", "rerun_failed"))
