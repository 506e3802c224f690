"""Events: lines of ``events.jsonl``, anything that is not a record. Stages yield them; console and disk take them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from pydantic import JsonValue

    from harness.values.record import Finding


@dataclass(frozen=True)
class Event:
    """Something that happened; the class name is its kind on disk."""

    def to_json(self) -> dict[str, JsonValue]:
        """Return the event as a JSON object, without its time."""
        return {"event": type(self).__name__, **asdict(self)}


Emit: TypeAlias = Callable[[Event], None]
"""Takes events as they happen."""


@dataclass(frozen=True)
class LoggedEvent:
    """An event as it lies on the disk: ``at`` is when it was written (UTC)."""

    at: str
    event: Event

    def to_json(self) -> dict[str, JsonValue]:
        """Return the event as a JSON object."""
        return {"at": self.at, **self.event.to_json()}


@dataclass(frozen=True)
class CommandStarted(Event):
    """A controller begins or continues a session, on these hosts; ``argv`` is the command that continues it."""

    session: str
    folder: str
    resumed: bool
    hosts: tuple[str, ...] = ()
    argv: tuple[str, ...] = ()


@dataclass(frozen=True)
class HostBegun(Event):
    """A command begins with a host: it is looked at, prepared, and then measured."""

    host: str


@dataclass(frozen=True)
class HostPlanned(Event):
    """The session has ``planned`` invocations for a host, whatever part of them a command is narrowed to.

    They are of so many ``rounds``, of which the last one has ``in_round``; None where it was not said.
    """

    host: str
    planned: int
    rounds: int | None = None
    in_round: int | None = None


@dataclass(frozen=True)
class HostFinished(Event):
    """A host's part of a command is over: ``done`` of the ``planned`` invocations that the command asked for."""

    host: str
    done: int
    planned: int


@dataclass(frozen=True)
class SessionStarted(Event):
    """A host goes on with its plan, of which ``done`` of ``planned`` invocations have been measured before.

    ``counts`` are the outcomes of those (``analysis.outcomes``).
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
    """``state``: ready, unreachable, not_ready, busy or locked.

    ``can_continue``: once what the hint says is done, the same command measures there.
    """

    host: str
    state: str
    message: str = ""
    hint: str | None = None
    can_continue: bool = True


@dataclass(frozen=True)
class HostRenamed(Event):
    """The records of a host, of so many invocations, were carried over to its new name."""

    host: str
    old: str
    records: int


@dataclass(frozen=True)
class LinkLost(Event):
    """Host or engine do not answer. ``since`` is when they were last heard (UTC); what runs there goes on."""

    host: str
    since: str
    reason: str


@dataclass(frozen=True)
class LinkBack(Event):
    """They answer again, ``seconds`` after ``since``."""

    host: str
    since: str
    seconds: float


@dataclass(frozen=True)
class HostWaiting(Event):
    """No case begins there just now: ``reason`` is who uses it, or which hours are waited for."""

    host: str
    reason: str


@dataclass(frozen=True)
class EngineChosen(Event):
    host: str
    engine: str
    version: str
    reason: str


@dataclass(frozen=True)
class ImageReady(Event):
    """``method``: present, built, pulled, environment."""

    host: str
    image_digest: str
    method: str
    seconds: float | None = None


@dataclass(frozen=True)
class ImageShipped(Event):
    """``method``: present, thin (missing layers only), full or pulled (then ``bytes_sent`` is not known: 0); or wheels,
    of which an environment was made on the host, which ``image`` names.

    ``bytes_needed`` are of the layers that the host lacked, ``bytes_saved`` of those that it had; ``bytes_sent``
    is all that went out, failed attempts among it. ``seconds`` are of sending, loading and proving, without waiting
    for a turn; ``notes`` say what went wrong on the way. ``mb_per_s`` in 10⁶ bytes; None where nothing was sent.
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
    """The controller unpacked an image into its cache, once for all hosts. ``bytes`` of all its layers."""

    image: str
    image_digest: str
    bytes: int
    seconds: float


@dataclass(frozen=True)
class DataShipped(Event):
    """A data set came from the controller: what ``ImageShipped`` says of layers, here of files."""

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
    """Return the speed of a transfer in 10⁶ bytes a second; None where nothing was sent."""
    return bytes_sent / 1e6 / seconds if bytes_sent and seconds > 0 else None


@dataclass(frozen=True)
class DataReady(Event):
    """``odd`` counts images by what is odd about them: greyscale, cmyk, exif_rotated, …; ``examples`` are
    (what is odd, the first that are) each.

    ``said`` are sentences on what the set is, ``skipped`` counts images that were left out as not every loader reads
    them.
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
    host: str
    round: int
    order: tuple[str, ...] = ()


@dataclass(frozen=True)
class RoundAdded(Event):
    """``rounds: auto`` goes on: so many ``rounds`` are planned now, of ``most``, for the ``reason`` given.

    ``open`` comparisons are not settled yet; None and ``most`` 0 in events that were written before these were known.
    """

    host: str
    rounds: int
    reason: str
    open: int | None = None
    most: int = 0


@dataclass(frozen=True)
class CasesSkipped(Event):
    """What of a host's plan is skipped for one ``reason``: so many ``invocations`` of so many ``cases``."""

    host: str
    reason: str
    invocations: int
    cases: int


@dataclass(frozen=True)
class InvocationStarted(Event):
    """``done`` of ``planned`` were over before it; ``left_s`` is what it and all behind it are expected to take.

    So many ``repeats`` are due beside those that are planned: of what was disturbed, and of what it is compared with.
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
    """How long one has been running; ``left_s`` is what it and all behind it still take. Never on disk."""

    started: InvocationStarted
    elapsed_s: float

    @property
    def left_s(self) -> float | None:
        """What is left by now; None where nobody knows, or it takes longer than was expected."""
        left_s = self.started.left_s
        return None if left_s is None or left_s <= self.elapsed_s else left_s - self.elapsed_s


@dataclass(frozen=True)
class InvocationFinished(Event):
    """``outcome`` is what it is counted as (``analysis.outcomes``): ``reason`` in a few words, ``why`` in full.

    ``done`` are over after it: it is not among them where the same command measures it again.

    ``is_announced``: a skip that ``CasesSkipped`` has told of.
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
    id: str
    severity: str
    message: str
    hint: str
    host: str | None = None

    @classmethod
    def of(cls, finding: Finding, host: str | None = None) -> SessionFinding:
        """Make the event of a finding (``analysis.findings.find``) about a session, or about one of its hosts."""
        return cls(finding.id, finding.severity, finding.message, finding.hint, host)


@dataclass(frozen=True)
class Progress(Event):
    """Something long is under way (an image build, a data set): for the console and ``harness status``."""

    host: str | None
    what: str
    fraction: float | None = None


def progress_of(host: str, emit: Emit, what: str = "") -> Callable[[str, float | None], None]:
    """Return a function that emits how far something is on a host: in words, behind ``what``, and as a share."""
    return lambda text, share: emit(Progress(host, f"{what}: {text}" if what else text, share))


@dataclass(frozen=True)
class SessionFinished(Event):
    """``counts`` are of outcomes (``analysis.outcomes``): what is invalid is not counted as ok."""

    session: str
    counts: Mapping[str, int] = field(default_factory=dict)
    interrupted: bool = False
