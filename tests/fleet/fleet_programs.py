"""What the payload's tasks leave on a simulated workstation: data sets checked, work proven, epochs measured."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fleet_engine import HANGS, Entry, Performance, json_entry, lines_entry

from harness.engine.interface import JobRequest
from harness.hosts.connection import Connection
from harness.values.errors import JobRefused

IMAGES = 900
"""In the fleet's data set."""

_ENVIRONMENT = {
    "python": "3.11.2",
    "tensorflow": "2.21.0",
    "keras": "3.12.0",
    "devices": {"gpus": []},
    "budgets": {"intra_op_threads": 8, "inter_op_threads": 8, "ram_budget_bytes": 2 * 10**9},
    "packages": {f"package-{number}": f"1.{number}.0" for number in range(40)},
}
_LOG = b"".join(b"epoch 1: step %d of 29, 0.034 s a step\n" % step for step in range(60))


@dataclass(frozen=True)
class Temper:
    """How one workstation does its work. ``epoch_s``: an epoch without a cache; ``pace`` multiplies all times.

    ``memory_dies``: the cache in memory outgrows its limit. By number of the job that measures (from 1) on this host:
    ``mishaps``, one of ``hang``, ``error``, ``disk_full``, ``refuse``.
    """

    epoch_s: float
    pace: float = 1.0
    memory_dies: bool = False
    mishaps: Mapping[int, str] | None = None


class Program:
    """Tells what each job of one workstation does; ``measured`` of them measured; all took ``work_s``.

    ``costed`` are the settings whose stages were looked for.
    """

    def __init__(self, temper: Temper) -> None:
        self.temper = temper
        self.fingerprint = "d" * 64
        self.measured = 0
        self.costed: list[str] = []
        self.work_s = 0.0

    def __call__(self, request: JobRequest, connection: Connection) -> Performance:
        told = self._tell(request)
        limit = float(str(request.request["timeout_s"]))
        self.work_s += min(told.seconds, limit)
        return told

    def _tell(self, request: JobRequest) -> Performance:
        match request.request["task"]:
            case "dataset":
                found = {
                    "fingerprint": self.fingerprint,
                    "images": IMAGES,
                    "classes": 2,
                    "bytes": IMAGES * 162_000,
                    "mean_width": 640.0,
                    "mean_height": 480.0,
                    "mean_pixels": 307_200.0,
                    "odd": {},
                }
                data = request.request["data"]
                if isinstance(data, dict) and data.get("skip_unreadable"):
                    found |= {"skipped": [["cat/9.jpg", "it is not an image"]], "skipped_count": 3}
                return Performance(40.0 * self.temper.pace, (), (json_entry("dataset.json", found),))
            case "gpus":
                limits = request.request["limits"]
                answer = {"found": len(limits["gpus"]) if isinstance(limits, dict) else 0, "problem": None}
                return Performance(1.0, (), (json_entry("gpu.json", answer),))
            case "samework":
                keys = [variant["key"] for variant in _listed(request, "variants")]
                proven = {key: {"is_proven": True, "problems": []} for key in keys}
                return Performance(60.0 * self.temper.pace, (), (json_entry("dataset.json", {"variants": proven}),))
            case "rehearse":
                found = {str(setting["key"]): _rehearsed(setting) for setting in _listed(request, "settings")}
                return Performance(50.0 * self.temper.pace, (), (json_entry("dataset.json", {"settings": found}),))
            case "stages":
                found = {str(setting["key"]): _costed(setting) for setting in _listed(request, "settings")}
                self.costed += found
                return Performance(40.0 * self.temper.pace, (), (json_entry("dataset.json", {"settings": found}),))
            case "measure":
                return self._measure(request)
        raise AssertionError(f"a simulated host does not know the task {request.request['task']!r}")

    def _measure(self, request: JobRequest) -> Performance:
        self.measured += 1
        temper, case = self.temper, request.request["case"]
        assert isinstance(case, dict)
        early = (Entry("log.txt", _LOG), json_entry("environment.json", _ENVIRONMENT))
        epoch_s = temper.epoch_s * temper.pace * (2.0 if case["loader"] == "keras-idg" else 1.0)
        match (temper.mishaps or {}).get(self.measured):
            case "hang":
                return Performance(HANGS, early)
            case "refuse":
                raise JobRefused("the daemon would not", where=request.labels["harness.host"], hint="see its log")
            case "lost":
                return Performance(epoch_s / 2, early, is_lost=True)
            case "error" | "disk_full" as kind:
                failure = {"kind": kind, "message": "told to fail", "traceback": ["RuntimeError: told to fail"]}
                return Performance(epoch_s / 3, early, (json_entry("failure.json", failure),), exit_code=1)
        if case["cache"] == "memory" and temper.memory_dies:
            progress = {"event": "progress", "epoch": 1, "step": 9, "images": IMAGES // 3, "t": epoch_s / 3}
            return Performance(epoch_s / 3, (*early, lines_entry("events.jsonl", [progress])), is_oom=True)
        later_s = epoch_s if case["cache"] == "none" else epoch_s / 4
        epochs = [_epoch(number, epoch_s if number == 1 else later_s) for number in range(1, int(case["epochs"]) + 1)]
        events = [*epochs, {"event": "done", "cache_bytes": None}]
        seconds = math.fsum(epoch["seconds"] for epoch in epochs) + 12.0
        return Performance(seconds, early, (lines_entry("events.jsonl", events),))


def _rehearsed(setting: Mapping[str, Any]) -> dict[str, Any]:
    count, wanted = int(setting["images"]), int(setting["batches"])
    run = {"start_bytes": 210 * 10**6, "points": [(count, 300_000_000), (2 * count, 300_100_000)]}
    return {"images": count, "batches_wanted": wanted, "first_s": 0.02, "steady_s": 0.01, "runs": [run]}


def _costed(setting: Mapping[str, Any]) -> dict[str, Any]:
    steady = [{"name": "read", "cpu_s": 0.0001}, {"name": "decode", "cpu_s": 0.002}, {"name": "batch", "cpu_s": 0.0002}]
    whole = {"cpu_s": 0.0024, "stages": steady}
    return {"images": int(setting["images"]), "rounds": 3, "steady": whole, "first": None, "nodes": None}


def _epoch(index: int, seconds: float) -> dict[str, Any]:
    return {
        "event": "epoch",
        "index": index,
        "images": IMAGES,
        "seconds": seconds,
        "first_batch_s": 0.4,
        "bytes_read": IMAGES * 162_000,
        "bytes_needed": IMAGES * 162_000,
        "cpu_s": seconds * 3,
        "flush_s": None,
    }


def _listed(request: JobRequest, name: str) -> list[dict[str, Any]]:
    found = request.request[name]
    assert isinstance(found, list)
    return found
