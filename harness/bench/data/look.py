"""Inspect a folder: what kind of data set it is, in plain words, and what of it is read. Standard library only.

``look`` decides by counts alone (``Survey``), which a walk on this machine and a shell on a host give alike. So every
command reports the same about a folder before an image is opened.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ..loaders.tfrecords import is_record_file
from ..protocol.dataset_errors import DatasetError, no_images, refused_files
from ..protocol.image_formats import (
    NAMES,
    PASSED_OVER,
    REFUSED,
    TAKEN,
    command_to_convert,
    taken_with,
)
from .columns import choose_columns, split_line
from .survey import IMAGES, JUNK_FOLDERS, SPLITS, Pile, Survey

_SPLIT = re.compile(rf"(?:images[_-])?({'|'.join(SPLITS)})(?:[_-]?(?:set|images|\d{{4}}))?\Z", re.IGNORECASE)
_INSTANCES = re.compile(r"(?:annotations/)?(?:instances_|_?annotations[_.])?(?P<name>[^/]*?)(?:\.coco)?\.json\Z")
HEADS = ("metadata.csv", "metadata.jsonl")
"""Lists in a folder whose first line ``look`` reads."""
_BOX_FOLDERS = ("labels", "label")
_IMAGE_FOLDERS = ("images", "image", "imgs")
_SHARD = re.compile(r"-\d{1,6}-of-\d{1,6}(?=\.parquet\Z)")
_MOST_SAID = 3

SurveyOf = Callable[[str], Survey]
"""Returns what a folder of the inspected machine contains. Raises DatasetError."""


@dataclass(frozen=True)
class Look:
    """The result of looking at a folder.

    ``form``: ``folder`` (one folder of images per class), ``flat`` (images without labels), ``coco``, ``list`` or
    ``tfrecord``. ``place`` is the folder whose images are read: the given one, or one inside it. ``annotations`` is the
    list or instances JSON that was found. ``split`` is the part that was chosen from ``splits``. ``images`` and
    ``bytes`` are of the files that every loader reads, by their names; ``others`` are images that only some loaders
    read. ``junk`` counts files that do not belong to the set. ``said`` are the sentences to print. ``fault`` is why
    nothing of the folder can be measured.
    """

    form: str
    place: str
    annotations: str | None = None
    split: str | None = None
    splits: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    images: int = 0
    others: int = 0
    bytes: int = 0
    junk: Mapping[str, int] = field(default_factory=dict)
    said: tuple[str, ...] = ()
    fault: DatasetError | None = None

    @property
    def is_labelled(self) -> bool:
        """Whether its images have labels, so that a model can be trained on them."""
        return self.form != "flat"


def look(
    place: str,
    survey_of: SurveyOf,
    *,
    split: str | None = None,
    formats: Sequence[str] = (),
    skip_unreadable: bool = False,
) -> Look:
    """Determine what the folder at ``place`` is. ``split``: the part to read if the folder has parts.

    ``formats`` are read in addition to JPEG and PNG (``SOME_READ``). ``skip_unreadable``: files that not every loader
    reads are left out and reported; otherwise they are a fault. Raises DatasetError if the folder cannot be read or has
    no such part.
    """
    taken = taken_with(formats)
    survey = survey_of(place)
    pairs = [name for name in _coco_parts(survey) if _SPLIT.match(name)]
    parts = pairs or find_splits(survey)
    if split is not None and split not in parts:
        has = f"it has {_join(parts)}" if parts else "its folders are classes"
        hint = "leave `split` out" if not parts else f"choose one of these: {', '.join(parts)}"
        raise DatasetError(f"{place} has no part {split!r}: {has}", hint=hint)
    if pairs:
        return replace(_take_pair(place, survey, split or choose_split(pairs)), splits=tuple(pairs))
    if not parts:
        found = _look_whole(place, survey, survey, taken, is_skipping=skip_unreadable)
        return replace(found, said=(*found.said, *_say_lists(place, survey, found)))
    chosen = split or choose_split(parts)
    inner = survey_of(f"{place}/{chosen}")
    found = _look_whole(f"{place}/{chosen}", inner, survey, taken, is_skipping=skip_unreadable)
    said = (_say_splits(survey, parts, chosen), *found.said, *_say_lists(place, survey, found))
    return replace(found, split=chosen, splits=tuple(parts), said=said)


def _say_lists(place: str, survey: Survey, found: Look) -> Iterator[str]:
    """Yield a hint at lists that may hold the labels of images without labels."""
    lists = [path for path, _ in survey.files if "/" not in path and path.endswith((".csv", ".tsv"))]
    lists = [path for path in lists if path not in HEADS]
    if found.form == "flat" and found.images and lists:
        words = f"{shlex.quote(found.place)} --annotations {shlex.quote(place + '/' + lists[0])}"
        yield f"{_join(lists)} beside them may hold labels: `harness data describe {words}` reads such a list"


def find_splits(survey: Survey) -> list[str]:
    """Return the folders that are parts of a set (``train``, ``val``, …), not classes, in the order of ``SPLITS``.

    Folders with such names are parts if all folders with images have such names, or if two or more contain the same
    folders. Otherwise they are classes, as ``train`` beside ``bus``.
    """
    full = [top for top in survey.tops if survey.count(IMAGES, top) or _has_tables(survey, top)]
    named = [top for top in full if _SPLIT.match(top)]
    inside = {top: _class_folders(survey, top) for top in named}
    is_all = len(named) == len(full)
    alike = [top for top in named if inside[top] and sum(inside[top] == other for other in inside.values()) > 1]
    if not (named and (is_all or len(alike) > 1)) or _coco_parts(survey):
        return []
    return sorted(named, key=_rank)


def choose_split(parts: Sequence[str]) -> str:
    """Return the part that is read if the user does not choose one."""
    return min(parts, key=_rank)


def _rank(name: str) -> tuple[int, str]:
    found = _SPLIT.match(name)
    return (SPLITS.index(found[1].lower()) if found else len(SPLITS), name)


def _has_tables(survey: Survey, top: str) -> bool:
    return any(path.startswith(f"{top}/metadata.") for path, _ in survey.files)


def _class_folders(survey: Survey, top: str) -> frozenset[str]:
    """Return the folders with images inside a top-level folder."""
    return frozenset(pile.folder.partition("/")[2] for pile in survey.choose(IMAGES, top) if "/" in pile.folder)


def _say_splits(survey: Survey, parts: Sequence[str], chosen: str) -> str:
    counts = {top: survey.count(TAKEN, top) for top in parts}
    classes = {top: _class_folders(survey, top) for top in parts}
    same = len(parts) > 1 and len(set(classes.values())) == 1 and classes[chosen]
    each = f", each with the same {count_of(len(classes[chosen]), 'class folder')}" if same else ""
    others = [top for top in parts if top != chosen]
    named = _join([f"{top}/ ({count_of(counts[top], 'image')})" for top in parts])
    if not others:
        return f"{named} is a part of a set, not a class: its images are read"
    first = f"parts of a set, not classes: {named}{each}"
    lacking = [f"{name} is in only one of them" for name in _lone_classes(classes)[:1]] if not same else []
    cure = f"`--split {others[0]}` (in an inventory `split: {others[0]}`) takes {others[0]}/ instead"
    return "; ".join([f"{first}: {chosen}/ is read, {_join([f'{one}/' for one in others])} left out", *lacking, cure])


def _lone_classes(classes: Mapping[str, frozenset[str]]) -> list[str]:
    return sorted(
        {name for found in classes.values() for name in found if sum(name in o for o in classes.values()) == 1}
    )


def _look_whole(place: str, survey: Survey, outer: Survey, suffixes: Sequence[str], *, is_skipping: bool) -> Look:
    """Inspect a folder without parts; files with ``suffixes`` are read. ``outer`` is the folder that the user named."""
    junk = tuple(_say_junk(outer))
    for find in (_find_records, _find_metadata, _find_coco, _find_boxes):
        found = find(place, survey)
        if found is not None:
            return replace(found, junk=outer.junk, said=tuple(dict.fromkeys((*found.said, *junk))))
    classes = _find_classes(survey)
    loose, wanted = survey.count(suffixes, ""), frozenset(classes or ("",))
    taken = [pile for pile in survey.choose(suffixes) if pile.top in wanted]
    others = [pile for pile in survey.choose(REFUSED) if pile.top in wanted and pile.suffix not in suffixes]
    found = Look(
        form="folder" if classes else "flat",
        place=place,
        classes=tuple(classes),
        images=sum(pile.count for pile in taken),
        others=sum(pile.count for pile in others),
        bytes=sum(pile.bytes for pile in taken),
        junk=outer.junk,
    )
    said = list(_say_classes(survey, classes, found.images, loose) if classes else _say_flat(survey, found.images))
    said += [*_say_passed_over(place, survey), *junk]
    read = [pile for pile in taken if pile.suffix not in TAKEN]
    if read:
        outcome = "read if every loader of an experiment reads them; otherwise"
        said.append(say_formats(place, count_formats(read), outcome))
    fault = None
    if others and is_skipping:
        said.append(say_formats(place, count_formats(others), "left out, since not every loader reads them;"))
    elif others:
        fault = refused_by_name(place, others, found.images + found.others)
    elif not found.images:
        fault = _find_tables(place, survey) or no_images(place)
        said = [*_say_passed_over(place, survey), *junk]
    return replace(found, said=tuple(said), fault=fault)


def refused_by_name(place: str, others: Sequence[Pile], total: int) -> DatasetError:
    """Return the fault for files that not every loader reads, judged by suffix; ``others`` gives an example of each."""
    formats = count_formats(others)
    named = [
        (first, f"{count_of(count, name_suffix(suffix) + ' file')}, which not every loader reads")
        for suffix, count, first in formats
    ]
    suffixes = [suffix for suffix, _, _ in formats]
    return refused_files(place, named, sum(pile.count for pile in others), total, suffixes=suffixes, damaged=0)


def name_suffix(suffix: str) -> str:
    """Return the name of the format that a suffix stands for."""
    return NAMES.get(suffix, suffix or "no suffix")


def count_formats(piles: Sequence[Pile]) -> list[tuple[str, int, str]]:
    """Return (suffix, number of files, first example) of piles, each suffix once."""
    found: dict[str, tuple[int, str]] = {}
    for pile in piles:
        count, first = found.get(pile.suffix, (0, pile.first))
        found[pile.suffix] = (count + pile.count, min(first, pile.first))
    return [(suffix, *found[suffix]) for suffix in sorted(found)]


def say_formats(place: str, formats: Sequence[tuple[str, int, str]], outcome: str) -> str:
    """Return a sentence that names files by format, states the outcome and gives the command that converts them."""
    counts = _join(
        [
            f"{count_of(count, f'{name_suffix(suffix)} file')} ({'such as ' if count > 1 else ''}{first})"
            for suffix, count, first in formats
        ]
    )
    convert = command_to_convert(place, [suffix for suffix, _, _ in formats])
    return f"{counts}: {outcome} `{convert}` converts them and removes the originals"


def _say_passed_over(place: str, survey: Survey) -> Iterator[str]:
    piles = survey.choose(PASSED_OVER)
    if piles:
        formats = count_formats(piles)
        outcome = "this format, so it is" if len(formats) == 1 else "these formats, so they are"
        yield say_formats(place, formats, f"no loader reads {outcome} left out;")


def _say_junk(survey: Survey) -> Iterator[str]:
    hidden = [f"{name}/" for name in survey.folders if "/" not in name and name in JUNK_FOLDERS]
    words = dict.fromkeys(hidden, 0) | dict(survey.junk)
    if words:
        names = [
            f"`{word}`" + (f" ({count_of(count, 'file')})" if count else "") for word, count in sorted(words.items())
        ]
        yield f"left out because they do not belong to the set: {_join(names)} (made by archives or file managers)"


def _find_classes(survey: Survey) -> list[str]:
    """Return the class folders; none if images lie beside folders that contain no image at all."""
    tops = survey.tops
    if survey.count(IMAGES, "") and not any(survey.count(IMAGES, top) for top in tops):
        return []
    return tops


def _say_classes(survey: Survey, classes: Sequence[str], images: int, loose: int) -> Iterator[str]:
    names = ", ".join(classes[:_MOST_SAID]) + (", …" if len(classes) > _MOST_SAID else "")
    count = count_of(len(classes), "class", "classes")
    yield f"one folder of images per class: {count} ({names}), {count_of(images, 'image')}"
    empty = [name for name in classes if not survey.count(IMAGES, name)]
    if empty and images:
        which = _join([f"{name}/" for name in empty])
        role = "has no image but counts as a class" if len(empty) == 1 else "have no image but count as classes"
        yield (
            f"{which} {role}, as in Keras, so that the labels of the others keep their numbers; remove a folder that "
            "is not a class"
        )
    if loose:
        first = min(pile.first for pile in survey.choose(TAKEN, ""))
        yield f"{count_of(loose, 'image')} beside the class folders ({first}): without a class, so left out"
    own = {pile.folder for pile in survey.choose(TAKEN, classes[0])}
    if len(classes) == 1 and len(own) > 1 and classes[0] not in own:
        yield f"the only class {classes[0]} has subfolders: if these are the classes, give the path of {classes[0]}/"


def _say_flat(survey: Survey, images: int) -> Iterator[str]:
    if not images:
        return
    yield (
        f"{count_of(images, 'image')} without class folders, so without labels: loading can be measured, training "
        "cannot; to train, give one folder per class, or a list of paths and labels"
    )
    texts = survey.count((".txt",), "")
    if 2 * texts > images:
        yield f"{count_of(texts, 'text file')} beside the images, as YOLO writes for boxes: they are not classes"
    for name in HEADS:
        if any(path == name for path, _ in survey.files):
            yield f"{name} has no column of labels (label, class or category, for example), so it is not read"


def _find_records(place: str, survey: Survey) -> Look | None:
    records = [(path, size) for path, size in survey.files if "/" not in path and is_record_file(path)]
    if not records:
        return None
    said = f"{count_of(len(records), 'TFRecord file')}, each with many images"
    return Look(form="tfrecord", place=place, bytes=sum(size for _, size in records), said=(said,))


def _find_metadata(place: str, survey: Survey) -> Look | None:
    """Return Hugging Face's ``ImageFolder`` with its list of files and labels; None if the folder is not one."""
    name = next((name for name in HEADS if any(path == name for path, _ in survey.files)), None)
    if name is None:
        return None
    columns = _columns_of(name, survey.heads.get(name, ""))
    if columns is None:
        return None
    taken = survey.choose(TAKEN)
    return Look(
        form="list",
        place=place,
        annotations=f"{place}/{name}",
        images=sum(pile.count for pile in taken),
        bytes=sum(pile.bytes for pile in taken),
        said=(f"a Hugging Face ImageFolder: {name} lists its images, in the columns {columns[0]} and {columns[1]}",),
    )


def _columns_of(name: str, head: str) -> tuple[str, str] | None:
    """Return the path and label columns of a list by its first line; None if it has no such columns."""
    line = head.partition("\n")[0].removeprefix("\ufeff").rstrip("\r")
    if name.endswith(".jsonl"):
        try:
            said = json.loads(line)
        except (ValueError, RecursionError):
            return None
        names = list(said) if isinstance(said, dict) else []
    else:
        names = split_line(line) or []
    chosen = choose_columns([str(one) for one in names])
    return None if chosen is None else (str(names[chosen[0]]), str(names[chosen[1]]))


def _coco_parts(survey: Survey) -> dict[str, str]:
    """Return the instances JSONs by the image folder that they describe; empty key: the inspected folder itself."""
    found = {}
    for path, _ in survey.files:
        if path.endswith("_annotations.coco.json") and "/" not in path:
            found[""] = path
        part = _INSTANCES.match(path)
        if part and "instances_" in path and part["name"] in survey.tops and survey.count(IMAGES, part["name"]):
            found[part["name"]] = path
        if path == "annotations.json" and "images" in survey.tops:
            found["images"] = path
    return found


def _find_coco(place: str, survey: Survey) -> Look | None:
    parts = _coco_parts(survey)
    return _take_pair(place, survey, choose_split(list(parts))) if parts else None


def _take_pair(place: str, survey: Survey, chosen: str) -> Look:
    """Return the COCO pair of one part of a folder, or of the whole folder if ``chosen`` is empty."""
    parts = _coco_parts(survey)
    taken = survey.choose(TAKEN, chosen) if chosen else survey.choose(TAKEN)
    where = f"{chosen}/ with {parts[chosen]}" if chosen else parts[chosen]
    others = [name for name in sorted(parts) if name != chosen]
    said = f"a COCO pair: {where}"
    if others:
        cure = f"`--split {others[0]}` (in an inventory `split: {others[0]}`) takes {others[0]}/ instead"
        said += f"; {_join([f'{name}/' for name in others])} left out: {cure}"
    return Look(
        form="coco",
        place=f"{place}/{chosen}" if chosen else place,
        annotations=f"{place}/{parts[chosen]}",
        images=sum(pile.count for pile in taken),
        bytes=sum(pile.bytes for pile in taken),
        split=chosen if _SPLIT.match(chosen) else None,
        junk=survey.junk,
        said=(said, *_say_junk(survey)),
    )


def _find_boxes(place: str, survey: Survey) -> Look | None:
    """Return the fault of a YOLO set (text files in ``labels``, images in ``images``); None for other folders."""
    boxes = next((top for top in _BOX_FOLDERS if top in survey.tops and survey.count((".txt",), top)), None)
    images = next((top for top in _IMAGE_FOLDERS if top in survey.tops and survey.count(IMAGES, top)), None)
    if boxes is None or images is None or survey.count(IMAGES, boxes):
        return None
    inner = sorted(_class_folders(survey, images), key=_rank)
    is_nested = images not in {pile.folder for pile in survey.choose(TAKEN, images)}
    below = f"{place}/{images}/{inner[0]}" if inner and is_nested else f"{place}/{images}"
    said = f"a YOLO set: {images}/ with text files of boxes in {boxes}/, which are not classes"
    hint = (
        f"to measure loading alone, give {below} (images without labels); to train, write a list of paths and "
        "labels, or export COCO JSON from your labelling tool, and give it as `--annotations`"
    )
    return Look(form="flat", place=place, fault=DatasetError(f"{place} is {said}", hint=hint))


def _find_tables(place: str, survey: Survey) -> DatasetError | None:
    """Return the fault of images in Parquet files, with the command that extracts them; None if there are none."""
    tables = [path for path, _ in survey.files if path.endswith(".parquet")]
    if not tables:
        return None
    part = _SHARD.sub("", tables[0]).removesuffix(".parquet")
    wanted = f"{shlex.quote(f'{place}/{part}')}{'-*' if _SHARD.search(tables[0]) else ''}.parquet"
    row = "pathlib.Path(f'images/{i:08}.jpg').write_bytes(r.image['bytes']) and print(f'{i:08}.jpg', r.label, sep=',')"
    rows = "enumerate(r for path in sys.argv[1:] for r in pandas.read_parquet(path).itertuples())"
    script = f"import pandas, pathlib, sys; [{row} for i, r in {rows}]"
    count = count_of(len(tables), "Parquet file")
    return DatasetError(
        f"{place} holds {count} ({tables[0]}): images inside tables, which no loader reads",
        hint="extract them once, and give images/ with `--annotations labels.csv`: "
        f'`mkdir images; python -c "{script}" {wanted} > labels.csv`',
    )


def count_of(number: int, one: str, many: str = "") -> str:
    """Return a number with its noun in the singular or plural."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def _join(words: Sequence[str]) -> str:
    """Join words with commas and "and"; of many only the first six."""
    shown = list(words[:6])
    if len(words) > len(shown):
        return f"{', '.join(shown)} and {len(words) - len(shown)} more"
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"


_HEAD_BYTES = 4096


def read_heads(place: str, files: Sequence[str]) -> dict[str, str]:
    """Return the first characters of the lists in ``HEADS``, by name."""
    found = {}
    for name in HEADS:
        if name in files and (Path(place) / name).is_file():
            try:
                with open(Path(place) / name, encoding="utf-8", errors="replace") as stream:
                    found[name] = stream.read(_HEAD_BYTES)
            except OSError:
                continue
    return found
