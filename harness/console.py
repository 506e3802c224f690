"""Progress and tables: the only place that prints. stdout = result, stderr = progress."""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
import threading
from collections.abc import Mapping, Sequence
from functools import singledispatch
from typing import TYPE_CHECKING

from harness.analysis.outcomes import Outcome, say_counts
from harness.analysis.signs import LOOKS
from harness.bench.protocol.unusual_files import OUTCOMES
from harness.values import event as happened
from harness.values.units import format_bytes, format_duration

if TYPE_CHECKING:
    from rich.console import Console as RichConsole
    from rich.status import Status

_CONTROL = {9: " ", **{code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if code not in (9, 10)}}
"""Names, paths and messages of others' programs may hold codes that a terminal would obey."""

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")

_STYLES = {"none": None, "quiet": "dim", "good": "green", "open": "yellow", "bad": "red"}
"""How a terminal shows the tints of ``analysis.signs``."""

_OUTCOME_WIDTH = max(len(look.word) for look in LOOKS.values())


class Console:
    """Where commands show what they do. ``quiet`` shows only results and errors; ``verbose`` more.

    Without a terminal, or with ``NO_COLOR``, lines are plain; nothing is ever asked without a terminal.
    """

    def __init__(self, *, quiet: bool = False, verbose: bool = False) -> None:
        from rich.console import Console as Rich

        self.quiet = quiet
        self.verbose = verbose
        plain = False if os.environ.get("NO_COLOR") else None
        self._out: RichConsole = Rich(highlight=False, soft_wrap=True, force_terminal=plain)
        self._err: RichConsole = Rich(stderr=True, highlight=False, soft_wrap=True, force_terminal=plain)
        self._mutex = threading.Lock()
        self._status: Status | None = None
        self._last_detail = ""

    def result(self, text: str) -> None:
        """Print a result on stdout, as it is; the live line makes room for it."""
        with self._mutex:
            self._stop_live_line()
            sys.stdout.write(text if text.endswith("\n") else text + "\n")
            sys.stdout.flush()

    def result_json(self, value: object) -> None:
        """Print a result for programs, as JSON."""
        self.result(json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, default=str))

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]], *, title: str | None = None) -> None:
        """Print a table as a result. Plain and never cut where stdout is not a terminal."""
        from rich import box
        from rich.table import Table
        from rich.text import Text

        if not self._out.is_terminal:
            self._plain_table(columns, rows, title)
            return
        table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", pad_edge=False)
        for column in columns:
            table.add_column(column, overflow="fold")
        for row in rows:
            table.add_row(*(Text(_in_one_line(cell)) for cell in row))
        with self._mutex:
            self._stop_live_line()
            self._out.print(table)

    def _plain_table(self, columns: Sequence[str], rows: Sequence[Sequence[str]], title: str | None) -> None:
        lines = [list(columns), *[[_in_one_line(cell) for cell in row] for row in rows]]
        widths = [max(len(line[index]) for line in lines) for index in range(len(columns))]
        text = [title] if title else []
        for line in lines:
            cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
            text += ["  ".join(cells).rstrip()]
        self.result("\n".join(text))

    def note(self, text: str) -> None:
        """Print a line of progress on stderr."""
        if not self.quiet:
            self._line(text)

    def outcome(self, text: str, outcome: Outcome) -> None:
        """Print a line of progress about an outcome; one that is no usable result is coloured."""
        if not self.quiet:
            self._line(text, _STYLES[outcome.look.tint])

    def detail(self, text: str, *, once: bool = False) -> None:
        """Print a line that only ``-v`` shows; with ``once`` not where the detail before it said the same."""
        if self.verbose and not (once and text == self._last_detail):
            self._line(text, "dim")
        self._last_detail = text

    def warning(self, text: str) -> None:
        """Print something that the user should know; shown even with ``--quiet``."""
        self._line(f"warning: {text}", "yellow")

    def alarm(self, text: str) -> None:
        """Print something that must not be overlooked: red, and shown even with ``--quiet``."""
        self._line(text, "bold red")

    def error(self, text: str) -> None:
        """Print why a command ends without its result."""
        self._line(f"error: {text}", "red")

    def ask(self, question: str) -> bool:
        """Ask for yes or no on a terminal; always no without one."""
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            return False
        from rich.prompt import Confirm

        return Confirm.ask(question, console=self._err, default=False)

    def ask_secret(self, question: str) -> str | None:
        """Ask for something that is not shown while it is typed; None without a terminal, or if nothing was typed."""
        if not (sys.stdin.isatty() and self._err.is_terminal):
            return None
        from getpass import getpass

        self.close()
        try:
            return getpass(f"{question}: ", stream=sys.stderr) or None
        except EOFError:
            return None

    def close(self) -> None:
        """Stop the live line."""
        with self._mutex:
            self._stop_live_line()

    def _stop_live_line(self) -> None:
        if self._status is not None:
            self._status.stop()
            self._status = None

    def handle(self, event: happened.Event) -> None:
        """Show one event."""
        _show(event, self)

    def live(self, text: str) -> None:
        """Set the one line that changes in place; nothing where there is no terminal."""
        if self.quiet or not self._err.is_terminal:
            return
        with self._mutex:
            if self._status is None:
                self._status = self._err.status("")
                self._status.start()
            from rich.text import Text

            self._status.update(Text(_plain(text)))

    def _line(self, text: str, style: str | None = None) -> None:
        from rich.text import Text

        with self._mutex, contextlib.suppress(BrokenPipeError):  # nobody reads progress any more: go on
            self._err.print(Text(_plain(text), style=style or ""))


def _plain(text: str) -> str:
    """Return text that a terminal shows and does not obey."""
    return _COLOUR.sub("", text).translate(_CONTROL).encode(errors="backslashreplace").decode()


def _in_one_line(cell: str) -> str:
    return _plain(cell).replace("\n", "\\n")


def _time_left(event: happened.SessionStarted | happened.InvocationStarted | happened.InvocationFinished) -> str:
    """Return how long the host still needs; nothing where it is through, or nobody can know."""
    return f", about {format_duration(event.left_s)} left" if event.left_s else ""


@singledispatch
def _show(event: happened.Event, console: Console) -> None:
    """Show an event; one that has no function below is not shown."""


@_show.register
def _session_started(event: happened.SessionStarted, console: Console) -> None:
    word = "continues" if event.resumed else "begins"
    where = "" if event.host is None else f"{event.host}: "
    counts = _say_counts(event.counts)
    done = f"{event.done} of {event.planned} invocations done{': ' + counts if counts else ''}"
    console.note(f"{where}session {event.session} {word}: {done}{_time_left(event)} ({event.folder})")


@_show.register
def _host_state(event: happened.HostStateChanged, console: Console) -> None:
    state = event.state.replace("_", " ")
    text = f"{event.host}: {state}" + (f": {event.message}" if event.message else "")
    if event.state == "ready":
        console.note(text)
    else:
        console.alarm(text + (f"\n  → {event.hint}" if event.hint else ""))


@_show.register
def _link_lost(event: happened.LinkLost, console: Console) -> None:
    console.alarm(f"{event.host}: does not answer since {event.since}: {event.reason}; what runs there goes on")


@_show.register
def _link_back(event: happened.LinkBack, console: Console) -> None:
    console.note(f"{event.host}: answers again, after {format_duration(event.seconds)}")


@_show.register
def _host_waiting(event: happened.HostWaiting, console: Console) -> None:
    console.note(f"{event.host}: waits: {event.reason}")


@_show.register
def _engine_chosen(event: happened.EngineChosen, console: Console) -> None:
    console.note(f"{event.host}: engine {event.engine} ({event.version}): {event.reason}")


@_show.register
def _image_ready(event: happened.ImageReady, console: Console) -> None:
    took = f" in {format_duration(event.seconds)}" if event.seconds else ""
    console.note(f"{event.host}: image {event.image_digest[:12]} {event.method}{took}")


@_show.register
def _image_shipped(event: happened.ImageShipped, console: Console) -> None:
    if event.method == "present":
        console.note(f"{event.host}: image {event.image} is there already")
    else:
        console.note(f"{event.host}: image {event.image} {_ship_words(event)}")
    _ship_notes(console, event)


@_show.register
def _image_cached(event: happened.ImageCached, console: Console) -> None:
    size, took = format_bytes(event.bytes), format_duration(event.seconds)
    console.note(f"unpacked {event.image} into the cache, once for all hosts: {size} in {took}")


@_show.register
def _data_shipped(event: happened.DataShipped, console: Console) -> None:
    if event.files:
        console.note(f"{event.host}: data set {event.data}: {event.files} files {_ship_words(event)}")
    else:
        console.note(f"{event.host}: data set {event.data} is there already")
    _ship_notes(console, event)


def _ship_words(event: happened.ImageShipped | happened.DataShipped) -> str:
    """Say how it came, what was needed, sent and saved, and how fast."""
    method = event.method if isinstance(event, happened.ImageShipped) else "sent"
    took = f"in {format_duration(event.seconds)}"
    if method == "pulled":
        return f"pulled from the registry {took}"
    parts = [f"needed {format_bytes(event.bytes_needed)}", f"sent {format_bytes(event.bytes_sent)}"]
    parts.append(f"saved {format_bytes(event.bytes_saved)}")
    speed = f", {event.mb_per_s:.0f} MB/s" if event.mb_per_s is not None else ""
    return f"{method}: {', '.join(parts)} {took}{speed}"


def _ship_notes(console: Console, event: happened.ImageShipped | happened.DataShipped) -> None:
    for note in event.notes:
        console.note(f"{event.host}: on the way: {note}")


@_show.register
def _data_ready(event: happened.DataReady, console: Console) -> None:
    size = f"{event.images} images, {event.bytes / 1e6:.0f} MB"
    console.note(f"{event.host}: data set {event.data} {event.how}: {size}, fingerprint {event.fingerprint[:12]}")
    for name, outcome in OUTCOMES.items():
        if count := event.odd.get(name):
            console.note(f"{event.host}: data set {event.data}: {count} {name.replace('_', ' ')}: {outcome}")


@_show.register
def _round_started(event: happened.RoundStarted, console: Console) -> None:
    console.detail(f"{event.host}: round {event.round}: {len(event.order)} invocations")


@_show.register
def _round_added(event: happened.RoundAdded, console: Console) -> None:
    console.note(f"{event.host}: round {event.rounds} is added: {event.reason}")


@_show.register
def _invocation_started(event: happened.InvocationStarted, console: Console) -> None:
    how = " (already running, adopted)" if event.adopted else ""
    place = f"{event.host}  {event.done}/{event.planned}  round {event.round}"
    console.live(f"{place}  {event.label}{how}{_time_left(event)}")
    console.detail(f"{event.host}: {event.label} begins{how}")


@_show.register
def _invocation_finished(event: happened.InvocationFinished, console: Console) -> None:
    took = format_duration(event.seconds) if event.seconds is not None else ""
    outcome = next((Outcome(kind, event.reason) for kind in LOOKS if kind == event.outcome), Outcome("lost"))
    place = f"[{event.done}/{event.planned}] {event.host} round {event.round}"
    text = f"{place}  {outcome.look.sign} {outcome.text:<{_OUTCOME_WIDTH}}  {event.label}  {took}"
    console.outcome(text.rstrip() + _time_left(event), outcome)
    if event.why and outcome.kind != "degraded":
        console.note(f"    {event.why}")
    elif event.why:
        console.detail(f"    {event.why}")


@_show.register
def _finding(event: happened.SessionFinding, console: Console) -> None:
    text = f"{event.host + ': ' if event.host else ''}{event.message}\n  → {event.hint}"
    if event.severity == "error":
        console.alarm(text)
    elif event.severity == "warning":
        console.warning(text)
    else:
        console.note(text)


@_show.register
def _progress(event: happened.Progress, console: Console) -> None:
    share = f" {event.fraction:.0%}" if event.fraction is not None else ""
    console.live(f"{event.host + ': ' if event.host else ''}{event.what}{share}")
    console.detail(f"{event.what}{share}", once=True)


@_show.register
def _session_finished(event: happened.SessionFinished, console: Console) -> None:
    console.note(f"session {event.session}: {_say_counts(event.counts) or 'nothing measured'}")


def _say_counts(counts: Mapping[str, int]) -> str:
    return say_counts({kind: counts[kind] for kind in LOOKS if kind in counts})
