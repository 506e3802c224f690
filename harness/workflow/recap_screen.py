"""The recap of a session in a terminal: the last screen of ``harness run``, and ``harness status``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.analysis.outcomes import say_counts
from harness.analysis.signs import Kind
from harness.records.recap import Alike, HostRecap, Recap, say_time
from harness.values.text import NOTHING, clean_text
from harness.values.units import format_duration

if TYPE_CHECKING:
    from harness.console import Console
    from harness.records.folder import SessionFolder

_MOST_SHOWN = 12


@dataclass(frozen=True)
class ScreenLine:
    """A line of the recap. ``is_trouble``: it reports a problem."""

    text: str
    is_trouble: bool = False


def print_recap(console: Console, recap: Recap, folder: SessionFolder) -> None:
    """Print the recap on stdout."""
    console.result("\n".join(line.text for line in recap_lines(recap, folder)))


def tell_recap(console: Console, recap: Recap, folder: SessionFolder) -> None:
    """Print the recap on stderr at the end of a command; with ``--quiet`` only the problems."""
    _tell(console, recap_lines(recap, folder))


def tell_hosts(console: Console, recap: Recap) -> None:
    """Print on stderr why no host was ready, host by host."""
    _tell(console, _host_lines(recap))


def _tell(console: Console, lines: Iterable[ScreenLine]) -> None:
    for line in lines:
        if line.is_trouble:
            console.alarm(line.text)
        else:
            console.note(line.text)


def recap_lines(recap: Recap, folder: SessionFolder) -> Iterator[ScreenLine]:
    """Yield a line for each host, then the failures (each reason once) and the command that continues."""
    is_dated = recap.since is not None and recap.state in ("running", "cut off")
    since = f" since {say_time(recap.since)}" if is_dated else ""
    yield ScreenLine(f"{recap.session} ({recap.experiment}): {recap.state}{since}; {recap.counts_text}")
    if recap.hosts:
        yield from _host_lines(recap)
    yield from _alike_lines([one for one in recap.failures if not one.is_earlier], folder)
    earlier: Counter[Kind] = Counter()
    for one in recap.failures:
        earlier[one.outcome.kind] += one.count if one.is_earlier else 0
    if +earlier:
        yield ScreenLine(f"from earlier commands: {say_counts(earlier)}; the report says why")
    for one in recap.skips[:_MOST_SHOWN]:
        yield ScreenLine(f"{one.outcome} ×{one.count}  ({one.places}): {one.why}")
    if recap.state not in ("running", "ended", "not running"):
        yield ScreenLine(f"continue with:  {recap.command}")


def _host_lines(recap: Recap) -> Iterator[ScreenLine]:
    is_running = recap.state == "running"
    has_rounds = any(host.place != NOTHING for host in recap.hosts)
    columns = ["host", "state", "done", *(["round"] if has_rounds else []), "failed"]
    columns += ["running", "left"] if is_running else []
    rows = [_cells(host, is_running=is_running, has_rounds=has_rounds) for host in recap.hosts]
    widths = [max(len(row[index]) for row in [columns, *rows]) for index in range(len(columns))]
    yield ScreenLine(_align(columns, widths).rstrip())
    for host, row in zip(recap.hosts, rows, strict=True):
        cure = f"→ {clean_text(host.next, 600)}" if host.next else ""
        is_trouble = host.state != "done" or bool(host.failed)
        parts = [_align(row, widths), clean_text(host.why, 600), cure]
        yield ScreenLine("  ".join(part for part in parts if part).rstrip(), is_trouble=bool(host.why) and is_trouble)


def _align(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True))


def _cells(host: HostRecap, *, is_running: bool, has_rounds: bool) -> list[str]:
    since = f" since {say_time(host.since)}" if host.since else ""
    cells = [host.host, host.state.replace("_", " ") + since, host.share]
    cells += [host.place, host.failed_text] if has_rounds else [host.failed_text]
    if is_running:
        left = host.progress.left_s
        about = NOTHING if left is None else f"about {format_duration(left)}" if left >= 1 else "moments"
        cells += [host.progress.running or NOTHING, about]
    return cells


def _alike_lines(failures: Sequence[Alike], folder: SessionFolder) -> Iterator[ScreenLine]:
    for one in failures[:_MOST_SHOWN]:
        times = f" ×{one.count}" if one.count > 1 else ""
        why = f": {one.why}" if one.why else ""
        yield ScreenLine(f"{one.outcome}{times}  {one.cases_text}{why}", is_trouble=True)
        if one.log:
            yield ScreenLine(f"    log: {folder.path / one.log}")
    if len(failures) > _MOST_SHOWN:
        yield ScreenLine(f"and {len(failures) - _MOST_SHOWN} more reasons; the report lists all", is_trouble=True)
