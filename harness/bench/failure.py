"""Why a benchmark gave up: its own failures, and the class of everybody else's. Standard library only."""

from __future__ import annotations

import errno
import traceback
from typing import Any

NO_SPACE = "No space left on device"

_UNREADABLE = (
    "Unknown image file format",
    "Invalid JPEG",
    "Invalid PNG",
    "Trying to decode",
    "Failed to decode",
    "crop window",
    "cannot identify image file",
    "image file is truncated",
    "broken data stream",
    "Expected image",
    "Input is empty",
)
_GPU_MEMORY = ("device:GPU", "GPU_0_bfc", "Out of memory while trying to allocate", "CUDA_ERROR_OUT_OF_MEMORY")


class BenchmarkFailure(Exception):
    """A failure that the payload itself found.

    ``kind`` is one of ``protocol.FAILURE_KINDS``; the message says what to do.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def classify(error: BaseException) -> str:
    """The kind of a failure, from the exception alone.

    TensorFlow reports a full disk, an exhausted host and an exhausted GPU all as
    ``ResourceExhaustedError``: the message tells them apart.
    """
    if isinstance(error, BenchmarkFailure):
        return error.kind
    text = str(error)
    names = {kind.__name__ for kind in type(error).__mro__}
    if NO_SPACE in text or getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
        return "disk_full"
    if isinstance(error, MemoryError):
        return "oom"
    if "ResourceExhaustedError" in names or "RESOURCE_EXHAUSTED" in text or "CUDA_ERROR_OUT_OF_MEMORY" in text:
        return "gpu_oom" if any(mark in text for mark in _GPU_MEMORY) else "oom"
    if "UnidentifiedImageError" in names or any(mark in text for mark in _UNREADABLE):
        return "data"
    if isinstance(error, FileNotFoundError) or "NotFoundError" in names:
        return "data"
    return "error"


def describe(
    error: BaseException, *, phase: str | None = None, epoch: int | None = None, step: int | None = None
) -> dict[str, Any]:
    """What ``failure.json`` says: the kind, where it happened, and the traceback as lines."""
    lines = traceback.format_exception(type(error), error, error.__traceback__)
    return {
        "kind": classify(error),
        "message": str(error) or type(error).__name__,
        "phase": phase,
        "type": type(error).__name__,
        "traceback": "".join(lines).splitlines(),
        "epoch": epoch,
        "step": step,
    }
