"""Events: what happens in a session besides records. They go to the console and to ``events.jsonl``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from pydantic import JsonValue

    from harness.values.record import Finding


@dataclass(frozen=True)
class Event:
    """Something that happened. The class name is its kind on disk."""

    def to_json(self) -> dict[str, JsonValue]:
        """Return the event as a JSON object, without its time."""
        return {"event": type(self).__name__, **asdict(self)}


Emit: TypeAlias = Callable[[Event], None]
"""A function that is called with each event as it happens."""


@dataclass(frozen=True)
class LoggedEvent:
    """An event on disk. ``at`` is when it was written (UTC)."""

    at: str
    event: Event

    def to_json(self) -> dict[str, JsonValue]:
        """Return the event as a JSON object."""
        return {"at": self.at, **self.event.to_json()}


@dataclass(frozen=True)
class CommandStarted(Event):
    """A controller begins or continues a session on these hosts. ``argv`` is the command that continues it."""

    session: str
    folder: str
    resumed: bool
    hosts: tuple[str, ...] = ()
    argv: tuple[str, ...] = ()


@dataclass(frozen=True)
class HostBegun(Event):
    """A command begins its work on a host: it inspects, prepares and measures it."""

    host: str


@dataclass(frozen=True)
class HostPlanned(Event):
    """The session has ``planned`` invocations for a host, including those that ``--only`` leaves out.

    ``rounds`` is the number of rounds, ``in_round`` the number of invocations in the last one; None in older events.
    """

    host: str
    planned: int
    rounds: int | None = None
    in_round: int | None = None


@dataclass(frozen=True)
class HostFinished(Event):
    """A host has finished its part of a command: ``done`` of the ``planned`` invocations that were asked for."""

    host: str
    done: int
    planned: int


@dataclass(frozen=True)
class SessionStarted(Event):
    """A host starts its plan, of which ``done`` of ``planned`` invocations are done already.

    ``counts`` are the outcomes of those (``analysis.outcomes``); ``left_s`` are the estimated seconds left.
    """

    session: str
    folder: str
    resumed: bool
    done: int
    planned: int
    argv: tuple[str, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    host: str | None = None
    left_s: float | None = None


@dataclass(frozen=True)
class HostStateChanged(Event):
    """A host has a new state: ready, unreachable, not_ready, busy or locked.

    ``can_continue``: after what the hint says, the same command can measure there.
    """

    host: str
    state: str
    message: str = ""
    hint: str | None = None
    can_continue: bool = True


@dataclass(frozen=True)
class HostRenamed(Event):
    """The records of a host were carried over to its new name. ``records`` counts their invocations."""

    host: str
    old: str
    records: int


@dataclass(frozen=True)
class LinkLost(Event):
    """A host or its engine does not answer. ``since`` is its last answer (UTC). Jobs on it continue."""

    host: str
    since: str
    reason: str


@dataclass(frozen=True)
class LinkBack(Event):
    """The host answers again, ``seconds`` after ``since``."""

    host: str
    since: str
    seconds: float


@dataclass(frozen=True)
class HostWaiting(Event):
    """No case may start on the host now. ``reason``: it is busy, or outside the allowed hours."""

    host: str
    reason: str


@dataclass(frozen=True)
class EngineChosen(Event):
    """The engine that a session uses on a host, and why."""

    host: str
    engine: str
    version: str
    reason: str


@dataclass(frozen=True)
class ImageReady(Event):
    """A host has its image. ``method``: present, built, pulled or environment."""

    host: str
    image_digest: str
    method: str
    seconds: float | None = None


@dataclass(frozen=True)
class ImageShipped(Event):
    """An image was brought to a host.

    ``method``: present, thin (missing layers only), full, pulled (``bytes_sent`` is not known, and 0), or wheels, from
    which an environment named ``image`` was created. ``bytes_needed`` counts the layers that the host lacked,
    ``bytes_saved`` those that it had; ``bytes_sent`` includes failed attempts. ``seconds`` is the time for sending,
    loading and verifying, without waiting for a turn. ``notes`` describe problems. ``mb_per_s`` is in 10⁶ bytes per
    second; None if nothing was sent.
    """

    host: str
    method: str
    bytes_needed: int
    bytes_sent: int
    seconds: float
    bytes_saved: int = 0
    mb_per_s: float | None = None
    image: str = ""
    image_digest: str = ""
    attempts: int = 1
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ImageCached(Event):
    """The controller unpacked an image into its cache, once for all hosts. ``bytes`` is the size of its layers."""

    image: str
    image_digest: str
    bytes: int
    seconds: float


@dataclass(frozen=True)
class DataShipped(Event):
    """A data set was sent to a host. The fields are as in ``ImageShipped``, for files instead of layers."""

    host: str
    data: str
    fingerprint: str
    files: int
    bytes_needed: int
    bytes_sent: int
    bytes_saved: int
    seconds: float
    mb_per_s: float | None = None
    attempts: int = 1
    notes: tuple[str, ...] = ()


def speed_of(bytes_sent: int, seconds: float) -> float | None:
    """Return the speed of a transfer in 10⁶ bytes per second; None if nothing was sent."""
    return bytes_sent / 1e6 / seconds if bytes_sent and seconds > 0 else None


@dataclass(frozen=True)
class DataReady(Event):
    """A data set is checked and ready on a host.

    ``odd`` counts unusual images by kind (greyscale, cmyk, exif_rotated, …); ``examples`` are (kind, first files).
    ``said`` are sentences on what the set is; ``skipped`` counts images left out because not every loader reads them.
    """

    host: str
    data: str
    fingerprint: str
    images: int
    bytes: int
    how: str
    odd: Mapping[str, int] = field(default_factory=dict)
    said: tuple[str, ...] = ()
    examples: tuple[tuple[str, ...], ...] = ()
    skipped: int = 0


@dataclass(frozen=True)
class RoundStarted(Event):
    """A round begins on a host. ``order`` are the case_ids of its invocations."""

    host: str
    round: int
    order: tuple[str, ...] = ()


@dataclass(frozen=True)
class RoundAdded(Event):
    """``rounds: auto`` adds a round. ``rounds`` of at most ``most`` are planned now; ``reason`` names the comparisons.

    ``open`` comparisons are not settled yet. In older events ``open`` is None and ``most`` 0.
    """

    host: str
    rounds: int
    reason: str
    open: int | None = None
    most: int = 0


@dataclass(frozen=True)
class CasesSkipped(Event):
    """A part of a host's plan is skipped for one ``reason``: a number of ``invocations`` of a number of ``cases``."""

    host: str
    reason: str
    invocations: int
    cases: int


@dataclass(frozen=True)
class InvocationStarted(Event):
    """An invocation starts. ``done`` of ``planned`` were done before; ``left_s`` is the expected time for all the rest.

    ``repeats`` counts the repeats that are due in addition: of disturbed runs, and of runs compared with them.
    """

    host: str
    invocation: str
    attempt: int
    round: int
    case_id: str
    label: str
    done: int
    planned: int
    adopted: bool = False
    left_s: float | None = None
    repeats: int = 0


@dataclass(frozen=True)
class InvocationRunning(Event):
    """An invocation has been running for ``elapsed_s`` seconds. Never written to disk."""

    started: InvocationStarted
    elapsed_s: float

    @property
    def left_s(self) -> float | None:
        """The expected seconds left for the host; None if not known, or if the run takes longer than expected."""
        left_s = self.started.left_s
        return None if left_s is None or left_s <= self.elapsed_s else left_s - self.elapsed_s


@dataclass(frozen=True)
class InvocationFinished(Event):
    """An invocation has ended. ``outcome`` is its kind (``analysis.outcomes``), ``reason`` is short, ``why`` in full.

    ``done`` counts finished invocations, without those that the same command measures again. ``is_announced``: a
    skipped invocation that ``CasesSkipped`` has reported.
    """

    host: str
    invocation: str
    attempt: int
    round: int
    case_id: str
    label: str
    status: str
    cause: str | None = None
    seconds: float | None = None
    done: int = 0
    planned: int = 0
    left_s: float | None = None
    outcome: str = ""
    reason: str = ""
    why: str = ""
    is_announced: bool = False
    repeats: int = 0


@dataclass(frozen=True)
class SessionFinding(Event):
    """A finding about a session, or about one of its hosts.

    ``needed_s`` is the budget in seconds with which the command that continues can measure, where the budget is too
    short.
    """

    id: str
    severity: str
    message: str
    hint: str
    host: str | None = None
    needed_s: float | None = None

    @classmethod
    def of(cls, finding: Finding, host: str | None = None) -> SessionFinding:
        """Return the event for a finding (``analysis.findings.find``)."""
        return cls(finding.id, finding.severity, finding.message, finding.hint, host)


@dataclass(frozen=True)
class Progress(Event):
    """Progress of a long step, such as an image build: for the console and ``harness status``."""

    host: str | None
    what: str
    fraction: float | None = None


def progress_of(host: str, emit: Emit, what: str = "") -> Callable[[str, float | None], None]:
    """Return a function that emits the progress of ``what`` on a host, as text and as a share (0 to 1)."""
    return lambda text, share: emit(Progress(host, f"{what}: {text}" if what else text, share))


@dataclass(frozen=True)
class SessionFinished(Event):
    """A command has ended its work on a session. ``counts`` are by outcome: invalid runs do not count as ok."""

    session: str
    counts: Mapping[str, int] = field(default_factory=dict)
    interrupted: bool = False
