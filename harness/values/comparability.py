"""What is comparable with what: which parameters two cases must share, and which case the others are compared with."""

from __future__ import annotations

from collections.abc import Mapping

from harness.values.case import Case, ModelSetting
from harness.values.digest import canonical_json

PIPELINE = (
    "loader",
    "cache",
    "element",
    "cache_disk",
    "cache_reuse",
    "cache_compression",
    "decoding",
    "workers",
    "shuffle_buffer",
)
"""What may differ between a case and its baseline. All else is the setting."""

LIMIT = "memory_limit"
"""Part of what a case shares with its baseline; within a setting its limits stand side by side."""

MODEL_COST = ("data", "model", "image_size", "batch_size", "precision", "deliver", "gpus", "cpus", "budgets")
"""What sets the cost of a training step, and so what a case shares with its ceiling."""

DEFAULT_BASELINE = "keras-idg"
"""The loader of the baseline where an experiment names none."""


def comparable_key(case: Case) -> str:
    """Return one text for all cases that differ in the pipeline only."""
    return canonical_json(case.model_dump(mode="json", exclude=set(PIPELINE)))


def setting_key(case: Case) -> str:
    """Return one text for all cases that differ in the pipeline and the memory limit only."""
    return canonical_json(case.model_dump(mode="json", exclude={*PIPELINE, LIMIT}))


def ceiling_key(case: Case) -> str:
    """Return one text for a ceiling and all training cases that it bounds."""
    return canonical_json(case.model_dump(mode="json", include=set(MODEL_COST)))


def without_cache(case: Case) -> Case:
    """Return the same case without a cache, what its cache is held against; the loader orders its images itself."""
    nothing_kept = {"cache": "none", "element": "float32", "cache_compression": "none"}
    return case.model_copy(
        update={**nothing_kept, "cache_disk": "scratch", "cache_reuse": "fresh", "shuffle_buffer": "auto"}
    )


def matches(rule: Mapping[str, object], case: Case) -> bool:
    """Return whether a case has, for each parameter named, the value or one of the values; of a model, what is named.

    Values may be those of a ``Case``, or as JSON keeps them.
    """
    return all(_is_value(wanted, getattr(case, name)) for name, wanted in rule.items())


def _is_value(wanted: object, actual: object) -> bool:
    if isinstance(wanted, ModelSetting):
        wanted = {field: getattr(wanted, field) for field in wanted.model_fields_set}
    if isinstance(wanted, Mapping):
        return isinstance(actual, ModelSetting) and all(
            field in ModelSetting.model_fields and getattr(actual, field) == value for field, value in wanted.items()
        )
    if isinstance(wanted, list | tuple):
        return tuple(wanted) == actual or any(_is_value(one, actual) for one in wanted)
    return wanted == actual
