"""A GPU asked for is a GPU used: TensorFlow falls back to the CPU with one line in a log, so it is asked and tried."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..protocol.failure import BenchmarkFailure

CACHE_BYTES = 2**32
"""The most that CUDA takes as ``CUDA_CACHE_MAXSIZE``: all kernels of TensorFlow are more than its default."""
_VERSION_FILE = Path("/proc/driver/nvidia/version")


@dataclass(frozen=True)
class Devices:
    """The GPUs that TensorFlow has, by name, and where a product of two matrices ran."""

    gpus: tuple[str, ...]
    matmul_device: str

    def as_fields(self) -> dict[str, list[str] | str]:
        """The fields of ``environment.json``."""
        return {"gpus": list(self.gpus), "matmul_device": self.matmul_device}


def restrict_gpus(asked: list[str]) -> None:
    """Let CUDA see only what was asked for; to be called before TensorFlow is imported.

    UUIDs name the same GPU inside a container and outside; a number does not: then it is the first ones of those that
    whoever started this process lets it see.
    """
    seen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if not asked:
        visible = ["-1"]
    elif all(name.startswith(("GPU-", "MIG-")) for name in asked):
        visible = asked
    else:
        visible = (seen.split(",") if seen else list(map(str, range(len(asked)))))[: len(asked)]
    os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(visible)


def keep_compiled(folder: str | None) -> None:
    """Have the driver keep what it compiles of PTX for later processes; to be called before TensorFlow is imported."""
    if folder is not None:
        os.environ.update(CUDA_CACHE_PATH=folder, CUDA_CACHE_MAXSIZE=str(CACHE_BYTES))


def check_devices(asked: list[str]) -> Devices:
    """The devices in use. Raises BenchmarkFailure ``gpu_missing`` where they are not those that were asked for."""
    import tensorflow as tf

    if not asked:
        tf.config.set_visible_devices([], "GPU")
        return Devices((), _find_matmul_device(tf))
    found = tf.config.list_physical_devices("GPU")
    if len(found) != len(asked):
        raise BenchmarkFailure("gpu_missing", explain_missing(len(asked), len(found), _build_info(tf), read_driver()))
    for number in reversed(range(len(found))):
        with tf.device(f"/GPU:{number}"):
            device = _find_matmul_device(tf)
        if "GPU" not in device:
            message = explain_missing(len(asked), len(found), _build_info(tf), read_driver())
            raise BenchmarkFailure("gpu_missing", f"{message} A product of two matrices ran on {device}.")
    names = [str(tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name)) for gpu in found]
    return Devices(tuple(names), device)


def explain_missing(asked: int, found: int, cuda: dict[str, str] | None, driver: str | None) -> str:
    """What is missing, and the cure: no CUDA in TensorFlow, no driver, or a driver that is too old."""
    head = f"{asked} GPU{'s' if asked != 1 else ''} asked for, TensorFlow sees {found}."
    has = f"NVIDIA driver {driver}" if driver else "no NVIDIA driver"
    if cuda is None:
        return f"{head} This TensorFlow was built without CUDA (found: {has}): use the GPU image, or ask for `gpus: 0`."
    needs = f"TensorFlow was built for CUDA {cuda.get('cuda_version')} and cuDNN {cuda.get('cudnn_version')}"
    if driver is None:
        return f"{head} {needs}; found: {has}. Install the driver and the NVIDIA container toolkit on this host."
    return f"{head} {needs}; found: {has}. Update the driver to one that supports this CUDA, or use another image."


def read_cuda() -> dict[str, str] | None:
    """The CUDA and cuDNN that TensorFlow was built for; None for a build without."""
    import tensorflow as tf

    return _build_info(tf)


def read_driver() -> str | None:
    """The version of the NVIDIA driver, or None where there is none."""
    if _VERSION_FILE.exists():
        return parse_driver(_VERSION_FILE.read_text(encoding="utf-8", errors="replace"))
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return parse_driver(answer.stdout)


def parse_driver(text: str) -> str | None:
    """The driver's version in the text of ``/proc/driver/nvidia/version`` or of ``nvidia-smi``."""
    found = re.search(r"\b(\d{3,}\.\d+(?:\.\d+)?)\b", text)
    return found.group(1) if found else None


def _build_info(tf: Any) -> dict[str, str] | None:
    info = dict(tf.sysconfig.get_build_info())
    if not info.get("is_cuda_build"):
        return None
    return {key: str(info[key]) for key in ("cuda_version", "cudnn_version") if key in info}


def _find_matmul_device(tf: Any) -> str:
    matrix = tf.ones((64, 64))
    product = tf.linalg.matmul(matrix, matrix)
    if float(product[0, 0]) != 64.0:
        raise BenchmarkFailure("error", f"a product of two matrices on {product.device} is wrong")
    return str(product.device).rpartition("/device:")[2]
