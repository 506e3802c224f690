"""Terminal output: results on stdout, progress on stderr."""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
import threading
import time
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console as RichConsole
    from rich.live import Live
    from rich.status import Status
    from rich.text import Text

    from harness.analysis.outcomes import Outcome
    from harness.console.board import Board
    from harness.values.event import Event

_CONTROL = {9: " ", **{code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if code not in (9, 10)}}
"""Replacements for control characters: names, paths and other programs' messages may hold terminal escape codes."""

LINE_EVERY_S = 20.0
"""Seconds between two lines of progress on one topic, without a terminal."""

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")

_STYLES = {"none": None, "quiet": "dim", "good": "green", "open": "yellow", "bad": "red"}
"""Terminal styles of the tints in ``analysis.signs``."""


class Console:
    """The output of a command. ``quiet`` prints only results, warnings and errors; ``verbose`` also details.

    Without a terminal, or with ``NO_COLOR``, lines are plain. Without a terminal, no question is asked.
    """

    def __init__(self, *, quiet: bool = False, verbose: bool = False) -> None:
        self.quiet = quiet
        self.verbose = verbose
        self._mutex = threading.Lock()
        self._status: Status | Live | None = None
        self._board: Board | None = None
        self._last_detail = ""
        self._next_line: dict[str, float] = {}

    @cached_property
    def _out(self) -> RichConsole:
        """The Rich console for tables on a terminal. Results and plain tables do not load Rich."""
        return _make_rich(stderr=False)

    @cached_property
    def _err(self) -> RichConsole:
        """The Rich console for progress. Used under the mutex only, so that two threads never create two."""
        return _make_rich(stderr=True)

    def result(self, text: str, *, as_it_is: bool = False) -> None:
        """Print a result on stdout, above the live line. ``as_it_is`` prints a file's content without escaping."""
        text = text if as_it_is else _plain(text)
        with self._mutex:
            self._stop_live_line()
            sys.stdout.write(text if text.endswith("\n") else text + "\n")
            sys.stdout.flush()

    def result_json(self, value: object) -> None:
        """Print a result as JSON, for programs."""
        self.result(json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, default=str), as_it_is=True)

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]], *, title: str | None = None) -> None:
        """Print a table as a result; if stdout is not a terminal, as plain text that is never cut."""
        if not self._out.is_terminal:
            self._plain_table(columns, rows, title)
            return
        from rich import box
        from rich.table import Table
        from rich.text import Text

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
        """Print a line of progress about an outcome, coloured unless the outcome is a usable result."""
        if not self.quiet:
            self._line(text, _STYLES[outcome.look.tint])

    def detail(self, text: str, *, once: bool = False) -> None:
        """Print a line that only ``-v`` shows. ``once`` omits it if it equals the previous detail."""
        if self.verbose and not (once and text == self._last_detail):
            self._line(text, "dim")
        self._last_detail = text

    def warning(self, text: str) -> None:
        """Print a warning, even with ``--quiet``."""
        self._line(f"warning: {text}", "yellow")

    def alarm(self, text: str) -> None:
        """Print in red what must not be overlooked, even with ``--quiet``."""
        self._line(text, "bold red")

    def error(self, text: str) -> None:
        """Print why a command failed."""
        self._line(f"error: {text}", "red")

    def ask(self, question: str) -> bool:
        """Ask a yes-or-no question on the terminal; without one, return False."""
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            return False
        from rich.prompt import Confirm
        from rich.text import Text

        self.close()
        return Confirm.ask(Text(_plain(question)), console=self._err, default=False)

    def ask_secret(self, question: str) -> str | None:
        """Ask for a secret without echo; return None without a terminal or if nothing was typed."""
        with self._mutex:
            if not (sys.stdin.isatty() and self._err.is_terminal):
                return None
            self._stop_live_line()
        from getpass import getpass

        try:
            return getpass(f"{question}: ", stream=sys.stderr) or None
        except EOFError:
            return None

    def close(self) -> None:
        """Stop the live status line."""
        with self._mutex:
            self._stop_live_line()

    def _stop_live_line(self) -> None:
        if self._status is not None:
            self._status.stop()
            self._status = None

    def handle(self, event: Event) -> None:
        """Show one event as a line, and on a terminal with several hosts also in the live table."""
        from harness.console.event_lines import show

        if not self.quiet and self._err.is_terminal:
            self._take(event)
        show(event, self)

    def _take(self, event: Event) -> None:
        """Update the live table of hosts; remove it at the end of the session."""
        from harness.console.board import Board
        from harness.values.event import SessionFinished

        with self._mutex:
            if isinstance(event, SessionFinished):
                self._stop_live_line()
                self._board = None
                return
            self._board = self._board or Board()
            self._board.take(event)
            if not self._board.has_several or self._status is not None:
                return
            from rich.live import Live

            self._status = Live(
                console=self._err, get_renderable=self._draw_board, refresh_per_second=2, transient=True
            )
            self._status.start()

    def _draw_board(self) -> Text:
        from rich.text import Text

        if self._board is None:
            return Text("")
        return Text(_plain("\n".join(self._board.lines(self._err.width))), no_wrap=True)

    def live(self, text: str) -> None:
        """Set the line that is updated in place; without a terminal, or beside the table of hosts, do nothing."""
        if self.quiet or (self._board is not None and self._board.has_several):
            return
        with self._mutex:
            if not self._err.is_terminal:
                return
            from rich.text import Text

            shown = Text(_plain(text))
            if self._status is None:
                self._status = self._err.status(shown)
                self._status.start()
            else:
                self._status.update(shown)

    def progress(self, topic: str, text: str) -> None:
        """Show progress on a topic in the live line; without a terminal, print a line now and then."""
        if self.verbose:
            self.detail(text, once=True)
        elif self._err.is_terminal:
            self.live(text)
        elif time.monotonic() >= self._next_line.get(topic, 0.0):
            self._next_line[topic] = time.monotonic() + LINE_EVERY_S
            self.note(text)

    def _line(self, text: str, style: str | None = None) -> None:
        from rich.text import Text

        with self._mutex, contextlib.suppress(BrokenPipeError):  # stderr was closed: go on without progress
            self._err.print(Text(_plain(text), style=style or ""))


def _make_rich(*, stderr: bool) -> RichConsole:
    from rich.console import Console as Rich

    plain = False if os.environ.get("NO_COLOR") else None
    return Rich(stderr=stderr, highlight=False, soft_wrap=True, force_terminal=plain)


def _plain(text: str) -> str:
    """Return text without colours and with its control characters escaped."""
    return _COLOUR.sub("", text).translate(_CONTROL).encode(errors="backslashreplace").decode()


def _in_one_line(cell: str) -> str:
    return _plain(cell).replace("\n", "\\n")
