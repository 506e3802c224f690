"""``harness data``: generate a data set on this machine, or describe any data set."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from harness.bench.data.dataset import Description, examine, leave_out, list_path, refusal_of, summarise
from harness.bench.data.generate import describe_made, make
from harness.bench.data.listing import Listing
from harness.bench.loaders.tfrecords import split_pattern
from harness.bench.protocol.dataset_errors import DatasetError
from harness.bench.protocol.unusual_files import OUTCOMES
from harness.ship.data_inspection import described_folder, keep_description, usable_folder
from harness.values.errors import DataError
from harness.values.paths import expand_home
from harness.values.text import plural
from harness.values.units import format_bytes

if TYPE_CHECKING:
    from harness.console import Console


MOST_NAMED = 10
"""Number of left-out files that are named; ``--json`` lists them all."""
_TOLD_APART = ("odd_examples", "not_looked_for", "said", "is_plain", "skipped")
"""Fields without a row of their own: they are printed above the table, or in the rows of unusual images."""


def make_data(console: Console, folder: Path, profile: str, images: int, seed: int, *, as_json: bool) -> None:
    """Generate a data set and describe it. The folder appears only when the data set is complete."""
    with explaining(console):
        is_new = make(profile, images, seed, folder, on_progress=report_progress(console, "making images"))
        if not is_new:
            console.note(f"{folder} already holds exactly this data set")
        found = describe_made(folder, on_progress=report_progress(console, "reading images"))
    _show(console, found, as_json=as_json)


def describe_data(
    console: Console,
    path: Path,
    annotations: Path | None,
    *,
    as_json: bool,
    features: tuple[str | None, str | None] = (None, None),
    split: str | None = None,
    skip_unreadable: bool = False,
    write_list: Path | None = None,
) -> int:
    """Describe a data set. Returns the exit code: 2 if not every loader can read every file that is not left out.

    ``write_list``: a file for lines of path and label.

    The result is kept for other commands; files that have not changed since are not read again.
    """
    path, annotations = _at_home(path), annotations and _at_home(annotations)
    with explaining(console):
        listing = list_path(path, annotations, features, split=split, skip_unreadable=skip_unreadable)
        keep = described_folder(_place_of(path, listing), listing.labels_file, features, split if annotations else None)
        report = report_progress(console, "reading images")
        examined = examine(listing, keep=usable_folder(keep), on_progress=report)
        examined = leave_out(examined) if skip_unreadable else examined
        found = summarise(examined)
    refusal = refusal_of(found, replace(listing, fault=None))
    if refusal is None:
        keep_description(keep, found.to_json())
    if write_list is not None and refusal is None:
        _write_list(examined.listing, write_list)
        lines = plural(found.images, "line")
        console.note(f"wrote {lines} of path and label to {write_list}; paths are relative to {listing.folder}")
    error = None if refusal is None else DataError(refusal.message, hint=refusal.hint)
    _show(console, found, error, as_json=as_json)
    if error is not None:
        console.error(str(error))
    return 0 if error is None else error.exit_code


def _write_list(listing: Listing, path: Path) -> None:
    """Write path and label of the images of a set as CSV. Raises DataError for TFRecord files."""
    if listing.stored:
        raise DataError("images in TFRecord files have no paths", hint="leave out --write-list")
    with path.open("w", encoding="utf-8", newline="") as stream:
        rows = csv.writer(stream, lineterminator="\n")
        rows.writerow(("path", "label"))
        rows.writerows(
            (path, listing.classes[label]) for path, label in zip(listing.paths, listing.labels, strict=True)
        )


def _place_of(path: Path, listing: Listing) -> Path:
    """Return the folder of a listing, or for TFRecord files the pattern that names them."""
    return path if split_pattern(str(path))[1] else listing.folder


def _at_home(path: Path) -> Path:
    """Return a path with a leading ``~`` replaced by the home folder."""
    return expand_home(path).absolute() if str(path).startswith("~") else path


def report_progress(console: Console, what: str) -> Callable[[int, int], None]:
    """Return a function that shows progress on the live line."""

    def report(done: int, total: int) -> None:
        console.live(f"{what}: {done} of {total}")

    return report


@contextmanager
def explaining(console: Console) -> Iterator[None]:
    """Context manager: turn DatasetError into DataError, and stop the live line at the end."""
    try:
        yield
    except DatasetError as error:
        raise DataError(error.message, hint=error.hint) from error
    finally:
        console.close()


def _show(console: Console, found: Description, error: DataError | None = None, *, as_json: bool) -> None:
    if as_json:
        console.result_json(found.to_json() | ({} if error is None else error.as_json()))
        return
    for sentence in found.said:
        console.result(sentence)
    if found.said:
        console.result("")
    fields = {key: value for key, value in found.to_json().items() if value is not None and key not in _TOLD_APART}
    if not found.skipped_count:
        del fields["skipped_count"]
    rows = [[key.replace("_", " "), _words(key, value)] for key, value in fields.items()]
    for name, outcome in OUTCOMES.items():
        if name in found.odd:
            examples = ", ".join(found.odd_examples.get(name, ()))
            rows.append([f"{name.replace('_', ' ')} images", f"{outcome} ({examples})" if examples else outcome])
        elif name in found.not_looked_for:
            why = "not checked: this needs simplejpeg, which the extras for the `process` engine install"
            rows.append([f"{name.replace('_', ' ')} images", why])
    if found.skipped:
        named = "; ".join(f"{path}: {reason}" for path, reason in found.skipped[:MOST_NAMED])
        rows.append(["left out", named])
    console.table(["figure", "value"], rows)


def _words(key: str, value: object) -> str:
    """Return the value of a description's field as text."""
    match key, value:
        case "bytes", int():
            return f"{value} ({format_bytes(value)})"
        case "class_names", list() | tuple():
            return ", ".join(value[:8]) + (f" … and {len(value) - 8} more" if len(value) > 8 else "")
        case "suffixes", list() | tuple():
            return ", ".join(value) or "none"
        case "features", {"image": image, "label": label}:
            return f"{image} and {label}"
        case "is_labelled", bool():
            return "yes" if value else "no: loading can be measured, but not training"
        case "bytes_per_pixel", float():
            return f"{value:.3f}"
        case "progressive" | "skipped_count", int():
            return plural(value, "image")
        case "jpeg_quality", dict():
            return ", ".join(f"{share} %: {quality}" for share, quality in value.items()) or "no JPEGs"
        case "size_quantiles", dict():
            return ", ".join(f"{share} %: {format_bytes(size)}" for share, size in value.items())
        case _, dict():
            return ", ".join(f"{name}: {number}" for name, number in value.items()) or "none"
        case _, list() | tuple():
            return "; ".join(": ".join(map(str, item)) for item in value) or "none"
    return f"{value:.1f}" if isinstance(value, float) else str(value)
