"""Check that requested GPUs are used, by listing and trying them: TensorFlow falls back to the CPU with a log line."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..protocol.failure import BenchmarkFailure

CACHE_BYTES = 2**32
"""The maximum of ``CUDA_CACHE_MAXSIZE``: TensorFlow's kernels exceed the default."""
_VERSION_FILE = Path("/proc/driver/nvidia/version")


@dataclass(frozen=True)
class Devices:
    """The GPUs that TensorFlow uses, by name, and the device on which a matrix product ran."""

    gpus: tuple[str, ...]
    matmul_device: str

    def as_fields(self) -> dict[str, list[str] | str]:
        """Return the fields of ``environment.json``."""
        return {"gpus": list(self.gpus), "matmul_device": self.matmul_device}


def restrict_gpus(asked: list[str]) -> None:
    """Let CUDA see only the requested GPUs; must be called before TensorFlow is imported.

    UUIDs name the same GPU inside a container and outside; a number does not. For numbers, the first GPUs that this
    process was allowed to see are used.
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
    """Let the driver cache kernels compiled from PTX for later processes; call it before importing TensorFlow."""
    if folder is not None:
        os.environ.update(CUDA_CACHE_PATH=folder, CUDA_CACHE_MAXSIZE=str(CACHE_BYTES))


def check_devices(asked: list[str]) -> Devices:
    """Return the devices in use. Raises BenchmarkFailure ``gpu_missing`` if they are not the requested ones."""
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
            raise BenchmarkFailure("gpu_missing", f"{message} A matrix product ran on {device}.")
    names = [str(tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name)) for gpu in found]
    return Devices(tuple(names), device)


def explain_missing(asked: int, found: int, cuda: dict[str, str] | None, driver: str | None) -> str:
    """Return what is missing and how to fix it: TensorFlow without CUDA, no driver, or a driver that is too old."""
    head = f"{asked} GPU{'s' if asked != 1 else ''} requested, but TensorFlow sees {found}."
    has = f"NVIDIA driver {driver}" if driver else "no NVIDIA driver"
    if cuda is None:
        return f"{head} This TensorFlow was built without CUDA (found: {has}): use the GPU image, or ask for `gpus: 0`."
    needs = f"TensorFlow was built for CUDA {cuda.get('cuda_version')} and cuDNN {cuda.get('cudnn_version')}"
    if driver is None:
        return f"{head} {needs}; found: {has}. Install the driver and the NVIDIA container toolkit on this host."
    return f"{head} {needs}; found: {has}. Update the driver to one that supports this CUDA, or use another image."


def read_cuda() -> dict[str, str] | None:
    """Return the CUDA and cuDNN versions that TensorFlow was built for; None for a build without CUDA."""
    import tensorflow as tf

    return _build_info(tf)


def read_driver() -> str | None:
    """Return the version of the NVIDIA driver; None if there is none."""
    if _VERSION_FILE.exists():
        return parse_driver(_VERSION_FILE.read_text(encoding="utf-8", errors="replace"))
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return parse_driver(answer.stdout)


def parse_driver(text: str) -> str | None:
    """Return the driver's version in the text of ``/proc/driver/nvidia/version`` or of ``nvidia-smi``."""
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
        raise BenchmarkFailure("error", f"a matrix product on {product.device} is wrong")
    return str(product.device).rpartition("/device:")[2]
