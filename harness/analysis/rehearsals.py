"""Which cases of a session have a trial run (a *rehearsal*), and on how many images. Pure.

A trial run is a short run of a loader setting on the real data and the real host, before the first case. It applies to
all cases that differ only in limits, epochs or the part of the set, which do not change memory and time per image.
"""

from __future__ import annotations

from collections.abc import Iterable

from harness.analysis.arenas import count_batches
from harness.analysis.durations import DEFAULT_RATES, epoch_s
from harness.analysis.set_size import case_cache_bytes
from harness.values.case import Case
from harness.values.digest import digest_of
from harness.values.record import SetSize
from harness.values.rehearsal import MOST_IMAGES

SETTING = (
    "data", "loader", "cache", "mode", "model", "image_size", "batch_size", "interpolation", "element", "deliver",
    "precision", "cpus", "gpus", "augment", "decoding", "cache_compression", "cache_disk", "budgets", "shuffle",
    "deterministic", "workers", "shuffle_buffer",
)  # fmt: skip
"""Parameters that must be equal for one trial run to apply to two cases."""

LEAST_BATCHES = 4
"""Batches of a first pass, even if a model is slow."""
PASS_S = 20.0
"""Longest duration of a pass, by formula."""
MEMORY_SHARE = 1 / 3
"""Share of the host's available memory for a cache in memory."""


def setting_key(case: Case) -> str:
    """Return twelve hex digits that are equal for cases with the same trial run."""
    setting = case.model_dump(mode="json")
    return digest_of({name: setting.get(name) for name in SETTING})[:12]


def representative(case: Case) -> Case:
    """Return the case that is run as the trial run of a setting."""
    changes = {"cache_reuse": "fresh", "memory_limit": "none", "page_cache": "cold-start"}
    return case.model_copy(update={**changes, "max_images": None, "epochs": 2})


def images_to_rehearse(case: Case, size: SetSize, *, cpus: int, has_gpu: bool, memory_bytes: int | None) -> int:
    """Return the number of images of a trial run: all of a small set, fewer where a model is slow."""
    whole = representative(case)
    seconds = epoch_s(whole, size, index=1, cpus=cpus, has_gpu=has_gpu, rates=DEFAULT_RATES) / max(1, size.images)
    most = min(MOST_IMAGES, int(PASS_S / seconds)) if seconds else MOST_IMAGES
    wanted = max(most, LEAST_BATCHES * case.batch_size)
    cached = case_cache_bytes(whole, size) if case.cache == "memory" else 0
    if cached and memory_bytes is not None:
        wanted = min(wanted, max(case.batch_size, int(MEMORY_SHARE * memory_bytes / (cached / size.images))))
    return min(size.images, wanted)


def batches_to_rehearse(cases: Iterable[Case], size: SetSize, *, cpus: int) -> int:
    """Return after how many batches the memory of cases of a setting no longer grows on the whole set."""
    most = max(case.epochs * -(-size.images // case.batch_size) for case in cases)
    return min(most, count_batches(cpus))
