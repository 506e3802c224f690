"""How a run ended, decided only from its evidence (rule 3 of the measuring rules).

There are three kinds of evidence for an OOM: the flag of the engine, the cgroup's count of OOM kills, and the signal
that ended the benchmark. Exit code 137 alone proves nothing, since anybody can send SIGKILL.
"""

from __future__ import annotations

import signal
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from pydantic.dataclasses import dataclass as parsed

from harness.bench.protocol.failure import explain_text
from harness.values.record import Status
from harness.values.results import ChildEnd, JobEvent, JobFailure, JobMemory, JobOutcome, Json, Thrashing

_BY_A_SIGNAL = 128
"""Added to the number of the signal in the exit code of a process that a signal ended."""
_HOST_DIED = 255
"""Docker's exit code of a container that was running when its host lost power."""


@parsed(frozen=True)
class Evidence:
    """The evidence after a run.

    ``outcome`` is from the supervisor, ``failure`` and ``events`` are from the benchmark, the others from the engine:
    ``ended_by_engine`` is how the engine ended the job, ``engine_error`` its message. None is what was missing or
    cannot be known. Raises ValueError for values that cannot be parsed.
    """

    outcome: JobOutcome | None
    failure: JobFailure | None
    events: tuple[JobEvent, ...]
    phase: str
    exit_code: int | None = None
    engine_oom: bool | None = None
    engine_error: str | None = None
    ended_by_engine: Literal["timeout", "lost"] | None = None


@dataclass(frozen=True)
class Ending:
    """The status of a run, its cause in words, and the evidence."""

    status: Status
    cause: str | None = None
    evidence: Json = field(default_factory=dict)


def judge_ending(evidence: Evidence) -> Ending:
    """Decide the status of a run."""
    seen = _seen(evidence)
    status, cause = _decide(evidence)
    return Ending(status, cause, seen)


def _decide(evidence: Evidence) -> tuple[Status, str | None]:
    if evidence.outcome is None:
        return _without_outcome(evidence)
    outcome = evidence.outcome
    child, memory = outcome.child or ChildEnd(), outcome.memory or JobMemory()
    if memory.oom_kills or (child.signal == signal.SIGKILL and evidence.engine_oom):
        return "oom", _oom_cause(child, evidence)
    if memory.thrashing is not None:
        return "oom", _thrash_cause(memory.thrashing, evidence)
    if outcome.timed_out:
        return "timeout", f"not done within its timeout; {_progress_words(evidence.events)}"
    if outcome.terminated and evidence.ended_by_engine is not None:
        return _by_engine(evidence.ended_by_engine, evidence)
    if evidence.failure is not None:
        return _from_failure(evidence.failure)
    if outcome.terminated:
        return "lost", "stopped from outside: its supervisor was told to end, as when an engine or a host shuts down"
    if child.signal:
        return (
            "error",
            f"the benchmark was ended from outside by {_signal_name(child.signal)}; no OOM kill was counted",
        )
    if child.exit_code != 0:
        return "error", f"the benchmark ended with exit code {child.exit_code} and gave no reason; see its log"
    if not any(event.event == "done" for event in evidence.events):
        return "error", "the benchmark ended without reporting that it was done"
    return "ok", None


def _without_outcome(evidence: Evidence) -> tuple[Status, str]:
    if evidence.engine_oom:
        return "oom", f"everything in the container was killed for memory; {_progress_words(evidence.events)}"
    if evidence.engine_error and "no space left" in evidence.engine_error.lower():
        return "disk_full", f"the engine ran out of disk: {evidence.engine_error}"
    if evidence.ended_by_engine is not None:
        return _by_engine(evidence.ended_by_engine, evidence)
    if evidence.phase == "gone":
        return "lost", "the job is no longer on the host: removed from outside, or the host was reset"
    if evidence.exit_code == _HOST_DIED:
        return "lost", "the host or its engine went down during the run"
    if evidence.exit_code == _BY_A_SIGNAL + signal.SIGKILL:
        return "error", "killed from outside (SIGKILL; neither engine nor cgroup counted an OOM kill)"
    if evidence.engine_error:
        return "error", f"the engine could not run it: {evidence.engine_error}"
    if evidence.exit_code is not None and 0 < evidence.exit_code < _BY_A_SIGNAL:
        return "error", f"its supervisor ended with exit code {evidence.exit_code} and wrote no outcome; see its log"
    return "lost", "the job ended without evidence"


def _by_engine(status: Literal["timeout", "lost"], evidence: Evidence) -> tuple[Status, str]:
    return status, f"{evidence.engine_error or 'the engine ended it'}; {_progress_words(evidence.events)}"


def _from_failure(failure: JobFailure) -> tuple[Status, str]:
    kind = failure.kind or "error"
    message = explain_text(failure.type or "", failure.message or "no message", kind)
    if kind == "oom":
        return "oom", f"an allocation within the limit was refused: {message}"
    if kind == "gpu_oom":
        return "oom", f"the memory of the GPU was not enough: {message}"
    if kind == "disk_full":
        return "disk_full", f"the disk is full: {message}"
    names = {"gpu_missing": "gpu_missing: ", "data": "data: ", "weights": "weights: "}
    return "error", names.get(kind, "") + message


def _oom_cause(child: ChildEnd, evidence: Evidence) -> str:
    words = _progress_words(evidence.events)
    if child.signal == signal.SIGKILL:
        return f"killed by the kernel at its memory limit; {words}"
    return f"a process of the benchmark was killed at the memory limit; {words}"


def _thrash_cause(found: Thrashing, evidence: Evidence) -> str:
    return (
        f"at its memory limit it made no progress for {found.seconds} s ({found.major_faults_per_s} pages per "
        f"second were read again) and was ended; {_progress_words(evidence.events)}"
    )


def _progress_words(events: Sequence[JobEvent]) -> str:
    last = last_progress(events)
    if last is None:
        return "before its first batch"
    return f"in epoch {last.epoch} after {last.images} images, {last.t or 0:.1f} s after its start"


def last_progress(events: Sequence[JobEvent]) -> JobEvent | None:
    """Return the last ``progress`` event; None before the first batch."""
    return next((event for event in reversed(events) if event.event == "progress"), None)


def _seen(evidence: Evidence) -> Json:
    outcome, failure = evidence.outcome or JobOutcome(), evidence.failure or JobFailure()
    child, memory = outcome.child or ChildEnd(), outcome.memory or JobMemory()
    last = last_progress(evidence.events) or JobEvent()
    return {
        "engine_oom_killed": evidence.engine_oom,
        "engine_exit_code": evidence.exit_code,
        "engine_error": evidence.engine_error,
        "oom_kills": memory.oom_kills,
        "oom_at_s": memory.oom_at_s,
        "thrashing": None if memory.thrashing is None else memory.thrashing.plain(),
        "child_signal": child.signal,
        "child_exit_code": child.exit_code,
        "failure_kind": failure.kind,
        "failure_type": failure.type,
        "last_epoch": last.epoch,
        "last_step": last.step,
        "last_images": last.images,
        "last_progress_s": last.t,
    }


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
