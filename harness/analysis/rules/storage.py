"""Where the bytes of an epoch came from, storage or memory, compared with its case (measuring rule 5)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from harness.analysis.findings import Entry, Family, find
from harness.values.facts import Facts
from harness.values.record import Epoch, Finding, Record
from harness.values.units import format_bytes

COLD_SHARE = 0.5
"""A cold epoch reads at least this share of its bytes from storage (usually 1 or more, by read-ahead and metadata)."""
SERVED_SHARE = 0.1
"""Below this share the page cache served the epoch."""
WARM_SHARE = 0.1
"""A warm epoch reads at most this share of its bytes from storage."""


ENTRIES = {
    "page-cache-unproven": Entry(
        "info",
        "invocation",
        cause=(
            "the pages of data set and cache were dropped before the run, but the file system has a separate cache "
            "(NFS, ZFS, FUSE, 9p …), or sampled files were still in memory."
        ),
        cure="keep data on a local file system of a block device. Otherwise a cold epoch may have been warm.",
    ),
    "reads-uncounted": Entry(
        "info",
        "invocation",
        cause=(
            "the kernel or file system does not count what a process reads from storage; `bytes_read` is null, not 0."
        ),
        cure="keep data on a local file system of a block device.",
    ),
    "cold-epoch-warm": Entry(
        "warning",
        "invocation",
        "files were in memory already",
        cause=(
            "an epoch that should begin cold read less than half of its bytes from storage: another program keeps "
            "these files in memory."
        ),
        cure="find out what reads the data set at the same time (backup, indexer, another session).",
    ),
    "served-from-memory": Entry(
        "info",
        "invocation",
        "served from memory",
        grades="info; warning where the set is larger than the limit",
        cause=(
            "a later epoch without a cache in memory read less than 10 % of its bytes from storage, because the "
            "kernel's page cache held the files. If they are larger than the memory limit, that page cache was not the "
            "container's: a machine with this amount of memory would have read them again."
        ),
        cure=(
            "as an info, nothing: a machine of this size does the same; mention it when you cite the figure. As a "
            "warning, find out what else keeps the files in memory."
        ),
    ),
    "warm-epoch-cold": Entry(
        "warning",
        "invocation",
        "files were not in memory",
        cause=(
            "with `page_cache: warm` more than 10 % of an epoch's bytes came from storage: the files did not stay in "
            "memory."
        ),
        cure="raise the memory limit, or free memory on the host.",
    ),
    "disk-slow": Entry(
        "info",
        "invocation",
        cause="reads took more than 50 ms on average during the run.",
        cure="`iostat -x 5` shows other use of the disk; for a hard disk with random reads this is normal.",
    ),
}


def judge(record: Record, _facts: Facts | None, _peers: Sequence[Record]) -> Iterator[Finding]:
    """Yield the findings about the page cache of a run."""
    doubt = unproven(record)
    if doubt:
        message = f"the state of the page cache at the start is not proven: {doubt}"
        hint = "first epochs may have been served from memory; keep data on a local file system"
        yield find("page-cache-unproven", message, hint)
    if record.epochs and all(epoch.bytes_read is None for epoch in record.epochs):
        message = "this kernel or file system does not count what is read from storage"
        yield find("reads-uncounted", message, "keep data on a local file system of a block device")
        return
    told: set[str] = set()
    for epoch in record.epochs:
        found = _judge_epoch(record, epoch, is_proven=not doubt)
        if found is not None and found.id not in told:  # one of each kind is enough
            told.add(found.id)
            yield found


def _judge_epoch(record: Record, epoch: Epoch, *, is_proven: bool) -> Finding | None:
    if not epoch.bytes_needed or epoch.bytes_read is None:
        return None
    share = epoch.bytes_read / epoch.bytes_needed
    numbers = f"{format_bytes(epoch.bytes_read)} of {format_bytes(epoch.bytes_needed)}"
    if is_cold(record, epoch):
        if share >= COLD_SHARE or not is_proven:
            return None
        message = f"epoch {epoch.index} should be cold, but only {numbers} came from storage"
        return find("cold-epoch-warm", message, "another program keeps the files in memory: find out which one")
    if record.case.page_cache == "warm":
        if share <= WARM_SHARE:
            return None
        message = f"epoch {epoch.index} should be warm, but {numbers} came from storage"
        return find("warm-epoch-cold", message, "raise the memory limit, or free memory on the host")
    return _served(record, epoch, numbers) if share < SERVED_SHARE else None


def is_cold(record: Record, epoch: Epoch) -> bool:
    """Return whether an epoch should begin with none of its files in memory."""
    return record.case.page_cache == "cold" or (record.case.page_cache == "cold-start" and epoch.index == 1)


def _served(record: Record, epoch: Epoch, numbers: str) -> Finding:
    limit, needed = record.memory.limit_effective, epoch.bytes_needed or 0
    of_what = "the cache file" if record.case.cache in ("file", "array") else "the data set"
    message = f"epoch {epoch.index} read {numbers} from storage: the page cache held {of_what}"
    if limit is not None and needed > limit:
        message += f", although it is larger than the limit of {format_bytes(limit)}"
        return find("served-from-memory", message, "find out what else keeps the files in memory", severity="warning")
    hint = "mention it with the figure: a larger set, or a smaller memory limit, would be read from storage"
    return find("served-from-memory", message, hint, severity="info")


def unproven(record: Record) -> str | None:
    """Return why files may have stayed in memory that should be dropped; None where that was proven or not tried."""
    state = record.io.get("page_cache")
    return str(state["unproven"]) if isinstance(state, Mapping) and state.get("unproven") else None


FAMILY = Family(rank=30, title="Page cache", entries=ENTRIES, judge=judge)
