"""Why an engine would not start a job: the job's own fault, or a condition of its host."""

from __future__ import annotations

from harness.values.errors import JobRefused, NoRoomForJob

_FULL = ("no space left", "disk quota exceeded")


def refuse_job(message: str, host: str, hint: str | None) -> JobRefused | NoRoomForJob:
    """Return the error of a job that was not started, by what the engine says of it."""
    if not any(words in message.lower() for words in _FULL):
        return JobRefused(message, where=host, hint=hint)
    return lack_room(message, host)


def lack_room(message: str, host: str) -> NoRoomForJob:
    """Return the error of a host on whose disk no job can be started."""
    cure = "make room on that disk (`df -h` there, `docker system df`): the same command continues"
    return NoRoomForJob(f"no job can be started, a disk is full: {message}", where=host, hint=cure)
