"""``environment.json``: what the figures were measured with. Versions are read without importing anything heavy."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import TypedDict

_TENSORFLOW = ("tensorflow", "tensorflow-cpu", "tensorflow_intel", "tf_nightly")
_JPEG = "from PIL import features as f; print(f.version_feature('libjpeg_turbo') or f.version('jpg') or '')"


class Software(TypedDict):
    """Versions of what decodes, loads and trains; None is not installed. ``cpu_affinity`` are CPU numbers."""

    python: str
    tensorflow: str | None
    keras: str | None
    numpy: str | None
    pillow: str | None
    jpeg: str | None
    cpu_affinity: list[int]


def find_version(*names: str) -> str | None:
    """The version of the first of these distributions that is installed."""
    for name in names:
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return None


def describe_software() -> Software:
    """Versions of Python, TensorFlow, Keras, NumPy, Pillow and of the JPEG library that Pillow decodes with."""
    return {
        "python": platform.python_version(),
        "tensorflow": find_version(*_TENSORFLOW),
        "keras": find_version("keras"),
        "numpy": find_version("numpy"),
        "pillow": find_version("pillow"),
        "jpeg": _read_jpeg_version(),
        "cpu_affinity": sorted(os.sched_getaffinity(0)),
    }


def _read_jpeg_version() -> str | None:
    """In a process of its own: PIL would otherwise stay in the memory of loaders that do without it."""
    try:
        answer = subprocess.run([sys.executable, "-c", _JPEG], capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip() or None


def prepare_process(keras_home: str) -> None:
    """Settings that TensorFlow and Keras read when they are imported.

    Their warnings and errors stay in the log, their information does not. Keras gets a home of its own: it would
    write into the user's, and a ``keras.json`` there could change the work.
    """
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = os.environ.get("TF_CPP_MIN_LOG_LEVEL", "1")
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ["KERAS_HOME"] = keras_home


def leave_out_pandas() -> None:
    """Keep pandas out: Keras imports it where it is installed, 32 MB of memory that only data frames need."""
    sys.modules.setdefault("pandas", None)  # type: ignore[arg-type]
