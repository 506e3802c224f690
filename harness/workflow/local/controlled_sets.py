"""``harness data make`` with ``--quality``, ``--size``, ``--progressive``: sets that differ in one property each."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING

from harness.bench.data.generate import describe_made, layout_of, make
from harness.bench.data.profiles import PROFILES, QUALITIES, SIZES, Control
from harness.values.errors import ConfigurationError
from harness.values.units import format_bytes, parse_whole
from harness.workflow.local.datasets import explaining, report_progress

if TYPE_CHECKING:
    from harness.console import Console

PIXELS, IMAGES, USUAL = 2**28, (32, 4096), 400
"""Pixels in all images of a set; least and most images; and the number of images if ``--size`` is not given."""

Controls = tuple[str | None, str | None, bool]
"""The values of ``--quality`` and ``--size`` as text, and whether ``--progressive`` is given."""


def make_controlled(
    console: Console, folder: Path, profile: str, images: int | None, seed: int, controls: Controls, *, as_json: bool
) -> None:
    """Generate a data set below a folder for each combination, and print them and their inventory entries.

    ``images`` None: a number for each size such that all sets take about equally long to decode.
    """
    made = []
    for control in list_controls(controls):
        name = control.key or "baseline"
        with explaining(console):
            make(
                profile,
                images or choose_images(control),
                seed,
                folder / name,
                control=control,
                on_progress=report_progress(console, f"making {name}"),
            )
            found = describe_made(folder / name, on_progress=report_progress(console, f"reading {name}"))
        made.append((name, control, found))
    if as_json:
        sets = {name: {**found.to_json(), "progressive": control.progressive} for name, control, found in made}
        console.result_json(sets)
        return
    rows = [
        [name, str(found.images), format_bytes(found.bytes), format_bytes(found.bytes // max(1, found.images))]
        for name, _, found in made
    ]
    console.table(["set", "images", "bytes", "an image"], rows)
    console.result("To use them, add this to an inventory, below `harness:`, and `data: [NAME, …]` to an experiment:")
    console.result("data:")
    for name, _, _ in made:
        console.result(f"  {name}: {_write_source(folder / name, PROFILES[profile].kind)}")


def _write_source(folder: Path, kind: str) -> str:
    layout, place = layout_of(kind), folder.absolute()
    if layout["annotations"] is None:
        return f"{{folder: {place}}}"
    return f"{{images: {place / str(layout['images'])}, annotations: {place / layout['annotations']}}}"


def choose_images(control: Control) -> int:
    """Return the default number of images of a set: about ``PIXELS`` in all, so that no epoch is too short to judge."""
    least, most = IMAGES
    return USUAL if control.size is None else min(most, max(least, PIXELS // control.size**2))


def list_controls(controls: Controls) -> list[Control]:
    """Return every combination, ordered by size. Raises ConfigurationError if a list is not valid."""
    quality, size, has_progressive = controls
    qualities = _read_numbers("--quality", quality, QUALITIES)
    sizes = _read_numbers("--size", size, SIZES)
    kinds = (False, True) if has_progressive else (False,)
    return [Control(side, level, kind) for side, level, kind in itertools.product(sizes, qualities, kinds)]


def _read_numbers(option: str, text: str | None, bounds: tuple[int, int]) -> list[int | None]:
    if text is None:
        return [None]
    least, most = bounds
    numbers = [parse_whole(word.strip(), most) for word in text.split(",")]
    if any(number is None or number < least for number in numbers):
        raise ConfigurationError(
            f"{option} {text!r} is not a list of whole numbers from {least} to {most}",
            hint=f"separate them with commas, like {option} {'50,75,95' if option == '--quality' else '256,1024'}",
        )
    return list(dict.fromkeys(numbers))
