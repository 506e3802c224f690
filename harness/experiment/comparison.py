"""Which cases may be compared: what a ratio is taken over, and the ceiling that bounds a training case."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from harness.bench.registry import LOADERS
from harness.experiment.model import Experiment
from harness.experiment.parameters import matches
from harness.values.case import Case, ModelSetting, digest_of

COMPARED = ("loader", "cache", "element", "cache_disk", "cache_reuse", "cache_compression", "decoding")
"""What may differ between a case and its baseline: the pipeline. All else is the setting."""

CEILING_SHARED = ("data", "model", "image_size", "batch_size", "precision", "gpus", "cpus", "budgets")
"""What sets the cost of a training step, and so what a case shares with its ceiling."""


def comparable_key(case: Case) -> str:
    """Twelve hex digits, equal for cases that differ in the pipeline only (``COMPARED``)."""
    setting = case.model_dump(mode="json")
    return digest_of({name: value for name, value in setting.items() if name not in COMPARED})[:12]


def baseline_of(case: Case, cases: Iterable[Case], experiment: Experiment) -> Case | None:
    """The case that ``case`` is compared with: the first comparable one that the baseline rule matches.

    None where there is none, and for a ceiling, which is no pipeline. The baseline's own baseline is itself.
    """
    if LOADERS[case.loader].is_automatic:
        return None
    key = comparable_key(case)
    return next(
        (other for other in cases if matches(experiment.baseline, other) and comparable_key(other) == key), None
    )


def ceiling_of(case: Case, cases: Iterable[Case]) -> Case | None:
    """The automatic case of ``cases`` that says what the model of a training case can eat alone; None for loading."""
    if case.mode != "train":
        return None
    key = _ceiling_key(case)
    return next((other for other in cases if other.loader == "ceiling" and _ceiling_key(other) == key), None)


def make_ceilings(cases: Sequence[Case]) -> list[Case]:
    """One ceiling for each distinct model setting of the training cases, in their order.

    No cache, no memory limit of its own, float32, nearest pixels; as many epochs as the longest of
    its cases and as many images as the shortest, for it needs no more to be steady.
    """
    groups: dict[str, list[Case]] = {}
    for case in cases:
        if case.mode == "train" and not LOADERS[case.loader].is_automatic:
            groups.setdefault(_ceiling_key(case), []).append(case)
    return [_ceiling(group) for group in groups.values()]


def _ceiling(group: Sequence[Case]) -> Case:
    first = group[0]
    caps = [case.max_images for case in group if case.max_images is not None]
    return Case(
        loader="ceiling",
        mode="train",
        data=first.data,
        model=first.model or ModelSetting(),
        image_size=first.image_size,
        batch_size=first.batch_size,
        precision=first.precision,
        gpus=first.gpus,
        cpus=first.cpus,
        budgets=first.budgets,
        epochs=max(case.epochs for case in group),
        max_images=min(caps, default=None),
    )


def _ceiling_key(case: Case) -> str:
    setting = case.model_dump(mode="json")
    return digest_of({name: setting[name] for name in CEILING_SHARED})
