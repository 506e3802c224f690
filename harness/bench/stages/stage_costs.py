"""Run task ``stages``: measure the CPU time per image of each stage of a loader, on the real data.

``python -m bench.stages.stage_costs JOB_FOLDER``. ``settings`` of the request are cases that represent others, each
with its ``key`` and its ``images``. The result in ``dataset.json`` is ``settings`` by key, each with the fields of
``StageCosts`` or the ``reason`` why there are none.

A loader that can stop early (``Loader.stages``) is made once for each of its stages, from the same code as usual, and
once complete. They are run in turn on the same images, whose files are in the page cache by then. The images of a
pipeline that stops early are only counted, inside tf.data or where they are made.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, TypedDict

from ..data.task import Job, run_task
from ..loaders.interface import Loader
from ..loaders.store import remove_path
from ..measure import invocation
from ..measure.measure_request import MeasureRequest, read_request
from ..proof.apart import Setting, run_apart, run_settings
from ..protocol.failure import BenchmarkFailure
from .passes import WHOLE, Run, cost_in_turn, find_differences, fit_rising, take_cpu_s
from .tfdata_model import Node, read_nodes

if TYPE_CHECKING:
    from ..loaders.manifest import Manifest

ALONE = "one image"
"""The name of the complete pipeline on one image."""
FILL_ROUNDS = 3
"""How often a cache is filled, each time in a new pipeline."""


class StageCost(TypedDict):
    """The CPU seconds per image of one stage."""

    name: str
    cpu_s: float


class PassCosts(TypedDict):
    """The CPU seconds per image of a pass: in all, and by stage in their order."""

    cpu_s: float
    stages: list[StageCost]


class StageCosts(TypedDict):
    """The results of one setting; the controller reads them into its own ``StageCosts``."""

    images: int
    rounds: int
    steady: PassCosts
    first: PassCosts | None
    nodes: list[Node] | None


@dataclass
class Maker:
    """A maker of the pipelines of one case, each with its own folder and cache."""

    request: MeasureRequest
    manifest: Manifest
    folder: Path
    _made: int = 0

    def make(self, until: str | None = None, *, images: int | None = None) -> Loader:
        """Make the loader, up to a stage, for all images or the first ``images``."""
        self._made += 1
        place = self.folder / f"pipeline-{self._made}"
        cache = Path(self.request.path("cache")) / f"pipeline-{self._made}"
        for each in (place, cache):
            each.mkdir(parents=True)
        request = replace(self.request, paths={**self.request.paths, "cache": str(cache)})
        manifest = self.manifest
        if images is not None:
            manifest = (manifest.head_of_files if request.kind == "tfrecord" else manifest.head)(images)
        budgets = invocation.compute_case_budgets(request, manifest)
        context = invocation.make_context(request, manifest, place, budgets)
        return invocation.make_loader(request.loader, replace(context, until=until))


def cost_stages(folder: Path, images: int) -> StageCosts:
    """Measure the cost per image of each stage of one setting, on its first ``images`` images."""
    request = replace(read_request(folder), max_images=images, is_reused=False, mode="load", model=None, gpus=[])
    manifest = invocation.read_data(request)
    invocation.import_tensorflow(request, folder)
    maker = Maker(request, manifest, folder)
    whole, alone = maker.make(), maker.make(images=1)
    stages = whole.stages
    later = stages[stages.index("cache") :] if "cache" in stages else stages
    loaders = {stage: maker.make(stage) for stage in stages} | {WHOLE: whole}
    runs = {name: make_run(loader, is_whole=name == WHOLE) for name, loader in loaders.items()}
    filling = {name: _run_first(loaders[name], runs[name]) for name in runs}
    run_alone = make_run(alone, is_whole=True)
    filling[ALONE] = _run_first(alone, run_alone)
    samples = cost_in_turn(runs, run_alone, whole.images, later)
    nodes = None if stages or not is_tfdata(whole) else find_nodes(whole)
    for loader in (*loaders.values(), alone):
        loader.close()
    each_s = samples.each_s()
    if each_s[WHOLE] <= 0:
        raise BenchmarkFailure("error", "the cost per image is too small compared with the fixed cost of a pass")
    steady = find_differences(each_s, later)
    first = None
    if "cache" in stages:
        fills = [filling, *(_fill_again(maker) for _ in range(FILL_ROUNDS - 1))]
        before = find_differences(each_s, stages[: stages.index("cache")])
        first = _cost_fill(fills, whole.images, before, steady)
    return {
        "images": whole.images,
        "rounds": samples.rounds,
        "steady": _as_pass(each_s[WHOLE], steady),
        "first": None if first is None else _as_pass(*first),
        "nodes": nodes,
    }


def _fill_again(maker: Maker) -> dict[str, float]:
    """Fill the cache in new pipelines; return the CPU seconds of each one's first epoch."""
    taken: dict[str, float] = {}
    for name, until, images in (("cache", "cache", None), (WHOLE, None, None), (ALONE, None, 1)):
        loader = maker.make(until, images=images)
        taken[name] = _run_first(loader, make_run(loader, is_whole=until is None))
        for path in loader.cache_files():
            remove_path(path)
        loader.close()
    return taken


def _cost_fill(
    fills: list[dict[str, float]], images: int, before: Mapping[str, float], after: Mapping[str, float]
) -> tuple[float, dict[str, float]]:
    """Return the cost per image while the cache is filled, in all and by stages.

    ``before`` are the costs of stages before the cache, ``after`` those from it on in later epochs. The fixed cost of a
    first epoch, which that of one image gives, is subtracted.
    """

    def cost(name: str) -> float:
        return max(0.0, median(fill[name] - fill[ALONE] for fill in fills)) / max(1, images - 1)

    kept_s, _ = fit_rising([cost("cache"), cost(WHOLE)])
    return cost(WHOLE), {**before, **after, "cache": max(0.0, kept_s - sum(before.values()))}


def _run_first(loader: Loader, run: Run) -> float:
    """Run the first epoch, after writing a cache that is built in advance; return the CPU seconds of both."""

    def run_once(times: int) -> None:
        loader.fill()
        run(times)

    return take_cpu_s(run_once)


def _as_pass(cpu_s: float, stages: Mapping[str, float]) -> PassCosts:
    return {"cpu_s": cpu_s, "stages": [{"name": name, "cpu_s": seconds} for name, seconds in stages.items()]}


def is_tfdata(loader: Loader) -> bool:
    """Return whether a loader is iterated as a plain ``tf.data.Dataset``."""
    return type(loader).batches is Loader.batches


def make_run(loader: Loader, *, is_whole: bool) -> Run:
    """Return a function that runs epochs: as in a measurement if complete, without a Python loop if it stops early."""
    if not is_tfdata(loader):
        return lambda times: _drain(loader.epochs(times))
    if is_whole:
        return lambda times: _drain(loader.dataset.repeat(times))
    import numpy as np
    import tensorflow as tf

    def count(times: Any) -> Any:
        return loader.dataset.repeat(times).reduce(np.int64(0), lambda number, *_: number + 1)

    traced = tf.function(count, input_signature=[tf.TensorSpec((), tf.int64)]).get_concrete_function()
    return lambda times: int(traced(tf.constant(times, tf.int64)))


def _drain(batches: Iterable[object]) -> None:
    for _batch in batches:
        pass


def find_nodes(loader: Loader) -> list[Node] | None:
    """Return what tf.data reports about its operations after one epoch of a loader."""
    iterator = iter(loader.dataset)
    _drain(iterator)
    return read_nodes(iterator)


def task(job: Job) -> Mapping[str, object]:
    """Measure the costs of each setting in its own process; a failing one leaves its reason."""
    return {"images": None, "settings": run_settings(job, _cost_apart)}


def _cost_apart(setting: Setting) -> Mapping[str, object] | str:
    return run_apart(setting, lambda: cost_stages(setting.folder, setting.count("images")))


if __name__ == "__main__":
    ended = run_task(task, sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(ended)
