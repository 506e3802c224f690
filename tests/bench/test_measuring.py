"""What the benchmark decides without TensorFlow: journal, clock, budgets, GPUs, classes of failures."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from harness.bench.loaders.budgets import LEAST_RAM_BYTES, compute_budgets, compute_ram_budget
from harness.bench.measure import benchmark
from harness.bench.measure.devices import explain_missing, keep_compiled, parse_driver, restrict_gpus
from harness.bench.measure.event_log import Journal
from harness.bench.measure.meter import Meter
from harness.bench.measure.usage import read_anon_bytes, read_usage
from harness.bench.protocol.failure import BenchmarkFailure, classify, describe

GIB = 2**30


def test_a_journal_keeps_what_was_written_before_a_sigkill(tmp_path: Path) -> None:
    code = (
        "import sys, os, signal; from pathlib import Path; from harness.bench.measure.event_log import Journal\n"
        "j = Journal(Path(sys.argv[1])); j.enter_phase('measure'); j.begin_epoch(2); j.report_step(1, 32)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    path = tmp_path / "events.jsonl"
    done = subprocess.run([sys.executable, "-c", code, str(path)], check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["event"] for line in lines] == ["phase", "progress"]
    assert {key: lines[1][key] for key in ("epoch", "step", "images", "phase")} == {
        "epoch": 2,
        "step": 1,
        "images": 32,
        "phase": "measure",
    }


def test_progress_is_written_for_the_first_step_of_each_epoch_and_then_seldom(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "events.jsonl")
    for epoch in (1, 2):
        journal.begin_epoch(epoch)
        for step in range(1, 20_001):
            journal.report_step(step, 32 * step)
    assert (journal.epoch, journal.step) == (2, 20_000)
    lines = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines if line["step"] == 1] == [1, 2]
    assert len(lines) < 250


def test_progress_is_never_further_behind_than_a_twentieth_however_fast_a_run_is(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "events.jsonl")
    journal.begin_epoch(1)
    for step in range(1, 500):
        journal.report_step(step, 32 * step)
        last = json.loads((tmp_path / "events.jsonl").read_text().splitlines()[-1])
        assert last["images"] > 32 * step / 1.05


def test_a_clock_starts_after_preparing_and_stops_before_settling(tmp_path: Path) -> None:
    order: list[Any] = []
    meter = Meter(
        Journal(tmp_path / "events.jsonl"),
        3,
        prepare=lambda index: order.append(("prepare", index, _burn(0.2))),
        settle=lambda index: _burn(0.2),
        publish=order.append,
    )
    meter.begin()
    meter.step(2)
    meter.step(3)
    meter.end()
    epoch = order[1]
    assert epoch["cpu_s"] < 0.2  # the work before and after the clock burned 0.2 s of CPU each
    assert epoch["images"] == 3
    assert epoch["flush_s"] >= 0.2


def _burn(seconds: float) -> float:
    begun = read_usage().cpu_s
    while read_usage().cpu_s - begun < seconds:
        sum(range(10_000))
    return seconds


def test_too_few_or_too_many_images_end_a_run(tmp_path: Path) -> None:
    for images in (2, 4, 0):
        meter = Meter(
            Journal(tmp_path / "events.jsonl"),
            3,
            prepare=lambda _: None,
            settle=lambda _: None,
            publish=lambda _: pytest.fail("an epoch was published"),
        )
        meter.begin()
        if images:
            meter.step(images)
        with pytest.raises(BenchmarkFailure, match=f"delivered {images} of 3 images"):
            meter.end()


def test_storage_is_charged_to_the_epoch_that_read_it(tmp_path: Path) -> None:
    before = read_usage()
    assert before.bytes_read is not None
    anon = read_anon_bytes()
    assert anon is not None
    held = bytearray(os.urandom(2**20) * 32)
    grown = read_anon_bytes()
    assert grown is not None
    assert grown - anon > 16 * 2**20
    assert len(held) == 32 * 2**20


def test_a_budget_is_half_of_what_the_limit_leaves() -> None:
    assert compute_ram_budget(4 * GIB, GIB, 0) == int(1.5 * GIB)
    assert compute_ram_budget(4 * GIB, GIB, 2 * GIB) == GIB // 2
    assert compute_ram_budget(GIB, GIB, 90 * GIB) == LEAST_RAM_BYTES


def test_default_budgets_set_nothing_but_say_what_was_assumed() -> None:
    budgets = compute_budgets("default", limit_bytes=GIB, anon_bytes=0, cache_bytes=0)
    assert (budgets.ram_budget_bytes, budgets.cpu_budget, budgets.threadpool_size) == (None, None, None)
    free_kib = next(
        int(line.split()[1]) for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemFree:")
    )
    assert budgets.assumed_ram_bytes == pytest.approx(free_kib * 1024 / 2, rel=0.3)
    assert budgets.assumed_cpus == len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.183.01  Sun May 12 19:39:15 UTC 2024\nGCC", "535.183.01"),
        ("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  560.35.03  Release Build", "560.35.03"),
        ("550.54\n550.54\n", "550.54"),
        ("", None),
    ],
)
def test_a_drivers_version_is_found_in_its_own_words(text: str, version: str | None) -> None:
    assert parse_driver(text) == version


def test_a_missing_gpu_is_explained_with_driver_and_cuda() -> None:
    cuda = {"cuda_version": "12.5.1", "cudnn_version": "9"}
    old = explain_missing(1, 0, cuda, "470.57.02")
    assert "CUDA 12.5.1 and cuDNN 9" in old and "driver 470.57.02" in old and "Update the driver" in old
    assert "Install the driver" in explain_missing(2, 0, cuda, None)
    assert "built without CUDA" in explain_missing(1, 0, None, None)


def test_cuda_sees_only_what_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    restrict_gpus(["2", "3"])
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "0,1", "in a container they are counted anew"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,3")
    restrict_gpus(["2"])
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "2", "the first of those that the process may see"
    restrict_gpus(["GPU-aa", "GPU-bb"])
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "GPU-aa,GPU-bb"
    restrict_gpus([])
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "-1"


def test_what_is_compiled_for_a_gpu_is_kept_where_a_folder_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CUDA_CACHE_PATH", "CUDA_CACHE_MAXSIZE"):
        monkeypatch.delenv(name, raising=False)
    keep_compiled(None)
    assert "CUDA_CACHE_PATH" not in os.environ
    monkeypatch.setenv("CUDA_CACHE_MAXSIZE", "1")
    monkeypatch.setenv("CUDA_CACHE_PATH", "/elsewhere")
    keep_compiled("/cuda")
    assert (os.environ["CUDA_CACHE_PATH"], int(os.environ["CUDA_CACHE_MAXSIZE"])) == ("/cuda", 4 * GIB)


class ResourceExhaustedError(Exception):
    """By the name of TensorFlow's."""


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (MemoryError(), "oom"),
        (ResourceExhaustedError("OOM when allocating tensor with shape[9] on /device:CPU:0 by allocator cpu"), "oom"),
        (ResourceExhaustedError("OOM when allocating … on /device:GPU:0 by allocator GPU_0_bfc"), "gpu_oom"),
        (ResourceExhaustedError("/cache/images_0.data; No space left on device"), "disk_full"),
        (OSError(errno.ENOSPC, "No space left on device"), "disk_full"),
        (OSError("image file is truncated (3 bytes not processed)"), "data"),
        (FileNotFoundError(2, "No such file", "/data/a.jpg"), "data"),
        (BenchmarkFailure("weights", "none"), "weights"),
        (ValueError("something else"), "error"),
    ],
)
def test_failures_have_kinds(error: Exception, kind: str) -> None:
    assert classify(error) == kind


def test_a_failure_says_where_and_keeps_its_traceback() -> None:
    try:
        raise MemoryError
    except MemoryError as error:
        failure = describe(error, phase="measure", epoch=2, step=7)
    assert (failure["kind"], failure["type"], failure["message"]) == ("oom", "MemoryError", "MemoryError")
    assert (failure["phase"], failure["epoch"], failure["step"]) == ("measure", 2, 7)
    assert failure["traceback"][0].startswith("Traceback")
    json.dumps(failure)


def test_a_fill_that_was_killed_kills_the_benchmark_by_the_same_signal(tmp_path: Path) -> None:
    code = (
        "import os, signal, subprocess, sys; from pathlib import Path\n"
        "from harness.bench.measure import benchmark; from harness.bench.measure.event_log import Journal\n"
        "subprocess.run = lambda *a, **k: subprocess.CompletedProcess(a, -signal.SIGKILL)\n"
        "benchmark.fill_in_child(Path(sys.argv[1]), Journal(Path(sys.argv[1]) / 'events.jsonl'))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL


def test_wrong_arguments_are_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert benchmark.main([]) == 2
    assert benchmark.main(["a", "b"]) == 2
    assert "usage: python -m bench.measure.benchmark JOB_FOLDER" in capsys.readouterr().err
