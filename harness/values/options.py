"""Options that several commands take, spelled alike."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.values.engine_names import engine_choices

InventoryArgument = Annotated[
    Path, typer.Argument(metavar="INVENTORY", help="Inventory file (YAML, as Ansible writes it).", show_default=False)
]
LimitOption = Annotated[
    str | None,
    typer.Option("--limit", metavar="PATTERN", help="Only these hosts: 'gpu:!ws03', 'ws*', 'a:&b', '@file'."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the answer as JSON, for programs.")]
OutputOption = Annotated[
    Path, typer.Option("--output", metavar="FOLDER", help="Where session folders are.", show_default=True)
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
    str | None, typer.Option("--engine", metavar="|".join(engine_choices()), help="Overrides the inventory's engine.")
]
ForksOption = Annotated[int, typer.Option("--forks", min=1, help="Hosts at once.")]
MaxTransfersOption = Annotated[
    int, typer.Option("--max-transfers", min=1, help="Images and data sets on their way at once; smallest first.")
]
SplitOption = Annotated[
    str | None,
    typer.Option("--split", metavar="NAME", help="The part to take of data sets that have parts, like val."),
]
SkipUnreadableOption = Annotated[
    bool, typer.Option("--skip-unreadable", help="Leave out images that not every loader reads, and list them.")
]
ReportsFolder = Path("reports")
