"""Run a preparation job: submit it, poll it with progress, fetch its result, and always remove it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from harness.bench.protocol import protocol
from harness.bench.protocol.bounded_json import Unreadable
from harness.engine.interface import CACHE_PREFIX, Engine, JobHandle, JobRequest, JobState, Mount
from harness.engine.jobs import JobHost, build_job, cuda_cache
from harness.hosts.own_folders import make_own_folder
from harness.hosts.temporary import temporary_folder
from harness.ship.datasource import OnProgress
from harness.values.digest import digest_of
from harness.values.errors import DataError, HarnessError, JobRefused
from harness.values.text import clean_lines, clean_text

_POLL_FIRST_S, _POLL_GROWTH, _POLL_MOST_S = 0.5, 0.05, 5.0
"""Intervals of polling in seconds; they grow with the job's time, because each poll fetches all results so far."""
_GRACE_S = 60.0
"""Time beyond the job's own timeout, which its supervisor enforces, in seconds."""

_VERBS = {"generate": "making", "check": "checking", "list": "listing", "run": "running"}


def run_preparation(
    on: JobHost,
    task: str,
    said: Mapping[str, object],
    on_progress: OnProgress,
    *,
    timeout_s: float,
    seed: int = 0,
    mounts: tuple[Mount, ...] = (),
    memory_bytes: int | None = None,
    gpus: tuple[str, ...] = (),
    cache_disk: str | None = None,
) -> dict[str, object]:
    """Run a job on a host and return its ``dataset.json``. Raises DataError.

    The job's name is a digest of its request, so that a job of an interrupted controller is found and adopted. Messages
    of the job have the host's paths. Folders that it writes to are made first; ``cache_disk`` is the folder for its
    cache files while it runs.
    """
    engine, host = on.engine, on.host
    said = {**said, "shown": {mount.name: mount.source for mount in mounts}}
    limits = [memory_bytes, on.cpus, gpus]
    name = f"harness-{task}-{digest_of([said, limits, on.payload.archive_digest, on.image])[:16]}"
    if cache_disk is not None:
        mounts = (*mounts, Mount("cache", f"{cache_disk}/{CACHE_PREFIX}{name}", read_only=False, ephemeral=True))
    mounts = (*mounts, *cuda_cache(on, gpus))
    request = build_job(
        on,
        task,
        name,
        said,
        session="data",
        timeout_s=timeout_s,
        seed=seed,
        mounts=mounts,
        memory_bytes=memory_bytes,
        gpus=gpus,
    )
    for mount in mounts:
        if not mount.read_only and not mount.ephemeral:
            make_own_folder(on.connection, on.scratch, mount.source)
    handle = _submit(engine, request, host)
    try:
        with temporary_folder() as results:
            try:
                state = _wait(engine, handle, results, host, timeout_s, on_progress)
                found = protocol.read_json(results / protocol.DATASET)
                if state.phase == "exited" and isinstance(found, dict):
                    return found
                raise _explain(results, state, host)
            except Unreadable as error:
                message = f"the result of the job that prepared the data set cannot be read: {error}"
                raise DataError(message, where=host, hint="run the same command again") from error
    finally:
        # An error of the job itself matters more; `harness clean` finds what stays.
        with contextlib.suppress(HarnessError):
            engine.cancel([handle])


def _submit(engine: Engine, request: JobRequest, host: str) -> JobHandle:
    """Start the job, after removing a finished job of the same name from an earlier run."""
    known = [handle for handle in engine.list() if handle.name == request.name]
    finished = [
        one for one, state in zip(known, engine.poll(known), strict=True) if state.phase not in ("queued", "running")
    ]
    engine.cancel(finished)
    try:
        return engine.submit(request)
    except JobRefused as error:
        missing = [mount.source for mount in request.mounts if mount.source in error.message]
        if missing:
            hint = "check the paths of this data set in the inventory, and that this user may read them"
            said = f"{missing[0]} does not exist, or cannot be mounted in a job ({error.message})"
            raise DataError(said, where=host, hint=hint) from error
        raise


def _wait(
    engine: Engine,
    handle: JobHandle,
    results: Path,
    host: str,
    timeout_s: float,
    on_progress: OnProgress,
) -> JobState:
    """Poll until the job has ended, and fetch its results into ``results``. Raises DataError after the timeout."""
    begun = time.monotonic()
    while True:
        state = engine.poll([handle])[0]
        if state.phase != "gone":
            engine.fetch(handle, results)
        if state.phase in ("exited", "gone"):
            return state
        if state.phase == "queued":
            begun = time.monotonic()  # time in the queue does not count
            on_progress(f"queued: {state.waits_for or 'waiting'}", None)
        else:
            _tell(protocol.read_lines(results / protocol.EVENTS), on_progress)
        elapsed = time.monotonic() - begun
        if elapsed > timeout_s + _GRACE_S:
            hint = "check what the host is doing, or set a larger `timeout`"
            raise DataError(f"preparing a data set took more than {timeout_s:.0f} s", where=host, hint=hint)
        time.sleep(min(_POLL_MOST_S, _POLL_FIRST_S + elapsed * _POLL_GROWTH))


def _tell(events: Iterable[Mapping[str, object]], on_progress: OnProgress) -> None:
    """Report the newest phase or progress of the job."""
    newest: Mapping[str, object] = {}
    for event in events:
        newest = event if event.get("event") in ("phase", "progress") else newest
    if newest.get("event") == "phase":
        name = clean_text(newest.get("name"), 60)
        on_progress(_VERBS.get(name, name), None)
    elif newest:
        done, total = (protocol.as_count(newest.get(name)) or 0 for name in ("images", "total"))
        verb = clean_text(newest.get("phase"), 60)
        unit = clean_text(newest.get("unit") or "images", 60)
        on_progress(f"{_VERBS.get(verb, verb)}: {done} of {total} {unit}", done / total if total else None)
    else:
        on_progress("starting", None)  # the callback may raise to stop


def _explain(results: Path, state: JobState, host: str) -> DataError:
    """Build the error for a job without a result."""
    failure = protocol.as_object(protocol.read_json(results / protocol.FAILURE))
    if failure.get("message"):
        hint = failure.get("hint") or "inspect the folder with `harness data describe`"
        return DataError(clean_lines(str(failure["message"]), 4000), where=host, hint=clean_lines(str(hint), 4000))
    if state.phase == "gone":
        return DataError(
            "the job that prepared the data set was removed", where=host, hint="run the same command again"
        )
    outcome = protocol.as_object(protocol.read_json(results / protocol.OUTCOME))
    if outcome.get("timed_out"):
        return DataError(
            "preparing the data set took too long", where=host, hint="check whether its disk is slow or on a network"
        )
    child = protocol.as_object(outcome.get("child"))
    code, signal = (protocol.as_count(child.get(name)) for name in ("exit_code", "signal"))
    how = f"signal {signal}" if signal else f"exit code {state.exit_code if code is None else code}"
    tail = "".join(f"\n  {clean_text(line)}" for line in protocol.read_log(results / protocol.LOG).splitlines()[-5:])
    return DataError(f"the job that prepared the data set ended with {how}{tail}", where=host, hint="run it again")
