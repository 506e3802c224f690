"""Every error that a user may see.

::

    HarnessError
    ├── ConfigurationError        a file or an option is wrong: exit code 2
    ├── SessionError              a session folder cannot be used: exit code 2
    ├── DataError                 a data set is missing, unusual or unreadable: exit code 2
    └── HostError                 one host failed; other hosts continue: exit code 1
        ├── HostUnreachable
        ├── HostNotReady
        ├── HostBusy
        ├── HostLocked
        └── EngineError
            ├── EngineUnavailable  no engine answers, or it may not be used
            │   └── EngineAbsent   this engine is not installed
            ├── ImageUnavailable   the image is absent and cannot be built or fetched
            ├── NoRoomForJob       the disk that jobs start on is full
            ├── JobGone            the job was removed, with its results
            ├── ResultsRefused     the job left more than the bounds allow
            └── JobRefused         the engine refused to start this job

Each states what happened, where (file and line, or host) and what to do next.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class HarnessError(Exception):
    """Base class of errors that are shown to a user without a traceback.

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
        """The error and its hint in one line, as the reason why something is skipped."""
        first = self.message.partition("\n")[0].removesuffix(":")
        return f"{first} → {self.hint}" if self.hint else first

    def as_json(self) -> dict[str, object]:
        """Return the error as a JSON object, for programs."""
        kind = type(self).__name__
        fields = {"kind": kind, "message": self.message, "where": self.where, "hint": self.hint}
        return {"error": {**fields, "exit_code": self.exit_code}}

    def __str__(self) -> str:
        head = f"{self.where}: {self.message}" if self.where else self.message
        return f"{head}\n  → {self.hint}" if self.hint else head


def ask_for_help(error: Exception) -> HarnessError:
    """Return an OSError, or an unexpected exception, as an error with a hint."""
    if isinstance(error, OSError) and error.strerror:
        hint = "check that it exists, that you may read and write it, and that its disk is not full"
        return HarnessError(error.strerror, where=str(error.filename) if error.filename else None, hint=hint)
    hint = "set HARNESS_DEBUG=1 to see the traceback, and report it"
    return HarnessError(f"unexpected error: {type(error).__name__}: {error}", hint=hint)


class Stopped(Exception):
    """Raised when the user asked to stop. Not a HarnessError, so that code that handles errors does not catch it."""


@dataclass(frozen=True)
class Mistake:
    """A mistake in a file that a user wrote. Lines count from 1."""

    file: str
    line: int | None
    message: str
    hint: str | None = None

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        text = f"{place}: {self.message}"
        return f"{text}\n  → {self.hint}" if self.hint else text


class ConfigurationError(HarnessError):
    """Mistakes in files or options, all of them at once."""

    def __init__(self, mistakes: Sequence[Mistake] | str, *, where: str | None = None, hint: str | None = None) -> None:
        if isinstance(mistakes, str):
            self.mistakes: tuple[Mistake, ...] = ()
            super().__init__(mistakes, where=where, hint=hint)
        else:
            self.mistakes = tuple(mistakes)
            super().__init__("\n".join(str(m) for m in self.mistakes), where=where, hint=hint)


class SessionError(HarnessError):
    """A session folder is absent, damaged, not writable, or does not fit what was asked for."""


class DataError(HarnessError):
    """A data set is missing, empty, or holds files that no loader can read."""


class HostError(HarnessError):
    """Something is wrong with one host; ``where`` is its name."""

    exit_code = 1
    state = "not_ready"


class HostUnreachable(HostError):
    """The host cannot be reached."""

    state = "unreachable"


class HostNotReady(HostError):
    """The host answers, but cannot measure."""


class HostBusy(HostError):
    """The host is busy, and ``allow_busy`` is not set."""

    state = "busy"


class HostLocked(HostError):
    """Another session measures on this machine."""

    state = "locked"


class EngineError(HostError):
    """The engine of a host refused or failed."""


class EngineUnavailable(EngineError):
    """No engine answers, or this user may not use it."""


class EngineAbsent(EngineUnavailable):
    """The engine is not installed on the host. Not reported if another engine may be used."""


class ImageUnavailable(EngineError):
    """The image is not on the host and could not be built or fetched."""


class NoRoomForJob(EngineError):
    """The disk on which an engine starts jobs is full: a condition of the host, not of the job."""


class JobGone(EngineError):
    """The job was removed, and its results with it."""


class ResultsRefused(EngineError):
    """The job left more results than the bounds allow; other jobs are not affected."""


class JobRefused(EngineError):
    """The engine refused to start this job."""
