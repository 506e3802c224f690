"""Whether an invocation may be believed: pure rules over its record, its host's facts and its peers.

The same rules judge a record while its session runs and an old session when a report is made. ``peers`` are
other records of the session: with more of them a rule can see more. ``docs/findings.md`` documents each finding.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from harness.analysis.findings import CATALOGUE, find
from harness.analysis.host_findings import find_host
from harness.analysis.noise import find_noise
from harness.analysis.storage_findings import find_storage
from harness.values.facts import Facts
from harness.values.record import Finding, Record, Validity
from harness.values.units import format_bytes
from harness.values.work import is_proven, problems_of, say_differs, work_key

FINDING_IDS = tuple(CATALOGUE)
DIFFERS, UNPROVEN = "work-differs", "work-unproven"
_PAGE = 65536
_CACHE_TOLERANCE = 0.01
_SWAP_CURE = "turn swap accounting on (kernel parameter swapaccount=1) or swap off"


def judge_record(
    record: Record, facts: Facts | None = None, peers: Sequence[Record] = ()
) -> tuple[Validity, tuple[Finding, ...]]:
    """Findings of one invocation, and the worst of them as its validity."""
    if not record.evidence:
        return record.validity, record.findings  # it left nothing to judge: skipped, refused or lost
    found = [
        *_find_limits(record),
        *_find_swap(record),
        *_find_work(record),
        *_find_pixels(record),
        *find_storage(record),
        *_find_cache(record),
        *_find_budget(record),
        *find_noise(record, peers),
        *find_host(record, facts),
    ]
    return worst(found), tuple(found)


def judge_all(records: Iterable[Record], facts: Mapping[str, Facts] | None = None) -> list[Record]:
    """All records of one session, judged again with all others as peers; findings of unknown ids are kept."""
    known = list(records)
    by_case: dict[tuple[str, str], list[Record]] = {}
    for record in known:
        by_case.setdefault((record.host, record.case_id), []).append(record)
    firsts = first_on_hosts(known)
    refuted = {_work_of(record): found for record in known for found in _find_work(record) if found.id == DIFFERS}
    judged = []
    for record in known:
        peers = [*by_case[record.host, record.case_id], *firsts]
        _, found = judge_record(record, (facts or {}).get(record.host), peers)
        if (differs := refuted.get(_work_of(record))) and not is_proven(record.environment):
            found = found if any(one.id == DIFFERS for one in found) else (differs, *_without(UNPROVEN, found))
        kept = [one for one in record.findings if one.id not in CATALOGUE and one not in found]
        every = (*found, *kept)
        judged.append(record.model_copy(update={"findings": every, "validity": worst(every)}))
    return judged


def first_on_hosts(records: Iterable[Record]) -> list[Record]:
    """The record of each host that began first."""
    first: dict[str, Record] = {}
    for record in records:
        if record.started_at is not None:
            held = first.get(record.host)
            if held is None or (held.started_at or "") > record.started_at:
                first[record.host] = record
    return list(first.values())


def worst(findings: Iterable[Finding]) -> Validity:
    """What findings come to: an error is ``invalid``, a warning ``degraded``."""
    severities = {finding.severity for finding in findings}
    return "invalid" if "error" in severities else "degraded" if "warning" in severities else "valid"


def _find_limits(record: Record) -> Iterator[Finding]:
    warnings = [str(text) for text in record.evidence.get("engine_warnings") or ()]
    discarded = [text for text in warnings if "memory" in text.lower() and "discard" in text.lower()]
    asked, effective = record.memory.limit_asked, record.memory.limit_effective
    if asked is not None and (discarded or (effective is not None and abs(effective - asked) >= _PAGE)):
        said = discarded[0] if discarded else f"asked {format_bytes(asked)}, effective {format_bytes(effective)}"
        hint = "enable the memory controller on the host; `harness check` shows whether a limit holds"
        yield find("limit-not-enforced", f"the memory limit is not what was asked: {said}", hint)
    elif asked is not None and effective is None:
        hint = "see the log; the cgroup files may not be visible in this container"
        yield find("limit-unproven", "the memory limit could not be read back from inside", hint)
    for text in warnings:
        if text not in discarded and "swap" not in text.lower():
            yield find("engine-warning", text, "read it; the engine did not do all that was asked")


def _find_swap(record: Record) -> Iterator[Finding]:
    memory = record.memory
    if memory.swap_used:
        message = f"{format_bytes(memory.swap_used)} of swap were used: the limit was not one of memory alone"
        yield find("swap-used", message, _SWAP_CURE)
    elif memory.limit_effective is not None and memory.swap_limit is None and memory.swap_used is None:
        message = "swap is not accounted for on this host, and whether any was used is not known"
        yield find("swap-unaccounted", message, _SWAP_CURE)


def _find_work(record: Record) -> Iterator[Finding]:
    """What the loader did with the set that proves its work, before the session's first measurement here."""
    work = record.environment.get("samework")
    if not isinstance(work, Mapping):
        return
    if problems := problems_of(record.environment):
        message = say_differs(record.case.loader, problems)
        yield find(DIFFERS, message, "its figures say nothing until it does: mend the loader, or report a built-in one")
    elif not is_proven(record.environment):
        message = f"whether {record.case.loader} does the same work was not proven: {work.get('reason') or 'no reason'}"
        yield find(UNPROVEN, message, "see the log of the session, and run again")


def _without(identifier: str, findings: Iterable[Finding]) -> Iterator[Finding]:
    return (finding for finding in findings if finding.id != identifier)


def _work_of(record: Record) -> tuple[str, str]:
    """Equal for records of one host whose loaders do the same work in the same way."""
    return record.host, work_key(record.case, record.case.data)


def _find_pixels(record: Record) -> Iterator[Finding]:
    """Approximate pixels, with the error that was measured on the case's own images."""
    error = record.environment.get("pixel_error")
    if isinstance(error, Mapping):
        message = (
            f"approximate pixels: on average {error.get('mean')} grey levels from exact decoding, at most "
            f"{error.get('largest')} ({error.get('images')} images)"
        )
        yield find("approximate-pixels", message, "compare it with exact pipelines only if your model does not mind")


def _find_cache(record: Record) -> Iterator[Finding]:
    cache = record.cache
    if record.status != "ok" or cache is None or cache.bytes is None or not cache.predicted_bytes:
        return
    if abs(cache.bytes / cache.predicted_bytes - 1) > _CACHE_TOLERANCE:
        message = f"the cache holds {format_bytes(cache.bytes)}, the formula says {format_bytes(cache.predicted_bytes)}"
        yield find("cache-size-off", message, "the cache may not hold what it should: see the log")


def _find_budget(record: Record) -> Iterator[Finding]:
    budgets = record.environment.get("budgets")
    limit = record.memory.limit_effective
    if record.case.budgets != "default" or not isinstance(budgets, Mapping) or limit is None:
        return
    assumed = budgets.get("assumed_ram_bytes")
    if isinstance(assumed, int) and assumed > limit:
        message = f"tf.data gave itself {format_bytes(assumed)} of memory in a container of {format_bytes(limit)}"
        yield find("budget-beyond-limit", message, "`budgets: container` tells it the truth")
