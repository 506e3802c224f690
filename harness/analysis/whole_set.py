"""The outlook of a case on its whole data set, after it ran on all or part of it (measuring rule 17). Pure.

A memory cache grows with the images, and the rest of the memory was measured; a cache on disk needs space there.
``coverage`` decides whether the rate holds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from harness.analysis.coverage import Coverage, Epochs, Withdrawal, cover, doubt_rate
from harness.analysis.memory import CACHE_SPREAD, OUTSIDE_BYTES
from harness.analysis.predictions import judge_fit
from harness.analysis.protection import DISK_RESERVE_BYTES
from harness.analysis.selection import is_countable
from harness.analysis.set_size import image_bytes
from harness.bench.protocol.loader_registry import CACHES
from harness.values.case import Case
from harness.values.prediction import Fit, Interval
from harness.values.record import Record, count

PROGRAM_SPREAD = (0.6, 1.3)
"""Memory of a program without its cache on the whole set, as factors of its peak on a part: tf.data prepares more
batches where the limit leaves memory, and the arenas of the allocator fill with more batches."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """A case on its whole set. ``coverage`` is None where the number of images is not known.

    ``fit`` states whether it fits there, ``lacks`` what it may run out of. ``is_measured``: this was measured.
    ``memory`` and ``cache_bytes`` are the needs of the whole set (None: not known; 0 bytes: no cache).
    ``held`` is the number of images that fit under its limit, None where there is no such number.
    ``withdrawal`` is None where the rate holds.
    """

    coverage: Coverage | None
    fit: Fit
    lacks: Literal["memory", "disk"] | None = None
    is_measured: bool = False
    memory: Interval | None = None
    cache_bytes: int | None = None
    held: int | None = None
    limit_bytes: int | None = None
    withdrawal: Withdrawal | None = None

    @property
    def is_part(self) -> bool:
        """Return whether the case ran on part of its set."""
        return self.coverage is not None and self.coverage.is_part

    @property
    def holds(self) -> bool:
        """Return whether the result holds on the whole set: the case is not known to fail there, and its rate holds."""
        return self.fit in ("fits", "unknown") and self.withdrawal is None


_ORDER: tuple[Fit, ...] = ("does not fit", "may not fit", "unknown", "fits")


def look_ahead(records: Sequence[Record], epochs: Epochs, whole: Sequence[Record] = ()) -> Outlook | None:
    """Return the outlook of a case from the records that count; None without records.

    The worst record decides, since they may be of different hosts. ``whole`` are records of the same case on all
    images, if the session has them: a measurement replaces the prediction.
    """
    found = [look_ahead_one(record, epochs) for record in records]
    if not found:
        return None
    worst = min(found, key=lambda one: (_ORDER.index(one.fit), math.inf if one.held is None else one.held))
    withdrawal = next((one.withdrawal for one in found if one.withdrawal is not None), None)
    seen = _see_whole(whole) if worst.is_part else None
    return Outlook(
        coverage=worst.coverage,
        fit=seen[0] if seen else worst.fit,
        lacks="memory" if seen and seen[0] == "does not fit" else None if seen else worst.lacks,
        is_measured=worst.is_measured or seen is not None,
        memory=worst.memory,
        cache_bytes=worst.cache_bytes,
        held=seen[1] if seen else worst.held,
        limit_bytes=worst.limit_bytes,
        withdrawal=withdrawal,
    )


def judge_record(record: Record) -> Outlook | None:
    """Return the outlook from one record; a record that ran out of memory on part of the set has one, too."""
    if record.status == "oom" and record.validity != "invalid":
        held = count(record.evidence, "last_images") if record.evidence.get("last_epoch") in (None, 1) else None
        return Outlook(
            cover(record), "does not fit", "memory", is_measured=True, held=held, limit_bytes=_limit_of(record)
        )
    if not is_countable(record):
        return None
    return look_ahead_one(record, "steady" if record.case.epochs > 1 else "first")


def look_ahead_one(record: Record, epochs: Epochs) -> Outlook:
    """Return the outlook from one ok record."""
    coverage = cover(record)
    limit = _limit_of(record)
    cache, peak = _whole_cache_bytes(record, coverage), record.memory.peak_anon
    seen = Outlook(coverage, "fits", is_measured=True, memory=_exactly(peak), cache_bytes=cache, limit_bytes=limit)
    if coverage is None or not coverage.is_part:
        return replace(seen, withdrawal=_doubt(record, epochs, seen))
    memory = _whole_memory(record, coverage)
    in_memory, on_disk = judge_fit(memory, limit), _judge_disk(record, coverage)
    fit = min(in_memory, on_disk, key=_ORDER.index)
    lacks: Literal["memory", "disk"] | None = None
    if fit in ("does not fit", "may not fit"):
        lacks = "memory" if in_memory == fit else "disk"
    held = _held(record, coverage, memory) if lacks == "memory" or fit == "unknown" else None
    found = replace(seen, fit=fit, lacks=lacks, is_measured=False, memory=memory, held=held)
    return replace(found, withdrawal=_doubt(record, epochs, found))


def _doubt(record: Record, epochs: Epochs, outlook: Outlook) -> Withdrawal | None:
    need = outlook.memory.expected if outlook.memory is not None else 0
    room = None if outlook.limit_bytes is None else max(0, outlook.limit_bytes - need)
    return doubt_rate(record, epochs, outlook.coverage, cache_bytes=outlook.cache_bytes, room_bytes=room)


def _limit_of(record: Record) -> int | None:
    return record.memory.limit_effective or record.memory.limit_asked


def _exactly(value: int | None) -> Interval | None:
    return None if value is None else Interval.model_construct(low=value, expected=value, high=value)


def _is_in_memory(case: Case) -> bool:
    return case.cache != "none" and not CACHES[case.cache].is_on_disk


def _whole_cache_bytes(record: Record, coverage: Coverage | None) -> int | None:
    """Return the bytes of the cache on the whole set: measured ones scaled by images, else by the formula."""
    case = record.case
    if case.cache == "none":
        return 0
    if coverage is None or coverage.set_images is None:
        return None
    if record.cache is not None and record.cache.bytes is not None:
        return round(record.cache.bytes * coverage.set_images / coverage.images)
    each = _image_bytes(record)
    return None if each is None else round(each * coverage.set_images)


def _image_bytes(record: Record) -> float | None:
    """Return the bytes of an image in a case's cache by the formula; for encoded files their mean."""
    case = record.case
    found = image_bytes(case)
    if found is not None:
        return found
    if record.set_size is not None and record.set_size.bytes is not None:
        return record.set_size.bytes / record.set_size.images
    first = next((epoch for epoch in record.epochs if epoch.index == 1 and epoch.images), None)
    return first.bytes_needed / first.images if first is not None and first.bytes_needed else None


def _whole_memory(record: Record, coverage: Coverage) -> Interval | None:
    """Return the memory on the whole set: by the trial run, corrected by the peak on the part; else by that peak.

    A peak below the prediction for the part lowers the values for the whole set. A peak above it raises only the upper
    end, since tf.data prepares more batches than it needs where the limit leaves memory.
    """
    part, peak = record.predictions, record.memory.peak_anon
    whole = part.whole_set if part is not None else None
    if part is None or whole is None or part.peak_memory_bytes is None or whole.peak_memory_bytes is None:
        return None if peak is None else _grow(record, coverage, peak)
    if peak is None:
        return whole.peak_memory_bytes
    if part.basis == "formula":
        return _grow(record, coverage, peak)
    less, grown = max(0, part.peak_memory_bytes.low - peak), whole.peak_memory_bytes
    high = max(grown.high - less, peak + OUTSIDE_BYTES + grown.high - part.peak_memory_bytes.high)
    return Interval(low=grown.low - less, expected=grown.expected - less, high=high)


def _grow(record: Record, coverage: Coverage, peak: int) -> Interval | None:
    """Compute the memory on the whole set: a memory cache grows with the images, the program with its batches."""
    each = _image_bytes(record) if _is_in_memory(record.case) else 0.0
    if each is None or coverage.set_images is None:
        return None
    beside = max(0.0, peak - each * coverage.images)
    cached, least, most = each * coverage.set_images, *PROGRAM_SPREAD
    return Interval(
        low=round(beside * (least if each else 1.0) + cached * (1 - CACHE_SPREAD)),
        expected=round(beside + cached) + OUTSIDE_BYTES,
        high=round(beside * most + cached * (1 + CACHE_SPREAD)) + OUTSIDE_BYTES,
    )


def _held(record: Record, coverage: Coverage, memory: Interval | None) -> int | None:
    """Return how many images a memory cache holds under its limit, between the part and the whole set.

    None for a case whose memory does not grow with its images.
    """
    limit, peak, each = _limit_of(record), record.memory.peak_anon, _image_bytes(record)
    if not _is_in_memory(record.case) or limit is None or peak is None or not each:
        return None
    room = limit - min(limit, peak + OUTSIDE_BYTES)
    if memory is None or coverage.set_images is None:
        return coverage.images + math.floor(room / each)
    more = coverage.set_images - coverage.images
    growth = max(each, (memory.expected - peak - OUTSIDE_BYTES) / more)
    return min(coverage.set_images, coverage.images + math.floor(room / growth))


def _judge_disk(record: Record, coverage: Coverage) -> Fit:
    """Return whether the whole cache would fit on the disk, by the free space while part of it was there."""
    if record.case.cache == "none" or not CACHES[record.case.cache].is_on_disk:
        return "fits"
    disk = record.io.get("disk")
    free = disk.get("free_bytes_min") if isinstance(disk, dict) else None
    whole = _whole_cache_bytes(record, coverage)
    if not isinstance(free, int) or whole is None or record.cache is None or record.cache.bytes is None:
        return "fits"  # nothing is known against it; the disk is checked again before each run
    left = free - (whole - record.cache.bytes)
    return "does not fit" if left < 0 else "may not fit" if left < DISK_RESERVE_BYTES else "fits"


def _see_whole(records: Sequence[Record]) -> tuple[Fit, int | None] | None:
    """Return the fit of the same case on all images, if measured, and after how many images it ran out of memory."""
    ended = [record for record in records if record.status in ("ok", "oom") and record.validity != "invalid"]
    dead = [record for record in ended if record.status == "oom"]
    if not ended:
        return None
    if not dead:
        return "fits", None
    at = [count(record.evidence, "last_images") for record in dead if (record.evidence.get("last_epoch") or 1) == 1]
    seen = [images for images in at if images is not None]
    return ("does not fit" if len(dead) == len(ended) else "may not fit"), min(seen, default=None)
