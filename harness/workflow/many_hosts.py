"""Ask many hosts in parallel. A failure of one host stops no other; answers come in the hosts' order."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from harness.values.errors import DataError, HarnessError, HostError
from harness.values.text import name_inventory

if TYPE_CHECKING:
    from harness.console import Console
    from harness.values.event import HostStateChanged


NONE_READY = 3
"""The exit code of a command for which no host was ready."""


class Named(Protocol):
    """Something with a name that can be asked: a host of the inventory, or an object that stands for one."""

    @property
    def name(self) -> str:
        """The name in messages."""


H = TypeVar("H", bound=Named)
T = TypeVar("T")


@dataclass(frozen=True)
class Answer(Generic[T]):
    """The result of asking one host: its value, or the error."""

    name: str
    outcome: T | HarnessError

    @property
    def error(self) -> HarnessError | None:
        """The error; None if there is a value."""
        return self.outcome if isinstance(self.outcome, HarnessError) else None


def ask_hosts(
    console: Console,
    hosts: Sequence[H],
    ask: Callable[[H], T],
    *,
    forks: int,
    tell: Callable[[Answer[T]], None] | None = None,
    ended: Callable[[Answer[T]], None] | None = None,
    explain: Callable[[H, Exception], HarnessError] | None = None,
    stop: threading.Event | None = None,
) -> list[Answer[T]]:
    """Ask every host, ``forks`` at once, and return their answers in the order of the hosts.

    ``tell`` is called with each answer in this thread, in the hosts' order; ``ended`` in the host's own thread, as soon
    as the answer is there. A host's error is its answer and stops no other host. ``explain`` turns an unexpected
    exception (a defect of harness) into such an error. After Ctrl-C no further host starts; ``stop`` asks those at work
    to end, and they are waited for. A second Ctrl-C does not wait.
    """
    futures: list[Future[Answer[T]]] = [Future() for _ in hosts]
    waiting = deque(zip(hosts, futures, strict=True))

    def work() -> None:
        while waiting:
            try:
                host, future = waiting.popleft()
            except IndexError:  # another thread took the last one
                return
            try:
                answer = Answer(host.name, _outcome_of(host, ask, explain or explain_defect))
                if ended is not None:
                    ended(answer)
                future.set_result(answer)
            except BaseException as error:  # raised where the answer is waited for
                future.set_exception(error)

    threads = start_threads(work, min(forks, len(hosts)))
    answers: list[Answer[T]] = []
    try:
        for future in futures:
            answers.append(future.result())
            if tell is not None:
                _tell(console, tell, answers[-1])
    finally:
        waiting.clear()
        if len(answers) < len(hosts):
            if stop is not None:
                stop.set()
            console.note("stopping: waiting for the hosts that are at work (Ctrl-C again stops at once)")
        for thread in threads:
            thread.join()
    return answers


def _tell(console: Console, tell: Callable[[Answer[T]], None], answer: Answer[T]) -> None:
    """Report the answer of one host. A defect in doing so does not cost the other hosts their answers."""
    try:
        tell(answer)
    except (HarnessError, OSError):
        raise
    except Exception as error:
        console.alarm(str(explain_defect(answer, error)))


def start_threads(work: Callable[[], None], count: int) -> list[threading.Thread]:
    """Start ``count`` daemon threads that all run ``work``."""
    threads = [threading.Thread(target=work, name=f"host-{number}", daemon=True) for number in range(count)]
    for thread in threads:
        thread.start()
    return threads


def explain_defect(host: Named, error: Exception) -> HarnessError:
    """Return an unexpected exception as an error of one host. With ``HARNESS_DEBUG`` set, raise it instead."""
    if os.environ.get("HARNESS_DEBUG"):
        raise error
    message = f"unexpected error: {type(error).__name__}: {error}"
    return HostError(message, where=host.name, hint="set HARNESS_DEBUG=1 to see the traceback, and report it")


def tell_failure(console: Console, answer: Answer[T]) -> None:
    """Print the error of a host; do nothing for a value."""
    if answer.error is not None:
        console.alarm(f"{state_of(answer.error)}: {answer.error}")


def failure_event(host: str, error: HarnessError) -> HostStateChanged:
    """Return the event for an error that ended a host's part. It names the error's place, if that is not the host."""
    from harness.values.event import HostStateChanged

    where = f"{error.where}: " if error.where not in (None, host) else ""
    is_of_host = isinstance(error, HostError | DataError)
    return HostStateChanged(host, state_of(error), where + error.message, error.hint, can_continue=is_of_host)


def state_of(error: HarnessError) -> str:
    """Return the state of a host with this error: ``unreachable``, ``busy``, ``locked`` or ``not_ready``."""
    return error.state if isinstance(error, HostError) else "not_ready"


def values_of(answers: Iterable[Answer[T]]) -> dict[str, T]:
    """Return the values by host, without the hosts that failed."""
    return {each.name: each.outcome for each in answers if not isinstance(each.outcome, HarnessError)}


def exit_code(answers: Sequence[Answer[T]], is_well: Callable[[T], bool] = lambda _value: True) -> int:
    """Return the exit code of a command that asked these hosts: 0 if all are well, 1 if some are not, 3 if none is.

    If none is, and one failed because of what the user wrote, return the code of that error (2).
    """
    well = sum(not isinstance(each.outcome, HarnessError) and is_well(each.outcome) for each in answers)
    if well == len(answers):
        return 0
    usage = [each.error for each in answers if each.error is not None and not isinstance(each.error, HostError)]
    return 1 if well else usage[0].exit_code if usage else NONE_READY


def _outcome_of(host: H, ask: Callable[[H], T], explain: Callable[[H, Exception], HarnessError]) -> T | HarnessError:
    try:
        return ask(host)
    except HarnessError as error:
        if isinstance(error, HostError):
            error.where = error.where or host.name  # the code that judges facts does not know the host's name
        if error.hint is not None:
            error.hint = name_inventory(error.hint, getattr(host, "inventory", None))
        return error
    except Exception as error:  # a defect must not cost the other hosts their answers
        return explain(host, error)
