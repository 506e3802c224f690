"""Differences between what was requested and what ran, as far as they show only after the run. Pure.

What shows before the run is refused there, with the numbers (``session/feasibility.py``). Memory limits, page cache and
pixels have separate findings.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from harness.analysis.findings import Entry, Family, find
from harness.analysis.set_size import images_of
from harness.bench.protocol.loader_registry import is_automatic, is_own
from harness.bench.protocol.specs import NEW_ORDER, OWN_ORDER
from harness.values.facts import Facts
from harness.values.record import Finding, Record, Severity
from harness.values.text import plural

ENTRIES = {
    "asked-differs": Entry(
        "error",
        "invocation",
        "not what was requested",
        grades="error; info where the figures are still those of the case",
        cause=(
            "what ran is not what the case requests, and this could not be checked before. As an error: another number "
            "of CPUs, GPUs, workers, epochs, images or batches, other sizes or types, precision or XLA. As an info: "
            "`max_images` is larger than the set; `gpus: auto` on a host with more GPUs than a batch has images, or "
            "with several GPUs and `xla: true`; `shuffle` with a cache that keeps one order, or a loader that shuffles "
            "within a buffer; `budgets` with a loader of your own that ignores them. What can be checked before the "
            "run is skipped with the numbers: more CPUs, GPUs or memory than the host offers."
        ),
        cure=(
            "as an error, see the log of the run and report it: its figures are not those of the case. As an info, "
            "nothing; take it into account when you read the figures."
        ),
    ),
}


class Difference(NamedTuple):
    """A difference from the request: ``error`` where the figures are not those of the case."""

    severity: Severity
    words: str


def judge(record: Record, _facts: Facts | None, _peers: Sequence[Record]) -> Iterator[Finding]:
    """Yield one finding with all differences between what a record requests and what ran."""
    found = [*_hardware(record), *_work(record), *_order(record)]
    if not found:
        return
    severity: Severity = "error" if any(each.severity == "error" for each in found) else "info"
    hint = (
        "its figures are not those of the case that it names: see its log, and report it"
        if severity == "error"
        else "nothing has to be done; take it into account when you read the figures"
    )
    yield find("asked-differs", "; ".join(each.words for each in found), hint, severity=severity)


def _hardware(record: Record) -> Iterator[Difference]:
    """Yield differences in CPUs and GPUs: the case names a number, or means all that the host offers."""
    environment, case = record.environment, record.case
    offered = _mapping(environment.get("offered"))
    affinity = environment.get("cpu_affinity")
    cpus = case.cpus or _number(offered, "cpus")
    if isinstance(affinity, list) and cpus is not None and len(affinity) != cpus:
        yield Difference("error", f"{plural(cpus, 'CPU')} requested, but it ran on {len(affinity)}")
    names = _mapping(environment.get("devices")).get("gpus")
    if not isinstance(names, list) or case.mode != "train":
        return
    available = _number(offered, "gpus")
    if isinstance(case.gpus, int) and len(names) != case.gpus:
        yield Difference("error", f"{plural(case.gpus, 'GPU')} requested, but it ran on {len(names)}")
    elif case.gpus == "auto" and available is not None and len(names) != available:
        words = f"all {available} GPUs of the host requested, but training used {len(names)}"
        yield Difference("info" if 0 < len(names) < available else "error", words)


def _work(record: Record) -> Iterator[Difference]:
    """Yield differences in images, batches, epochs, sizes and types, as the benchmark reported them."""
    case, ran = record.case, _mapping(record.environment.get("ran"))
    if record.status == "ok" and len(record.epochs) != case.epochs:
        yield Difference("error", f"{case.epochs} epochs requested, but {len(record.epochs)} ran")
    whole = None if record.set_size is None else record.set_size.images
    counts = sorted({epoch.images for epoch in record.epochs})
    if whole is not None and counts and counts != [images_of(case, whole)]:
        yield Difference("error", f"{images_of(case, whole):,} images per epoch expected, but it had {_join(counts)}")
    if whole is not None and case.max_images is not None and case.max_images > whole:
        yield Difference("info", f"max_images is {case.max_images:,}, but the set has {whole:,}: all of them ran")
    for epoch in record.epochs:
        if epoch.steps is not None and epoch.steps != -(-epoch.images // case.batch_size):
            batch = round(epoch.images / max(1, epoch.steps))
            yield Difference("error", f"batches of {case.batch_size} requested, but they had about {batch} images")
            break
    if case.workers is not None and "workers" in ran and ran["workers"] != case.workers:
        yield Difference("error", f"{plural(case.workers, 'worker')} requested, but the loader has {ran['workers']}")
    size = ran.get("image_size")
    if isinstance(size, list) and None not in size and list(case.image_size) != size:
        yield Difference(
            "error", f"images of {_join(case.image_size, ' × ')} requested, but they were {_join(size, ' × ')}"
        )
    if ran.get("deliver") is not None and ran["deliver"] != case.deliver:
        yield Difference("error", f"batches of {case.deliver} requested, but they were {ran['deliver']}")
    if ran.get("precision") is not None and case.mode == "train" and ran["precision"] != case.precision:
        yield Difference("error", f"precision {case.precision} requested, but the model used {ran['precision']}")
    xla = None if case.model is None else case.model.xla
    if xla is not None and ran.get("xla") is not None and ran["xla"] != xla:
        yield Difference("error", f"xla {str(xla).lower()} requested, but it was {str(ran['xla']).lower()}")


def _order(record: Record) -> Iterator[Difference]:
    """Yield differences in ``shuffle`` and ``budgets``."""
    case, environment = record.case, record.environment
    order = environment.get("order")
    is_shuffled = case.shuffle and not is_automatic(case.loader)
    is_shuffled = is_shuffled and case.shuffle_buffer == "auto"  # else that order was requested
    if is_shuffled and isinstance(order, str) and order not in (NEW_ORDER, OWN_ORDER):
        yield Difference("info", f"a new order in each epoch requested, but the order was: {order}")
    images = record.epochs[0].images if record.epochs else None
    mixed = _number(_mapping(environment.get("mixing")), "buffer")
    if case.shuffle_buffer != "auto" and images is not None and mixed is not None:
        asked = min(images, case.shuffle_buffer) if isinstance(case.shuffle_buffer, int) else images
        if mixed != asked:
            words = f"a shuffle buffer of {asked:,} images requested, but it had {mixed:,}"
            yield Difference("error", words)
    applied = _mapping(environment.get("budgets")).get("applied_to_loader")
    if case.budgets == "container" and applied is False and is_own(case.loader):
        yield Difference("info", "budgets of the container requested, but the loader ignores them")


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}


def _number(values: Mapping[str, object], key: str) -> int | None:
    value = values.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _join(values: Iterable[object], between: str = ", ") -> str:
    return between.join(f"{value:,}" if isinstance(value, int) else str(value) for value in values)


FAMILY = Family(rank=35, title="Requests", entries=ENTRIES, judge=judge)
