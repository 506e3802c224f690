"""Perform one run inside its process: prepare TensorFlow, build loader and model, warm up, measure, flush."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from ..launcher.cgroup import find_own
from ..loaders import store as stores
from ..loaders.budgets import Budgets, compute_budgets, read_available_bytes, set_threads
from ..loaders.interface import CHANNELS, Loader, LoaderContext, PixelError
from ..loaders.manifest import Manifest, read_manifest
from ..loaders.tfrecords import read_features
from ..protocol.failure import BenchmarkFailure
from ..protocol.failure import describe as describe_failure
from ..protocol.loader_registry import LOADERS
from ..protocol.protocol import ENVIRONMENT, FAILURE, RESULTS, write_json
from ..protocol.specs import NEW_ORDER
from . import pagecache
from .bytes_read import is_counted, needed_bytes
from .cachekey import pipeline_hash
from .devices import Devices, check_devices, keep_compiled, read_cuda, restrict_gpus
from .event_log import Epoch, Journal
from .measure_request import MeasureRequest, ModelSetting
from .meter import Meter
from .process_environment import Software, describe_software, leave_out_pandas, prepare_process
from .replicas import count_replicas, replicas_scope
from .usage import list_children, read_anon_bytes

if TYPE_CHECKING:
    from types import ModuleType

BYTES_PER_VALUE = {"float32": 4, "uint8": 1}
PATIENCE_S = 5.0
"""How long to wait for the end of a cache file that another thread is about to write."""


class Work(TypedDict, total=False):
    """What loader and model will actually do. ``replicas``: copies of a model that share a batch."""

    image_size: list[int] | None
    workers: int | None
    deliver: str | None
    precision: str
    xla: bool
    replicas: int


class Mixing(TypedDict):
    """How an epoch is shuffled: with a buffer of this many images, and how well that mixes (``loaders/mixing.py``)."""

    buffer: int
    buffer_bytes: int | None
    displacement: float
    neighbours_kept: float


class Environment(Software):
    """The contents of ``environment.json``: the software and settings of a measurement."""

    interpolation: str
    decoder: str | None
    order: str
    ran: Work
    mixing: Mixing | None
    pixel_error: PixelError | None
    emulated: bool
    devices: dict[str, list[str] | str]
    cuda: dict[str, str] | None
    budgets: dict[str, int | None]
    anon_bytes_before: int | None


@dataclass
class Bench:
    """A loader and model that are ready to be measured."""

    request: MeasureRequest
    context: LoaderContext
    loader: Loader
    model: Any | None
    sizes: tuple[int, ...]


def measure(request: MeasureRequest, job: Path, results: Path, journal: Journal, build_s: float | None) -> None:
    """Run all phases and end with ``done``. ``build_s``: seconds that a reused cache took to fill, else None."""
    journal.enter_phase("import")
    manifest = read_data(request)
    devices = import_tensorflow(request, job)
    journal.enter_phase("build")
    bench = build(request, manifest, job)
    write_json(results / ENVIRONMENT, describe(request, bench, devices))
    journal.enter_phase("warmup")
    warmup_s = warm_up(bench)
    warm_page_cache(bench)
    journal.enter_phase("measure", warmup_s=warmup_s)
    run_epochs(bench, journal, bench.request.epochs, journal.end_epoch)
    journal.finish(
        images=bench.loader.images,
        cache_bytes=measure_cache(bench.loader),
        reused=request.is_reused,
        build_s=bench.loader.build_s if build_s is None else build_s,
        warmup_s=warmup_s,
        order=bench.loader.order,
        anon_bytes=read_anon_bytes(),
        max_rss_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    )
    bench.loader.close()


def fill(request: MeasureRequest, job: Path, journal: Journal) -> None:
    """Fill a cache in one epoch of loading, which is not measured; the phase ``filled`` logs its cost."""
    journal.enter_phase("fill")
    request = replace(request, mode="load", model=None, gpus=[], is_reused=False)
    manifest = read_data(request)
    import_tensorflow(request, job)
    clear_cache(request)
    bench = build(request, manifest, job)
    run_epochs(bench, journal, 1, lambda epoch: journal.enter_phase("filled", **epoch))
    bench.loader.close()


def import_tensorflow(request: MeasureRequest, job: Path) -> Devices:
    """Import TensorFlow with the requested threads and devices. Raises BenchmarkFailure ``gpu_missing``."""
    prepare_process(str(job / "keras"))
    if not LOADERS[request.loader].needs_pandas(request.kind):
        leave_out_pandas()
    restrict_gpus(request.gpus)
    keep_compiled(request.paths.get("cuda"))
    set_threads(request.budgets)
    return check_devices(request.gpus)


def build(request: MeasureRequest, manifest: Manifest, job: Path, *, keep_caches: bool = False) -> Bench:
    """Make the model, if one is trained, and the loader; the model first, so that tf.data's budget is what it leaves.

    ``keep_caches``: do not remove caches of earlier pipelines.
    """
    model = _build_model(request, manifest)
    budgets = compute_case_budgets(request, manifest)
    context = make_context(request, manifest, job, budgets, is_reused=request.is_reused)
    if not request.is_reused and not keep_caches:
        clear_cache(request)
    return Bench(request, context, make_loader(request.loader, context), model, manifest.sizes)


def read_data(request: MeasureRequest) -> Manifest:
    """Return the images to use. Raises BenchmarkFailure ``data`` if the data set has none or was never checked."""
    folder = Path(request.path("dataset"))
    try:
        manifest = read_manifest(folder)
    except FileNotFoundError as error:
        raise BenchmarkFailure("data", f"{error.filename} is missing: the data set has not been checked yet") from error
    if len(manifest) == 0:
        raise BenchmarkFailure("data", f"{folder} lists no images")
    return (manifest.head_of_files if request.kind == "tfrecord" else manifest.head)(request.max_images)


def _build_model(request: MeasureRequest, manifest: Manifest) -> Any | None:
    if request.mode != "train":
        return None
    from .keras_model import build_model

    with replicas_scope(len(request.gpus)):
        model = build_model(
            request.model or ModelSetting(),
            image_size=request.image_size,
            classes=len(manifest.classes),
            weights_path=request.paths.get("weights"),
            precision=request.precision,
            deliver=request.deliver,
        )
        if not model.compiled:
            load_training().compile_model(model, None if request.model is None else request.model.xla)
    return model


def make_context(
    request: MeasureRequest, manifest: Manifest, job: Path, budgets: Budgets, *, is_reused: bool = False
) -> LoaderContext:
    """Return the input of the loader. ``is_reused``: its cache was filled before."""
    scratch = job / "scratch"
    scratch.mkdir(exist_ok=True)
    links = os.path.join(request.path("dataset"), "links")
    return LoaderContext(
        kind=request.kind,
        folder=request.path("data"),
        paths=manifest.paths,
        labels=manifest.labels,
        classes=manifest.classes,
        scratch=str(scratch),
        image_size=request.image_size,
        batch_size=request.batch_size,
        interpolation=request.interpolation,
        seed=request.seed,
        is_native=request.is_native,
        is_subset=request.max_images is not None,
        links=links if os.path.isdir(links) else None,
        shuffle=request.shuffle,
        deterministic=request.deterministic,
        cache=request.cache,
        cache_prefix=request.cache_prefix and f"{request.cache_prefix}-{pipeline_hash(request, manifest)}",
        budgets=budgets,
        element=request.element,
        deliver=request.deliver,
        compression=request.compression,
        decoding=request.decoding,
        augment=request.augment,
        workers=request.workers,
        shuffle_buffer=size_buffer(request.shuffle_buffer, len(manifest)),
        is_reused=is_reused,
        give_up=lambda failure: give_up(failure, job),
        features=read_features(Path(request.path("dataset"))) if request.kind == "tfrecord" else None,
    )


def size_buffer(asked: int | str, images: int) -> int | None:
    """Return the size of the shuffle buffer in images, at most ``images``; None if it is left to the loader."""
    if asked == "auto":
        return None
    return min(asked, images) if isinstance(asked, int) else images


def give_up(failure: BenchmarkFailure, job: Path) -> None:
    """Kill all children, write the failure and end the process at once, whatever its other threads wait for."""
    for child in list_children():
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
    write_json(job / RESULTS / FAILURE, describe_failure(failure, phase="measure"))
    os._exit(1)


def make_loader(name: str, context: LoaderContext) -> Loader:
    """Make a loader by its name in the registry; its module is imported only now."""
    from ..loaders import find_maker

    made: Loader = find_maker(name)(context)
    return made


def limit_bytes(request: MeasureRequest) -> int:
    """Return the memory that this process may use: the smaller of cgroup and requested limit, else all available."""
    cgroup = find_own()
    limits = [request.limit_bytes, cgroup.limit_bytes() if cgroup else None]
    return min((limit for limit in limits if limit is not None), default=read_available_bytes())


def memory_cache_bytes(request: MeasureRequest, sizes: Sequence[int]) -> int:
    """Return what a memory cache will hold, in bytes; 0 without one. ``sizes`` are those of the files.

    It is images × height × width × channels × bytes per value, or the size of the encoded files.
    """
    if request.cache != "memory":
        return 0
    if request.element == "encoded":
        return sum(sizes)
    height, width = request.image_size
    return len(sizes) * height * width * CHANNELS * BYTES_PER_VALUE[request.element]


def compute_case_budgets(request: MeasureRequest, manifest: Manifest) -> Budgets:
    """Return the budgets of this case, based on the memory that the process uses now."""
    return compute_budgets(
        request.budgets,
        limit_bytes=limit_bytes(request),
        anon_bytes=read_anon_bytes() or 0,
        cache_bytes=memory_cache_bytes(request, manifest.sizes),
    )


def describe(request: MeasureRequest, bench: Bench, devices: Devices) -> Environment:
    """Return the fields of ``environment.json``."""
    budgets = bench.context.budgets.as_fields() if bench.context.budgets else {}
    return {
        **describe_software(),
        "interpolation": request.interpolation,
        "decoder": bench.loader.decoder,
        "order": bench.loader.order,
        "ran": _describe_work(bench),
        "mixing": _measure_mixing(bench),
        "pixel_error": _measure_error(bench.context),
        "emulated": request.model is not None and request.model.is_emulated,
        "devices": devices.as_fields(),
        "cuda": read_cuda(),
        "budgets": {**budgets, "applied_to_loader": bench.loader.takes_budgets and request.budgets == "container"},
        "anon_bytes_before": read_anon_bytes(),
    }


def _describe_work(bench: Bench) -> Work:
    """Describe what will be measured in the terms of the case, as loader and model report it, not the request."""
    spec = bench.loader.element_spec
    shape = getattr(spec[0], "shape", None) if isinstance(spec, tuple) and spec else None
    size = list(shape[1:3]) if shape is not None and shape.rank == 4 else None  # a user's own loader may have any shape
    made = getattr(spec[0], "dtype", None) if isinstance(spec, tuple) and spec else None
    deliver = getattr(made, "name", None)
    model = bench.model
    ran: Work = {"image_size": size, "workers": bench.loader.workers, "deliver": deliver}
    if model is None:
        return ran
    is_half = any(getattr(layer, "compute_dtype", None) == "float16" for layer in model.layers)
    precision = "mixed_float16" if is_half else "float32"
    return {**ran, "precision": precision, "xla": bool(model.jit_compile), "replicas": count_replicas(model)}


def warm_up(bench: Bench) -> float:
    """Trace what an epoch will run, and return the seconds that it took."""
    seconds: float = load_training().warm_up(bench.loader, bench.model)
    return seconds


def warm_page_cache(bench: Bench) -> None:
    """Read all files once for ``page_cache: warm``. Raises BenchmarkFailure if they do not fit in the memory left."""
    request = bench.request
    if request.page_cache != "warm":
        return
    files_bytes = sum(bench.sizes)
    limit, anon = limit_bytes(request), read_anon_bytes() or 0
    room = limit - anon - memory_cache_bytes(request, bench.sizes)
    if room < files_bytes:
        raise BenchmarkFailure(
            "error",
            f"`page_cache: warm` needs {files_bytes} bytes for the files beside {limit - room} bytes of memory in use, "
            f"and the limit is {limit} bytes: raise `memory_limit`, or use `page_cache: cold-start`",
        )
    pagecache.warm(bench.context.stored)


def run_epochs(bench: Bench, journal: Journal, epochs: int, publish: Callable[[Epoch], None]) -> None:
    """Load or train ``epochs`` epochs."""
    loader = bench.loader

    def prepare(index: int) -> None:
        is_cold = bench.request.page_cache == "cold"
        # Before the first epoch also for cold-start: Keras has read two batches by now.
        if is_cold or (bench.request.page_cache == "cold-start" and index == 1):
            pagecache.drop([*bench.context.places, *loader.cache_files()], prove=False)

    def settle(index: int) -> float | None:
        if index != 1:
            return None
        if bench.request.is_reused and measure_cache(loader) != held:
            raise BenchmarkFailure("error", "the reused cache grew: it was filled a second time")
        return None if bench.request.is_reused else flush_cache(loader, journal)

    held = measure_cache(loader)
    meter = Meter(
        journal,
        loader.images,
        prepare=prepare,
        settle=settle,
        publish=publish,
        needed=lambda index: needed_bytes(bench.request, loader, bench.sizes, index),
        is_counted=is_counted([bench.request.path("data"), *loader.cache_files()[:1]]),
        others=loader.other_decoder,
    )
    if bench.model is None:
        _loading().load(loader, epochs, meter)
    else:
        load_training().train(bench.model, loader, epochs, meter)


def flush_cache(loader: Loader, journal: Journal) -> float | None:
    """Sync a filled file cache to disk; return the seconds, None without one. Raises BenchmarkFailure if incomplete."""
    if loader.store is None:
        return None
    if not _becomes_whole(loader.store):
        raise BenchmarkFailure(
            "error", f"after a whole epoch the cache {loader.cache_prefix} is incomplete: nothing was stored"
        )
    phase = journal.phase or "measure"
    journal.enter_phase("flush")
    begun = time.perf_counter()
    loader.flush()
    seconds = time.perf_counter() - begun
    journal.return_to_phase(phase)
    return seconds


def _becomes_whole(store: stores.Store) -> bool:
    """Return whether a cache is complete, now or within ``PATIENCE_S``.

    TensorFlow writes the index of a cache file when its reader asks for more than the last image. A prefetching thread
    does that by itself, but perhaps only after ``fit`` has had its last batch.
    """
    deadline = time.monotonic() + PATIENCE_S
    while not store.is_whole():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def measure_cache(loader: Loader) -> int | None:
    """Return the bytes of the cache's files; None without a file cache."""
    return sum(os.stat(path).st_size for path in loader.cache_files()) if loader.cache_prefix else None


def clear_cache(request: MeasureRequest) -> None:
    """Remove what an earlier run left of this cache: TensorFlow would read it, or fail on its lock file."""
    if request.cache_prefix is not None:
        stores.clear(request.cache_prefix)


def _measure_mixing(bench: Bench) -> Mixing | None:
    loader = bench.loader
    buffer = loader.images if loader.buffer is None and loader.order == NEW_ORDER else loader.buffer
    if buffer is None:
        return None
    from ..loaders.mixing import measure_mixing

    return {**measure_mixing(loader.images, buffer, bench.request.seed), "buffer_bytes": loader.buffer_bytes}


def _measure_error(context: LoaderContext) -> PixelError | None:
    from ..loaders.approximation import measure_error

    return measure_error(context)


def load_training() -> ModuleType:
    """Import ``training`` late: it imports TensorFlow, before which environment and devices must be set."""
    from . import training

    return training


def _loading() -> ModuleType:
    from . import load_epochs

    return load_epochs
