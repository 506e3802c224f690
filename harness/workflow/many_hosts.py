"""Ask many hosts at once: so many side by side, each one's failure contained, answers in the hosts' order."""

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
"""The exit code of a command to which no host was ready."""


class Named(Protocol):
    """Whatever is asked: a host of the inventory, or what leads to one."""

    @property
    def name(self) -> str:
        """As it is called in messages."""


H = TypeVar("H", bound=Named)
T = TypeVar("T")


@dataclass(frozen=True)
class Answer(Generic[T]):
    """What became of one host: what it gave, or the error that kept it from that."""

    name: str
    outcome: T | HarnessError

    @property
    def error(self) -> HarnessError | None:
        """Why there is no value; None where there is one."""
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

    ``tell`` gets each answer in this thread and in that order, as soon as it is its turn; ``ended`` gets it in the
    host's own thread as soon as it is there. A host's error is its answer and stops no other host, also one that is
    a defect of ours: ``explain`` says what to make of that. After Ctrl-C no further host is begun, those at work are
    asked to end by ``stop`` and waited for; a second one waits for nobody.
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
            console.note("stopping: hosts that are at work are waited for; once more ends at once")
        for thread in threads:
            thread.join()
    return answers


def _tell(console: Console, tell: Callable[[Answer[T]], None], answer: Answer[T]) -> None:
    """Tell of one host; that it cannot be told is a defect of ours, and costs no other host its answer."""
    try:
        tell(answer)
    except (HarnessError, OSError):
        raise
    except Exception as error:
        console.alarm(str(explain_defect(answer, error)))


def start_threads(work: Callable[[], None], count: int) -> list[threading.Thread]:
    """Start ``count`` threads that all do the same; they keep no program that wants to end."""
    threads = [threading.Thread(target=work, name=f"host-{number}", daemon=True) for number in range(count)]
    for thread in threads:
        thread.start()
    return threads


def explain_defect(host: Named, error: Exception) -> HarnessError:
    """Describe something that nobody foresaw as an error of one host. ``HARNESS_DEBUG`` lets it through instead."""
    if os.environ.get("HARNESS_DEBUG"):
        raise error
    message = f"something unforeseen: {type(error).__name__}: {error}"
    return HostError(message, where=host.name, hint="set HARNESS_DEBUG=1 to see where, and report it with that text")


def tell_failure(console: Console, answer: Answer[T]) -> None:
    """Show the error of a host that has one."""
    if answer.error is not None:
        console.alarm(f"{state_of(answer.error)}: {answer.error}")


def failure_event(host: str, error: HarnessError) -> HostStateChanged:
    """Tell of the error that ended a host's part; where it names another place than the host, that is said."""
    from harness.values.event import HostStateChanged

    where = f"{error.where}: " if error.where not in (None, host) else ""
    is_of_host = isinstance(error, HostError | DataError)
    return HostStateChanged(host, state_of(error), where + error.message, error.hint, can_continue=is_of_host)


def state_of(error: HarnessError) -> str:
    """Return the state of a host that failed so: ``unreachable``, ``busy``, ``locked`` or ``not_ready``."""
    return error.state if isinstance(error, HostError) else "not_ready"


def values_of(answers: Iterable[Answer[T]]) -> dict[str, T]:
    """Return what the hosts gave, by their names, without those that failed."""
    return {each.name: each.outcome for each in answers if not isinstance(each.outcome, HarnessError)}


def exit_code(answers: Sequence[Answer[T]], is_well: Callable[[T], bool] = lambda _value: True) -> int:
    """Return the exit code of a command that asked these hosts: 0 all are well, 1 some are not, 3 none is.

    Where none is and one failed for what the user wrote, that error's own code (2).
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
            error.where = error.where or host.name  # what judges facts knows no host's name
        if error.hint is not None:
            error.hint = name_inventory(error.hint, getattr(host, "inventory", None))
        return error
    except Exception as error:  # a defect of ours on one host must not cost the others their answer
        return explain(host, error)
