"""Inspect a data set on a host, for every command: whether it is there, its layout and its size.

Results of an earlier check on the host, or of ``harness data describe`` on this machine, are read from their files.
Nothing is made, sent or decoded. Errors have the texts of the full check (``bench/protocol/dataset_errors.py``), so
that ``plan`` and ``check`` report the same as ``run``.
"""

from __future__ import annotations

import contextlib
import json
import os
import posixpath
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from harness.bench.data.look import HEADS, look
from harness.bench.data.survey import JUNK_FILES, JUNK_FOLDERS, LISTS, LONGEST_SUFFIX, MOST_NAMED, Pile, Survey
from harness.bench.data.table import read_table
from harness.bench.loaders.tfrecords import split_pattern
from harness.bench.protocol import dataset_errors
from harness.bench.protocol.atomic import write_file
from harness.bench.protocol.image_formats import taken_with
from harness.engine.reached import Reached
from harness.hosts.answers import not_understood, parse_int
from harness.hosts.connection import OutputTooLong
from harness.hosts.own_folders import mark_folder
from harness.hosts.temporary import temporary_folder
from harness.inventory import DataSet
from harness.ship.dataset_check import KNOWN_FILE, DataSpec, KnownData, parse_known, read_known
from harness.ship.datatransfer import ShippedData, find_shipped
from harness.values.data import DataState
from harness.values.digest import digest_of
from harness.values.errors import HostError
from harness.values.text import name_inventory

DESCRIBED_FOLDER = "described"
"""Folder in this machine's cache for descriptions of data sets, by their paths."""
OR_SEND = "; or send it: "
"""What joins the cure of a data set and the command that sends it; ``advise`` replaces that command by its own."""
_TIMEOUT_S = 300.0
_MOST_LIST_BYTES = 4 << 20
"""The most bytes of a list that is read before its check: more than 100,000 lines."""
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
"""
_SURVEY = r"""
for name in HEADS; do
  [ -f "$name" ] && [ -r "$name" ] || continue
  printf 'head %s %s\n' "$name" "$(head -c 4096 "$name" | head -n 1 | tr -d '\r\0')"
done
tops() { find . -mindepth 1 -maxdepth 1 ! -name '.*' \( -type d -o -xtype d \) -printf '%p/\0'; }
{
  find . -mindepth 1 -maxdepth 1 \( -type d -o -xtype d \) -printf 'dir 0 %p\0'
  tops | xargs -0 -r sh -c 'find "$@" -mindepth 1 -maxdepth 1 \( -type d -o -xtype d \) -printf "dir 0 %p\0"' sh
  find . -mindepth 1 -maxdepth 1 FILES_HERE
  tops | xargs -0 -r sh -c 'find "$@" FILES_HERE' sh
} | tr '\n\t\0' '\001\002\n' | LC_ALL=C awk -v dirs='JUNK_FOLDERS' -v files='JUNK_FILES' -v lists='LISTS' '
  BEGIN {
    n = split(dirs, list, "/"); for (i = 1; i <= n; i++) is_dir[list[i]] = 1
    n = split(files, list, "/"); for (i = 1; i <= n; i++) is_file[list[i]] = 1
    n = split(lists, list, "/"); for (i = 1; i <= n; i++) is_list[list[i]] = 1
  }
  {
    kind = $1; size = $2; path = substr($0, length(kind) + length(size) + 3)
    sub(/^\.\//, "", path)
    if (kind == "dir") { print "dir " path; next }
    depth = split(path, part, "/"); name = part[depth]; word = ""
    for (i = 1; i < depth && word == ""; i++) if (part[i] in is_dir) word = part[i] "/"
    if (word == "" && (name in is_file)) word = name
    if (word == "" && substr(name, 1, 2) == "._") word = "._*"
    if (word != "") { junk[word]++; next }
    suffix = match(name, /\.[^.]*$/) && RSTART > 1 ? tolower(substr(name, RSTART)) : ""
    if (length(suffix) > LONGEST) suffix = ""
    folder = depth == 1 ? "" : depth == 2 ? part[1] : part[1] "/" part[2]
    key = folder "\t" suffix
    if (!(key in count) && keys++ >= MOST_PILES) { folder = part[1]; key = folder "\t" suffix }
    count[key]++; bytes[key] += size
    if (!(key in first) || path < first[key]) first[key] = path
    is_named = (suffix in is_list) || name ~ /\.tfrec/ || name ~ /-[0-9][0-9][0-9][0-9][0-9]-of-[0-9]/
    if (depth <= 2 && is_named && named++ < MOST_NAMED) print "file " size " " path
  }
  END {
    for (key in count) printf "pile %d %.0f %s\t%s\n", count[key], bytes[key], key, first[key]
    for (word in junk) printf "junk %d %s\n", junk[word], word
  }'
echo whole
"""
_FILES = (
    r'\( -type f -printf "file %s %p\0" -o -type l -xtype f -exec stat -L --printf "file %s %n\0" {} + '
    r'-o ! -type f ! -type d ! -xtype d ! -xtype f -printf "file 0 %p\0" \)'
)
_NAMES = r"""
cd -- "$1" || exit 1
find . -mindepth 1 -maxdepth 1 ! -type d ! -xtype d -printf '%p\0'
find . -mindepth 1 -maxdepth 1 ! -name '.*' \( -type d -o -xtype d \) -printf '%p/\0' |
  xargs -0 -r sh -c 'find "$@" ! -type d ! -xtype d -printf "%p\0"' sh
"""
_MOST_PILES = 200_000


@dataclass(frozen=True)
class Layout:
    """The layout of a data set's folder.

    ``word`` is the fault, empty where there is none. ``survey`` is None where files were not counted. ``records`` are
    (size, name) of TFRecord files. ``trouble`` is the host's error message for files that it could not read.
    """

    word: str = ""
    survey: Survey | None = None
    records: tuple[tuple[int, str], ...] = ()
    trouble: str = ""


def inspect_data(
    reached: Reached, name: str, *, formats: Sequence[str] = (), is_counted: bool = True
) -> tuple[DataSpec | None, DataState]:
    """Return what a session would read for a data set on a host (None: nothing can be read), and the data set's state.

    For a folder this follows from its layout (``bench/data/look.py``): one of its parts, or its images with a list.
    Where the inventory's entry cannot be read, a data set that was sent to the host is used instead. ``formats`` are
    read besides JPEG and PNG. ``is_counted``: the images of pairs and lists are counted, too, which takes a second or
    two for COCO's 118,287 images.
    """
    named = source = reached.data.get(name)
    if source is None:
        state = _unnamed(name, reached.data)
    else:
        source, state = _inspect_source(reached, name, source, formats, is_counted=is_counted)
    if state.problem is None:
        return source, state
    shipped = find_shipped(reached.connection, reached.scratch, name)
    if shipped is not None:
        return shipped.read_like(source), _of_shipped(name, shipped)
    if reached.is_local:
        return None, state
    cure = f"harness ship INVENTORY --data {name}"
    if named is not None and find_here(named) is not None:
        cure += ", or harness run --ship-data"
    else:
        cure += " --from PATH (its path on this machine), or, for a data set that the inventory has for this machine, "
        cure += "harness run --ship-data"
    return None, replace(state, hint=f"{state.hint}{OR_SEND}{name_inventory(cure, reached.host.inventory)}")


def find_here(source: DataSet) -> tuple[Path, Path | None] | None:
    """Return the paths of an inventory's data set and its labels on this machine; None where it is not here."""
    images = source.folder or source.images or source.tfrecord
    if images is None:
        return None
    place = Path(images).expanduser()
    annotations = None if source.annotations is None else Path(source.annotations).expanduser()
    is_here = Path(split_pattern(str(place))[0]).is_dir() and (annotations is None or annotations.is_file())
    return (place, annotations) if is_here else None


def judge_layout(
    kind: str, place: str, labels: str | None, layout: Layout, uid: int | None = None
) -> dataset_errors.DatasetError | None:
    """Return the full check's error for a folder and its labels that cannot be read; None where they can."""
    hint = {"folder": dataset_errors.FOLDER_HINT, "coco": dataset_errors.PAIR_HINT}.get(
        kind, dataset_errors.RECORDS_HINT
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
    if layout.trouble:
        return dataset_errors.closed_folder(place, layout.trouble, uid)
    return None


def parse_layout(text: str, trouble: str = "") -> Layout:
    """Parse the output of the script on the host; invalid lines are ignored."""
    word, is_whole = "", False
    records: list[tuple[int, str]] = []
    files: list[tuple[str, int]] = []
    folders: list[str] = []
    piles: list[Pile] = []
    junk: dict[str, int] = {}
    heads: dict[str, str] = {}
    for line in text.splitlines():
        said, _, rest = line.partition(" ")
        first, _, more = rest.partition(" ")
        number = parse_int(first)
        if said in _FAULTS:
            word = said
        elif said == "whole":
            is_whole = True
        elif said == "dir" and rest:
            folders.append(rest)
        elif said == "head" and first in HEADS:
            heads[first] = more
        elif number is None or not more:
            continue
        elif said == "record":
            records.append((number, more))
        elif said == "file":
            files.append((more, number))
        elif said == "junk":
            junk[more] = number
        elif said == "pile" and (pile := _parse_pile(number, more)) is not None:
            piles.append(pile)
    piles.sort(key=lambda pile: (pile.folder, pile.suffix))
    survey = Survey(tuple(sorted(folders)), tuple(piles), dict(sorted(junk.items())), tuple(sorted(files)), heads)
    has_counts = is_whole and not records
    return Layout(word, survey if has_counts else None, tuple(records), trouble)


def _parse_pile(count: int, text: str) -> Pile | None:
    size, _, rest = text.partition(" ")
    parts, found = rest.split("\t"), parse_int(size)
    return None if found is None or len(parts) != 3 else Pile(parts[0], parts[1], count, found, parts[2])


def _inspect_source(
    reached: Reached, name: str, source: DataSet, formats: Sequence[str], *, is_counted: bool
) -> tuple[DataSet, DataState]:
    """Return what a session reads of an inventory's entry, and the entry's state."""
    if source.generate is not None:
        made = source.generate
        place = f"generated: {made.words}"
        known = [read_known(reached.connection, reached.scratch, name, source)]
        return source, _with_known(
            DataState(name, place, made.images, None, "generated", will_be_made=True), known, is_bound=False
        )
    place = " with ".join(path for path in (source.folder, source.images, source.tfrecord, source.annotations) if path)
    try:
        if source.kind == "folder":
            return _inspect_folder(reached, name, source, formats)
        layout = _ask(reached, source.kind, source.place, source.annotations, is_counted=is_counted)
        said = _read_list(reached, source)
    except dataset_errors.DatasetError as wrong:
        return source, DataState(name, place, problem=wrong.message, hint=wrong.hint)
    except HostError as error:
        return source, DataState(name, place, source=error.message)
    known = _read_all_known(reached, name, source)
    if source.tfrecord is not None:
        return source, _judge_records(name, place, source.tfrecord, layout, known)
    taken = [] if layout.survey is None else layout.survey.choose(taken_with(formats))
    if layout.survey is not None and not taken:
        empty = dataset_errors.no_images(source.place)
        return source, DataState(name, place, problem=empty.message, hint=empty.hint)
    images = None if layout.survey is None else sum(pile.count for pile in taken)
    size = None if layout.survey is None else sum(pile.bytes for pile in taken)
    found = DataState(name, place, images, size, "files counted, not read yet", is_bound=True, said=said)
    return source, _with_known(found, known, is_bound=True)


def _inspect_folder(reached: Reached, name: str, source: DataSet, formats: Sequence[str]) -> tuple[DataSet, DataState]:
    """Inspect a folder; return what a session reads of it, and its state. Raises DatasetError, HostError."""

    def survey_of(place: str) -> Survey:
        return _ask(reached, "folder", place, None, is_counted=True).survey or Survey()

    skips = bool(source.skip_unreadable)
    found = look(source.place, survey_of, split=source.split, formats=formats, skip_unreadable=skips)
    place = " with ".join(path for path in (found.place, found.annotations) if path)
    if found.fault is not None:
        fault = found.fault
        return source, DataState(name, place, problem=fault.message, hint=fault.hint, said=found.said)
    read: dict[str, str | None] = {"folder": found.place, "split": None}
    if found.annotations is not None:
        read = {"folder": None, "images": found.place, "annotations": found.annotations, "split": None}
    elif found.form == "tfrecord":
        read = {"folder": None, "tfrecord": found.place, "split": None}
    same = (found.annotations, found.form, found.place) == (None, found.form, source.place) and source.split is None
    if not same or found.form == "tfrecord":
        source = source.model_copy(update=read)
    said = (*found.said, *_read_list(reached, source))
    state = DataState(
        name,
        place,
        None if found.form == "tfrecord" else found.images,
        found.bytes,
        "files counted, not read yet",
        is_bound=found.form in ("coco", "list"),
        said=said,
        is_labelled=found.is_labelled,
    )
    is_bound = state.is_bound or skips
    return source, _with_known(state, _read_all_known(reached, name, source), is_bound=is_bound)


def _read_list(reached: Reached, source: DataSet) -> tuple[str, ...]:
    """Return the sentences about a list of paths and labels; none for an instances JSON, which may be large.

    Names without a full path are searched for among the images. Raises DatasetError for a list that cannot be read,
    and HostError.
    """
    path = source.annotations
    if path is None:
        return ()
    begins = reached.connection.run(["head", "-c", "4096", "--", path]).stdout
    if begins.lstrip(b"\xef\xbb\xbf \t\r\n").startswith((b"{", b"[")) and not path.endswith(".jsonl"):
        return ()
    whole = reached.connection.run(["head", "-c", str(_MOST_LIST_BYTES + 1), "--", path]).stdout
    if len(whole) > _MOST_LIST_BYTES:
        return ()
    with temporary_folder() as here:
        kept = here / Path(path).name
        kept.write_bytes(whole)
        is_here, place = reached.is_local, source.place
        folder, list_files = (Path(place), None) if is_here else (None, partial(_list_files, reached, place))
        roots = [place] if is_here else [place, reached.connection.run(["readlink", "-f", "--", place]).text.strip()]
        try:
            return read_table(
                kept,
                folder,
                split=source.split,
                roots=roots,
                list_folder=posixpath.dirname(path),
                list_files=list_files,
            ).said
        except OutputTooLong:
            return ()
        except dataset_errors.DatasetError as fault:
            raise dataset_errors.DatasetError(fault.message.replace(str(kept), path), hint=fault.hint) from fault


def _list_files(reached: Reached, place: str) -> list[str]:
    """Return the paths of all files below a folder of the host. Raises HostError."""
    done = reached.connection.run(["sh", "-c", _NAMES, "sh", place], timeout_s=_TIMEOUT_S)
    return [os.fsdecode(name.removeprefix(b"./")) for name in done.stdout.split(b"\0") if name]


def _judge_records(name: str, place: str, path: str, layout: Layout, known: Sequence[KnownData | None]) -> DataState:
    """Return the state of a set of TFRecord files, which a pattern may restrict."""
    from harness.bench.data.listing import choose_records

    chosen = set(choose_records((record for _, record in layout.records), split_pattern(path)[1]))
    if not chosen:
        wrong = dataset_errors.no_record_files(path)
        return DataState(name, place, problem=wrong.message, hint=wrong.hint)
    size = sum(size for size, record in layout.records if record in chosen)
    return _with_known(DataState(name, place, None, size, "files counted, not read yet"), known, is_bound=False)


def _read_all_known(reached: Reached, name: str, source: DataSet) -> list[KnownData | None]:
    """Return the results of earlier checks of a set: on the host, and of ``harness data describe`` on this machine."""
    known = [read_known(reached.connection, reached.scratch, name, source)]
    return [*known, read_described(source)] if reached.is_local else known


def _with_known(found: DataState, known: Sequence[KnownData | None], *, is_bound: bool) -> DataState:
    """Add the result of the last check where the files may be unchanged since.

    ``is_bound``: the counted files may include some that are not part of the set.
    """
    were_checked = [one for one in known if one is not None]
    for one in were_checked:
        if _may_be_same(found, one, is_bound=is_bound):
            return replace(
                found,
                images=one.images,
                bytes=one.bytes,
                source="as last checked",
                is_bound=False,
                fingerprint=one.fingerprint,
                said=(*found.said, *(each for each in one.said if found.is_bound and each not in found.said)),
                will_be_made=False,
            )
    if were_checked:
        return replace(found, source="files counted; they have changed since they were last checked")
    return found


def _may_be_same(found: DataState, known: KnownData, *, is_bound: bool) -> bool:
    """Return whether the files may be those of the last check; with ``is_bound`` the set may be a part of them."""
    if found.images is None or found.bytes is None:
        return True
    if is_bound:
        return known.images <= found.images and known.bytes <= found.bytes
    return (known.images, known.bytes) == (found.images, found.bytes)


def _ask(reached: Reached, kind: str, place: str, labels: str | None, *, is_counted: bool) -> Layout:
    """Inspect a folder of the host. Raises DatasetError for one that cannot be read, and HostError."""
    connection = reached.connection
    words = ["sh", "-c", _LOOK + (_survey_script() if is_counted else ""), "sh", kind, place, labels or ""]
    done = connection.run(words, timeout_s=_TIMEOUT_S)
    trouble = done.stderr.decode(errors="replace").strip().splitlines()
    layout = parse_layout(done.text, trouble[0] if trouble else "")
    wrong = judge_layout(kind, place, labels, layout, reached.facts.uid)
    if wrong is not None:
        raise wrong
    if is_counted and kind != "tfrecord" and layout.survey is None:
        raise not_understood(connection.host, f"the description of {place}", done.stdout)
    return layout


def _survey_script() -> str:
    """Return the script that surveys a folder of a host as ``bench/data/survey.py`` does on this machine."""
    values = {
        "HEADS": " ".join(HEADS),
        "FILES_HERE": _FILES,
        "JUNK_FOLDERS": "/".join(JUNK_FOLDERS),
        "JUNK_FILES": "/".join(JUNK_FILES),
        "LISTS": "/".join(LISTS),
        "LONGEST": str(LONGEST_SUFFIX),
        "MOST_PILES": str(_MOST_PILES),
        "MOST_NAMED": str(MOST_NAMED),
    }
    script = _SURVEY
    for name, text in values.items():
        script = script.replace(name, text)
    return script


def _unnamed(name: str, known_names: Collection[str]) -> DataState:
    message = f"the host has no data set {name!r} (it has {', '.join(sorted(known_names)) or 'none'})"
    return DataState(name, "nowhere", problem=message, hint=f"add it under `harness: data: {name}:`", is_named=False)


def _of_shipped(name: str, shipped: ShippedData) -> DataState:
    place = shipped.folder or shipped.images or shipped.tfrecord or ""
    return DataState(name, place, shipped.count, shipped.bytes, "as it was shipped", fingerprint=shipped.fingerprint)


def described_folder(
    path: Path,
    annotations: Path | None = None,
    features: tuple[str | None, str | None] = (None, None),
    split: str | None = None,
) -> Path:
    """Return the folder for the description of a data set on this machine and for the hashes of its files.

    ``path`` is its folder of classes or images, or FOLDER/PATTERN of TFRecord files; ``split`` selects rows of a list.
    """
    places = [None if place is None else _absolute(place) for place in (path, annotations)]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "harness"
    return cache / DESCRIBED_FOLDER / digest_of([*places, *features, *([split] if split else [])])[:16]


def _absolute(path: Path) -> str:
    """Return an absolute path without ``..`` as ``resolve_path`` does on a host; links are not resolved."""
    return os.path.normpath(path.expanduser().absolute())


def usable_folder(folder: Path) -> Path | None:
    """Make a folder if necessary and return it; None where it cannot be written."""
    try:
        mark_folder(folder.parent)
        folder.mkdir(exist_ok=True)
    except OSError:
        return None
    return folder if os.access(folder, os.W_OK | os.X_OK) else None


def keep_description(folder: Path, description: Mapping[str, object]) -> None:
    """Write a description to its folder; failures are ignored, since the description only saves time."""
    with contextlib.suppress(OSError):
        write_file(folder / KNOWN_FILE, json.dumps(description))


def read_described(source: DataSet) -> KnownData | None:
    """Return the last description of an inventory's data set, whose paths are absolute; None where there is none."""
    place = source.folder or source.images or source.tfrecord
    if place is None:
        return None
    annotations = None if source.annotations is None else Path(source.annotations)
    features = (source.image_feature, source.label_feature)
    folder = described_folder(Path(place), annotations, features, source.split)
    try:
        return parse_known((folder / KNOWN_FILE).read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return None
