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
    """What a generated set is like."""

    coco = "coco"
    dogs_and_cats = "dogs-and-cats"


@app.command(epilog="Example:  harness data make curve --quality 50,75,95 --size 256,1024,4096 --progressive")
def make(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where to make it; must not be there yet.")],
    profile: Annotated[ProfileName, typer.Option("--profile", help="What it is like.")] = ProfileName.coco,
    images: Annotated[
        int | None,
        typer.Option("--images", min=1, help="How many; default 2000; of a controlled set 32 to 4096, by its size."),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Same seed, same bytes.")] = 1,
    quality: Annotated[
        str | None,
        typer.Option("--quality", metavar="LIST", help="Qualities of the JPEGs: a set of each, like 50,75,95."),
    ] = None,
    size: Annotated[
        str | None, typer.Option("--size", metavar="LIST", help="Sides of square images in pixels, like 256,1024.")
    ] = None,
    progressive: Annotated[
        bool, typer.Option("--progressive", help="Each set also with progressive JPEGs, beside baseline ones.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Generate a data set of photograph-like JPEGs; the same seed gives the same bytes on every machine.

    With `--quality`, `--size` or `--progressive`: controlled sets below FOLDER, one for each combination, of the same
    scenes at each quality: what a decoding curve is measured on.
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
    name: Annotated[str | None, typer.Argument(help="Which set.", show_default=False)] = None,
    to: Annotated[Path | None, typer.Option("--to", metavar="FOLDER", help="Where to put it.")] = None,
    inventory: Annotated[
        Path | None, typer.Option("--inventory", metavar="FILE", help="Put it where this inventory has it.")
    ] = None,
    list_them: Annotated[bool, typer.Option("--list", help="What can be had.")] = False,
    keep_archives: Annotated[bool, typer.Option("--keep-archives", help="Keep what was unpacked.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Download a public data set: resumable, disk checked first, every file held to its published checksum."""
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
        Path, typer.Argument(metavar="PATH", help="Folder of images, one folder a class, or TFRecord files.")
    ],
    annotations: Annotated[
        Path | None,
        typer.Option("--annotations", help="Instances JSON of a COCO pair, or a list: CSV or TSV of path and label."),
    ] = None,
    image_feature: Annotated[
        str | None, typer.Option("--image-feature", help="Of TFRecord files: the feature with the encoded image.")
    ] = None,
    label_feature: Annotated[
        str | None, typer.Option("--label-feature", help="Of TFRecord files: the feature with the label.")
    ] = None,
    split: SplitOption = None,
    skip_unreadable: SkipUnreadableOption = False,
    write_list: Annotated[
        Path | None,
        typer.Option("--write-list", metavar="FILE", help="Write its images as lines of path and label, for anybody."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Say what a folder is and what of it is read; print count, classes, sizes, coding, odd files and fingerprint.

    Exit 2 where a file cannot be read by every loader.
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
