"""What travels between the controller and the payload: names of files, and their fields. Standard library only.

A job's folder (``/harness`` in a container)::

    payload/bench/…        this package
    request.json           what to do
    results/               all that comes back
        outcome.json       the supervisor's evidence, written last and atomically
        events.jsonl       what the benchmark did, line by line (see ``EVENT_KINDS``)
        environment.json   versions, devices, budgets
        failure.json       why the benchmark gave up, in one object (FAILURE_KINDS)
        dataset.json       task ``dataset`` and ``generate``: what the set is
        samples.jsonl      the supervisor's samples of memory
        gpu.json           what the GPU sampler saw, where there are GPUs
        log.txt            stdout and stderr of the benchmark

It is started as ``python -m bench.supervisor JOB_FOLDER`` with ``payload/`` as the
working directory.

request.json::

    format      1
    task        measure | dataset | generate | probe | samework | rehearse
    case        the case's parameters                              (measure)
    data        {"kind": "folder" | "coco" | "tfrecord", "name": …}         (measure, dataset)
                of TFRecord files also pattern, image_feature, label_feature   (dataset)
    generate    {"profile": …, "images": …, "seed": …}             (generate)
    limits      {"memory_bytes": int|null, "cpus": [int], "gpus": [str], "oom_score_adj": 1000}
    variants    [{"key", "kind", "case"}]: loaders to prove           (samework; the answer is dataset.json)
    settings    [{"key", "case", "data", "images", "batches"}]: cases to rehearse      (rehearse; likewise)
    timeout_s   float
    seed        int: of shuffling; differs by round
    links       bool: make a tree of links, one folder a class     (dataset)
    paths       {name: path inside the job}: data, annotations, dataset, cache, weights  (added by the engine)

``paths``: ``data`` is the folder of images (for ``generate``: where to make it, writable);
``annotations`` the instances JSON of a COCO pair; ``dataset`` the folder, in the host's scratch, that
task ``dataset`` writes (manifest, hashes, links) and ``measure`` reads; ``cache`` the
invocation's own cache folder; ``weights`` a file.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypedDict

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
"""Beside ``results``: where a benchmark may write; made before it starts, for the job folder itself may be root's."""
MANIFEST = "manifest.tsv"
"""In the ``dataset`` folder: path relative to ``data``, label index, width, height, bytes, content hash;
tab-separated, one header line."""
CLASSES = "classes.json"

FAILURE_KINDS = ("oom", "gpu_oom", "disk_full", "gpu_missing", "data", "weights", "error")
"""``kind`` of ``failure.json``, beside ``message``, ``phase``, ``type``, ``traceback`` (lines), ``epoch``, ``step``."""

EVENT_KINDS = ("phase", "progress", "epoch", "done")
"""The value of ``event`` in each line, with ``t``, seconds since the benchmark's start. ``phase``: name.
``progress``: epoch, step, images (the first step, twice a second, each twentieth more). ``epoch``: the fields of a
record's epoch. ``done``: cache_bytes and whatever else ended well."""


class Limits(TypedDict):
    """What a job may use: bytes of memory (None for no limit), numbers of CPUs, ids of GPUs."""

    memory_bytes: int | None
    cpus: list[int]
    gpus: list[str]
    oom_score_adj: int


class Request(TypedDict):
    """What every ``request.json`` holds, whatever its task."""

    format: int
    task: str
    limits: Limits
    timeout_s: float
    seed: int


def write_json(path: Path, value: Any) -> None:
    """Write whole or not at all, and through to the disk."""
    write_file(path, json.dumps(value, indent=1, sort_keys=True) + "\n")


def read_json(path: Path) -> Any:
    """The value of a file, or None where there is none or it was cut."""
    try:
        return json.loads(path.read_text(encoding="utf-8", errors="replace"))
    except (FileNotFoundError, json.JSONDecodeError):
        return None


def read_lines(path: Path) -> list[dict[str, Any]]:
    """All whole lines of a JSON-lines file; a cut last one is left out."""
    lines: list[dict[str, Any]] = []
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return lines
    for line in text.splitlines():
        try:
            value = json.loads(line)
        except json.JSONDecodeError:
            continue
        if isinstance(value, dict):
            lines.append(value)
    return lines
