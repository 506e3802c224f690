"""One look at a data set on a host, for every command: is it there, how is it laid out, how large is it.

What an earlier check there, or ``harness data describe`` here, found out is taken from the files that they left.
Nothing is made, sent or decoded. What is wrong is said in the words that the check of the set itself uses
(``bench/protocol/dataset_errors.py``), so that ``plan`` and ``check`` say what ``run`` would.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness.bench.loaders.tfrecords import split_pattern
from harness.bench.protocol import dataset_errors
from harness.bench.protocol.atomic import write_file
from harness.engine.reached import Reached
from harness.hosts.answers import not_understood, parse_int
from harness.hosts.connection import Connection
from harness.hosts.own_folders import mark_folder
from harness.inventory import DataSet
from harness.ship.dataset_check import KNOWN_FILE, DataSpec, KnownData, parse_known, read_known
from harness.ship.datatransfer import ShippedData, find_shipped
from harness.values.data import DataState
from harness.values.digest import digest_of
from harness.values.errors import HostError

DESCRIBED_FOLDER = "described"
"""In this machine's cache: descriptions of data sets, by where they lie."""
_TIMEOUT_S = 300.0
_MOST_NAMED = 50
_FAULTS = ("absent", "no-folder", "closed", "labels-absent", "labels-folder", "labels-closed")

_LOOK = r"""
form=$1 place=$2 labels=$3
if [ ! -e "$place" ]; then echo absent; exit 0; fi
if [ ! -d "$place" ]; then echo no-folder; exit 0; fi
if [ ! -r "$place" ] || [ ! -x "$place" ]; then echo closed; exit 0; fi
if [ -n "$labels" ]; then
  if [ ! -e "$labels" ]; then echo labels-absent; exit 0; fi
  if [ -d "$labels" ]; then echo labels-folder; exit 0; fi
  if [ ! -r "$labels" ]; then echo labels-closed; exit 0; fi
fi
cd -- "$place" || exit 1
if [ "$form" = tfrecord ]; then
  find . -maxdepth 1 ! -type d -printf 'record %s %f\n'
  echo whole; exit 0
fi
set -- .
if [ "$form" = folder ]; then
  count=0
  for class in */; do [ -d "$class" ] && count=$((count + 1)); done
  echo "classes $count"
  [ "$count" -gt 0 ] || exit 0
  set -- ./*/
fi
"""
_COUNT = r"""
find "$@" \( TAKEN \) \( -type f -printf '%s\n' -o -xtype f -exec stat -L -c %s {} + \) |
  awk '{ n++; s += $1 } END { printf "taken %d %.0f\n", n, s }'
[ "$form" = folder ] && find "$@" ! -type d \( REFUSED \) -print | LC_ALL=C sort |
  awk 'NR <= MOST { print "other " $0 } END { printf "others %d\n", NR }'
"""


@dataclass(frozen=True)
class Layout:
    """What the look at one place found. ``word`` is what is wrong with it, empty where nothing is.

    ``taken`` and ``bytes`` are of files that every loader takes by their suffix, ``other`` the first of ``others``
    files that only some take; ``records`` are (size, name). None is what was not counted.
    """

    word: str = ""
    classes: int | None = None
    taken: int | None = None
    bytes: int | None = None
    other: tuple[str, ...] = ()
    others: int = 0
    records: tuple[tuple[int, str], ...] = ()
    trouble: str = ""


def inspect_data(reached: Reached, name: str, *, is_counted: bool = True) -> tuple[DataSpec | None, DataState]:
    """Return what a session would read for a data set on a host (None: nothing can be read), and its state.

    What was shipped there takes the place of the inventory's entry where that cannot be read. ``is_counted``: files
    are counted, in a second or two for COCO's 118,287.
    """
    source = reached.data.get(name)
    state = _unnamed(name, reached.data) if source is None else _inspect_source(reached, name, source, is_counted)
    if state.problem is None:
        return source, state
    shipped = find_shipped(reached.connection, reached.scratch, name)
    if shipped is not None:
        return shipped.read_like(source), _of_shipped(name, shipped)
    if reached.is_local:
        return None, state
    cure = f"bring it: harness ship INVENTORY --data {name}, or harness run --ship-data"
    return None, replace(state, hint=f"{state.hint}; or {cure}")


def judge_layout(source: DataSet, layout: Layout, uid: int | None = None) -> dataset_errors.DatasetError | None:
    """Return what is wrong with a data set by its layout alone, in the words of its check; None where nothing is."""
    place, labels = source.place, source.annotations
    hint = {"folder": dataset_errors.FOLDER_HINT, "coco": dataset_errors.PAIR_HINT}.get(
        source.kind, dataset_errors.RECORDS_HINT
    )
    if layout.word == "absent":
        return dataset_errors.absent_folder(place, hint)
    if layout.word == "no-folder":
        return dataset_errors.not_a_folder(place, hint)
    if layout.word == "closed":
        return dataset_errors.closed_folder(place, "Permission denied", uid)
    if layout.word.startswith("labels-"):
        why = {"absent": "No such file or directory", "folder": "Is a directory", "closed": "Permission denied"}
        return dataset_errors.unreadable_labels(labels, why[layout.word.removeprefix("labels-")])
    if layout.classes == 0:
        return dataset_errors.no_classes(place)
    if layout.trouble:
        return dataset_errors.closed_folder(place, layout.trouble, uid)
    if source.kind == "tfrecord":
        return None if layout.records else dataset_errors.no_record_files(source.tfrecord)
    if layout.others:
        named = [(path, dataset_errors.OTHER_SUFFIX) for path in layout.other]
        return dataset_errors.refused_files(place, named, layout.others, (layout.taken or 0) + layout.others)
    return dataset_errors.no_images(place) if layout.taken == 0 else None


def parse_layout(text: str, trouble: str = "") -> Layout:
    """Read what the script wrote on the host; what makes no sense is passed over."""
    found: dict[str, str | int] = {"trouble": trouble}
    other: list[str] = []
    records: list[tuple[int, str]] = []
    for line in text.splitlines():
        word, _, rest = line.partition(" ")
        numbers = [number for part in rest.split(" ", 2)[:2] if (number := parse_int(part)) is not None]
        if word in _FAULTS:
            found["word"] = word
        elif word == "classes" and numbers:
            found["classes"] = numbers[0]
        elif word == "taken" and len(numbers) == 2:
            found["taken"], found["bytes"] = numbers
        elif word == "others" and numbers:
            found["others"] = numbers[0]
        elif word == "other":
            other.append(rest.removeprefix("./"))
        elif word == "record" and numbers:
            records.append((numbers[0], rest.partition(" ")[2]))
    return replace(Layout(**found), other=tuple(other[:_MOST_NAMED]), records=tuple(records))  # type: ignore[arg-type]


def _inspect_source(reached: Reached, name: str, source: DataSet, is_counted: bool) -> DataState:
    known = [read_known(reached.connection, reached.scratch, name, source)]
    if source.generate is not None:
        made = source.generate
        place = f"generated: {made.profile}, {made.images} images, seed {made.seed}"
        return _with_known(DataState(name, place, made.images, None, "generated", will_be_made=True), known)
    if reached.is_local:
        known.append(read_described(source))
    place = " with ".join(path for path in (source.folder, source.images, source.tfrecord, source.annotations) if path)
    try:
        layout = _look(reached.connection, source, is_counted=is_counted)
    except HostError as error:
        return DataState(name, place, source=error.message)
    wrong = judge_layout(source, layout, reached.facts.uid)
    if wrong is not None:
        return DataState(name, place, problem=wrong.message, hint=wrong.hint)
    if source.kind == "tfrecord":
        size = sum(size for size, _ in layout.records)
        return _with_known(DataState(name, place, None, size, "files counted, not read yet"), known)
    found = DataState(
        name, place, layout.taken, layout.bytes, "files counted, not read yet", is_bound=source.kind == "coco"
    )
    return _with_known(found, known)


def _with_known(found: DataState, known: Sequence[KnownData | None]) -> DataState:
    """Add what the last check found, if the files that were counted now may be those."""
    were_checked = [one for one in known if one is not None]
    for one in were_checked:
        if _may_be_same(found, one):
            return DataState(
                found.name, found.place, one.images, one.bytes, "as last checked", fingerprint=one.fingerprint
            )
    if were_checked:
        return replace(found, source="files counted; they have changed since they were last checked")
    return found


def _may_be_same(found: DataState, known: KnownData) -> bool:
    """Return whether the last check may have been of these files: of a pair only some of those in the folder count."""
    if found.images is None or found.bytes is None:
        return True
    if found.is_bound:
        return known.images <= found.images and known.bytes <= found.bytes
    return (known.images, known.bytes) == (found.images, found.bytes)


def _look(connection: Connection, source: DataSet, *, is_counted: bool) -> Layout:
    script = _LOOK + (_count_script() if is_counted else "")
    place, labels = source.place, source.annotations
    words = ["sh", "-c", script, "sh", source.kind, place, labels or ""]
    done = connection.run(words, timeout_s=_TIMEOUT_S)
    trouble = done.stderr.decode(errors="replace").strip().splitlines()
    layout = parse_layout(done.text, trouble[0] if trouble else "")
    if layout == Layout() and done.text.strip() not in ("", "whole"):
        raise not_understood(connection.host, f"what lies at {place}", done.stdout)
    return layout if source.tfrecord is None else _choose_records(source.tfrecord, layout)


def _count_script() -> str:
    from harness.bench.data.inspection import REFUSED, TAKEN  # Pillow comes with it

    taken, refused = (" -o ".join(f"-iname '*{suffix}'" for suffix in suffixes) for suffixes in (TAKEN, REFUSED))
    return _COUNT.replace("TAKEN", taken).replace("REFUSED", refused).replace("MOST", str(_MOST_NAMED))


def _choose_records(path: str, layout: Layout) -> Layout:
    """Leave out the files that are no records, or are not named by the pattern."""
    from harness.bench.data.listing import choose_records

    chosen = set(choose_records((name for _, name in layout.records), split_pattern(path)[1]))
    return replace(layout, records=tuple(record for record in layout.records if record[1] in chosen))


def _unnamed(name: str, known_names: Collection[str]) -> DataState:
    message = f"the host has no data set {name!r} (it has {', '.join(sorted(known_names)) or 'none'})"
    return DataState(name, "nowhere", problem=message, hint=f"add it under `harness: data: {name}:`", is_named=False)


def _of_shipped(name: str, shipped: ShippedData) -> DataState:
    place = shipped.folder or shipped.images or shipped.tfrecord or ""
    return DataState(name, place, shipped.count, shipped.bytes, "as it was shipped", fingerprint=shipped.fingerprint)


def described_folder(
    path: Path, annotations: Path | None = None, features: tuple[str | None, str | None] = (None, None)
) -> Path:
    """Return where the description of a data set of this machine and the hashes of its files are kept.

    ``path`` is its folder of classes or images, or FOLDER/PATTERN of TFRecord files.
    """
    places = [None if place is None else _absolute(place) for place in (path, annotations)]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "harness"
    return cache / DESCRIBED_FOLDER / digest_of([*places, *features])[:16]


def _absolute(path: Path) -> str:
    """Return a path as ``resolve_path`` writes it on a host: absolute, without ``..``, links left as they are."""
    return os.path.normpath(path.expanduser().absolute())


def usable_folder(folder: Path) -> Path | None:
    """Return the folder, made where it is not there; None where it cannot be written."""
    try:
        mark_folder(folder.parent)
        folder.mkdir(exist_ok=True)
    except OSError:
        return None
    return folder if os.access(folder, os.W_OK | os.X_OK) else None


def keep_description(folder: Path, description: Mapping[str, object]) -> None:
    """Keep a description; that it cannot be kept costs time only."""
    with contextlib.suppress(OSError):
        write_file(folder / KNOWN_FILE, json.dumps(description))


def read_described(source: DataSet) -> KnownData | None:
    """Return what the last description of an inventory's data set found; its paths are absolute. None without one."""
    place = source.folder or source.images or source.tfrecord
    if place is None:
        return None
    annotations = None if source.annotations is None else Path(source.annotations)
    folder = described_folder(Path(place), annotations, (source.image_feature, source.label_feature))
    try:
        return parse_known((folder / KNOWN_FILE).read_text(encoding="utf-8"))
    except OSError:
        return None
