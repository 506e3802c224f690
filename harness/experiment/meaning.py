"""The meaning of a combination: fixes parameters without effect, and finds what a loader does not support."""

from __future__ import annotations

from collections.abc import Mapping

from harness.bench.protocol.loader_registry import CACHES, LOADERS, SUPPORTED, find_unsupported, is_on_disk
from harness.bench.protocol.specs import LoaderSpec
from harness.experiment.parameters import default_of
from harness.values.case import Case

ONLY_OF_TRAINING = {"model": None, "precision": "float32", "gpus": 0}
ONLY_OF_FILE_CACHES = {"cache_disk": "scratch", "cache_reuse": "fresh", "cache_compression": "none"}
"""Parameters that have an effect only with a cache on disk, with their fixed values."""
NOT_OF_EMULATION = {"precision": "float32", "gpus": 0}


def normalise(case: Case) -> tuple[Case, tuple[str, ...]]:
    """Return a case with all parameters without effect at a fixed value, and the names of those that changed.

    Loading has no model and no precision, and uses no GPU. Disk, reuse and compression belong to a cache on disk.
    Without a cache there is no element; a cache with only one kind of element has that. Training without a named model
    uses the default one, and an emulated accelerator uses no GPU. Loaders without configurable workers have none, and
    a number for which a loader starts no worker is 0. The cache ``array`` reads in a new order each epoch, without a
    shuffle buffer.
    """
    spec = LOADERS[case.loader]
    fixed: dict[str, object] = {}
    if case.mode == "load":
        fixed |= ONLY_OF_TRAINING
    elif case.model is None:
        fixed["model"] = default_of("model")
    elif case.model.is_emulated:
        fixed |= NOT_OF_EMULATION
    if not is_on_disk(case.cache):
        fixed |= ONLY_OF_FILE_CACHES
    if case.cache == "none":
        fixed["element"] = "float32"
    elif len(CACHES[case.cache].elements) == 1:
        fixed["element"] = CACHES[case.cache].elements[0]
    if case.workers is not None and not spec.workers:
        fixed["workers"] = None
    elif case.workers is not None and case.workers <= spec.inline_workers:
        fixed["workers"] = 0
    if not spec.takes_buffer or not case.shuffle or case.cache == "array":
        fixed["shuffle_buffer"] = "auto"
    changed = {name: value for name, value in fixed.items() if getattr(case, name) != value}
    return (case.model_copy(update=changed) if changed else case), tuple(changed)


def meaningless_because(case: Case, data_kinds: Mapping[str, str] | None = None) -> str | None:
    """Return why a case is meaningless; None if it can run.

    ``data_kinds`` is the kind (``folder``, ``coco`` or ``tfrecord``) of each known data set; others are not judged.
    """
    spec = LOADERS[case.loader]
    reasons = [*_loader_reasons(case, spec), *_data_reasons(case, spec, data_kinds or {})]
    return "; ".join(reasons) or None


def _loader_reasons(case: Case, spec: LoaderSpec) -> list[str]:
    reasons = [*find_unsupported(spec, {name: getattr(case, name) for name in SUPPORTED})]
    if not case.deterministic and not spec.can_reorder:
        reasons.append(f"{spec.name} has only one order: deterministic false has no effect")
    return reasons


def _data_reasons(case: Case, spec: LoaderSpec, data_kinds: Mapping[str, str]) -> list[str]:
    kind = data_kinds.get(case.data)
    if kind is not None and kind not in spec.kinds:
        return [f"{spec.name} cannot read {case.data}, which is of kind {kind} (it reads: {', '.join(spec.kinds)})"]
    return []
