"""Findings about same work: whether a loader delivers what all others do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from harness.analysis.findings import Entry, Family, find, join_rules
from harness.bench.protocol.unusual_files import OTHER_DECODER_REASONS
from harness.values.record import Finding, Record
from harness.values.work import is_proven, problems_of, say_differs

DIFFERS, UNPROVEN = "work-differs", "work-unproven"
_FEW_OTHERS = 0.01
"""Up to this share of an epoch's images another decoder does not change what a loader's figures say."""

ENTRIES = {
    "work-differs": Entry(
        "error",
        "invocation",
        "does other work",
        cause=(
            "before the session's first measurement on a host, each loader runs over a small set whose images "
            "carry their own index in their pixels. This loader did not deliver each image exactly once an epoch, "
            "with its label, its pixels (within the tolerance of its interpolation), its type, range and shape; or "
            'it went on delivering old pictures after the contents of the files had been exchanged ("serves pictures '
            'from a cache that it does not declare"), or declares a cache and does not cache; or it ended with an '
            "error. The message names the fault where it can be recognised: last batch dropped, one half delivered "
            "twice, labels shifted, mirrored, red and blue exchanged, grey, half resolution, cropped, another filter, "
            "another range, and others. An exception in full is in the file under `logs/` that the hint names. The "
            "loader is not measured: each of its cases has one record, `skipped` and `invalid`, and the run exits "
            "with 1."
        ),
        cure=(
            "mend the loader and give the same command again: it is tried again, and measured in all rounds. (A file "
            "of your own that was measured already may not change within a session: `--fresh`.) Report a built-in "
            "one here."
        ),
    ),
    "work-unproven": Entry(
        "warning",
        "invocation",
        "same work unproven",
        cause=(
            "that run could not be made, did not come to an end, or ran out of memory or disk; the reason is in the "
            "message. The loader is measured all the same."
        ),
        cure=(
            "run the session again; what is proven is kept per host. If the loader then turns out to do other work, "
            "what was measured before is invalid, too."
        ),
    ),
    "other-decoder": Entry(
        "warning",
        "invocation",
        "another decoder read images",
        grades="warning; info up to 1 % of the images",
        cause=(
            "`decoder`, the yardstick, decodes with simplejpeg in its strict mode. What that refuses (JPEGs with bytes "
            "before their end marker, damaged ones) and PNGs it reads with Pillow, so that its figures are not of "
            "libjpeg-turbo alone. A record keeps how many images of each epoch, by why (`epochs[].other_decoder`)."
        ),
        cure=(
            "`harness data describe` counts and names such files; write them again (`jpegtran -copy all`), or leave "
            "them out."
        ),
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


def _find_decoder(record: Record) -> Iterator[Finding]:
    """Say how many images another decoder than the loader's own has read: of which its figures tell nothing."""
    worst = max(record.epochs, key=lambda epoch: sum((epoch.other_decoder or {}).values()), default=None)
    others = (worst.other_decoder if worst else None) or {}
    count = sum(others.values())
    if worst is None or not count:
        return
    why = ", ".join(f"{number} {OTHER_DECODER_REASONS.get(name, name)}" for name, number in sorted(others.items()))
    own = str(record.environment.get("decoder") or "its own decoder")
    message = f"{count} of {worst.images} images of an epoch were read by Pillow, not by {own}: {why}"
    hint = "`harness data describe` names such files; written again, they are read like the others"
    yield find("other-decoder", message, hint, severity="info" if count <= _FEW_OTHERS * worst.images else None)


def _find_pixels(record: Record) -> Iterator[Finding]:
    """Approximate pixels, with the error that was measured on the case's own images."""
    error = record.environment.get("pixel_error")
    if isinstance(error, Mapping):
        message = (
            f"approximate pixels: on average {error.get('mean')} grey levels from exact decoding, at most "
            f"{error.get('largest')} ({error.get('images')} images)"
        )
        yield find("approximate-pixels", message, "compare it with exact pipelines only if your model does not mind")


FAMILY = Family(rank=20, title="Same work", entries=ENTRIES, judge=join_rules(find_work, _find_decoder, _find_pixels))
