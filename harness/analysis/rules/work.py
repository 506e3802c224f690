"""Findings of the same-work check: whether a loader delivers the same as all others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from harness.analysis.findings import Entry, Family, find, join_rules
from harness.bench.protocol.unusual_files import OTHER_DECODER_REASONS
from harness.values.record import Finding, Record
from harness.values.work import is_proven, problems_of, say_differs

DIFFERS, UNPROVEN = "work-differs", "work-unproven"
_FEW_OTHERS = 0.01
"""Up to this share of images read by another decoder the figures of a loader are not affected."""

ENTRIES = {
    "work-differs": Entry(
        "error",
        "invocation",
        "does other work",
        cause=(
            "before the first measurement on a host, each loader reads a small set whose images have their index in "
            "their pixels (the same-work check). This loader did not deliver each image exactly once per epoch, with "
            "its label, its pixels (within the tolerance of its interpolation), its type, range and shape; or it "
            'delivered old images after the contents of the files had been exchanged ("serves pictures from a cache '
            'that it does not declare"), or it declares a cache and does not cache; or it ended with an error. The '
            "message names the fault where it is recognised: last batch dropped, one half delivered twice, labels "
            "shifted, mirrored, red and blue exchanged, grey, half resolution, cropped, another filter, another range, "
            "and others. The whole exception is in the file under `logs/` that the hint names. The loader is not "
            "measured: each of its cases has one record, `skipped` and `invalid`, and `harness run` exits with 1."
        ),
        cure=(
            "fix the loader and run the same command: the loader is checked again, and measured in all rounds. (A file "
            "of your own that was already measured must not change within a session: use `--fresh`.) Report a "
            "built-in loader."
        ),
    ),
    "work-unproven": Entry(
        "warning",
        "invocation",
        "same work not proven",
        cause=(
            "the same-work check could not be made, did not finish, or ran out of memory or disk; the message has the "
            "reason. The loader is measured anyway."
        ),
        cure=(
            "run the session again; results of the check are kept on each host. If the loader then does other work, "
            "its earlier runs become invalid, too."
        ),
    ),
    "other-decoder": Entry(
        "warning",
        "invocation",
        "another decoder read images",
        grades="warning; info up to 1 % of the images",
        cause=(
            "`decoder`, the yardstick, decodes with simplejpeg in its strict mode. It reads images that simplejpeg "
            "refuses (JPEGs with bytes before their end marker, damaged ones) and PNGs with Pillow, so its figures are "
            "not those of libjpeg-turbo alone. A record has their number in each epoch, by reason "
            "(`epochs[].other_decoder`)."
        ),
        cure=(
            "find such files with `harness data describe`, then write them again (`jpegtran -copy all`) or leave them "
            "out."
        ),
    ),
    "approximate-pixels": Entry(
        "info",
        "invocation",
        cause=(
            "the case decodes JPEGs in a faster way (`decoding`), or caches them encoded again (`tfrecord-resized`, "
            "`encoded`): its pixels are close to the exact ones but not equal. The mean and the largest difference "
            "were measured on up to 32 of its images, at its size."
        ),
        cure="use `decoding: exact` and `element: uint8`. Verdicts on such cases are about speed alone.",
    ),
}


def find_work(record: Record) -> Iterator[Finding]:
    """Yield the findings of the same-work check of a record's loader."""
    work = record.environment.get("samework")
    if not isinstance(work, Mapping):
        return
    if problems := problems_of(record.environment):
        message = say_differs(record.case.loader, problems)
        yield find(DIFFERS, message, "its figures cannot be used: fix the loader, or report a built-in one")
    elif not is_proven(record.environment):
        reason = work.get("reason") or "no reason"
        message = f"whether {record.case.loader} does the same work was not proven: {reason}"
        yield find(UNPROVEN, message, "see the log of the session, and run again")


def _find_decoder(record: Record) -> Iterator[Finding]:
    """Yield a finding about images that another decoder than the loader's own has read."""
    worst = max(record.epochs, key=lambda epoch: sum((epoch.other_decoder or {}).values()), default=None)
    others = (worst.other_decoder if worst else None) or {}
    count = sum(others.values())
    if worst is None or not count:
        return
    why = ", ".join(f"{number} {OTHER_DECODER_REASONS.get(name, name)}" for name, number in sorted(others.items()))
    own = str(record.environment.get("decoder") or "its own decoder")
    message = f"{count} of {worst.images} images of an epoch were read by Pillow, not by {own}: {why}"
    hint = "`harness data describe` names such files; write them again, and they are read like the others"
    yield find("other-decoder", message, hint, severity="info" if count <= _FEW_OTHERS * worst.images else None)


def _find_pixels(record: Record) -> Iterator[Finding]:
    """Yield a finding about approximate pixels, with the error that was measured on images of the case."""
    error = record.environment.get("pixel_error")
    if isinstance(error, Mapping):
        message = (
            f"approximate pixels: on average {error.get('mean')} grey levels from exact decoding, at most "
            f"{error.get('largest')} ({error.get('images')} images)"
        )
        yield find("approximate-pixels", message, "compare it with exact pipelines only if your model tolerates this")


FAMILY = Family(rank=20, title="Same work", entries=ENTRIES, judge=join_rules(find_work, _find_decoder, _find_pixels))
