"""Where the bytes of an epoch came from, storage or memory, beside what its case says (rule 5 of measuring)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from harness.analysis.findings import Entry, Family, find
from harness.values.facts import Facts
from harness.values.record import Epoch, Finding, Record
from harness.values.units import format_bytes

COLD_SHARE = 0.5
"""A cold epoch brings at least this share of its bytes from storage (read-ahead and metadata make it 1 or more)."""
SERVED_SHARE = 0.1
"""Below this share the page cache has served the epoch."""
WARM_SHARE = 0.1
"""A warm epoch brings at most this share from storage."""


ENTRIES = {
    "page-cache-unproven": Entry(
        "info",
        "invocation",
        cause=(
            "the pages of data set and cache were dropped before the invocation, but the file system keeps a "
            "cache of its own (NFS, ZFS, FUSE, 9p …), or sampled files were still in memory."
        ),
        cure="keep data on a local file system of a block device. Until then a cold epoch may have been warm.",
    ),
    "reads-uncounted": Entry(
        "info",
        "invocation",
        cause=(
            "the kernel or file system does not count what a process reads from storage; `bytes_read` is null, not 0."
        ),
        cure="as above.",
    ),
    "cold-epoch-warm": Entry(
        "warning",
        "invocation",
        "files were in memory already",
        cause=(
            "an epoch that was to begin cold brought less than half of its bytes from storage: somebody else "
            "keeps these files in memory."
        ),
        cure="see what reads the data set meanwhile (backup, indexer, another session).",
    ),
    "served-from-memory": Entry(
        "info",
        "invocation",
        "served from memory",
        grades="info; warning where the set is larger than the limit",
        cause=(
            "a later epoch without a cache in memory read less than a tenth of its bytes from storage, because "
            "the kernel's page cache held the files. Where they are larger than the memory limit, that page cache "
            "was not the container's own: a machine with so little memory would have read them again."
        ),
        cure=(
            "as info, nothing: it is what a machine of this size does; name it when you cite the number. As a "
            "warning, see who else keeps the files in memory."
        ),
    ),
    "warm-epoch-cold": Entry(
        "warning",
        "invocation",
        "files were not in memory",
        cause=(
            "with `page_cache: warm` more than a tenth of an epoch's bytes came from storage: the files did not "
            "stay in memory."
        ),
        cure="a larger memory limit, or less beside it on the host.",
    ),
    "disk-slow": Entry(
        "info",
        "invocation",
        cause="reads took more than 50 ms in the mean while this was measured.",
        cure="`iostat -x 5` shows who else uses the disk; a hard disk under random reads is just like that.",
    ),
}


def judge(record: Record, _facts: Facts | None, _peers: Sequence[Record]) -> Iterator[Finding]:
    """Findings about the page cache of one invocation."""
    doubt = unproven(record)
    if doubt:
        message = f"the page cache's state at the start is unproven: {doubt}"
        hint = "first epochs may have been served from memory; keep data on a local file system to know"
        yield find("page-cache-unproven", message, hint)
    if record.epochs and all(epoch.bytes_read is None for epoch in record.epochs):
        message = "what came from storage could not be counted: this kernel or file system does not say"
        yield find("reads-uncounted", message, "keep data on a local file system of a block device to know")
        return
    told: set[str] = set()
    for epoch in record.epochs:
        found = _judge_epoch(record, epoch, is_proven=not doubt)
        if found is not None and found.id not in told:  # one of a kind: the later ones are alike
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
        message = f"epoch {epoch.index} was to be cold, but only {numbers} came from storage"
        return find("cold-epoch-warm", message, "something keeps the files in memory: see what else reads them")
    if record.case.page_cache == "warm":
        if share <= WARM_SHARE:
            return None
        message = f"epoch {epoch.index} was to be warm, but {numbers} came from storage"
        return find("warm-epoch-cold", message, "raise the memory limit, or free memory on the host")
    return _served(record, epoch, numbers) if share < SERVED_SHARE else None


def is_cold(record: Record, epoch: Epoch) -> bool:
    """Whether an epoch's case says that it begins with nothing in memory."""
    return record.case.page_cache == "cold" or (record.case.page_cache == "cold-start" and epoch.index == 1)


def _served(record: Record, epoch: Epoch, numbers: str) -> Finding:
    limit, needed = record.memory.limit_effective, epoch.bytes_needed or 0
    of_what = "the cache file" if record.case.cache in ("file", "array") else "the data set"
    message = f"epoch {epoch.index} read {numbers} from storage: the page cache held {of_what}"
    if limit is not None and needed > limit:
        message += f", though it is larger than the limit of {format_bytes(limit)}; a machine of that size would read"
        return find("served-from-memory", message, "see what else keeps these files in memory", severity="warning")
    hint = "a larger set, or a smaller memory limit, would be read from storage: say which of the two you measured"
    return find("served-from-memory", message, hint, severity="info")


def unproven(record: Record) -> str | None:
    """Return why files may have stayed in memory that were to be dropped; None where that was proven or not asked."""
    state = record.io.get("page_cache")
    return str(state["unproven"]) if isinstance(state, Mapping) and state.get("unproven") else None


FAMILY = Family(rank=30, title="Cold and warm", entries=ENTRIES, judge=judge)
