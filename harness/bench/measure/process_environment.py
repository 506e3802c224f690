"""Describe the software of a measurement for ``environment.json``, without importing anything heavy."""

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
    """Versions of what decodes, loads and trains; None if not installed. ``cpu_affinity`` are CPU numbers."""

    python: str
    tensorflow: str | None
    keras: str | None
    numpy: str | None
    pillow: str | None
    jpeg: str | None
    cpu_affinity: list[int]


def find_version(*names: str) -> str | None:
    """Return the version of the first of these distributions that is installed."""
    for name in names:
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return None


def describe_software() -> Software:
    """Return the versions of Python, TensorFlow, Keras, NumPy, Pillow and Pillow's JPEG library."""
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
    """Return the version in a separate process: PIL would otherwise take memory in loaders that do not use it."""
    try:
        answer = subprocess.run([sys.executable, "-c", _JPEG], capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip() or None


def prepare_process(keras_home: str) -> None:
    """Set the environment that TensorFlow and Keras read when they are imported.

    Their warnings and errors are logged, their information is not. Keras gets its own home folder, since it would write
    into the user's, and a ``keras.json`` there could change the work.
    """
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = os.environ.get("TF_CPP_MIN_LOG_LEVEL", "1")
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ["KERAS_HOME"] = keras_home


def leave_out_pandas() -> None:
    """Prevent Keras from importing pandas, which takes 32 MB of memory and is needed for data frames only."""
    sys.modules.setdefault("pandas", None)  # type: ignore[arg-type]
