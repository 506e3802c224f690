"""How much of its data set a case ran on, and whether its rate holds on the whole set. Pure.

A rate does not hold if files were read from memory and the files of the whole set would not fit there. Page cache
counts against a memory limit in both versions of cgroups: of a set that is larger than what the limit leaves beside the
program, each epoch reads at least the rest from storage. So a part of the set that fits in memory measures another
machine; and where a whole set came from memory though it does not fit, another program kept its files there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from harness.analysis.rules.storage import unproven
from harness.bench.protocol.loader_registry import CACHES, is_automatic
from harness.values.record import Epoch, Record

SERVED_TOLERANCE = 0.1
"""Tolerated share of an epoch's bytes that came from memory beyond what the limit allows."""

Epochs = Literal["first", "steady"]


@dataclass(frozen=True, slots=True)
class Coverage:
    """The images of its set on which a case ran; ``set_images`` is None where the size of the set is not known."""

    images: int
    set_images: int | None

    @property
    def is_part(self) -> bool:
        """Return whether it did not run on the whole set, as far as is known."""
        return self.set_images is None or self.images < self.set_images


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """Why a rate does not hold on the whole set: files came from memory, which cannot hold those of the whole set.

    The files of the whole set have ``set_bytes`` (None: not known); the limit leaves ``room_bytes`` for them beside the
    program. ``is_cache``: they are the cache's files. ``is_counted`` is False where it is not known what came from
    memory.
    """

    is_cache: bool
    set_bytes: int | None
    room_bytes: int | None
    limit_bytes: int | None
    is_counted: bool = True


def cover(record: Record) -> Coverage | None:
    """Return how much of its set a record's case ran on (or should have, where it did not finish an epoch)."""
    case, known = record.case, record.set_size.images if record.set_size else None
    if known is None and record.predictions is not None and record.predictions.whole_set is not None:
        known = record.predictions.whole_set.images
    delivered = record.epochs[0].images if record.epochs else None
    if case.max_images is None:
        whole = delivered or known
        return None if whole is None else Coverage(whole, whole)
    asked = case.max_images if known is None else min(case.max_images, known)
    images = delivered or asked
    if known is None and images < case.max_images:
        known = images  # more images were requested, so these are all
    return Coverage(images, known if known is None else max(known, images))


def cover_all(records: Iterable[Record]) -> tuple[Coverage, ...]:
    """Return the different coverages of records, the smallest first."""
    found = {coverage for record in records if (coverage := cover(record)) is not None}
    return tuple(sorted(found, key=lambda one: (one.images, one.set_images or 0)))


def doubt_rate(
    record: Record, epochs: Epochs, coverage: Coverage | None, *, cache_bytes: int | None, room_bytes: int | None
) -> Withdrawal | None:
    """Return why the rate of some epochs does not hold on the whole set; None where it does.

    ``cache_bytes`` are those of its cache there, ``room_bytes`` what its limit leaves for files beside the program.
    Where all files of the whole set fit beside the program, they may come from memory. Where they do not, the share
    that came from memory must not exceed the share of the whole set that fits there.
    """
    if is_automatic(record.case.loader):
        return None
    measured = [epoch for epoch in record.epochs if (epoch.index > 1) == (epochs == "steady")]
    needed = total(epoch.bytes_needed for epoch in measured)
    is_cache = _reads_cache(record, measured)
    if not measured or needed == 0:
        return None
    is_part = coverage is not None and coverage.is_part
    whole = cache_bytes if is_cache else record.set_size.bytes if record.set_size is not None else None
    whole = whole or _scale(needed, len(measured), coverage)
    limit, room = record.memory.limit_effective or record.memory.limit_asked, room_bytes
    if not is_part and (whole is None or room is None):
        return None
    if whole is not None and room is not None and whole <= room:
        return None
    read = total(epoch.bytes_read for epoch in measured)
    if read is None or not needed:
        is_cold = record.case.page_cache == "cold" and unproven(record) is None
        if is_cold or not is_part:  # for a whole set the limit enforces this
            return None
        return Withdrawal(is_cache, whole, room, limit, is_counted=False)
    allowed = 0.0 if whole is None or room is None else room / whole
    served = max(0.0, 1 - read / needed)
    return Withdrawal(is_cache, whole, room, limit) if served > allowed + SERVED_TOLERANCE else None


def _reads_cache(record: Record, measured: Sequence[Epoch]) -> bool:
    case = record.case
    if case.cache == "none" or not CACHES[case.cache].is_on_disk:
        return False
    return CACHES[case.cache].is_built_first or case.cache_reuse == "reused" or any(e.index > 1 for e in measured)


def _scale(needed: int | None, epochs: int, coverage: Coverage | None) -> int | None:
    """Return the bytes that an epoch reads on the whole set, by images; None where they are not known."""
    if needed is None or coverage is None or coverage.set_images is None:
        return None
    return round(needed / epochs * coverage.set_images / coverage.images)


def total(values: Iterable[int | None]) -> int | None:
    """Return the sum of the values; None where one of them is not known, or there are none."""
    known = list(values)
    if not known or any(value is None for value in known):
        return None
    return sum(value for value in known if value is not None)
