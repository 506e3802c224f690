"""Findings about same work: whether a loader delivers what all others do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from harness.analysis.findings import Entry, Family, find
from harness.values.facts import Facts
from harness.values.record import Finding, Record
from harness.values.work import is_proven, problems_of, say_differs

DIFFERS, UNPROVEN = "work-differs", "work-unproven"

ENTRIES = {
    "work-differs": Entry(
        "error",
        "invocation",
        "does other work",
        cause=(
            "before the session's first measurement on a host, each loader runs over a small set whose images "
            "carry their own index in their pixels. This loader did not deliver each image exactly once an epoch, "
            "with its label, its pixels (within the tolerance of its interpolation), its type, range and shape. "
            "The message says which."
        ),
        cure="none of its figures can be compared. Mend the loader, or report it here.",
    ),
    "work-unproven": Entry(
        "warning",
        "invocation",
        "same work unproven",
        cause="that run could not be made, or did not come to an end for this loader; the reason is in the message.",
        cure="run the session again; what is proven is kept per host.",
    ),
    "approximate-pixels": Entry(
        "info",
        "invocation",
        cause=(
            "the case decodes JPEGs in a faster way (`decoding`), or keeps them encoded again "
            "(`tfrecord-resized`, `encoded`): its pixels are near the exact ones and not equal. The mean and "
            "largest difference were measured on up to 32 of its own images, at its own size."
        ),
        cure="`decoding: exact`, and `element: uint8`. Verdicts on such cases are about speed alone.",
    ),
}


def judge(record: Record, _facts: Facts | None, _peers: Sequence[Record]) -> Iterator[Finding]:
    """Yield what one invocation delivered other than the others."""
    yield from find_work(record)
    yield from _find_pixels(record)


def find_work(record: Record) -> Iterator[Finding]:
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


def _find_pixels(record: Record) -> Iterator[Finding]:
    """Approximate pixels, with the error that was measured on the case's own images."""
    error = record.environment.get("pixel_error")
    if isinstance(error, Mapping):
        message = (
            f"approximate pixels: on average {error.get('mean')} grey levels from exact decoding, at most "
            f"{error.get('largest')} ({error.get('images')} images)"
        )
        yield find("approximate-pixels", message, "compare it with exact pipelines only if your model does not mind")


FAMILY = Family(rank=20, title="Same work", entries=ENTRIES, judge=judge)
