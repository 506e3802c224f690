"""What a case will need before it runs: cache, memory, disk, time; and the epoch in which a cache has paid.

The bytes of a cache follow from arithmetic and hold to a fraction of a per cent. Memory and time rest on the constants
below, seen on ordinary x86 servers with TensorFlow 2.21: memory within some 30 %, time within a factor of two.
They serve to plan and to warn, never as a result. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from harness.bench.registry import CACHES
from harness.values.case import Case
from harness.values.prediction import Fit, Interval, Need, Prediction
from harness.values.units import format_bytes

BYTES_PER_VALUE: Mapping[str, int] = {"float32": 4, "uint8": 1}

LABEL_BYTES = 4
"""A cached element is an image and its int32 label."""

INDEX_BYTES = 60
"""What the ``.index`` file of a TensorFlow file cache holds per element: two keys and two entries
(seen with 2.21: 55 at small elements, 60 to 61 at images)."""

BASE_BYTES = {"load": 240 * 10**6, "train": 260 * 10**6}
"""Anonymous memory of a payload that has imported TensorFlow and built its pipeline (and, in training, the
graph of its model), without pixels. This and what follows was fitted to the payload's own peaks under TensorFlow 2.21
on two CPUs, 600 photographs of 160 kB, batches of 32: loading at 256 px 302 MB (tfdata), 350 (keras-idg), 831 (memory
cache of 472 MB); training at 128 px, alpha 0.25: 320, 357, 433 (cache of 118 MB); at 256 px, alpha 1: 919 (tfdata)."""

KERAS_IDG_BYTES = 45 * 10**6
"""What ImageDataGenerator and PIL add."""

BATCHES_IN_FLIGHT = 2
"""Batches that exist at once: the one in use and those prefetched."""

THREAD_BYTES = 8 * 10**6
"""What one decoding thread holds: a file, its pixels, their float32."""

ACTIVATION_FACTOR = 23.0
"""Bytes of activations of MobileNet with its base frozen, in input bytes of the batch, at alpha 1."""

MEMORY_CACHE_OVERHEAD = 1.05
"""What tensors that stay cost above their own bytes (seen: 0.96 to 1.12)."""


def cache_bytes(
    images: int, image_size: tuple[int, int], *, channels: int = 3, element: str = "float32", is_file: bool = False
) -> int | None:
    """Bytes of a cache that holds every image: ``N × (H × W × C × bytes per value + label)``.

    A file cache has an index beside its data (``is_file``). None for ``encoded``, whose size is that of the files.
    """
    if element not in BYTES_PER_VALUE:
        return None
    height, width = image_size
    pixels = height * width * channels * BYTES_PER_VALUE[element]
    return images * (pixels + LABEL_BYTES + (INDEX_BYTES if is_file else 0))


def images_of(case: Case, images: int) -> int:
    """How many of a set's images a case uses."""
    return images if case.max_images is None else min(images, case.max_images)


def case_cache_bytes(case: Case, images: int) -> int | None:
    """Bytes of a case's cache: 0 where it has none, None where they are not known."""
    if case.cache == "none":
        return 0
    return cache_bytes(
        images_of(case, images), case.image_size, element=case.element, is_file=CACHES[case.cache].is_on_disk
    )


def peak_memory(case: Case, images: int, *, cpus: int = 4) -> int:
    """Anonymous memory, in bytes, that a case would reach if nothing stopped it."""
    height, width = case.image_size
    batch = case.batch_size * height * width * 3 * BYTES_PER_VALUE["float32"]
    peak = BASE_BYTES[case.mode] + BATCHES_IN_FLIGHT * batch + THREAD_BYTES * _threads(case, cpus)
    if case.loader.startswith("keras-idg"):
        peak += KERAS_IDG_BYTES
    if case.mode == "train" and case.model is not None and not case.model.is_emulated:
        peak += round(ACTIVATION_FACTOR * case.model.alpha * batch)
    if case.cache == "memory":
        peak += round(MEMORY_CACHE_OVERHEAD * (case_cache_bytes(case, images) or 0))
    return peak


def memory_interval(case: Case, images: int, *, cpus: int = 4) -> Interval:
    """Return the peak that a case would reach by formula, as an interval."""
    peak = peak_memory(case, images, cpus=cpus)
    return Interval(low=peak, expected=peak, high=peak)


def judge_fit(peak: Interval | None, limit_bytes: int | None) -> Fit:
    """Judge a predicted peak against the limit that will be enforced."""
    if peak is None or limit_bytes is None:
        return "unknown"
    if peak.high <= limit_bytes:
        return "fits"
    return "does not fit" if peak.low > limit_bytes else "may not fit"


def explain_fit(fit: Fit, peak: Interval | None, cache: int | None, limit_bytes: int | None) -> str:
    """Say in numbers what a case needs and whether its limit allows that; ``cache`` are bytes of it in memory."""
    if peak is None:
        return "how much memory it needs is not known"
    need = f"about {format_bytes(peak.expected)} of memory"
    need += f", {format_bytes(cache)} of it the cache" if cache else ""
    if limit_bytes is None:
        return f"needs {need}"
    limit = f"limit of {format_bytes(limit_bytes)}"
    span = f"{format_bytes(peak.low)} to {format_bytes(peak.high)}"
    return {
        "fits": f"needs {need}, less than its {limit}",
        "may not fit": f"may not fit: needs {need} ({span}), its {limit} lies between",
        "does not fit": f"would need {need}, more than its {limit}",
    }.get(fit, f"needs {need}")


def images_until_oom(
    case: Case, images: int, peak: Interval | None, *, limit_bytes: int | None, cpus: int = 4
) -> Interval | None:
    """Predict after how many images the limit ends a case; None where it is not expected to."""
    if peak is None or limit_bytes is None or peak.high <= limit_bytes:
        return None
    count = images_of(case, images)
    total = case_cache_bytes(case, images)
    alive = 0
    if case.cache == "memory" and total:
        room = limit_bytes - peak_memory(case.model_copy(update={"cache": "none"}), images, cpus=cpus)
        alive = max(0, min(count, int(room / (MEMORY_CACHE_OVERHEAD * total / count))))
    return Interval(low=alive, expected=alive, high=alive)


def predict_need(case: Case, images: int, *, limit: int | None, cpus: int = 4) -> Need:
    """Predict, by formula, what a case needs on a set of so many images."""
    cache = case_cache_bytes(case, images)
    peak = memory_interval(case, images, cpus=cpus)
    fit = judge_fit(peak, limit)
    return Need(
        images=images_of(case, images),
        cache_bytes=cache,
        disk_bytes=cache if CACHES[case.cache].is_on_disk else 0,
        peak_memory_bytes=peak,
        fit=fit,
        reason=explain_fit(fit, peak, cache if case.cache == "memory" else 0, limit),
        images_until_oom=images_until_oom(case, images, peak, limit_bytes=limit, cpus=cpus),
    )


def lift_subset(case: Case) -> Case:
    """Return the same case on the whole data set."""
    return case.model_copy(update={"max_images": None})


@dataclass(frozen=True)
class Rates:
    """What time is estimated from. Defaults: COCO's photographs (0.28 megapixels, 160 kB) on an ordinary x86 core.

    ``decode_s``: CPU seconds to read, decode and resize an image (seen at 256 px, images per CPU second: 245–380
    for ImageDataGenerator, 280–375 for tf.data). ``macs_per_cpu_s``: multiply-adds a core does in a model's
    step, ``step_s_per_image`` what a step costs besides (seen: 26 ms an image for MobileNet at alpha 1 and 256 px,
    1.15 ms at alpha 0.25 and 128 px). ``gpu_images_s``: what a GPU eats. ``start_s`` and ``build_s``: TensorFlow's
    start, and tracing a model.
    """

    start_s: float = 9.0
    build_s: float = 6.0
    decode_s: float = 1 / 300
    macs_per_cpu_s: float = 28e9
    step_s_per_image: float = 0.0007
    gpu_images_s: float = 1000.0
    cache_write_bytes_s: float = 200e6
    cache_read_bytes_s: float = 400e6
    memory_bytes_s: float = 1.5e9


DEFAULT_RATES = Rates()

_MOBILENET_MACS = 569e6
"""At alpha 1 and 224 × 224 (Howard et al. 2017, table 6); it goes about with alpha² and with the pixels."""

_SINGLE_THREADED = frozenset({"keras-idg", "tfdata-sequential"})


def _threads(case: Case, cpus: int) -> int:
    return 1 if case.loader in _SINGLE_THREADED else max(1, min(cpus, case.cpus or cpus))


def step_cpu_s(case: Case, rates: Rates = DEFAULT_RATES) -> float:
    """CPU seconds that training spends on an image, without a GPU; 0 for loading."""
    if case.mode != "train" or case.model is None or case.model.is_emulated:
        return 0.0
    height, width = case.image_size
    macs = _MOBILENET_MACS * case.model.alpha**2 * height * width / 224**2
    backward = 3.0 if case.model.trainable else 1.0
    return macs * backward / rates.macs_per_cpu_s + rates.step_s_per_image


def emulated_s(case: Case, images: int) -> float:
    """Seconds that the emulated accelerator of a case needs for so many images."""
    model = case.model
    if model is None or not (model.images_per_second or model.step_seconds):
        return 0.0
    if model.images_per_second:
        return images / model.images_per_second
    return -(-images // case.batch_size) * (model.step_seconds or 0.0)


def epoch_s(case: Case, images: int, *, index: int, cpus: int = 4, has_gpu: bool = False, rates: Rates) -> float:
    """Seconds of an epoch (``index`` from 1): input and model share the CPUs; with a GPU the slower one decides."""
    count = images_of(case, images)
    all_cpus = max(1, min(cpus, case.cpus or cpus))
    held = case_cache_bytes(case, images) or 0
    is_hit = case.cache != "none" and (index > 1 or case.cache_reuse == "reused")
    if case.loader == "ceiling":
        input_cpu_s, alone_s = 0.0, 0.0
    elif is_hit:
        input_cpu_s = held / rates.memory_bytes_s
        alone_s = held / rates.cache_read_bytes_s if CACHES[case.cache].is_on_disk else input_cpu_s
    else:
        input_cpu_s = count * rates.decode_s
        alone_s = input_cpu_s / _threads(case, cpus)
        alone_s += held / rates.cache_write_bytes_s if CACHES[case.cache].is_on_disk else 0.0
    if case.model is not None and case.model.is_emulated:
        return max(alone_s, input_cpu_s / all_cpus, emulated_s(case, count))
    if has_gpu and case.mode == "train":
        return max(alone_s, count / rates.gpu_images_s)
    return max(alone_s, (input_cpu_s + count * step_cpu_s(case, rates)) / all_cpus)


def duration_s(
    case: Case,
    images: int,
    *,
    cpus: int = 4,
    has_gpu: bool = False,
    limit_bytes: int | None = None,
    rates: Rates = DEFAULT_RATES,
) -> float:
    """Predict the seconds of one invocation, start included, by rates."""
    start = rates.start_s + (rates.build_s if case.mode == "train" else 0.0)
    first = epoch_s(case, images, index=1, cpus=cpus, has_gpu=has_gpu, rates=rates)
    taken_in = predict_need(case, images, limit=limit_bytes, cpus=cpus).images_until_oom
    if taken_in is not None:
        return start + first * taken_in.expected / max(1, images_of(case, images))
    later = epoch_s(case, images, index=2, cpus=cpus, has_gpu=has_gpu, rates=rates)
    filled = (
        first
        if case.cache_reuse == "fresh"
        else first
        + epoch_s(
            case.model_copy(update={"cache_reuse": "fresh"}), images, index=1, cpus=cpus, has_gpu=has_gpu, rates=rates
        )
    )
    return start + filled + (case.epochs - 1) * later


def predict(
    case: Case,
    *,
    images: int | None,
    cpus: int = 4,
    limit: int | None = None,
    has_gpu: bool = False,
) -> Prediction | None:
    """Predict what a record keeps as ``predictions``.

    ``images`` is the size of the data set, None where it is not known (a case with ``max_images`` is then taken
    to have them all; without, nothing can be predicted); ``limit`` is the limit that will be enforced, in bytes.
    """
    count = case.max_images if images is None else images
    if count is None:
        return None
    need = predict_need(case, count, limit=limit, cpus=cpus)
    seconds = duration_s(case, count, cpus=cpus, has_gpu=has_gpu, limit_bytes=limit)
    whole = None if images is None else predict_need(lift_subset(case), images, limit=limit, cpus=cpus)
    return Prediction(**dict(need), whole_set=whole, duration_s=round(seconds, 1))
