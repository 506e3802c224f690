"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.values.engine_names import engine_choices

InventoryArgument = Annotated[
    Path, typer.Argument(metavar="INVENTORY", help="Inventory file (YAML, in Ansible's format).", show_default=False)
]
LimitOption = Annotated[
    str | None,
    typer.Option("--limit", metavar="PATTERN", help="Only these hosts: 'gpu:!ws03', 'ws*', 'a:&b', '@file'."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON, for programs.")]
OutputOption = Annotated[
    Path, typer.Option("--output", metavar="FOLDER", help="Folder that contains the sessions.", show_default=True)
]
ExperimentOption = Annotated[
    str | None,
    typer.Option("--experiment", metavar="NAME|FILE", help="A preset by name, or an experiment file."),
]
BaseImageOption = Annotated[
    str | None,
    typer.Option(
        "--base-image", metavar="IMAGE", help="Build the image on this base instead of finding or making one."
    ),
]
EngineOption = Annotated[
    str | None,
    typer.Option("--engine", metavar="|".join(engine_choices()), help="Engine to use; overrides the inventory's."),
]
ForksOption = Annotated[int, typer.Option("--forks", min=1, help="Hosts to work on at once.")]
MaxTransfersOption = Annotated[
    int, typer.Option("--max-transfers", min=1, help="Transfers of images and data sets at once; smallest first.")
]
SplitOption = Annotated[
    str | None,
    typer.Option("--split", metavar="NAME", help="Part to use of data sets that have parts, like val."),
]
SkipUnreadableOption = Annotated[
    bool, typer.Option("--skip-unreadable", help="Leave out and list images that not every loader can read.")
]
ReportsFolder = Path("reports")
