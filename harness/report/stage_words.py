"""The stages of a loader in words: their names, and what helps where one stage takes most of an image's CPU time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from harness.analysis.matrix import Row, Setting
from harness.analysis.stage_costs import Dominant, find_dominant
from harness.values.names import name_pipeline
from harness.values.stages import OTHER
from harness.values.text import clean_text

STAGE_NAMES = {
    "read": "reading",
    "decode": "decoding",
    "resize": "resizing",
    "scale": "casting and scaling",
    "cache": "caching",
    "augment": "augmenting",
    "batch": "batching",
    OTHER: OTHER,
}

_SPARED_BY_CACHE = ("read", "decode", "resize", "scale")
_CURES = {
    "cache": "caching as uint8 helps, which takes a quarter of the bytes of float32",
    "augment": "a simpler augmentation helps, or one that runs in the model",
    "batch": "uint8 images or fewer copies help: threads instead of processes, scaling after batching",
}


def say_dominant(rows: Sequence[Row], setting: Setting) -> Iterable[str]:
    """Yield for each row which stage takes at least half of an image's CPU time, and what helps against that."""
    for row in rows:
        found = find_dominant(row, setting)
        if found is not None and not row.model_bound:
            share = f"{100 * found.share:.0f} % of an image's CPU time on {STAGE_NAMES[found.stage]}"
            yield clean_text(f"{name_pipeline(row.case)} spends {share}: {_say_cure(found)}.", 300)


def _say_cure(found: Dominant) -> str:
    """Return what helps: less work for each image, or more CPUs where some are idle."""
    if found.stage not in _SPARED_BY_CACHE:
        return _CURES[found.stage]
    less = "a cache helps" if found.row.case.cache == "none" else "a cache behind this stage helps"
    if found.is_busy is False:
        return f"{less}, and so does a loader that uses more than one thread" if found.is_single_threaded else less
    return f"{less}, more readers do not" if found.is_busy else less
