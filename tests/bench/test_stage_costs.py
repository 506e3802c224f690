"""What stages cost: those that compute are told from those that wait, cut pipelines are the loader's own code."""

from __future__ import annotations

import importlib.util
import itertools
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from bench_images import ENOUGH_WORKERS, Made, make_images

from harness.bench.protocol.loader_registry import LOADERS
from harness.bench.stages import passes
from harness.bench.stages.passes import WHOLE, cost_in_turn, find_differences, fit_rising
from harness.bench.stages.tfdata_model import read_nodes
from harness.values.stages import StageCosts

needs_tensorflow = pytest.mark.skipif(
    importlib.util.find_spec("tensorflow") is None, reason="TensorFlow is not installed here"
)
IMAGES = 20
BURN_S, SLEEP_S, LESS_S = 0.003, 0.003, 0.001


def burn(seconds: float) -> None:
    """Use so much CPU time of this thread."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


def make_pipelines(steps: dict[str, Callable[[], object]], once_s: float = 0.0) -> dict[str, Callable[[int], object]]:
    """A pipeline for each stage, which stops after it, and the whole one; each pass costs ``once_s`` besides."""

    def cut(count: int, images: int = IMAGES) -> Callable[[int], object]:
        def run(times: int) -> None:
            burn(once_s)
            for _image in range(times * images):
                for step in list(steps.values())[:count]:
                    step()

        return run

    names = list(steps)
    pipelines = {name: cut(number) for number, name in enumerate(names, start=1)}
    return {**pipelines, WHOLE: cut(len(names)), "one": cut(len(names), 1)}


def test_stages_that_burn_and_stages_that_sleep_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passes, "WANTED_S", 0.08)
    steps: dict[str, Callable[[], object]] = {
        "read": lambda: time.sleep(SLEEP_S),
        "decode": lambda: burn(BURN_S),
        "resize": lambda: time.sleep(SLEEP_S),
        "scale": lambda: burn(LESS_S),
    }
    runs = make_pipelines(steps, once_s=0.02)
    one = runs.pop("one")
    each_s = cost_in_turn(runs, one, IMAGES, tuple(steps)).each_s()
    found = find_differences(each_s, tuple(steps))
    assert found["decode"] == pytest.approx(BURN_S, rel=0.15), "what a pass costs once is no part of it"
    assert found["scale"] == pytest.approx(LESS_S, rel=0.4)
    assert max(found["read"], found["resize"]) < 0.15 * BURN_S, "who sleeps uses no CPU"
    assert sum(found.values()) == pytest.approx(each_s[WHOLE], rel=0.1)


def test_it_goes_on_while_the_stages_do_not_sum_to_the_whole_but_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passes, "take_cpu_s", lambda run, times=1: run(times))

    def count(read_s: float, whole_s: float, tick_s: float = 1.0) -> int:
        clock = itertools.count(0.0, tick_s)
        runs: dict[str, Callable[[int], object]] = {
            "read": lambda times: times * read_s,
            WHOLE: lambda times: times * whole_s,
        }
        return cost_in_turn(runs, lambda _times: 0.0, 1, ("read",), clock=lambda: next(clock)).rounds

    assert count(0.01, 0.0102) == passes.LEAST_ROUNDS
    assert count(0.01, 0.02) == passes.MOST_ROUNDS
    assert count(0.01, 0.02, tick_s=50.0) == passes.LEAST_ROUNDS, "patience is over"


def test_images_stand_out_of_what_it_costs_to_begin_a_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """As with worker processes: they take a second to start, now more, now less, and few images some milliseconds."""
    noise_s = itertools.cycle([0.05, -0.04, 0.01, -0.05, -0.02, 0.03, -0.03])

    def pipeline(each_s: float, images: int = 13) -> Callable[[int], float]:
        return lambda times: 1.0 + next(noise_s) + times * images * each_s

    monkeypatch.setattr(passes, "take_cpu_s", lambda run, times=1: run(times))
    runs = {"read": pipeline(0.001), "decode": pipeline(0.0025), WHOLE: pipeline(0.0025)}
    each_s = cost_in_turn(runs, pipeline(0.0025, 1), 13, ("read", "decode")).each_s()
    assert each_s == pytest.approx({"read": 0.001, "decode": 0.0025, WHOLE: 0.0025}, rel=0.25)


def test_it_goes_on_while_the_whole_seems_to_cost_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passes, "take_cpu_s", lambda _run, times=1: 0.1)
    runs: dict[str, Callable[[int], object]] = {"read": burn, WHOLE: burn}
    samples = cost_in_turn(runs, burn, 1, ("read",), clock=lambda: 0.0)
    assert samples.each_s()[WHOLE] == 0 and samples.rounds == passes.MOST_ROUNDS


def test_a_pipeline_that_goes_further_costs_no_less() -> None:
    assert fit_rising([1.0, 3.0, 2.0, 4.0]) == [1.0, 2.5, 2.5, 4.0]
    assert fit_rising([3.0, 2.0, 1.0]) == [2.0, 2.0, 2.0]
    assert fit_rising([]) == []
    assert find_differences({"read": 1.0, "decode": 3.0, "resize": 2.0}, ("read", "decode", "resize")) == {
        "read": 1.0,
        "decode": 1.5,
        "resize": 0.0,
    }


def test_where_tensorflow_does_not_tell_there_are_no_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "tensorflow.python.data.experimental.ops.iterator_model_ops"
    parts = name.split(".")
    for count in range(1, len(parts)):
        monkeypatch.setitem(sys.modules, ".".join(parts[:count]), ModuleType(".".join(parts[:count])))
    monkeypatch.setitem(sys.modules, name, ModuleType(name))  # a version without the function
    assert read_nodes(object()) is None
    other = ModuleType(name)
    other.get_model_proto = lambda _iterator: object()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, name, other)  # one that gives something else
    assert read_nodes(object()) is None


OWN = """
import time

def burn(image):
    end = time.thread_time() + {burn}
    while time.thread_time() < end:
        pass
    return image

def wait(image):
    time.sleep({wait})
    return image

def load(context):
    import tensorflow as tf
    def read(path, label):
        image = tf.io.decode_image(tf.io.read_file(path), channels=3, expand_animations=False)
        return tf.image.resize(image, context.image_size), label
    def through(function):
        def step(image, label):
            return tf.ensure_shape(tf.numpy_function(function, [image], tf.float32), (*context.image_size, 3)), label
        return step
    data = tf.data.Dataset.from_tensor_slices((context.files, list(context.labels))).map(read)
    return data, through

def as_dataset(context):
    data, through = load(context)
    return data.map(through(wait)).map(through(burn)).batch(4)

def in_stages(context):
    from harness.bench.loaders.interface import Loader
    stages = ("read", "decode", "resize", "batch")
    running = context.running(stages)
    data, through = load(context)
    if "decode" in running:
        data = data.map(through(burn))
    if "resize" in running:
        data = data.map(through(wait))
    if "batch" in running:
        data = data.batch(4)
    return Loader(data, len(context.paths), 4, data.element_spec, "by path", "own", stages=stages)

def as_python(context):
    from harness.bench.loaders.interface import Loader
    class Plain(Loader):
        def batches(self):
            for batch in self.dataset:
                yield batch
    data = as_dataset(context)
    return Plain(data, len(context.paths), 4, data.element_spec, "by path", "own")

def broken(context):
    raise RuntimeError("the loader says so")
"""


QUICK = """
import os, sys
from harness.bench.data.task import run_task
from harness.bench.stages import passes, stage_costs
passes.WANTED_S, passes.LEAST_ROUNDS, passes.MOST_ROUNDS = {wanted}
status = run_task(stage_costs.task, [{folder!r}])
sys.stdout.flush()
os._exit(status)
"""


def run_job(
    folder: Path, made: Made, settings: list[dict[str, Any]], *, wanted: tuple[float, int, int]
) -> dict[str, Any]:
    """What the task leaves of settings, by their keys; ``wanted`` are the seconds of a pass and the rounds."""
    folder.mkdir()
    paths = {"data": str(made.folder), "dataset": str(made.dataset), "cache": str(folder / "cache")}
    said = [{"images": len(made.manifest), "data": {"kind": made.kind}, **setting} for setting in settings]
    request = {"task": "stages", "settings": said, "limits": {}, "seed": 3, "paths": paths}
    (folder / "request.json").write_text(json.dumps(request))
    program = QUICK.format(wanted=wanted, folder=str(folder))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads((folder / "results" / "dataset.json").read_text())["settings"]
    return found


def setting_of(loader: str, **changes: object) -> dict[str, Any]:
    case = {"data": "made", "loader": loader, "cache": "none", "image_size": [48, 48], "batch_size": 4, **changes}
    return {"key": f"{loader}, {case['cache']}", "case": case}


@pytest.mark.tensorflow
@needs_tensorflow
def test_every_loader_can_be_stopped_after_each_of_its_stages(tmp_path: Path) -> None:
    made = make_images(tmp_path / "set")
    real = [name for name, spec in LOADERS.items() if not spec.is_automatic]
    plain = [setting_of(name, workers=ENOUGH_WORKERS.get(name)) for name in real]
    caches = [("memory", "float32"), ("file", "uint8"), ("save", "uint8"), ("tfrecord", "encoded")]
    kept = [setting_of("tfdata-tuned", cache=cache, element=element) for cache, element in caches]
    found: dict[str, Any] = {}
    left = [*plain, *kept]
    for rounds in (1, 3, 9):  # thirteen images in one round may be lost in the noise of beginning a pass, which is said
        found |= run_job(tmp_path / f"job-{rounds}", made, left, wanted=(0.01, rounds, rounds))
        left = [setting for setting in left if "reason" in found[setting["key"]]]
        if not left:
            break
    for setting in (*plain, *kept):
        costs = StageCosts.model_validate(found[setting["key"]])
        names = [stage.name for stage in costs.steady.stages]
        assert costs.nodes is None
        if setting["case"]["cache"] == "none":
            assert costs.steady.cpu_s > 0, setting["key"]
            assert set(names) == {"read", "decode", "resize", "scale", "batch"} and costs.first is None
            assert names[:3] == ["read", "decode", "resize"], setting["key"]
        else:
            assert names[0] == "cache" and costs.first is not None, setting["key"]
            assert {"read", "decode", "cache"} <= {stage.name for stage in costs.first.stages}
            assert costs.first.cpu_s > 0


@pytest.mark.tensorflow
@needs_tensorflow
def test_an_own_loader_is_split_by_its_stages_or_told_by_tf_data(tmp_path: Path) -> None:
    made = make_images(tmp_path / "set")
    own = tmp_path / "mine.py"
    own.write_text(OWN.format(burn=BURN_S, wait=SLEEP_S))
    settings = [setting_of(f"{own}:{name}") for name in ("in_stages", "as_dataset", "as_python", "broken")]
    found = run_job(tmp_path / "job", made, settings, wanted=(0.25, passes.LEAST_ROUNDS, passes.MOST_ROUNDS))
    split, told, plain, broken = (found[setting["key"]] for setting in settings)
    costs = StageCosts.model_validate(split)
    stages = {stage.name: stage.cpu_s for stage in costs.steady.stages}
    assert list(stages) == ["read", "decode", "resize", "batch"]
    assert stages["decode"] == pytest.approx(BURN_S, rel=0.35) and stages["resize"] < 0.35 * SLEEP_S, stages
    assert sum(stages.values()) == pytest.approx(costs.steady.cpu_s, rel=0.25)
    own_costs = StageCosts.model_validate(told)
    assert own_costs.steady.stages == () and own_costs.steady.cpu_s == pytest.approx(costs.steady.cpu_s, rel=0.35)
    assert own_costs.nodes is not None and own_costs.nodes[0].name == "TensorSlice"
    elapsed = [node.elapsed_s / own_costs.images for node in own_costs.nodes if "Map" in node.name]
    assert min(elapsed[1:]) > 0.9 * SLEEP_S, "what elapses in who sleeps is told as what elapses in who computes"
    assert all(node.elements > 0 for node in own_costs.nodes)
    python = StageCosts.model_validate(plain)
    assert (python.steady.stages, python.nodes) == ((), None), "one bar"
    assert "the loader says so" in broken["reason"]
