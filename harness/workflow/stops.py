"""How a session is interrupted: events, nothing is ever raised into a thread."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from harness.session.run_options import OnInterrupt

INTERRUPTED = 130
"""The exit code of a command that was stopped."""


@dataclass
class Stops:
    """``begin`` set: no new case begins; ``run`` set: what runs is ended, too."""

    begin: threading.Event = field(default_factory=threading.Event)
    run: threading.Event = field(default_factory=threading.Event)

    def ask(self, policy: OnInterrupt) -> bool:
        """Ask for the end: once, as ``policy`` says; twice, at once. Returns whether what runs is ended now."""
        if policy == "stop" or self.begin.is_set():
            self.run.set()
        self.begin.set()
        return self.run.is_set()


@contextmanager
def on_interrupt(ask: Callable[[], None]) -> Iterator[None]:
    """Call ``ask`` at Ctrl-C, SIGTERM and a closed terminal; nothing is raised into a thread."""

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
    """Let Ctrl-C, a closed terminal and SIGTERM ask for the end; each time the line that continues is told."""

    def ask() -> None:
        if stops.ask(policy):
            tell(f"stopping: what runs is ended and removed; go on later with:  {again}")
        else:
            tell(f"no new case begins, what runs is waited for; once more ends that, too; go on later with:  {again}")

    with on_interrupt(ask):
        yield
