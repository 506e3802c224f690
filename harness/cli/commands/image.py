"""Commands about images: build, base, list."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from harness.cli.group import CommandGroup, Commands, Program, console_of
from harness.values.options import BaseImageOption, JsonOption

app = Program(
    cls=CommandGroup,
    no_args_is_help=True,
    help="Build the TensorFlow images, or a base image if no registry can be reached.",
    epilog="Examples:  harness image build cpu  ·  harness image list",
)


class ImageKind(StrEnum):
    """The image definitions."""

    cpu = "cpu"
    gpu = "gpu"


@app.command(epilog="Example:  harness image build gpu --base-image debian:bookworm-slim")
def build(
    context: typer.Context,
    kind: Annotated[
        ImageKind, typer.Argument(metavar="KIND", help="cpu, or gpu (with the CUDA libraries).")
    ] = ImageKind.cpu,
    base_image: BaseImageOption = None,
) -> None:
    """Build an image on this machine's Docker Engine and print its reference and identity."""
    from harness.workflow.local.images import build

    build(console_of(context), kind.value, base_image)


@app.command(epilog="Example:  harness image base --suite bookworm")
def base(
    context: typer.Context,
    suite: Annotated[str, typer.Option("--suite", help="Debian release.")] = "bookworm",
) -> None:
    """Make a base image from Debian packages, for machines without a registry (debootstrap; needs root)."""
    from harness.workflow.local.images import make_base

    make_base(console_of(context), suite)


@app.command("list", epilog="Example:  harness image list --json")
def list_images(context: typer.Context, as_json: JsonOption = False) -> None:
    """List the image definitions, and whether this machine's engine has each image."""
    from harness.workflow.local.images import show_images

    show_images(console_of(context), as_json=as_json)


def register(program: typer.Typer) -> None:
    """Add this group to the program."""
    program.add_typer(app, name="image")


COMMANDS = Commands(rank=60, register=register)
