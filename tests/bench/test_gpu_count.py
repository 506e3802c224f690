"""What a job finds of its GPUs in a moment, and what a TensorFlow that is not imported says of its build."""

from __future__ import annotations

import ctypes
import json
from pathlib import Path
from typing import Any

import pytest

from harness.bench.launcher.environment_digest import describe, read_build
from harness.bench.proof.gpus import count_gpus, main


class Library:
    """Stands in for ``libcuda.so.1``."""

    def __init__(self, count: int, init: int = 0) -> None:
        self._count, self._init = count, init

    def cuInit(self, flags: int) -> int:  # noqa: N802 - as NVIDIA names it
        assert flags == 0
        return self._init

    def cuDeviceGetCount(self, place: Any) -> int:  # noqa: N802 - as NVIDIA names it
        ctypes.cast(place, ctypes.POINTER(ctypes.c_int))[0] = self._count
        return 0


def _missing() -> Any:
    raise OSError("libcuda.so.1: cannot open shared object file")


def _no_ctypes() -> Any:
    raise ImportError("no ctypes")


@pytest.mark.parametrize(
    ("load", "found", "problem"),
    [
        (lambda: Library(2), 2, None),
        (lambda: Library(0), 0, None),
        (lambda: Library(1, init=100), 0, "the driver returned error 100 for cuInit"),
        (_missing, 0, "the driver's library (libcuda.so.1) was not found"),
        (_no_ctypes, None, None),
    ],
)
def test_gpus_are_counted_by_the_drivers_own_library(load: Any, found: int | None, problem: str | None) -> None:
    assert count_gpus(load) == {"found": found, "problem": problem}


def test_the_task_leaves_its_answer(tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    assert main([str(tmp_path)]) == 0
    assert set(json.loads((tmp_path / "results" / "gpu.json").read_text())) == {"found", "problem"}


def test_a_tensorflow_is_read_and_not_imported(tmp_path: Path) -> None:
    place = tmp_path / "python" / "platform" / "build_info.py"
    place.parent.mkdir(parents=True)
    said = "[('is_cuda_build', True), ('cuda_version', '12.5.1'), ('cuda_compute_capabilities', ['sm_80'])]"
    place.write_text(f'"""Generated."""\nimport collections\n\nbuild_info = collections.OrderedDict({said})\n')
    expected = {"is_cuda_build": True, "cuda_version": "12.5.1", "cuda_compute_capabilities": ["sm_80"]}
    assert read_build([str(tmp_path / "nowhere"), str(tmp_path)]) == expected
    for text in ("", "build_info = 3", "build_info = dict(", "build_info = dict(open('/etc/passwd'))", "\0"):
        place.write_text(text)
        assert read_build([str(tmp_path)]) is None, text
    assert "build" in describe()
