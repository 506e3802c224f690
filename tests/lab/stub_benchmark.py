"""Stands in for the benchmark in the lab's sessions: standard library only, and it does what a test asks of it.

In the folder of the data set, ``behaviour.json`` says what a loader does, ``{"keras-idg": {"act": "oom"}}``
(``*`` for all others); where ``hold`` lies, every job waits until it is gone.
"""

import json
import mmap
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

from ..measure.devices import explain_missing, read_driver
from ..protocol.failure import BenchmarkFailure, describe
from ..protocol.protocol import EVENTS, FAILURE, RESULTS, write_json

CUDA = {"cuda_version": "12.5.1", "cudnn_version": "9"}
"""What the stand-in for the GPU image would have."""
HUNGRY = """
import mmap
kept = []
while True:
    kept.append(mmap.mmap(-1, 8 << 20))
    kept[-1].write(b"x" * (8 << 20))
"""


def eat() -> NoReturn:
    """Take memory until the kernel has enough of it."""
    kept = []
    while True:
        kept.append(mmap.mmap(-1, 8 << 20))
        kept[-1].write(b"x" * (8 << 20))


def fill(folder: Path) -> None:
    """Write until the disk is full."""
    with (folder / "filling").open("wb", buffering=0) as stream:
        while True:
            stream.write(b"x" * (4 << 20))


def act(wish: dict[str, Any], results: Path, paths: dict[str, str]) -> None:
    """What the test asks for, beside an ordinary run."""
    what = wish.get("act")
    if what == "oom":
        eat()
    if what == "oom_grandchild":
        subprocess.run([sys.executable, "-c", HUNGRY], check=False)
    if what == "fill_cache" and "cache" in paths:
        fill(Path(paths["cache"]))
    if what == "fill_results":
        fill(results)
    if what == "crash":
        os.abort()
    if what == "garbage":
        garbage = os.urandom(1000) + b'\n{"event": "epoch", "index": "first", "images": -1, "seconds": []}\n'
        (results / EVENTS).write_bytes(garbage)
        sys.exit(0)
    if what == "large":
        for number in range(int(wish.get("files", 1))):
            (results / f"large-{number}.bin").write_bytes(os.urandom(int(wish["bytes"])))


def main(job: Path) -> int:
    """One job."""
    results = job / RESULTS
    request = json.loads((job / "request.json").read_text())
    paths = request["paths"]
    data = Path(paths["data"])
    behaviour = data / "behaviour.json"
    wishes = json.loads(behaviour.read_text()) if behaviour.exists() else {}
    wish = wishes.get(request["case"]["loader"]) or wishes.get("*") or {}
    print("the stub begins", flush=True)
    gpus = request["limits"]["gpus"]
    try:
        if gpus:
            raise BenchmarkFailure("gpu_missing", explain_missing(len(gpus), 0, CUDA, read_driver()))
        while (data / "hold").exists():
            time.sleep(0.05)
        time.sleep(float(wish.get("seconds", 0.1)))
        act(wish, results, paths)
        if "cache" in paths:
            (Path(paths["cache"]) / "images_0.data").write_bytes(b"x" * 1000)
        with (results / EVENTS).open("w") as stream:
            for index in (1, 2):
                line = {"event": "epoch", "index": index, "images": 10, "seconds": 0.1, "cpu_s": 0.1}
                stream.write(json.dumps(line) + "\n")
            stream.write(json.dumps({"event": "done", "cache_bytes": None}) + "\n")
    except Exception as error:
        write_json(results / FAILURE, describe(error, phase="measure", epoch=1, step=1))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
