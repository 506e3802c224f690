"""Benchmarks as forks of one process that has imported TensorFlow (``forker.py``)."""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PATIENCE_S = 180.0


@dataclass(frozen=True)
class End:
    """How a benchmark ended, and what it left."""

    code: int
    signal: int
    oom_kills: int | None
    events: list[dict[str, Any]]
    failure: dict[str, Any]
    log: str

    @property
    def images(self) -> list[int]:
        return [event["images"] for event in self.events if event["event"] == "epoch"]

    @property
    def done(self) -> dict[str, Any]:
        return next((event for event in self.events if event["event"] == "done"), {})


class Forker:
    """Benchmarks without the seconds that an import of TensorFlow takes."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, Path(__file__).with_name("forker.py")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def run(self, job: Path, *, memory: int | None = None, kill_when: Callable[[], bool] | None = None) -> End:
        """One benchmark to its end, which is SIGKILL as soon as ``kill_when``; one that hangs fails the test."""
        shutil.rmtree(job / "results", ignore_errors=True)
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"job": str(job), "memory": memory}) + "\n")
        self._process.stdin.flush()
        pid = self._hear()["pid"]
        while not (is_over := self._has_spoken(0.001 if kill_when else PATIENCE_S)) and kill_when and not kill_when():
            pass
        if not is_over:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
        ended = self._hear()
        assert is_over or kill_when, f"it hung for {PATIENCE_S} s"
        failure = job / "results" / "failure.json"
        return End(
            **ended,
            events=read_events(job),
            failure=json.loads(failure.read_text()) if failure.exists() else {},
            log=(job / "log.txt").read_text(errors="replace")[-3000:],
        )

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=30)

    def _has_spoken(self, seconds: float) -> bool:
        assert self._process.stdout is not None
        return bool(select.select([self._process.stdout], [], [], seconds)[0])

    def _hear(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        heard: dict[str, Any] = json.loads(self._process.stdout.readline())
        return heard


def read_events(job: Path) -> list[dict[str, Any]]:
    try:
        lines = (job / "results" / "events.jsonl").read_text().split("\n")[:-1]
    except FileNotFoundError:
        return []
    return [json.loads(line) for line in lines]
