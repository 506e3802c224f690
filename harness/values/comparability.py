"""Which cases are comparable: the parameters that two cases must share, and the default baseline."""

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
"""The parameters in which a case and its baseline may differ. All others form the setting."""

LIMIT = "memory_limit"
"""A case and its baseline share it, but it does not belong to the setting: tables show the limits side by side."""

MODEL_COST = ("data", "model", "image_size", "batch_size", "precision", "deliver", "gpus", "cpus", "budgets")
"""The parameters that determine the cost of a training step: a case and its model limit share them."""

DEFAULT_BASELINE = "keras-idg"
"""The loader of the baseline where an experiment names none."""


def comparable_key(case: Case) -> str:
    """Return a key that is equal for cases that differ only in the pipeline."""
    return canonical_json(case.model_dump(mode="json", exclude=set(PIPELINE)))


def setting_key(case: Case) -> str:
    """Return a key that is equal for cases that differ only in the pipeline and the memory limit."""
    return canonical_json(case.model_dump(mode="json", exclude={*PIPELINE, LIMIT}))


def ceiling_key(case: Case) -> str:
    """Return a key that is equal for a model-limit case and all training cases that it bounds."""
    return canonical_json(case.model_dump(mode="json", include=set(MODEL_COST)))


def without_cache(case: Case) -> Case:
    """Return the same case without a cache, with which its cache is compared. The loader shuffles in its own way."""
    nothing_kept = {"cache": "none", "element": "float32", "cache_compression": "none"}
    return case.model_copy(
        update={**nothing_kept, "cache_disk": "scratch", "cache_reuse": "fresh", "shuffle_buffer": "auto"}
    )


def matches(rule: Mapping[str, object], case: Case) -> bool:
    """Return whether a case has, for each parameter of a rule, one of its values.

    Of a model, only the named fields are compared. Values may be those of a ``Case``, or as JSON has them.
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
