"""How an invocation ended, decided from its evidence alone (rule 3 of the measuring rules).

Evidence of an OOM is three-valued: the engine's own flag, the cgroup's count of
OOM kills, and the signal that ended the benchmark. Exit code 137 alone proves nothing:
anybody can send SIGKILL.
"""

from __future__ import annotations

import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.bench.failure import explain_text
from harness.values.record import Status

_HOST_DIED = 255
"""What Docker reports for a container that was running when its host lost power."""


@dataclass(frozen=True)
class Evidence:
    """What was found after an invocation.

    ``outcome`` is the supervisor's, ``failure`` the benchmark's own word, ``events`` its lines;
    the last three are the engine's. None is what was not there or cannot be known.
    """

    outcome: Mapping[str, Any] | None
    failure: Mapping[str, Any] | None
    events: Sequence[Mapping[str, Any]]
    phase: str
    exit_code: int | None = None
    engine_oom: bool | None = None
    engine_error: str | None = None


@dataclass(frozen=True)
class Ending:
    """A status, its cause in words, and the evidence for it."""

    status: Status
    cause: str | None = None
    evidence: dict[str, Any] = field(default_factory=dict)


def judge_ending(evidence: Evidence) -> Ending:
    """Name the status of one invocation."""
    seen = _seen(evidence)
    status, cause = _decide(evidence)
    return Ending(status, cause, seen)


def _decide(evidence: Evidence) -> tuple[Status, str | None]:
    if evidence.outcome is None:
        return _without_outcome(evidence)
    outcome = evidence.outcome
    child: Mapping[str, Any] = outcome.get("child") or {}
    kills = _oom_kills(outcome)
    if kills or (child.get("signal") == signal.SIGKILL and evidence.engine_oom):
        return "oom", _oom_cause(child, evidence)
    thrashing = (outcome.get("memory") or {}).get("thrashing")
    if thrashing:
        return "oom", _thrash_cause(thrashing, evidence)
    if outcome.get("timed_out"):
        return "timeout", f"not done within its timeout; {_progress_words(evidence.events)}"
    if evidence.failure is not None:
        return _from_failure(evidence.failure)
    if outcome.get("terminated"):
        return "error", "stopped from outside: the supervisor was told to end"
    if child.get("signal"):
        return (
            "error",
            f"the benchmark was ended from outside by {_signal_name(child['signal'])}; no OOM kill was counted",
        )
    if child.get("exit_code") != 0:
        return "error", f"the benchmark ended with exit code {child.get('exit_code')} and left no reason; see its log"
    if not any(event.get("event") == "done" for event in evidence.events):
        return "error", "the benchmark ended without saying that it was done"
    return "ok", None


def _without_outcome(evidence: Evidence) -> tuple[Status, str]:
    if evidence.engine_oom:
        return "oom", f"everything in the container was killed for memory; {_progress_words(evidence.events)}"
    if evidence.engine_error and "no space left" in evidence.engine_error.lower():
        return "disk_full", f"the engine ran out of disk: {evidence.engine_error}"
    if evidence.phase == "gone":
        return "lost", "the job is no longer on the host: removed from outside, or the host was reset"
    if evidence.exit_code == _HOST_DIED:
        return "lost", "the host or its engine went down in the middle"
    if evidence.exit_code == 128 + signal.SIGKILL:
        return "error", "killed from outside (SIGKILL, and neither engine nor cgroup saw an OOM)"
    if evidence.engine_error:
        return "error", f"the engine could not run it: {evidence.engine_error}"
    return "lost", "the job ended without evidence"


def _from_failure(failure: Mapping[str, Any]) -> tuple[Status, str]:
    kind, text = str(failure.get("kind") or "error"), str(failure.get("message") or "no message")
    message = explain_text(str(failure.get("type") or ""), text, kind)
    if kind == "oom":
        return "oom", f"out of memory inside the limit, refused and not killed: {message}"
    if kind == "gpu_oom":
        return "oom", f"the GPU's memory ran out: {message}"
    if kind == "disk_full":
        return "disk_full", f"the disk filled up: {message}"
    names = {"gpu_missing": "gpu_missing: ", "data": "data: ", "weights": "weights: "}
    return "error", names.get(kind, "") + message


def _oom_cause(child: Mapping[str, Any], evidence: Evidence) -> str:
    words = _progress_words(evidence.events)
    if child.get("signal") == signal.SIGKILL:
        return f"killed by the kernel at its memory limit; {words}"
    return f"a process of the benchmark was killed at the memory limit; {words}"


def _thrash_cause(found: Mapping[str, Any], evidence: Evidence) -> str:
    return (
        f"at its memory limit it got nowhere for {found.get('seconds')} s ({found.get('major_faults_per_s')} pages a "
        f"second read again) and was ended; {_progress_words(evidence.events)}"
    )


def _progress_words(events: Sequence[Mapping[str, Any]]) -> str:
    last = last_progress(events)
    if last is None:
        return "before its first batch"
    return f"in epoch {last.get('epoch')} after {last.get('images')} images, {last.get('t', 0):.1f} s after its start"


def last_progress(events: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The last ``progress`` event, or None before the first batch."""
    return next((event for event in reversed(events) if event.get("event") == "progress"), None)


def _oom_kills(outcome: Mapping[str, Any]) -> int | None:
    memory: Mapping[str, Any] = outcome.get("memory") or {}
    kills = memory.get("oom_kills")
    return None if kills is None else int(kills)


def _seen(evidence: Evidence) -> dict[str, Any]:
    outcome = evidence.outcome or {}
    child = outcome.get("child") or {}
    memory = outcome.get("memory") or {}
    last = last_progress(evidence.events)
    return {
        "engine_oom_killed": evidence.engine_oom,
        "engine_exit_code": evidence.exit_code,
        "engine_error": evidence.engine_error,
        "oom_kills": memory.get("oom_kills"),
        "oom_at_s": memory.get("oom_at_s"),
        "thrashing": memory.get("thrashing"),
        "child_signal": child.get("signal"),
        "child_exit_code": child.get("exit_code"),
        "failure_kind": (evidence.failure or {}).get("kind"),
        "failure_type": (evidence.failure or {}).get("type"),
        "last_epoch": last.get("epoch") if last else None,
        "last_step": last.get("step") if last else None,
        "last_images": last.get("images") if last else None,
        "last_progress_s": last.get("t") if last else None,
    }


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
