"""Task ``gpus``: how many GPUs a job sees, by the driver's own library. Standard library only, a moment long.

An NVIDIA runtime that is named but broken lets a container start without GPUs, or not at all. ``gpu.json`` then has
``found``, None where this Python cannot ask, and the ``problem``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ..protocol import protocol

LIBRARY = "libcuda.so.1"


def load_library() -> Any:
    """Load the driver's library. Raises OSError where there is none; ImportError where this Python cannot load any."""
    import ctypes

    return ctypes.CDLL(LIBRARY)


def count_gpus(load: Callable[[], Any] = load_library) -> dict[str, int | str | None]:
    """Return how many GPUs CUDA sees, and why there are none."""
    try:
        import ctypes

        library = load()
    except ImportError:
        return {"found": None, "problem": None}
    except OSError:
        return {"found": 0, "problem": f"the driver's library ({LIBRARY}) is not in it"}
    count = ctypes.c_int(0)
    for name, code in (
        ("cuInit", library.cuInit(0)),
        ("cuDeviceGetCount", library.cuDeviceGetCount(ctypes.byref(count))),
    ):
        if code:
            return {"found": 0, "problem": f"the driver answers {name} with error {code}"}
    return {"found": count.value, "problem": None}


def main(arguments: Sequence[str]) -> int:
    """``JOB_FOLDER``; always 0: what was found is the answer."""
    protocol.write_json(Path(arguments[0]) / protocol.RESULTS / protocol.GPU, count_gpus())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
