"""A preparation task in a job: its request, its events, and its failure file. Standard library only."""

from __future__ import annotations

import errno
import json
import re
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path

from ..protocol.dataset_errors import DatasetError
from ..protocol.protocol import DATASET, EVENTS, FAILURE, RESULTS, as_count, make_failure, read_request, write_json
from .parallel import usable_cpus


class Job:
    """A job's folder, seen from inside the job: ``request`` says what to do, ``paths`` where things are."""

    def __init__(self, folder: Path) -> None:
        self.results = folder / RESULTS
        self.request = read_request(folder)
        self.paths = self.request.paths
        self.phase = "start"
        self._start = time.monotonic()
        self.results.mkdir(parents=True, exist_ok=True)

    @property
    def cpus(self) -> int:
        """The number of CPUs to use: the requested ones, at most those that this process may use."""
        return min(len(self.request.limits.cpus) or usable_cpus(), usable_cpus())

    def path(self, name: str) -> Path:
        """Return where ``name`` is. Raises DatasetError if the request has no such path."""
        if name not in self.paths:
            raise DatasetError(f"the request has no path named {name}", hint="this is a bug: please report it")
        return Path(self.paths[name])

    def emit(self, event: str, **fields: str | int | None) -> None:
        """Add a line to ``events.jsonl``; ``t`` is in seconds since the start."""
        line = json.dumps({"event": event, "t": round(time.monotonic() - self._start, 3), **fields})
        with open(self.results / EVENTS, "a", encoding="utf-8") as stream:
            stream.write(line + "\n")

    def _rename(self, message: str) -> str:
        """Return ``message`` with the host's paths (``shown`` in the request) instead of those inside the job."""
        for name, shown in self.request.shown.items():
            if name in self.paths:
                inside = rf"(?<![\w/.-]){re.escape(self.paths[name])}(?![\w.-])"
                message = re.sub(inside, shown.replace("\\", "\\\\"), message)
        return message

    def enter(self, phase: str) -> None:
        """Begin a phase and report it."""
        self.phase = phase
        self.emit("phase", name=phase)

    def progress(self, done: int, total: int, unit: str = "images") -> None:
        """Report that ``done`` of ``total`` images (or other units) are done in the current phase."""
        self.emit("progress", phase=self.phase, images=done, total=total, unit=unit)

    def finish(self, dataset: Mapping[str, object]) -> None:
        """Write ``dataset.json`` and report that the task is done."""
        write_json(self.results / DATASET, dataset)
        self.emit("done", images=as_count(dataset.get("images")))

    def fail(self, error: BaseException) -> None:
        """Write ``failure.json``."""
        kind, message, hint = _explain(error)
        lines = traceback.format_exception(error)
        hint = None if hint is None else self._rename(hint)
        failure = make_failure(kind, self._rename(message), hint=hint, phase=self.phase, error=error, traceback=lines)
        write_json(self.results / FAILURE, failure)


def _explain(error: BaseException) -> tuple[str, str, str | None]:
    """Return (kind, message, hint) of a failure."""
    if isinstance(error, DatasetError):
        return error.kind, error.message, error.hint
    if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return "disk_full", f"no space left while writing {error.filename or 'a file'}", "free some space there"
    if isinstance(error, MemoryError):
        return "oom", "memory ran out", None
    return "error", f"{type(error).__name__}: {error}", None


def run_task(task: Callable[[Job], Mapping[str, object]], arguments: list[str]) -> int:
    """Run ``task`` on the job folder named by the arguments; return 0, or 1 after writing ``failure.json``."""
    if len(arguments) != 1:
        print("one argument is needed: the job's folder", file=sys.stderr)  # noqa: T201
        return 2
    job = Job(Path(arguments[0]))
    try:
        job.finish(task(job))
    except Exception as error:
        job.fail(error)
        print(f"{job.phase}: {error}", file=sys.stderr)  # noqa: T201
        return 1
    return 0
