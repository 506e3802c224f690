"""Benchmarks of one process that has imported TensorFlow already: ``python forker.py``. Each is a fork of it.

A line of JSON in, ``{"job": FOLDER, "memory": BYTES or null}``; out come ``{"pid": …}`` at once, and ``{"code": …,
"signal": …, "oom_kills": …}`` when it has ended. Nothing of TensorFlow runs in the parent, so a fork begins as a
process of its own begins after its imports; what was imported is charged to the parent's cgroup.
"""

from __future__ import annotations

import json
import os
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"

import grain  # noqa: F401
import keras  # noqa: F401
import tensorflow  # noqa: F401

from harness.bench.launcher.cgroup import Cgroup
from harness.bench.launcher.confine import enter_cgroup, place_cgroup
from harness.bench.launcher.removal import remove_cgroup
from harness.bench.measure.benchmark import main


def serve() -> None:
    for line in sys.stdin:
        asked = json.loads(line)
        version, path = place_cgroup(f"harness-forker-{os.getpid()}") if asked["memory"] else (0, "")
        pid = os.fork()
        if pid == 0:
            become(asked, version, path)
        say(pid=pid)
        _, status = os.waitpid(pid, 0)
        code = os.waitstatus_to_exitcode(status)
        kills = Cgroup(version, path, path).read().oom_kills if path else None
        if path:
            remove_cgroup(path)
        say(code=max(code, 0), signal=max(-code, 0), oom_kills=kills)


def become(asked: dict[str, object], version: int, path: str) -> None:
    """In the fork: run the job, and end as `bench.measure.benchmark` ends. Never returns."""
    code = 70
    try:
        os.setsid()
        log = os.open(f"{asked['job']}/log.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        null = os.open(os.devnull, os.O_RDONLY)
        for source, target in ((null, 0), (log, 1), (log, 2)):
            os.dup2(source, target)
        if path:
            enter_cgroup(version, path, int(str(asked["memory"])))
        code = main([str(asked["job"])])
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


def say(**fields: object) -> None:
    print(json.dumps(fields), flush=True)


if __name__ == "__main__":
    serve()
