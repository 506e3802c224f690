"""Run task ``gpus``: count the GPUs that a job sees, through the driver's library. Standard library only, fast.

A broken NVIDIA runtime lets a container start without GPUs, or not at all. ``gpu.json`` then has ``found`` (None if
this Python cannot ask) and the ``problem``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ..protocol import protocol

LIBRARY = "libcuda.so.1"


def load_library() -> Any:
    """Load the driver's library. Raises OSError if there is none, ImportError if this Python cannot load libraries."""
    import ctypes

    return ctypes.CDLL(LIBRARY)


def count_gpus(load: Callable[[], Any] = load_library) -> dict[str, int | str | None]:
    """Return how many GPUs CUDA sees, and the problem if there are none."""
    try:
        import ctypes

        library = load()
    except ImportError:
        return {"found": None, "problem": None}
    except OSError:
        return {"found": 0, "problem": f"the driver's library ({LIBRARY}) was not found"}
    count = ctypes.c_int(0)
    for name, code in (
        ("cuInit", library.cuInit(0)),
        ("cuDeviceGetCount", library.cuDeviceGetCount(ctypes.byref(count))),
    ):
        if code:
            return {"found": 0, "problem": f"the driver returned error {code} for {name}"}
    return {"found": count.value, "problem": None}


def main(arguments: Sequence[str]) -> int:
    """Write ``gpu.json`` for ``JOB_FOLDER``; return 0 in any case."""
    protocol.write_json(Path(arguments[0]) / protocol.RESULTS / protocol.GPU, count_gpus())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
