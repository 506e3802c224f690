"""The article, replayed: its figures beside those of sessions that use its presets or COCO images.

The article trains MobileNet with its base frozen on COCO 2017 (117,266 images,
18 GB) on a 16 GB workstation with one GPU, and loads 10,000 pictures of dogs and cats.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace

from harness.analysis.matrix import HardwareGroup, Row, Setting
from harness.records.session_data import SessionData
from harness.report.labels import label_status, label_verdict
from harness.report.scope import say_beyond
from harness.report.view import ArticleRow, ArticleView
from harness.report.words import format_number, format_ratio, say_payback, say_ratio, split_hardware
from harness.values.event import DataReady
from harness.values.names import name_limit, name_pipeline, name_size
from harness.values.text import clean_text
from harness.values.units import format_bytes

ARTICLE = (
    "Sunny Chugh, “Dump Keras-ImageDataGenerator. Start Using TensorFlow-tf.data (Part 2)”, Towards Data Science, "
    "2020, towardsdatascience.com/dump-keras-imagedatagenerator-start-using-tensorflow-tf-data-part-2-fba7cda81203. "
    "The figures for loading alone are from its Part 1, in The Startup."
)
"""The citation of the article."""

PRESETS = frozenset({"article", "article+", "article-short", "loading"})
"""The experiments that replay the article; ``quick`` has its pipelines but other data."""

_COCO = re.compile(r"(?<![a-z])coco(?![a-z])", re.IGNORECASE)

IMAGES = 117_266
SMALL_SET = 20_000
"""A set below this size counts as small; the article's small set has 10,000 images."""

_MOST_LINES = 4

_Say = Callable[[Row], str]


@dataclass(frozen=True)
class _Claim:
    pipeline: str
    text: str
    mode: str | None
    loader: str
    cache: str
    say: _Say


def view_article(groups: Sequence[HardwareGroup], sessions: Sequence[SessionData]) -> ArticleView | None:
    """Build the table; None where no session replays the article, by its preset or on COCO images."""
    coco = _coco_sets(sessions)
    replays = {number: _only_replays(group, coco) for number, group in enumerate(groups, start=1)}
    replays = {number: group for number, group in replays.items() if group.settings}
    rows = []
    for claim in _CLAIMS:
        ours = tuple(tuple(_lines(group, claim)) for group in replays.values())
        rows.append(ArticleRow(claim.pipeline, claim.text, ours))
    if not any(lines for row in rows for lines in row.ours):
        return None
    numbers = {number: f"{number}. " if len(groups) > 1 else "" for number in replays}
    columns = tuple(numbers[number] + split_hardware(group.hardware)[0] for number, group in replays.items())
    reasons = tuple(reason for group in replays.values() for reason in _reasons(group))
    notes = (
        ARTICLE,
        f"Minutes are those of {IMAGES:,} images (COCO 2017, 80 classes) at the rate measured here; "
        "for another data set they are scaled by the number of images and marked as scaled.",
        "With weights: none a step takes as long as with trained weights; only what the model learns differs.",
    )
    return ArticleView(columns, tuple(rows), reasons, notes)


def _coco_sets(sessions: Sequence[SessionData]) -> set[tuple[str, str]]:
    """Return (session, data set) of real COCO images: sets of this name that were not generated."""
    found = set()
    for session in sessions:
        made = {event.data for event in session.events_of(DataReady) if event.how.startswith("generated")}
        names = {record.case.data for record in session.records}
        found |= {(session.name, name) for name in names - made if _COCO.search(name)}
    return found


def _only_replays(group: HardwareGroup, coco: Collection[tuple[str, str]]) -> HardwareGroup:
    """Return a hardware group with only the rows that replay the article."""

    def is_replay(row: Row) -> bool:
        return any(r.experiment in PRESETS or (r.session, r.case.data) in coco for r in row.summary.records)

    settings = (replace(one, rows=tuple(row for row in one.rows if is_replay(row))) for one in group.settings)
    return replace(group, settings=tuple(one for one in settings if one.rows))


def _reasons(group: HardwareGroup) -> Iterable[str]:
    """Yield why the figures of this hardware differ from those of the article."""
    label = split_hardware(group.hardware)[0]
    bound = sorted({_name(row) for setting in group.settings for row in setting.rows if row.model_bound})
    if bound:
        names = ", ".join(bound[:4])
        yield f"{label}: model. The model is the bottleneck of {names}, which hides what the loader could deliver."
    for setting in group.settings:
        plain = next((r for r in setting.rows if _is(r, "tfdata", "none") and r.summary.parallelism), None)
        base = next((r for r in setting.rows if r.is_baseline and r.summary.parallelism), None)
        if plain is None or base is None or plain is base:
            continue
        used, own = plain.summary.parallelism, base.summary.parallelism
        assert used is not None and own is not None
        work = plain.per_cpu.ratio if plain.per_cpu else None
        per_cpu = f"; per CPU second {format_ratio(work.value)}" if work else ""
        yield (
            f"{label}: cores. tfdata kept {format_number(used.value)} CPUs busy, {_name(base)} "
            f"{format_number(own.value)} ({_where(setting, plain)}){per_cpu}."
        )
        break
    if any(setting.case.interpolation == "native" for setting in group.settings):
        yield f"{label}: pixels. With native pixels the loaders do not do the same work."
    files = [r for setting in group.settings for r in setting.rows if r.case.cache == "file" and r.summary.used]
    if files:
        disk = label.rpartition(", ")[2]
        yield f"{label}: disk. The file cache is read from its {disk}; the article names no disk."
    if "no GPU" in label and any(setting.case.mode == "train" for setting in group.settings):
        yield f"{label}: GPU. Without one the model and the loader compete for the same cores; the article had a GPU."


def _is(row: Row, loader: str, cache: str) -> bool:
    case = row.case
    return (case.loader, case.cache, row.summary.alias) == (loader, cache, None)


def _name(row: Row) -> str:
    return name_pipeline(row.case)


def _lines(group: HardwareGroup, claim: _Claim) -> list[str]:
    lines = []
    for setting in group.settings:
        if claim.mode is not None and setting.case.mode != claim.mode:
            continue
        said = ((row, claim.say(row)) for row in setting.rows if _is(row, claim.loader, claim.cache))
        lines += [clean_text(f"{_where(setting, row)}: {text}") for row, text in said if text]
    left = len(lines) - _MOST_LINES
    return lines if left <= 0 else [*lines[:_MOST_LINES], f"and {left} more above"]


def _where(setting: Setting, row: Row) -> str:
    return f"{name_size(setting.case)}, {setting.case.interpolation}, {name_limit(row.case.memory_limit)}"


def _say_epoch(row: Row) -> str:
    rate = row.summary.rate()
    if rate is None:
        return _say_end(row)
    if row.outlook is not None and not row.outlook.holds:
        return f"no minutes of the whole set: {say_beyond(row.outlook)}"
    text = f"{_minutes(rate.value)} min{_say_scaled(row)}, {format_number(rate.value)} images/s"
    ratio = row.ratio
    if ratio is not None:
        text += f", {say_ratio(ratio)}"
    if row.model_bound:
        text += ", the model is the bottleneck"
    return text


def _say_file_cache(row: Row) -> str:
    first, text = row.summary.first_images_per_s, _say_epoch(row)
    if first is None or row.summary.steady_images_per_s is None or (row.outlook is not None and not row.outlook.holds):
        return text
    paid = "" if row.payback is None else f"; {say_payback(row.payback, 'it')}"
    return f"first {_minutes(first.value)} min, then {text}{paid}"


def _minutes(images_per_s: float) -> str:
    return format_number(IMAGES / images_per_s / 60)


def _images(row: Row) -> int | None:
    return next((record.epochs[0].images for record in row.summary.used if record.epochs), None)


def _say_scaled(row: Row) -> str:
    images = _images(row)
    return "" if images is None or images == IMAGES else f" (scaled from {images:,} images)"


def _say_small(row: Row) -> str:
    images, comparison = _images(row), row.comparison
    if images is None or images > SMALL_SET or comparison is None or comparison.ratio is None:
        return ""
    return f"{_say_ratio(row)}, {label_verdict(row).text} ({images:,} images)"


def _say_dump(row: Row) -> str:
    summary = row.summary
    if summary.cache_predicted_bytes is None and summary.cache_bytes is None:
        return ""
    predicted, measured = format_bytes(summary.cache_predicted_bytes), format_bytes(summary.cache_bytes)
    return f"{predicted} by the formula, {measured} measured"


def _say_ratio(row: Row) -> str:
    ratio = row.ratio
    if ratio is None:
        return "" if row.summary.used else _say_end(row)
    return say_ratio(ratio)


def _say_end(row: Row) -> str:
    mark = label_status(row.summary)
    return f"{mark.sign} {mark.text}"


_CLAIMS = (
    _Claim("Keras ImageDataGenerator", "58 min an epoch, 33.7 images/s", "train", "keras-idg", "none", _say_epoch),
    _Claim("tf.data, cache=False", "23 min (2.5× faster), 85.0 images/s", "train", "tfdata", "none", _say_epoch),
    _Claim(
        "tf.data, cache=True (memory)", "crashes: the cache outgrows 16 GB", "train", "tfdata", "memory", _say_epoch
    ),
    _Claim(
        "tf.data, cache=file",
        "42 min the first epoch, then 14 min (4.14× faster); pays for itself from epoch 4",
        "train",
        "tfdata",
        "file",
        _say_file_cache,
    ),
    _Claim(
        "the file of that cache",
        "“about 90 GB”, reason unknown. N × H × W × C × bytes: 117,266 × 256 × 256 × 3 × 4 = 92.2 GB",
        None,
        "tfdata",
        "file",
        _say_dump,
    ),
    _Claim("loading alone, tf.data", "about 5× faster than Keras", "load", "tfdata", "none", _say_ratio),
    _Claim(
        "training on a small set, tf.data (10,000 images)",
        "no noticeable difference",
        "train",
        "tfdata",
        "none",
        _say_small,
    ),
)
