"""How long a case will take: by its trial run, else from constants, within a factor of two. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from harness.analysis.set_size import case_cache_bytes, images_of
from harness.bench.protocol.loader_registry import CACHES, LOADERS, is_automatic
from harness.values.case import Case
from harness.values.record import SetSize
from harness.values.rehearsal import Rehearsal


@dataclass(frozen=True)
class Rates:
    """Constants for estimates of time. Defaults: COCO's photographs (0.28 megapixels, 160 kB) on a common x86 core.

    ``decode_s``: CPU seconds to read, decode and resize an image (measured at 256 px, images per CPU second: 245–380
    for ImageDataGenerator, 280–375 for tf.data). ``macs_per_cpu_s``: multiply-adds of a core in a model's step,
    ``step_s_per_image``: other costs of a step (measured: 26 ms per image for MobileNet at alpha 1 and 256 px, 1.15 ms
    at alpha 0.25 and 128 px). ``gpu_images_s``: images/s of a GPU. ``start_s`` and ``build_s``: start of TensorFlow,
    and tracing of a model.
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
"""At alpha 1 and 224 × 224 (Howard et al. 2017, table 6); about proportional to alpha² and to the pixels."""


def _threads(case: Case, cpus: int) -> int:
    spec = LOADERS.get(case.loader)  # the file of a user's own loader may be missing
    workers = cpus if case.workers is None else case.workers
    return 1 if spec is not None and spec.is_single_threaded else max(1, min(cpus, case.cpus or cpus, workers))


def step_cpu_s(case: Case, rates: Rates = DEFAULT_RATES) -> float:
    """Return the CPU seconds that training takes for an image without a GPU; 0 for loading."""
    if case.mode != "train" or case.model is None or case.model.is_emulated:
        return 0.0
    height, width = case.image_size
    macs = _MOBILENET_MACS * case.model.alpha**2 * height * width / 224**2
    backward = 3.0 if case.model.trainable else 1.0
    return macs * backward / rates.macs_per_cpu_s + rates.step_s_per_image


def emulated_s(case: Case, images: int) -> float:
    """Return the seconds that the emulated accelerator of a case needs for so many images."""
    model = case.model
    if model is None or not (model.images_per_second or model.step_seconds):
        return 0.0
    if model.images_per_second:
        return images / model.images_per_second
    return -(-images // case.batch_size) * (model.step_seconds or 0.0)


def epoch_s(case: Case, size: SetSize, *, index: int, cpus: int = 4, has_gpu: bool = False, rates: Rates) -> float:
    """Return the seconds of an epoch, from 1: input and model share the CPUs; with a GPU the slower of both counts."""
    count = images_of(case, size.images)
    all_cpus = max(1, min(cpus, case.cpus or cpus))
    held = case_cache_bytes(case, size) or 0
    is_hit = case.cache != "none" and (index > 1 or case.cache_reuse == "reused")
    if is_automatic(case.loader):
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
    size: SetSize,
    *,
    cpus: int = 4,
    has_gpu: bool = False,
    dies_after: int | None = None,
    rehearsal: Rehearsal | None = None,
) -> float:
    """Predict the seconds of one run, start included: by its trial run, else from constants.

    ``dies_after``: the images after which it is expected to run out of memory; None where it is not.
    """
    count = images_of(case, size.images)
    if rehearsal is not None:
        filled, later = count * rehearsal.first_s, count * rehearsal.steady_s
    else:
        fresh = case.model_copy(update={"cache_reuse": "fresh"})
        filled = epoch_s(fresh, size, index=1, cpus=cpus, has_gpu=has_gpu, rates=DEFAULT_RATES)
        later = epoch_s(case, size, index=2, cpus=cpus, has_gpu=has_gpu, rates=DEFAULT_RATES)
    start = DEFAULT_RATES.start_s + (DEFAULT_RATES.build_s if case.mode == "train" else 0.0)
    if dies_after is not None:
        return start + filled * dies_after / max(1, count)
    return start + filled + (case.epochs - (case.cache_reuse == "fresh")) * later
