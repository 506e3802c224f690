"""Every error that a user may see.

::

    HarnessError
    ├── ConfigurationError        a file or an option is wrong: exit code 2
    ├── SessionError              a session folder cannot be used so: exit code 2
    ├── DataError                 a data set is missing, odd or cannot be read
    └── HostError                 one host; never stops another one
        ├── HostUnreachable
        ├── HostNotReady
        ├── HostBusy
        ├── HostLocked
        └── EngineError
            ├── EngineUnavailable  no engine answers, or it may not be used
            │   └── EngineAbsent   nothing of this engine is there
            ├── ImageUnavailable   the image is not there and cannot be had
            ├── NoRoomForJob       the disk that jobs start on is full
            └── JobRefused         the engine would not start this job

Each says what happened, where (file and line, or host) and what to do next.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class HarnessError(Exception):
    """Root of what is shown to a user without a traceback.

    ``hint`` is what to do next; ``where`` is a file and line, or a host.
    """

    exit_code = 2

    def __init__(self, message: str, *, where: str | None = None, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.where = where
        self.hint = hint

    @property
    def as_reason(self) -> str:
        """What happened and what to do next in one line, for whatever is skipped because of it."""
        first = self.message.partition("\n")[0].removesuffix(":")
        return f"{first}: {self.hint}" if self.hint else first

    def as_json(self) -> dict[str, object]:
        """Return the error for programs."""
        kind = type(self).__name__
        fields = {"kind": kind, "message": self.message, "where": self.where, "hint": self.hint}
        return {"error": {**fields, "exit_code": self.exit_code}}

    def __str__(self) -> str:
        head = f"{self.where}: {self.message}" if self.where else self.message
        return f"{head}\n  → {self.hint}" if self.hint else head


def ask_for_help(error: Exception) -> HarnessError:
    """Return an error of a file, or one that nobody foresaw, as one that says what to do next."""
    if isinstance(error, OSError) and error.strerror:
        hint = "see that it is there, may be read and written, and has room"
        return HarnessError(error.strerror, where=str(error.filename) if error.filename else None, hint=hint)
    hint = "set HARNESS_DEBUG=1 to see where, and report it with that text"
    return HarnessError(f"something unforeseen happened: {type(error).__name__}: {error}", hint=hint)


class Stopped(Exception):
    """The user wants to stop. No error of anything, so that what looks for another way after an error does not."""


@dataclass(frozen=True)
class Mistake:
    """One mistake in a file that a user wrote; lines count from 1."""

    file: str
    line: int | None
    message: str
    hint: str | None = None

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        text = f"{place}: {self.message}"
        return f"{text}\n  → {self.hint}" if self.hint else text


class ConfigurationError(HarnessError):
    """Mistakes in files or options; all of them at once."""

    def __init__(self, mistakes: Sequence[Mistake] | str, *, where: str | None = None, hint: str | None = None) -> None:
        if isinstance(mistakes, str):
            self.mistakes: tuple[Mistake, ...] = ()
            super().__init__(mistakes, where=where, hint=hint)
        else:
            self.mistakes = tuple(mistakes)
            super().__init__("\n".join(str(m) for m in self.mistakes), where=where, hint=hint)


class SessionError(HarnessError):
    """A session folder is absent, damaged, cannot be written, or does not fit what was asked."""


class DataError(HarnessError):
    """A data set is missing, empty, or holds files that no loader can read."""


class HostError(HarnessError):
    """Something is wrong with one host; ``where`` is its name."""

    exit_code = 1
    state = "not_ready"


class HostUnreachable(HostError):
    """No connection to the host."""

    state = "unreachable"


class HostNotReady(HostError):
    """The host answers but cannot measure."""


class HostBusy(HostError):
    """Somebody uses the host and ``allow_busy`` is not set."""

    state = "busy"


class HostLocked(HostError):
    """Another session measures on this machine."""

    state = "locked"


class EngineError(HostError):
    """The engine of a host refused or failed."""


class EngineUnavailable(EngineError):
    """No engine answers, or this user may not use it."""


class EngineAbsent(EngineUnavailable):
    """Nothing of this engine is on the host: where any may be used, nobody need be told."""


class ImageUnavailable(EngineError):
    """The image is not on the host and could not be built or fetched."""


class NoRoomForJob(EngineError):
    """The disk that an engine starts jobs on is full: a condition of the host, whatever the job."""


class JobGone(EngineError):
    """The job was taken away, and its results with it."""


class ResultsRefused(EngineError):
    """The job left more than is taken from one: its own fault, and no other job's."""


class JobRefused(EngineError):
    """The engine would not start this job."""
