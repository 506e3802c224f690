"""The live table of several hosts: host, state, case, round, done of planned, elapsed, left, last event.

``Board`` takes events and returns lines; ``Console`` draws them on a terminal.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import singledispatchmethod

from harness.analysis.outcomes import read_outcome
from harness.values import event as happened
from harness.values.text import clean_text
from harness.values.units import format_duration

MOST_HOSTS = 10
"""Hosts that the table shows at most; the others are counted in its last line."""

_COLUMNS = ("host", "state", "case", "round", "done", "elapsed", "left", "last event")
_LEAST = (12, 9, 10, 5, 5, 7, 7, 6)
"""Minimum width of each column in characters."""
_MOST = (20, 11, 40, 5, 9, 8, 8, 60)
"""Maximum width of each column in characters: case and last event get what the terminal has to spare."""
_GAP = 2
_ORDER = ("measuring", "waiting", "preparing", "silent", "starting", "ready", "done")
"""Which hosts a table shows that has no room for all: by state, in this order."""


@dataclass
class _Row:
    state: str = "starting"
    case: str = ""
    round: str = ""
    done: str = ""
    begun: float | None = None
    left_s: float | None = None
    told: float = 0.0
    last: str = ""


class Board:
    """The state of each host of a command, kept up to date by events. ``clock`` returns monotonic seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._rows: dict[str, _Row] = {}

    @property
    def has_several(self) -> bool:
        """Whether there is more than one host."""
        return len(self._rows) > 1

    @singledispatchmethod
    def take(self, event: happened.Event) -> None:
        """Update the host that an event is about; ignore events that are about none."""

    @take.register
    def _(self, event: happened.CommandStarted) -> None:
        for host in event.hosts:
            self._rows.setdefault(host, _Row())

    @take.register
    def _(self, event: happened.SessionStarted) -> None:
        if event.host is not None:
            self._note(event.host, "ready", f"{event.done} of {event.planned} already done")
            self._count(event.host, event.done, event.planned, event.left_s)

    @take.register
    def _(self, event: happened.HostStateChanged) -> None:
        self._note(event.host, event.state.replace("_", " "), event.message)

    @take.register
    def _(self, event: happened.Progress) -> None:
        if event.host is not None:
            share = "" if event.fraction is None else f" {event.fraction:.0%}"
            self._note(event.host, "preparing", event.what + share)

    @take.register
    def _(self, event: happened.HostWaiting) -> None:
        self._note(event.host, "waiting", event.reason)

    @take.register
    def _(self, event: happened.LinkLost) -> None:
        self._note(event.host, "silent", event.reason)

    @take.register
    def _(self, event: happened.LinkBack) -> None:
        self._note(event.host, "measuring", f"answers again, after {format_duration(event.seconds)}")

    @take.register
    def _(self, event: happened.InvocationStarted) -> None:
        row = self._note(event.host, "measuring", None)
        row.case, row.round, row.begun = event.label, str(event.round), self._clock()
        self._count(event.host, event.done, event.planned, event.left_s)

    @take.register
    def _(self, event: happened.InvocationRunning) -> None:
        row = self._note(event.started.host, "measuring", None)
        row.case, row.round, row.begun = (
            event.started.label,
            str(event.started.round),
            self._clock() - event.elapsed_s,
        )
        self._count(event.started.host, event.started.done, event.started.planned, event.left_s)

    @take.register
    def _(self, event: happened.InvocationFinished) -> None:
        if not event.is_announced:
            self._note(event.host, "measuring", f"{read_outcome(event.outcome, event.reason).text}: {event.label}")
        self._count(event.host, event.done, event.planned, event.left_s)

    @take.register
    def _(self, event: happened.HostFinished) -> None:
        row = self._note(event.host, "done", None)
        row.case, row.round, row.begun = "", "", None
        self._count(event.host, event.done, event.planned, None)

    def _note(self, host: str, state: str, last: str | None) -> _Row:
        row = self._rows.setdefault(host, _Row())
        row.state = state
        if last is not None:
            row.last = clean_text(last, 200)
        return row

    def _count(self, host: str, done: int, planned: int, left_s: float | None) -> None:
        row = self._rows.setdefault(host, _Row())
        row.done, row.left_s, row.told = f"{done}/{planned}", left_s, self._clock()

    def lines(self, width: int, most: int = MOST_HOSTS) -> list[str]:
        """Return the table as lines of at most ``width`` characters: a heading and at most ``most`` hosts.

        One more line counts the remaining hosts by state.
        """
        hosts = list(self._rows)
        shown, folded = hosts, ""
        if len(hosts) > most:
            order = {state: place for place, state in enumerate(_ORDER)}
            kept = sorted(hosts, key=lambda host: order.get(self._rows[host].state, 0))[: most - 1]
            shown = [host for host in hosts if host in kept]
            folded = self._fold([host for host in hosts if host not in kept])
        table = [_COLUMNS, *(self._cells(host) for host in shown)]
        widths = _share_width(table, width)
        lines = [_set_line(cells, widths)[:width] for cells in table]
        return [*lines, folded[:width]] if folded else lines

    def _cells(self, host: str) -> tuple[str, ...]:
        row = self._rows[host]
        now = self._clock()
        elapsed = "" if row.begun is None else _say_clock(now - row.begun)
        left = "" if not row.left_s else _say_clock(max(0.0, row.left_s - (now - row.told)))
        return (
            clean_text(host, 80),
            row.state,
            clean_text(row.case, 200),
            row.round,
            row.done,
            elapsed,
            left,
            row.last,
        )

    def _fold(self, hosts: Sequence[str]) -> str:
        states: dict[str, int] = {}
        for host in hosts:
            states[self._rows[host].state] = states.get(self._rows[host].state, 0) + 1
        return f"and {len(hosts)} more hosts: " + ", ".join(f"{count} {state}" for state, count in states.items())


def _say_clock(seconds: float) -> str:
    """Return a duration as ``0:08:48``."""
    return str(timedelta(seconds=round(seconds)))


def _share_width(table: Sequence[Sequence[str]], width: int) -> list[int]:
    """Return the columns' widths: the wanted ones, the widest shortened until the line fits."""
    wanted = [min(most, max(len(cells[place]) for cells in table)) for place, most in enumerate(_MOST)]
    while sum(wanted) + _GAP * (len(wanted) - 1) > width:
        spare = [(want - least, place) for place, (want, least) in enumerate(zip(wanted, _LEAST, strict=True))]
        most, place = max(spare)
        if most <= 0:
            break
        wanted[place] -= 1
    return wanted


def _set_line(cells: Sequence[str], widths: Sequence[int]) -> str:
    cut = (cell if len(cell) <= width else cell[: width - 1] + "…" for cell, width in zip(cells, widths, strict=True))
    return (" " * _GAP).join(cell.ljust(width) for cell, width in zip(cut, widths, strict=True)).rstrip()
