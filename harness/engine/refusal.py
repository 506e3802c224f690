"""Build the error for a job that an engine did not start: the job's own fault, or a full disk of its host."""

from __future__ import annotations

from harness.values.errors import JobRefused, NoRoomForJob

_FULL = ("no space left", "disk quota exceeded")


def refuse_job(message: str, host: str, hint: str | None) -> JobRefused | NoRoomForJob:
    """Return NoRoomForJob where the engine's message reports a full disk, else JobRefused."""
    if not any(words in message.lower() for words in _FULL):
        return JobRefused(message, where=host, hint=hint)
    return lack_room(message, host)


def lack_room(message: str, host: str) -> NoRoomForJob:
    """Return the error for a host whose full disk prevents jobs from starting."""
    cure = "free space on that disk (`df -h` and `docker system df` on the host): the same command continues"
    return NoRoomForJob(f"no job can be started, a disk is full: {message}", where=host, hint=cure)
