"""Task ``stages``: what an image costs in each stage of a loader, in CPU time, on the real data.

``python -m bench.stages.stage_costs JOB_FOLDER``; ``settings`` of the request are cases that stand for others, each
with its ``key`` and its ``images``. What is left in ``dataset.json``: ``settings`` by key, each the fields of
``StageCosts`` or the ``reason`` why there are none.

A loader that can stop early (``Loader.stages``) is made once for each of its stages, from the same code as ever, and
once whole. They are run in turn on the same images, whose files are in the page cache by then. Where the images of a
pipeline that stops are not wanted by anybody, they are counted inside tf.data, or where they were made.
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
"""The name of the whole pipeline on one image."""
FILL_ROUNDS = 3
"""How often a cache is filled, in a pipeline made afresh each time."""


class StageCost(TypedDict):
    """CPU seconds an image of one stage."""

    name: str
    cpu_s: float


class PassCosts(TypedDict):
    """CPU seconds an image of a pass: all of it, and those of its stages in their order."""

    cpu_s: float
    stages: list[StageCost]


class StageCosts(TypedDict):
    """What was found of one setting; the controller reads it into its own ``StageCosts``."""

    images: int
    rounds: int
    steady: PassCosts
    first: PassCosts | None
    nodes: list[Node] | None


@dataclass
class Maker:
    """Makes the pipelines of one case, each with a folder and a cache of its own."""

    request: MeasureRequest
    manifest: Manifest
    folder: Path
    _made: int = 0

    def make(self, until: str | None = None, *, images: int | None = None) -> Loader:
        """Make the loader, up to a stage, on all images or on the first ones."""
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
    """Find what an image costs in each stage of one setting, on its first ``images`` images."""
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
        raise BenchmarkFailure("error", "what its images cost is lost in what it costs to begin a pass over them")
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
    """Fill the cache in pipelines made afresh; CPU seconds of the first epoch of each."""
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
    """Return what an image costs while the cache is filled, whole and by stages.

    ``before`` are the stages before the cache, ``after`` those from it on as they are later. What a first epoch costs
    once, of however many images, is left out: that of one image tells it.
    """

    def cost(name: str) -> float:
        return max(0.0, median(fill[name] - fill[ALONE] for fill in fills)) / max(1, images - 1)

    kept_s, _ = fit_rising([cost("cache"), cost(WHOLE)])
    return cost(WHOLE), {**before, **after, "cache": max(0.0, kept_s - sum(before.values()))}


def _run_first(loader: Loader, run: Run) -> float:
    """Make the first epoch, for which a cache that is written before it is written; the CPU seconds of both."""

    def run_once(times: int) -> None:
        loader.fill()
        run(times)

    return take_cpu_s(run_once)


def _as_pass(cpu_s: float, stages: Mapping[str, float]) -> PassCosts:
    return {"cpu_s": cpu_s, "stages": [{"name": name, "cpu_s": seconds} for name, seconds in stages.items()]}


def is_tfdata(loader: Loader) -> bool:
    """Whether a loader is iterated as a ``tf.data.Dataset`` and in no way of its own."""
    return type(loader).batches is Loader.batches


def make_run(loader: Loader, *, is_whole: bool) -> Run:
    """Return what makes epochs of a loader: whole as it is measured, and what stops early without a Python loop."""
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
    """Return what tf.data tells of its operations after one epoch of a loader."""
    iterator = iter(loader.dataset)
    _drain(iterator)
    return read_nodes(iterator)


def task(job: Job) -> Mapping[str, object]:
    """Find the costs of each setting in a process of its own; one that fails leaves its reason."""
    return {"images": None, "settings": run_settings(job, _cost_apart)}


def _cost_apart(setting: Setting) -> Mapping[str, object] | str:
    return run_apart(setting, lambda: cost_stages(setting.folder, setting.count("images")))


if __name__ == "__main__":
    ended = run_task(task, sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(ended)
