"""The command ``ship``: send images and data sets to hosts without measuring."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.group import Commands, console_of
from harness.values.defaults import DEFAULT_FORKS, DEFAULT_TRANSFERS
from harness.values.options import (
    BaseImageOption,
    ForksOption,
    InventoryArgument,
    JsonOption,
    LimitOption,
    MaxTransfersOption,
)

_EPILOG = (
    "Examples:  harness ship inventory/lab.yaml  ·  harness ship inventory/lab.yaml --image harness-cpu.tar"
    "  ·  harness ship inventory/lab.yaml --data coco --from ~/coco/train2017 --annotations ~/coco/instances.json"
)


def register(app: typer.Typer) -> None:
    """Add this command to the program."""
    app.command(epilog=_EPILOG)(ship)


def ship(
    context: typer.Context,
    inventory: InventoryArgument,
    limit: LimitOption = None,
    image: Annotated[
        Path | None, typer.Option("--image", metavar="FILE", help="Send this image file (docker save) to every host.")
    ] = None,
    data: Annotated[
        list[str] | None,
        typer.Option("--data", metavar="NAME", help="Send this data set (and no image, unless --image); repeatable."),
    ] = None,
    source: Annotated[
        Path | None, typer.Option("--from", metavar="PATH", help="Path of that data set on this machine.")
    ] = None,
    annotations: Annotated[
        Path | None, typer.Option("--annotations", metavar="FILE", help="The COCO instances JSON of that data set.")
    ] = None,
    max_transfers: MaxTransfersOption = DEFAULT_TRANSFERS,
    forks: ForksOption = DEFAULT_FORKS,
    base_image: BaseImageOption = None,
    as_json: JsonOption = False,
) -> None:
    """Send hosts what they lack: the layers of the image or the files of a data set.

    On a host without a Docker Engine whose Python lacks TensorFlow, it creates an environment from wheels.

    It sends nothing to a host that is measuring. The same command continues an interrupted transfer.
    """
    from harness.workflow.machines.ship_hosts import ShipOptions, ship_hosts

    wanted = ShipOptions(
        inventory=inventory,
        limit=limit,
        image=image,
        data=tuple(data or ()),
        source=source,
        annotations=annotations,
        max_transfers=max_transfers,
        forks=forks,
        base_image=base_image,
    )
    raise typer.Exit(ship_hosts(console_of(context), wanted, as_json=as_json))


COMMANDS = Commands(rank=40, register=register)
