"""Read the state of a Slurm job from its folder, the queue, and Slurm's records of ended jobs. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from harness.bench.launcher.launch import NAME as JOB_NAME
from harness.bench.protocol import bounded_json
from harness.bench.protocol.protocol import as_list, as_text
from harness.engine.container import is_ephemeral
from harness.engine.interface import JobState
from harness.hosts.slurm.commands import ACTIVE, QUEUED, Ended, QueueRow
from harness.values.text import clean_text

_MOST_WORDS = 1000


@dataclass(frozen=True)
class JobFiles:
    """The contents of a job's folder, as far as the shared file system shows them."""

    name: str
    is_there: bool
    has_outcome: bool = False
    number: str | None = None
    process: Mapping[str, object] | None = None
    refused: Mapping[str, object] | None = None


def read_state(files: JobFiles, row: QueueRow | None, ended: Ended | None) -> JobState:
    """Return a job's state from its folder, its row of the queue, and Slurm's record of its end."""
    if not files.is_there:
        return JobState("queued" if row is not None and is_active(row) else "gone")
    process, refused = files.process or {}, files.refused
    warnings = tuple(clean_text(one, _MOST_WORDS) for one in as_list(process.get("warnings"))[:20])
    started_at = clean_text(as_text(process.get("started_at")) or "", 60) or None
    if row is not None and row.state in QUEUED and refused is None:
        return JobState("queued", waits_for=None if row.reason in ("", "None") else row.reason)
    if row is not None and is_active(row):
        return JobState("running", started_at=started_at, warnings=warnings)
    state = ended.state if ended is not None else row.state if row is not None else ""
    oom_killed = True if state == "OUT_OF_MEMORY" else False if state else None
    if refused is not None:
        message = clean_text(as_text(refused.get("message")) or "it gave no reason", _MOST_WORDS)
        return JobState(
            "exited", 1, oom_killed, message, started_at, ended_as="lost" if "requeued" in message else None
        )
    ended_as, why = _ENDINGS.get(state, (None, None))
    if why is not None and ended is not None and ended.reason not in ("", "None"):
        why = f"{why} ({ended.reason})"
    if files.has_outcome:
        return JobState("exited", 0, oom_killed, why, started_at, warnings=warnings, ended_as=ended_as)
    if not state and files.number is None and not process:
        return JobState("created")
    if not state:
        return JobState("exited", None, None, "Slurm no longer knows the job", started_at, ended_as="lost")
    code = None if ended is None else 128 + ended.signal if ended.signal else ended.exit_code
    why = why or f"the job ended as {state} and its supervisor wrote no outcome"
    return JobState("exited", code or None, oom_killed, why, started_at, warnings=warnings, ended_as=ended_as)


_ENDINGS: Mapping[str, tuple[Literal["timeout", "lost"], str]] = {
    "TIMEOUT": ("timeout", "Slurm ended it at the job's time limit"),
    "DEADLINE": ("lost", "it waited in the queue for longer than `slurm: queue:` allows"),
    "NODE_FAIL": ("lost", "its node failed"),
    "BOOT_FAIL": ("lost", "its node did not boot"),
    "PREEMPTED": ("lost", "Slurm preempted it for another job"),
    "CANCELLED": ("lost", "it was cancelled, as with `scancel`"),
    "REVOKED": ("lost", "it was moved to another cluster"),
}
"""By Slurm's final state of a job: how the job ended, and the reason in words."""


def is_active(row: QueueRow | None) -> bool:
    """Return whether the queue shows a job that waits or runs."""
    return row is not None and row.state in QUEUED | ACTIVE


def parse_files(text: str, names: Sequence[str]) -> list[JobFiles]:
    """Parse the state of each job's folder in the output of ``LOOK``. Raises ValueError."""
    fields = text.split("\0")
    if len(fields) != 6 * len(names) + 1:
        raise ValueError("jobs are missing")
    found = []
    for index, wanted in enumerate(names):
        name, there, outcome, number, process, refused = fields[6 * index : 6 * index + 6]
        if name != wanted:
            raise ValueError("another job")
        has_number = number.strip().isdigit() and len(number) < 20
        found.append(
            JobFiles(
                name,
                there == "there",
                outcome == "yes",
                number.strip() if has_number else None,
                _parse_object(process),
                _parse_object(refused),
            )
        )
    return found


def _parse_object(text: str) -> Mapping[str, object] | None:
    try:
        return bounded_json.parse_object(text.encode()) if text.strip() else None
    except bounded_json.Unreadable:
        return None


def parse_jobs(text: str) -> list[dict[str, object]]:
    """Parse lines of ``job.json`` files; lines that describe no job of this program are ignored."""
    found = (_parse_object(line) for line in text.splitlines())
    return [dict(one) for one in found if one is not None and JOB_NAME.fullmatch(str(one.get("name")))]


def ephemeral_of(fields: Mapping[str, object]) -> Iterable[str]:
    """Return the ephemeral folders that a job's own file names."""
    return (path for path in as_list(fields.get("ephemeral")) if isinstance(path, str) and is_ephemeral(path))
