"""The benchmark as the supervisor starts it: a process of its own, known by the files that it leaves."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from bench_images import Made, make_images
from forked import Forker, read_events

import harness.bench
from harness.bench.loaders.interface import CHANNELS
from harness.bench.measure import pagecache
from harness.bench.measure.invocation import BYTES_PER_VALUE

pytestmark = pytest.mark.tensorflow
CASE = {"data": "made", "loader": "tfdata", "image_size": [64, 64], "batch_size": 4, "epochs": 2}
TRAIN = {"mode": "train", "model": {"name": "mobilenet", "alpha": 0.25, "weights": "none", "trainable": False}}


@dataclass
class Outcome:
    """What a run left."""

    code: int
    log: str
    events: list[dict[str, Any]]
    failure: dict[str, Any] | None
    environment: dict[str, Any] | None

    def named(self, event: str) -> list[dict[str, Any]]:
        return [line for line in self.events if line["event"] == event]

    @property
    def phases(self) -> list[str]:
        return [line["name"] for line in self.named("phase")]


def _write(
    job: Path, made: Made, case: dict[str, Any], *, gpus: tuple[str, ...] = (), limit: int | None = None, **paths: str
) -> None:
    (job / "cache").mkdir(parents=True, exist_ok=True)
    request = {
        "format": 1,
        "task": "measure",
        "case": {**CASE, **case},
        "data": {"kind": made.kind, "name": "made"},
        "limits": {"memory_bytes": limit, "cpus": [], "gpus": list(gpus), "oom_score_adj": 1000},
        "timeout_s": 300,
        "seed": 3,
        "paths": {"data": str(made.folder), "dataset": str(made.dataset), "cache": str(job / "cache"), **paths},
    }
    (job / "request.json").write_text(json.dumps(request))


def _read(job: Path, code: int, log: str) -> Outcome:
    def read(name: str) -> Any:
        path = job / "results" / name
        return json.loads(path.read_text()) if path.exists() else None

    return Outcome(code, log, read_events(job), read("failure.json"), read("environment.json"))


def _run(job: Path, made: Made, case: dict[str, Any], **settings: Any) -> Outcome:
    """The payload as a job has it: a package of its own, in a process of its own."""
    payload = job / "payload"
    shutil.copytree(
        Path(harness.bench.__file__).parent, payload / "bench", ignore=shutil.ignore_patterns("__pycache__")
    )
    _write(job, made, case, **settings)
    environment = {**os.environ, "HOME": str(job)}
    command = [sys.executable, "-m", "bench.measure.benchmark", str(job)]
    done = subprocess.run(
        command, cwd=payload, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    return _read(job, done.returncode, done.stderr)


def _fork(forker: Forker, job: Path, made: Made, case: dict[str, Any], **settings: Any) -> Outcome:
    """The same in a process that has TensorFlow already."""
    _write(job, made, case, **settings)
    end = forker.run(job)
    return _read(job, end.code, end.log)


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return make_images(tmp_path / "set")


def test_a_dump_made_once_is_read_by_a_later_training(tmp_path: Path, made: Made) -> None:
    job = tmp_path / "job"
    outcome = _run(job, made, {"cache": "file", "cache_reuse": "reused", **TRAIN}, limit=4 * 2**30)
    assert (outcome.code, outcome.failure) == (0, None), outcome.log
    assert outcome.phases == ["fill", "flush", "filled", "import", "build", "warmup", "measure"]
    assert [line["t"] for line in outcome.events] == sorted(line["t"] for line in outcome.events)
    epochs = outcome.named("epoch")
    assert [(epoch["index"], epoch["images"], epoch["flush_s"]) for epoch in epochs] == [(1, 13, None), (2, 13, None)]
    assert [epoch["steps"] for epoch in epochs] == [4, 4], "13 images in batches of 4"
    done = outcome.events[-1]
    assert done["event"] == "done"
    assert done["reused"] is True
    assert done["cache_bytes"] == pytest.approx(13 * 64 * 64 * CHANNELS * BYTES_PER_VALUE["float32"], rel=0.01)
    filled = next(line for line in outcome.events if line.get("name") == "filled")
    assert done["build_s"] == pytest.approx(filled["seconds"] + filled["flush_s"])
    assert {line["phase"] for line in outcome.named("progress")} == {"fill", "measure"}
    environment = outcome.environment
    assert environment is not None
    assert environment["devices"] == {"gpus": [], "matmul_device": "CPU:0"}
    assert environment["cpu_affinity"] == sorted(os.sched_getaffinity(0))
    assert environment["ran"].pop("xla") in (True, False), "Keras chose it for this machine"
    assert environment["ran"] == {
        "image_size": [64, 64], "workers": None, "deliver": "float32", "precision": "float32", "replicas": 1,
    }  # fmt: skip
    assert environment["mixing"] == {"buffer": 0, "buffer_bytes": 0, "displacement": 0.0, "neighbours_kept": 1.0}
    assert all(epoch["anon_bytes"] > 50 * 2**20 for epoch in epochs)
    budgets = environment["budgets"]
    assert 64 * 2**20 < budgets["ram_budget_bytes"] < 2 * 2**30
    assert budgets["cpu_budget"] == budgets["threadpool_size"] == len(os.sched_getaffinity(0))
    assert budgets["assumed_ram_bytes"] > 0
    assert all(environment[name] for name in ("python", "tensorflow", "keras", "numpy", "pillow", "jpeg"))
    assert not (job / ".keras").exists()


@pytest.mark.parametrize("mode", [{}, TRAIN])
def test_what_the_yardstick_reads_with_another_decoder_is_counted(
    forker: Forker, tmp_path: Path, mode: dict[str, Any]
) -> None:
    """240 bytes before the end marker: simplejpeg refuses the file in its strict mode; a PNG it does not know."""
    made = make_images(tmp_path / "odd")
    path = made.folder / next(path for path in made.manifest.paths if path.endswith(".jpg"))
    content = path.read_bytes()
    assert content.endswith(b"\xff\xd9")
    path.write_bytes(content[:-2] + bytes(240) + content[-2:])
    case = {"loader": "decoder", "interpolation": "nearest", "image_size": [32, 32], **mode}
    outcome = _fork(forker, tmp_path / "job", made, case)
    assert (outcome.code, outcome.failure) == (0, None), outcome.log
    epochs = outcome.named("epoch")
    assert [epoch["other_decoder"] for epoch in epochs] == [{"png": 1, "bytes_before_end": 1}] * 2
    assert outcome.environment is not None and outcome.environment["decoder"].startswith("simplejpeg ")


def test_cold_epochs_read_storage_each_time(forker: Forker, tmp_path: Path, made: Made) -> None:
    reason = pagecache.drop([str(made.folder)]).unproven
    if reason:
        pytest.skip(f"pages cannot be dropped here: {reason}")
    case = {"loader": "keras-idg", "page_cache": "cold", "interpolation": "native", "budgets": "default"}
    outcome = _fork(forker, tmp_path / "job", made, case)
    assert (outcome.code, outcome.failure) == (0, None), outcome.log
    size = sum(made.manifest.sizes)
    assert [epoch["bytes_read"] >= size for epoch in outcome.named("epoch")] == [True, True]
    assert outcome.environment is not None
    assert outcome.environment["interpolation"] == "nearest"
    assert outcome.environment["decoder"] == "PIL"
    assert [epoch["other_decoder"] for epoch in outcome.named("epoch")] == [None, None]
    assert outcome.environment["ran"] == {"image_size": [64, 64], "workers": None, "deliver": "float32"}
    assert outcome.environment["budgets"]["ram_budget_bytes"] is None


def test_a_gpu_that_is_not_there_is_a_failure_with_its_cure(forker: Forker, tmp_path: Path, made: Made) -> None:
    if Path("/proc/driver/nvidia").exists():
        pytest.skip("this machine has an NVIDIA GPU")
    outcome = _fork(forker, tmp_path / "job", made, {}, gpus=("GPU-11111111-2222-3333-4444-555555555555",))
    assert outcome.code == 1
    assert outcome.failure is not None
    assert outcome.failure["kind"] == "gpu_missing"
    assert "1 GPU requested, but TensorFlow sees 0" in outcome.failure["message"]
    assert "no NVIDIA driver" in outcome.failure["message"]
    assert not outcome.named("epoch")


@pytest.fixture
def small_disk(make_disk: Callable[[str], Path]) -> Path:
    return make_disk("256k")


def test_a_full_disk_is_told_from_a_full_memory(forker: Forker, tmp_path: Path, made: Made, small_disk: Path) -> None:
    outcome = _fork(forker, tmp_path / "job", made, {"cache": "file"}, cache=str(small_disk))
    assert outcome.code == 1
    assert outcome.failure is not None
    assert outcome.failure["kind"] == "disk_full", outcome.failure
    assert (outcome.failure["phase"], outcome.failure["epoch"]) == ("measure", 1)
    assert not outcome.named("done")


def test_a_damaged_image_is_the_data_sets_fault(forker: Forker, tmp_path: Path, made: Made) -> None:
    (made.folder / made.manifest.paths[6]).write_bytes(b"\xff\xd8\xff\xe0 cut")
    outcome = _fork(forker, tmp_path / "job", made, {"shuffle": False, **TRAIN})
    assert outcome.code == 1
    assert outcome.failure is not None
    assert outcome.failure["kind"] == "data", outcome.failure
    assert outcome.failure["epoch"] == 1
    assert any("Traceback" in line for line in outcome.failure["traceback"])
    assert "Traceback" not in outcome.log


def test_what_no_loader_makes_is_refused_before_tensorflow_starts(tmp_path: Path, made: Made) -> None:
    wrong = {
        "unknown": ({"loader": "teleport"}, "there is no loader `teleport` here"),
        "cache": ({"loader": "keras-idg", "cache": "file"}, "keras-idg does not cache"),
        "filter": ({"loader": "keras-idg", "interpolation": "bilinear"}, "does not support interpolation bilinear"),
        "element": ({"cache": "tfrecord"}, "cache tfrecord does not support element float32 (it supports: encoded)"),
    }
    for name, (case, message) in wrong.items():
        outcome = _run(tmp_path / name, made, case)
        assert outcome.code == 1
        assert outcome.failure is not None
        assert outcome.failure["kind"] == "error"
        assert message in outcome.failure["message"]
        assert not outcome.events


def test_a_data_set_that_was_not_checked_is_refused(tmp_path: Path, made: Made) -> None:
    (made.dataset / "manifest.tsv").unlink()
    outcome = _run(tmp_path / "job", made, {})
    assert outcome.failure is not None
    assert outcome.failure["kind"] == "data"
    assert "manifest.tsv is missing: the data set has not been checked yet" in outcome.failure["message"]
    assert outcome.phases == ["import"]
