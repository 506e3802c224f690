"""Which cases share the costs of their stages, and on how many images these are measured. Pure."""

from __future__ import annotations

from harness.values.case import Case
from harness.values.digest import digest_of
from harness.values.record import SetSize

STAGE_SETTING = (
    "data", "loader", "cache", "image_size", "batch_size", "interpolation", "element", "deliver", "cpus", "augment",
    "decoding", "cache_compression", "cache_disk", "budgets", "shuffle", "deterministic",
)  # fmt: skip
"""Parameters that must be equal for two cases to share the costs of their stages."""

MOST_IMAGES = 96
_PIPELINES = 8
"""Most caches at the same time: a pipeline for each stage, and the whole one."""
_MEMORY_SHARE = 1 / 3
"""Share of the host's available memory for all of these caches."""
_VALUE_BYTES, _CHANNELS = 4, 3


def stage_key(case: Case) -> str:
    """Return twelve hex digits that are equal for cases whose stages have the same costs."""
    setting = case.model_dump(mode="json")
    return digest_of({name: setting.get(name) for name in STAGE_SETTING})[:12]


def stage_case(case: Case) -> Case:
    """Return the case that is run for all cases of one ``stage_key``: loading, without a limit."""
    setting = {name: getattr(case, name) for name in STAGE_SETTING}
    return Case(**setting, mode="load", memory_limit="none", epochs=2, gpus=0)


def images_to_cost(case: Case, size: SetSize, memory_bytes: int | None) -> int:
    """Return the number of images to measure: at least a batch, and fewer where caches would not fit in memory."""
    wanted = max(MOST_IMAGES, case.batch_size)
    height, width = case.image_size
    if memory_bytes is not None:
        each_bytes = _PIPELINES * height * width * _CHANNELS * _VALUE_BYTES
        wanted = min(wanted, max(case.batch_size, int(_MEMORY_SHARE * memory_bytes / each_bytes)))
    return max(1, min(size.images, wanted))
