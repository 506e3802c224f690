"""Interrupting a session: by events that threads look at; no exception is raised into a thread."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from harness.session.run_options import OnInterrupt

INTERRUPTED = 130
"""The exit code of an interrupted command."""


@dataclass
class Stops:
    """The events that stop a session. ``begin`` set: no new case starts; ``run`` set: running jobs are ended, too."""

    begin: threading.Event = field(default_factory=threading.Event)
    run: threading.Event = field(default_factory=threading.Event)

    def ask(self, policy: OnInterrupt) -> bool:
        """Ask the session to stop: the first time as ``policy`` says, the second time at once.

        Returns whether running jobs are ended now.
        """
        if policy == "stop" or self.begin.is_set():
            self.run.set()
        self.begin.set()
        return self.run.is_set()


@contextmanager
def on_interrupt(ask: Callable[[], None]) -> Iterator[None]:
    """Context manager: call ``ask`` on Ctrl-C, SIGTERM and a closed terminal."""

    def handle(_number: int, _frame: object) -> None:
        ask()

    kept = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, before in kept.items():
            signal.signal(number, before)


@contextmanager
def interruptible(stops: Stops, policy: OnInterrupt, tell: Callable[[str], None], again: str) -> Iterator[None]:
    """Context manager: let Ctrl-C, SIGTERM and a closed terminal stop the session.

    ``tell`` is called each time, with the command that continues (``again``).
    """

    def ask() -> None:
        if stops.ask(policy):
            tell(f"stopping: running jobs are ended and removed; continue later with:  {again}")
        else:
            tell(f"no new case starts; running jobs finish (Ctrl-C again ends them); continue later with:  {again}")

    with on_interrupt(ask):
        yield
