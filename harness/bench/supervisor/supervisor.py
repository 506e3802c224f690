"""Supervise a job: start its benchmark as a child, watch it, outlive it, and write the results.

``python -S -E -m bench.supervisor.supervisor JOB_FOLDER``, with ``payload/`` as the working folder. It is PID 1 in a
container. Standard library only and small: its own CPU time and memory are part of ``outcome.json``, which is written
last and atomically, whatever happens to the child. It exits with 0 if it could write that file.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict

from ..launcher.cgroup import find_job, is_job_alone
from ..protocol import protocol
from .caplog import CappedLog
from .child import PIPE_BYTES, Child, end, end_others, reap
from .filling import FillWatch
from .hostsampler import HostSampler, HostSeen
from .sampling import Sampler
from .thrashing import ThrashWatch

TICK_S = 0.2
GROWING_TICK_S = 0.05
"""Interval while memory grows by more than ``GROWTH`` of its limit per sample, to catch the peak before a sudden end.
The host, which is more expensive to sample, is sampled at the usual interval."""
GROWTH = 0.02
GRACE_S = 10.0
"""Seconds from SIGTERM to SIGKILL after the job's timeout."""
STOP_GRACE_S = 5.0
"""The same if the supervisor itself was told to end: engines do not wait forever."""

RESERVE = ".reserve"
"""File that reserves disk space for the results before the job can fill the disk."""
_RESERVE_BYTES = 64 * 1024

MODULES = {
    "measure": "bench.measure.benchmark",
    "dataset": "bench.data.dataset",
    "generate": "bench.data.generate",
    "probe": "bench.proof.probe",
    "gpus": "bench.proof.gpus",
    "samework": "bench.proof.same_work",
    "rehearse": "bench.proof.rehearsal",
    "stages": "bench.stages.stage_costs",
}


class PageCache(TypedDict):
    """The requested state of the page cache, and the cost of setting it; ``unproven`` says why it may not hold."""

    state: str
    dropped_files: int | None
    dropped_bytes: int | None
    seconds: float | None
    unproven: str | None


class Stop:
    """Whether this process was told to end; a signal also interrupts ``wait``."""

    def __init__(self) -> None:
        self.is_asked = False
        self.waker, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._ask)

    def wait(self, seconds: float) -> None:
        """Wait until a signal comes or the time has passed."""
        ready, _, _ = select.select([self.waker], [], [], max(0.0, seconds))
        if ready:
            with contextlib.suppress(BlockingIOError):
                os.read(self.waker, 4096)

    def _ask(self, *_: object) -> None:
        self.is_asked = True


class Supervisor:
    """The supervisor of one job."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._results = folder / protocol.RESULTS
        self._results.mkdir(exist_ok=True)
        self._request = protocol.read_request(folder)
        self._paths, self._limits = self._request.paths, self._request.limits
        self._cgroup = find_job()
        self._begun = time.monotonic()
        self._own_cpu_s = time.process_time()
        self._deadline = self._begun + self._request.timeout_s
        self._timed_out = False
        self._stop = Stop()
        self._sampler = Sampler(str(self._results / protocol.SAMPLES), self._cgroup, self._disk())
        self._watch = ThrashWatch(self._cgroup, str(self._results / protocol.EVENTS))
        own = [folder / name for name in (protocol.RESULTS, *protocol.WORK_FOLDERS)]
        self._filling = FillWatch([str(place) for place in own])
        self._log = CappedLog(str(self._results / protocol.LOG))
        self._page_cache: PageCache | None = None
        self._host = HostSampler(self._cgroup, self._paths.get("data"))
        self._host_seen: HostSeen | None = None

    def run(self) -> int:
        """Run the whole job; return 0 if the results are on disk."""
        started_at = _now()
        child: Child | None = None
        reserve_room(self._folder / RESERVE)
        try:
            child = self._work()
        except Exception as error:  # the results are still written
            self._fail(f"the supervisor failed: {type(error).__name__}: {error}")
        end_others(self._cgroup if is_job_alone() else None)
        self._log.close()
        self._sampler.take()
        self._sampler.close()
        (self._folder / RESERVE).unlink(missing_ok=True)
        outcome = {
            "format": protocol.FORMAT,
            "task": self._request.task,
            "started_at": started_at,
            "finished_at": _now(),
            "wall_s": round(time.monotonic() - self._begun, 3),
            "timed_out": self._timed_out,
            "terminated": self._stop.is_asked,
            "child": _describe(child),
            "memory": {**self._sampler.memory(), "thrashing": self._watch.finding},
            "page_cache": self._page_cache,
            "disk": {"free_bytes_min": self._sampler.free_bytes_min},
            "host": self._host_seen,
            "supervisor": own_figures(self._sampler.count, self._own_cpu_s),
        }
        try:
            protocol.write_json(self._results / protocol.OUTCOME, outcome)
        except OSError as error:
            sys.stderr.write(f"the outcome could not be written: {error}\n")
            return 1
        return 0

    def _work(self) -> Child | None:
        """Check the limit, set the state of the page cache, run the measured child."""
        task = self._request.task
        module = MODULES.get(task)
        if module is None:
            self._fail(f"request.json has an unknown task: {task!r}")
            return None
        if not self._is_limit_enforced():
            return None
        if task == "measure":
            case = protocol.as_object(self._request.said.get("case"))
            self._make_page_cache(str(case.get("page_cache") or "cold-start"))
        if self._stop.is_asked or time.monotonic() > self._deadline:
            self._timed_out = not self._stop.is_asked
            return None
        gpus = self._watch_gpus() if task == "measure" else None
        child = self._attend(self._start(module, str(self._folder)), log=True)
        if gpus is not None:
            end(gpus)
        return child

    def _watch_gpus(self) -> Child | None:
        """Start the sampler of the requested GPUs in a separate process; None if there are none."""
        gpus = self._limits.gpus
        return self._start("bench.supervisor.gpusampler", str(self._results / protocol.GPU), *gpus) if gpus else None

    def _is_limit_enforced(self) -> bool:
        """Verify the limit before anything runs: a child without the requested limit may harm its host."""
        asked = self._limits.memory_bytes
        effective = self._cgroup.limit_bytes() if self._cgroup else None
        if asked is None or (effective is not None and effective <= asked):
            return True
        held = "there is none" if effective is None else f"it is {effective} bytes"
        self._fail(f"a memory limit of {asked} bytes was requested, but inside the job {held}: nothing was started")
        return False

    def _make_page_cache(self, state: str) -> None:
        """Drop the pages of data and cache in a separate process, since walking a large set takes memory."""
        made: PageCache = {
            "state": state, "dropped_files": None, "dropped_bytes": None, "seconds": None, "unproven": None
        }  # fmt: skip
        self._page_cache = made
        if state not in ("cold-start", "cold"):
            return
        places = [self._paths[name] for name in ("data", "cache") if self._paths.get(name)]
        child = self._attend(self._start("bench.measure.pagecache", "drop", *places, is_small=True), log=False)
        try:
            found = json.loads(self._answer)
            made["dropped_files"], made["dropped_bytes"] = found["files"], found["bytes"]
            made["seconds"], made["unproven"] = round(found["seconds"], 3), found["unproven"]
        except (ValueError, KeyError, TypeError):
            self._log.write(self._answer)
            made["unproven"] = f"dropping the pages failed: exit code {child.exit_code}, signal {child.signal}"

    def _start(self, module: str, *arguments: str, is_small: bool = False) -> Child:
        flags = ("-S", "-E") if is_small else ()
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONSAFEPATH"}
        return Child(
            [sys.executable, *flags, "-m", module, *arguments],
            environment=environment,
            oom_score_adj=self._limits.oom_score_adj,
        )

    def _attend(self, child: Child, *, log: bool) -> Child:
        """Watch a child until it ends, and end it if it must."""
        self._answer = b""
        self._sampler.begin()
        if log:
            self._host.begin(child.pid)
        cpu_before_s = time.process_time()
        kill_at: float | None = None
        next_look = next_host = time.monotonic()
        anon, step = 0, GROWTH * float(self._limits.memory_bytes or "inf")
        while not child.is_done:
            reap(child)
            now = time.monotonic()
            if now >= next_look or child.is_done:
                reading = self._sampler.take()
                if now >= next_host or child.is_done:
                    self._host.take()
                    next_host = now + TICK_S
                if kill_at is None and not child.is_done and self._watch.look(now, reading.anon):
                    child.send(signal.SIGKILL)
                    kill_at = now + GRACE_S
                if kill_at is None and not child.is_done and (full := self._filling.look(now)) is not None:
                    self._fail(full, kind="disk_full")
                    child.send(signal.SIGKILL)
                    kill_at = now + GRACE_S
                written = self._collect(child, log)
                tick = GROWING_TICK_S if (reading.anon or 0) - anon > step else TICK_S
                next_look, anon = now + (0.0 if written > PIPE_BYTES // 2 else tick), reading.anon or 0
            if kill_at is None and (self._stop.is_asked or now >= self._deadline):
                self._timed_out = not self._stop.is_asked
                child.send(signal.SIGTERM)
                kill_at = now + (STOP_GRACE_S if self._stop.is_asked else GRACE_S)
            elif kill_at is not None and now >= kill_at:
                child.send(signal.SIGKILL)
            if not child.is_done:
                self._host.wait(self._stop.wait, next_look - time.monotonic())
        if child.usage is not None:
            own_s = child.usage.ru_utime + child.usage.ru_stime + time.process_time() - cpu_before_s
            self._host_seen = self._host.end(own_s)
        self._collect(child, log)
        child.close()
        return child

    def _collect(self, child: Child, log: bool) -> int:
        data = child.read()
        if log:
            self._log.write(data)
        else:
            self._answer = (self._answer + data)[-65536:]
        return len(data)

    def _disk(self) -> str | None:
        """Return the folder on whose disk a job writes most."""
        name = "data" if self._request.task == "generate" else "cache"
        return self._paths.get(name)

    def _fail(self, message: str, kind: str = "error") -> None:
        self._log.write((message + "\n").encode())
        with contextlib.suppress(OSError):
            failure = protocol.make_failure(kind, message, phase="supervisor")
            protocol.write_json(self._results / protocol.FAILURE, failure)


def reserve_room(path: Path) -> None:
    """Reserve a little disk space, to be released for the results."""
    with contextlib.suppress(OSError), open(path, "wb") as stream:
        os.posix_fallocate(stream.fileno(), 0, _RESERVE_BYTES)


def own_figures(samples: int, cpu_before_s: float) -> dict[str, float | None]:
    """Return what this process itself uses: CPU time since it began its job (without imports), anonymous memory now."""
    anon: int | None = None
    with contextlib.suppress(OSError), open("/proc/self/status", encoding="ascii", errors="replace") as stream:
        for line in stream:
            if line.startswith("RssAnon:"):
                anon = int(line.split()[1]) * 1024
    return {"cpu_s": round(time.process_time() - cpu_before_s, 4), "anon_bytes": anon, "samples": samples}


def _describe(child: Child | None) -> dict[str, float | None]:
    if child is None or child.usage is None:
        return {"exit_code": None, "signal": None, "cpu_s": None, "max_rss_bytes": None}
    return {
        "exit_code": child.exit_code,
        "signal": child.signal,
        "cpu_s": round(child.usage.ru_utime + child.usage.ru_stime, 3),
        "max_rss_bytes": child.usage.ru_maxrss * 1024,
    }


def _now() -> str:
    """Return the time as UTC in ISO 8601, without importing ``datetime``."""
    seconds = time.time()
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{int(seconds % 1 * 1000):03d}Z"


def main(arguments: Sequence[str]) -> int:
    """Supervise ``JOB_FOLDER``; return the exit code."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -S -E -m bench.supervisor.supervisor JOB_FOLDER\n")
        return 2
    return Supervisor(Path(arguments[0])).run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
