"""The files exchanged between controller and payload: their names and fields. Standard library only.

This module defines no dataclass: the supervisor would pay for the import in memory and time.

A job's folder (``/harness`` in a container)::

        payload/bench/…        this package
        request.json           the task and its parameters
        results/               everything that is fetched
            outcome.json       the supervisor's results, written last and atomically
            events.jsonl       the benchmark's events, line by line (see ``EVENT_KINDS``)
            environment.json   versions, devices, budgets
            failure.json       why the benchmark failed, in one object (FAILURE_KINDS)
            dataset.json       tasks ``dataset`` and ``generate``: the description of the set
            samples.jsonl      the supervisor's samples of memory
            gpu.json           the GPU sampler's results, if there are GPUs; task ``gpus``: their number
            log.txt            stdout and stderr of the benchmark

It is started as ``python -m bench.supervisor.supervisor JOB_FOLDER`` with ``payload/`` as the
working directory.

request.json::

    format      1
    task        measure | dataset | generate | probe | gpus | samework | rehearse | stages
    case        the case's parameters                              (measure)
    data        {"kind": "folder" | "coco" | "tfrecord", "name": …}         (measure, dataset)
                                for TFRecord files also pattern, image_feature, label_feature   (dataset)
    generate    {"profile": …, "images": …, "seed": …}             (generate)
    limits      {"memory_bytes": int|null, "cpus": [int], "gpus": [str], "oom_score_adj": 1000}
        variants    [{"key", "kind", "case"}]: loaders to check           (samework; the answer is dataset.json)
        settings    [{"key", "case", "data", "images", "batches"}]: cases for trial runs   (rehearse; likewise)
                    the same without batches: loaders whose stages are measured        (stages; likewise)
    timeout_s   float
        seed        int: for shuffling; differs by round
        links       bool: make a tree of links, one folder per class   (dataset)
    paths       {name: path inside the job}: data, annotations, dataset, cache, weights  (added by the engine)

``paths``: ``data`` is the folder of images (for ``generate``: where to make it, writable); ``annotations`` is the
instances JSON of a COCO pair; ``dataset`` is the folder, in the host's scratch, that task ``dataset`` writes (manifest,
hashes, links) and ``measure`` reads; ``cache`` is the run's own cache folder; ``weights`` is a file.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple, TypedDict

from . import bounded_json
from .atomic import write_file

FORMAT = 1

PAYLOAD = "payload"
REQUEST = "request.json"
RESULTS = "results"
OUTCOME = "outcome.json"
EVENTS = "events.jsonl"
ENVIRONMENT = "environment.json"
FAILURE = "failure.json"
DATASET = "dataset.json"
SAMPLES = "samples.jsonl"
GPU = "gpu.json"
LOG = "log.txt"
WORK_FOLDERS = ("scratch", "keras")
"""Folders beside ``results`` that a benchmark may write to, made before it starts: root may own the job's folder."""
MANIFEST = "manifest.tsv"
"""File in the ``dataset`` folder with the columns path relative to ``data``, label index, width, height, bytes, content
hash; tab-separated, one header line."""
CLASSES = "classes.json"

FAILURE_KINDS = ("oom", "gpu_oom", "disk_full", "gpu_missing", "data", "weights", "error")
"""``kind`` of ``failure.json``, beside ``message``, ``phase``, ``type``, ``traceback`` (lines), ``epoch``, ``step``."""

EVENT_KINDS = ("phase", "progress", "epoch", "done")
"""The value of ``event`` in each line, with ``t``, seconds since the benchmark's start. ``phase``: name.
``progress``: epoch, step, images (for the first step, twice a second, each twentieth more). ``epoch``: the fields of a
record's epoch. ``done``: cache_bytes and other results."""


_TIMEOUT_S = 3600.0
_HALF_LOG_BYTES = 2**20
"""Half of the most that ``supervisor.caplog`` leaves of a log."""
_NOTHING: Mapping[str, str] = {}


class Limits(NamedTuple):
    """The resources of a job: bytes of memory (None for no limit), numbers of CPUs, ids of GPUs."""

    memory_bytes: int | None = None
    cpus: tuple[int, ...] = ()
    gpus: tuple[str, ...] = ()
    oom_score_adj: int | None = None


class Request(NamedTuple):
    """The contents of ``request.json``: fields of every task, and in ``said`` those of one task.

    ``paths`` are folders and files by name, inside the job; ``shown`` are the same as the host's user knows them.
    """

    task: str
    limits: Limits = Limits()
    timeout_s: float = _TIMEOUT_S
    seed: int = 0
    paths: Mapping[str, str] = _NOTHING
    shown: Mapping[str, str] = _NOTHING
    said: Mapping[str, object] = _NOTHING

    def as_fields(self) -> dict[str, object]:
        """Return the contents of ``request.json``."""
        limits = self.limits
        return {
            **self.said,
            "format": FORMAT,
            "task": self.task,
            "limits": {
                "memory_bytes": limits.memory_bytes,
                "cpus": list(limits.cpus),
                "gpus": list(limits.gpus),
                "oom_score_adj": limits.oom_score_adj,
            },
            "timeout_s": self.timeout_s,
            "seed": self.seed,
            **({"paths": dict(self.paths)} if self.paths else {}),
            **({"shown": dict(self.shown)} if self.shown else {}),
        }


class Failure(TypedDict):
    """The contents of ``failure.json``: what failed, where, and the traceback; for preparations a ``hint``."""

    kind: str
    message: str
    hint: str | None
    phase: str | None
    type: str | None
    traceback: list[str]
    epoch: int | None
    step: int | None


def make_failure(
    kind: str,
    message: str,
    *,
    hint: str | None = None,
    phase: str | None = None,
    error: BaseException | None = None,
    traceback: list[str] | None = None,
    epoch: int | None = None,
    step: int | None = None,
) -> Failure:
    """Return the contents of ``failure.json`` for an error, or for a failure without an exception."""
    name = None if error is None else type(error).__name__
    return {
        "kind": kind,
        "message": message,
        "hint": hint,
        "phase": phase,
        "type": name,
        "traceback": traceback or [],
        "epoch": epoch,
        "step": step,
    }


def read_request(folder: Path) -> Request:
    """Return a job's request; fields that are missing or of the wrong type get their defaults."""
    found = as_object(read_json(folder / REQUEST))
    limits, timeout_s = as_object(found.get("limits")), found.get("timeout_s")
    known = ("format", "task", "limits", "timeout_s", "seed", "paths", "shown")
    return Request(
        task=as_text(found.get("task")) or "",
        limits=Limits(
            memory_bytes=as_count(limits.get("memory_bytes")),
            cpus=tuple(cpu for cpu in as_list(limits.get("cpus")) if isinstance(cpu, int)),
            gpus=tuple(map(str, as_list(limits.get("gpus")))),
            oom_score_adj=as_count(limits.get("oom_score_adj")),
        ),
        timeout_s=float(timeout_s) if isinstance(timeout_s, int | float) and timeout_s else _TIMEOUT_S,
        seed=as_count(found.get("seed")) or 0,
        paths={name: str(path) for name, path in as_object(found.get("paths")).items()},
        shown={name: str(path) for name, path in as_object(found.get("shown")).items()},
        said={name: value for name, value in found.items() if name not in known},
    )


def as_object(value: object) -> dict[str, object]:
    """Return a JSON object; empty for anything else."""
    return value if isinstance(value, dict) else {}


def as_list(value: object) -> list[object]:
    """Return a JSON list; empty for anything else."""
    return value if isinstance(value, list) else []


def as_count(value: object) -> int | None:
    """Return an integer; None for anything else."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def as_number(value: object) -> float | None:
    """Return a number; None for anything else."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def as_text(value: object) -> str | None:
    """Return a string; None for anything else."""
    return value if isinstance(value, str) else None


def write_json(path: Path, value: object) -> None:
    """Write a value as JSON, atomically and synced to disk."""
    write_file(path, json.dumps(value, indent=1, sort_keys=True) + "\n")


def read_json(path: Path) -> object:
    """Return the value of a JSON file; None if it is missing or truncated. Raises bounded_json.Unreadable."""
    try:
        return bounded_json.read(path)
    except (FileNotFoundError, bounded_json.NotJson):
        return None


def read_lines(path: Path) -> Iterator[dict[str, object]]:
    """Yield the complete lines of a JSON-lines file; skip a truncated last one. Raises bounded_json.Unreadable."""
    with contextlib.suppress(FileNotFoundError):
        yield from bounded_json.read_lines(path)


def read_log(path: Path) -> str:
    """Return the text of a log; of one that is longer than ours, its beginning and its end."""
    try:
        with bounded_json.open_plain(path) as stream:
            text = stream.read(_HALF_LOG_BYTES)
            size = os.fstat(stream.fileno()).st_size
            if size > 2 * _HALF_LOG_BYTES:
                stream.seek(size - _HALF_LOG_BYTES)
                text += f"\n… {size - 2 * _HALF_LOG_BYTES} bytes left out …\n".encode()
            return (text + stream.read(_HALF_LOG_BYTES)).decode(errors="replace")
    except (FileNotFoundError, bounded_json.Unreadable):
        return ""
