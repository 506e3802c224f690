"""What a combination means: parameters that play no part are set to one value, and what no loader makes is told."""

from __future__ import annotations

from collections.abc import Mapping

from harness.bench.protocol.loader_registry import CACHES, LOADERS, is_on_disk
from harness.bench.protocol.specs import LoaderSpec
from harness.experiment.parameters import default_of
from harness.values.case import Case

ONLY_OF_TRAINING = {"model": None, "precision": "float32", "gpus": 0}
ONLY_OF_FILE_CACHES = {"cache_disk": "scratch", "cache_reuse": "fresh", "cache_compression": "none"}
"""Of caches on disk, whichever they are."""
NOT_OF_EMULATION = {"precision": "float32", "gpus": 0}


def normalise(case: Case) -> tuple[Case, tuple[str, ...]]:
    """The case with each parameter that plays no part in it at one fixed value, and the names of those that changed.

    Loading has no model, no precision and uses no GPU; a disk and the reuse of a dump
    belong to a cache on disk; without a cache nothing is kept, and a cache that can hold one kind of element holds
    that; training without a named model trains the default one, and an emulated accelerator is no GPU of the host.
    A loader that has no workers to set has no number of them, and so few that they do not exist are none.
    An array is gathered in a new order each epoch, without a buffer.
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
    """Why a case means nothing, or None where it can run.

    ``data_kinds`` is ``folder``, ``coco`` or ``tfrecord`` for each data set known; a set that is not among them is not
    judged.
    """
    spec = LOADERS[case.loader]
    reasons = [*_loader_reasons(case, spec), *_data_reasons(case, spec, data_kinds or {})]
    return "; ".join(reasons) or None


def _loader_reasons(case: Case, spec: LoaderSpec) -> list[str]:
    reasons = []
    if case.cache not in spec.caches:
        can = ", ".join(spec.caches)
        reasons.append(f"{spec.name} has no cache {case.cache} (it has: {can})" if can != "none" else _no_cache(spec))
    for parameter, possible in (
        ("element", spec.elements),
        ("deliver", spec.delivers),
        ("interpolation", spec.interpolations),
        ("decoding", spec.decodings),
    ):
        value = getattr(case, parameter)
        if value not in possible:
            reasons.append(f"{spec.name} makes no {parameter} {value} (it makes: {', '.join(possible)})")
    if case.augment not in spec.augments:
        has_cache = spec.caches != ("none",)
        why = "in its cache the same crops would stay for ever" if has_cache else "it does not augment"
        reasons.append(f"{spec.name} makes no augment {case.augment}: {why}")
    if case.deliver == "uint8" and case.cache != "none" and case.element == "float32":
        reasons.append("a cache of float32 holds what is scaled already: deliver uint8 means nothing")
    cache = CACHES[case.cache]
    for parameter, possible in (("element", cache.elements), ("cache_compression", cache.compressions)):
        value = getattr(case, parameter)
        if value not in possible:
            reasons.append(f"cache {cache.name} has no {parameter} {value} (it has: {', '.join(possible)})")
    if case.workers is not None and case.workers < spec.least_workers:
        reasons.append(f"{spec.name} takes no {case.workers} workers, but at least {spec.least_workers}")
    if not case.deterministic and not _can_reorder(spec):
        reasons.append(f"{spec.name} has one order only: deterministic false means nothing")
    return reasons


def _no_cache(spec: LoaderSpec) -> str:
    return f"{spec.name} does not cache"


def _can_reorder(spec: LoaderSpec) -> bool:
    """Whether ``deterministic: false`` changes anything: the loader is a tf.data graph whose options are ours."""
    return spec.can_reorder


def _data_reasons(case: Case, spec: LoaderSpec, data_kinds: Mapping[str, str]) -> list[str]:
    kind = data_kinds.get(case.data)
    if kind is not None and kind not in spec.kinds:
        return [f"{spec.name} cannot read {case.data}, which is of kind {kind} (it reads: {', '.join(spec.kinds)})"]
    return []
