"""Commands about data sets: make, get, describe."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from harness.cli.group import CommandGroup, Commands, Program, console_of
from harness.values.options import JsonOption, SkipUnreadableOption, SplitOption

app = Program(
    cls=CommandGroup,
    no_args_is_help=True,
    help="Generate or download data sets, or describe one that you have.",
    epilog="Examples:  harness data make coco-like --images 2000  ·  harness data describe coco-like",
)


class ProfileName(StrEnum):
    """The profile of a generated data set."""

    coco = "coco"
    dogs_and_cats = "dogs-and-cats"


@app.command(epilog="Example:  harness data make curve --quality 50,75,95 --size 256,1024,4096 --progressive")
def make(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder to create; it must not exist yet.")],
    profile: Annotated[ProfileName, typer.Option("--profile", help="What the images resemble.")] = ProfileName.coco,
    images: Annotated[
        int | None,
        typer.Option(
            "--images", min=1, help="Number of images; default 2000, in controlled sets 32 to 4096, by image size."
        ),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="The same seed gives the same bytes.")] = 1,
    quality: Annotated[
        str | None,
        typer.Option("--quality", metavar="LIST", help="JPEG qualities, one data set for each, like 50,75,95."),
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(
            "--size", metavar="LIST", help="Sides of square images in pixels, one data set for each, like 256,1024."
        ),
    ] = None,
    progressive: Annotated[
        bool, typer.Option("--progressive", help="Make each data set again with progressive JPEGs.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Generate a data set of photograph-like JPEGs; the same seed gives the same bytes on every machine.

    With `--quality`, `--size` or `--progressive` it makes controlled data sets below FOLDER, one for each combination,
    with the same scenes at each quality. On these one measures how decoding time depends on quality and size.
    """
    from harness.workflow.local.controlled_sets import make_controlled
    from harness.workflow.local.datasets import make_data

    console = console_of(context)
    if quality is None and size is None and not progressive:
        make_data(console, folder, profile.value, images or 2000, seed, as_json=as_json)
        return
    controls = (quality, size, progressive)
    make_controlled(console, folder, profile.value, images, seed, controls, as_json=as_json)


@app.command(epilog="Example:  harness data get coco2017 --inventory inventory/lab.yaml  ·  harness data get --list")
def get(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(help="Name of the data set.", show_default=False)] = None,
    to: Annotated[Path | None, typer.Option("--to", metavar="FOLDER", help="Folder to download to.")] = None,
    inventory: Annotated[
        Path | None,
        typer.Option("--inventory", metavar="FILE", help="Download to the folder that this inventory names."),
    ] = None,
    list_them: Annotated[bool, typer.Option("--list", help="List the data sets.")] = False,
    keep_archives: Annotated[bool, typer.Option("--keep-archives", help="Keep archives after unpacking.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Download a public data set. It resumes, checks disk space first, and verifies every published checksum."""
    from harness.workflow.local.data_get import get_data, list_public

    console = console_of(context)
    if name is None or list_them:
        list_public(console, as_json=as_json)
        return
    get_data(console, name, to=to, inventory=inventory, keep_archives=keep_archives, as_json=as_json)


@app.command(epilog="Example:  harness data describe /data/coco/train2017 --annotations instances_train2017.json")
def describe(
    context: typer.Context,
    path: Annotated[
        Path, typer.Argument(metavar="PATH", help="Folder with a subfolder of images per class, or TFRecord files.")
    ],
    annotations: Annotated[
        Path | None,
        typer.Option("--annotations", help="COCO instances JSON, or a CSV or TSV list of path and label."),
    ] = None,
    image_feature: Annotated[
        str | None, typer.Option("--image-feature", help="In TFRecord files: the feature that holds the encoded image.")
    ] = None,
    label_feature: Annotated[
        str | None, typer.Option("--label-feature", help="In TFRecord files: the feature that holds the label.")
    ] = None,
    split: SplitOption = None,
    skip_unreadable: SkipUnreadableOption = False,
    write_list: Annotated[
        Path | None,
        typer.Option("--write-list", metavar="FILE", help="Write path and label of its images as CSV to this file."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Describe a data set: which files are read, count, classes, sizes, encoding, unusual files and fingerprint.

    Exits with 2 if not every loader can read every file.
    """
    from harness.workflow.local.datasets import describe_data

    code = describe_data(
        console_of(context),
        path,
        annotations,
        as_json=as_json,
        features=(image_feature, label_feature),
        split=split,
        skip_unreadable=skip_unreadable,
        write_list=write_list,
    )
    raise typer.Exit(code)


def register(program: typer.Typer) -> None:
    """Add this group to the program."""
    program.add_typer(app, name="data")


COMMANDS = Commands(rank=70, register=register)
