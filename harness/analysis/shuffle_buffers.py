"""What a shuffle buffer costs in memory and time, how well it mixes, and which one to use. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from harness.analysis.advice import compare_rows
from harness.analysis.matrix import Row, Setting
from harness.values.case import Case
from harness.values.record import Record, number

ENOUGH = 0.9
"""A buffer mixes as well as another one if it moves images at least this share of the distance."""


@dataclass(frozen=True, slots=True)
class Buffer:
    """A buffer: how far it moves an image (share of the set), which neighbours it keeps, the wait for the first batch.

    None for what is not known, for example without a result.
    """

    row: Row
    displacement: float | None
    neighbours_kept: float | None
    first_batch_s: float | None

    @property
    def has_result(self) -> bool:
        """Return whether it has a rate that counts."""
        return bool(self.row.summary.used)


@dataclass(frozen=True, slots=True)
class Buffers:
    """A pipeline at one memory limit with several buffers, the smallest first; ``best`` is the one to use.

    ``is_slower``: it is certainly slower than another one that mixes less. ``best`` is None where none can be advised.
    """

    sizes: tuple[Buffer, ...]
    best: Buffer | None
    is_slower: bool = False

    @property
    def case(self) -> Case:
        """Return the pipeline without the size of its buffer."""
        return self.sizes[0].row.case.model_copy(update={"shuffle_buffer": "auto"})


def find_buffers(setting: Setting) -> list[Buffers]:
    """Return the buffers of each pipeline and limit of a setting with at least two buffers."""
    groups: dict[Case, list[Row]] = {}
    for row in setting.rows:
        if row.summary.alias is None:
            groups.setdefault(row.case.model_copy(update={"shuffle_buffer": "auto"}), []).append(row)
    return [_judge([_view(row) for row in rows], setting) for rows in groups.values() if len(rows) > 1]


def _judge(sizes: Sequence[Buffer], setting: Setting) -> Buffers:
    """Choose the buffer with the least memory of those that mix as well as the best and are not certainly slower."""
    known = [size for size in sizes if size.has_result and size.displacement is not None]
    if len(known) < 2 or any(size.row.summary.short_epochs(setting.metric) is not None for size in known):
        return Buffers(tuple(sizes), None)
    most = max(size.displacement or 0.0 for size in known)
    mixing = [size for size in known if (size.displacement or 0.0) >= ENOUGH * most]
    quick = [size for size in mixing if not any(_is_slower(size, other, setting) for other in known)]
    return Buffers(tuple(sizes), min(quick or mixing, key=_peak), is_slower=not quick)


def _is_slower(size: Buffer, other: Buffer, setting: Setting) -> bool:
    return size is not other and compare_rows(size.row, other.row, setting).verdict.kind == "slower"


def _peak(size: Buffer) -> float:
    peak = size.row.summary.peak_anon_bytes
    return float("inf") if peak is None else peak


def _view(row: Row) -> Buffer:
    records = row.summary.used
    waits = [wait for record in records if (wait := wait_first_batch(record)) is not None]
    mixed = records[0].environment if records else {}
    return Buffer(
        row,
        displacement=number(mixed, "mixing", "displacement"),
        neighbours_kept=number(mixed, "mixing", "neighbours_kept"),
        first_batch_s=fmean(waits) if waits else None,
    )


def wait_first_batch(record: Record) -> float | None:
    """Return the mean seconds until the first batch of an epoch, of the later epochs, or of the only one."""
    epochs = [epoch for epoch in record.epochs if epoch.index > 1] or record.epochs
    waits = [epoch.first_batch_s for epoch in epochs if epoch.first_batch_s is not None]
    return fmean(waits) if waits else None
