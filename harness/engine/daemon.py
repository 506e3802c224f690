"""A Docker daemon: how its client is made, and what its failures mean.

Everything that a broken connection can raise becomes one ``HostUnreachable``; every
call has a deadline, so that a daemon that freezes is noticed as well as one that dies.
"""

from __future__ import annotations

import http.client
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.hosts.answers import UNREADABLE, Unreadable, first_line
from harness.hosts.lock_owner import read_user
from harness.values.errors import EngineError, EngineUnavailable, HostUnreachable
from harness.values.text import clean_lines, clean_text

if TYPE_CHECKING:
    from docker.api.client import APIClient

DEFAULT_SOCKET = "unix:///var/run/docker.sock"
PROBE_TIMEOUT_S = 10.0
CALL_TIMEOUT_S = 120.0

_MOST_WORDS = 2000
"""Of a daemon's own words: an error of a build has some lines."""
_NO_ENGINE = "see what answers in the Docker Engine's place: `docker version` on the host, and DOCKER_HOST"

ClientFactory = Callable[[float], "APIClient"]
"""Makes a client whose calls end within the given seconds."""


@dataclass(frozen=True)
class DaemonWords:
    """How an engine with Docker's API is spoken of: its name, how it is started, where to look when it refuses.

    ``another``: what to look for where something else answers in its place. ``room``: how room for images is made.
    """

    title: str = "Docker"
    start: str = "start it (sudo systemctl start docker), or install Docker Engine, or use `engine: process`"
    hangs: str = "the daemon hangs or is overloaded: see journalctl -u docker, then sudo systemctl restart docker"
    log: str = "look at the Docker daemon's log (journalctl -u docker)"
    state: str = "see whether the Docker daemon runs (systemctl status docker); then run the same command again"
    another: str = _NO_ENGINE
    room: str = "make room on the host (`docker image prune`), or give Docker another data-root; then run this again"


DOCKER = DaemonWords()


class DaemonRefused(ConnectionRefusedError):
    """An engine that cannot be used, for a reason that is known: ``cure`` is what to do about it."""

    def __init__(self, message: str, cure: str) -> None:
        super().__init__(message)
        self.cure = cure


def local_address() -> str:
    """Where this machine's engine listens: ``DOCKER_HOST``, or Docker's own default.

    Where that may not be used and this user has a rootless engine, where that listens.
    """
    own = f"{os.environ.get('XDG_RUNTIME_DIR') or f'/run/user/{os.getuid()}'}/docker.sock"
    is_rootless = os.access(own, os.W_OK) and not os.access(DEFAULT_SOCKET.removeprefix("unix://"), os.W_OK)
    return os.environ.get("DOCKER_HOST") or (f"unix://{own}" if is_rootless else DEFAULT_SOCKET)


def connect_local(timeout_s: float = CALL_TIMEOUT_S, base_url: str | None = None) -> APIClient:
    """A client of this machine's engine, API version negotiated. Raises what docker-py raises."""
    from docker.utils import kwargs_from_env

    from harness.engine.bounded_client import BoundedClient

    settings = {"base_url": base_url} if base_url else kwargs_from_env()
    address = str(settings.get("base_url") or local_address())
    if address.startswith("ssh://"):
        raise OSError("an engine behind ssh:// is reached as a host of an inventory, not through DOCKER_HOST")
    return BoundedClient(address, "auto", timeout_s, tls=settings.get("tls", False))  # type: ignore[arg-type]  # float


def open_client(host: str = "localhost", *, timeout_s: float = CALL_TIMEOUT_S) -> APIClient:
    """A client of this machine's engine for building and finding images. Raises EngineUnavailable with the cure."""
    try:
        connect_local(PROBE_TIMEOUT_S).close()
        return connect_local(timeout_s)
    except Exception as error:
        if is_lost(error):
            raise unavailable(error, host, local_address()) from error
        raise


def causes_of(error: BaseException) -> Iterator[BaseException]:
    """An exception and all that led to it, also those that libraries keep among the arguments."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop(0)
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        waiting += [one.__cause__, one.__context__]
        waiting += [argument for argument in one.args if isinstance(argument, BaseException)]
        waiting.append(getattr(one, "reason", None) if isinstance(getattr(one, "reason", None), Exception) else None)


def is_lost(error: BaseException) -> bool:
    """True for whatever a client raises when the daemon, or the way to it, is gone or silent."""
    from docker.errors import APIError, DockerException
    from requests.exceptions import RequestException
    from urllib3.exceptions import HTTPError

    if isinstance(error, APIError):
        return False
    kinds = (DockerException, RequestException, HTTPError, OSError, EOFError, http.client.HTTPException)
    return isinstance(error, kinds) or type(error).__module__.split(".")[0] == "paramiko"


def is_no_engine(error: BaseException) -> bool:
    """True where a client learned nothing: nobody answers, or refuses, or says what makes no sense."""
    return isinstance(error, UNREADABLE) or status_of(error) is not None or is_lost(error)


@contextmanager
def talking(host: str, doing: str, forget: Callable[[], None], words: DaemonWords = DOCKER) -> Iterator[None]:
    """Turn what a call raises into our errors: HostUnreachable when the link is gone, else EngineError.

    An answer that makes no sense is an EngineError, too. ``forget`` is called when the link is gone: the old client is
    dead for ever. Docker's NotFound and conflicts (409) pass through, for the caller to judge.
    """
    from docker.errors import APIError, NotFound

    try:
        yield
    except NotFound:
        raise
    except APIError as error:
        if status_of(error) == 409:
            raise
        raise EngineError(f"{words.title} would not {doing}: {explain(error)}", where=host, hint=words.log) from error
    except EngineError:
        raise
    except UNREADABLE as error:
        message = f"{words.title} would not {doing} so that it can be understood: {_misread(error)}"
        raise EngineError(message, where=host, hint=words.another) from error
    except Exception as error:
        if not is_lost(error):
            raise
        forget()
        message = f"lost the {words.title} engine ({doing}): {_last_words(error)}"
        raise HostUnreachable(message, where=host, hint=words.state) from error


def status_of(error: BaseException) -> int | None:
    """The HTTP status of an error that the daemon answered with."""
    return getattr(getattr(error, "response", None), "status_code", None)


def explain(error: BaseException) -> str:
    """The daemon's own words."""
    return clean_lines(str(getattr(error, "explanation", None) or error).strip(), _MOST_WORDS)


def unavailable(error: BaseException, host: str, address: str, words: DaemonWords = DOCKER) -> EngineUnavailable:
    """No engine answers at ``address``: why, and what cures it."""
    message, hint = _diagnose(list(causes_of(error)), address, words)
    return EngineUnavailable(message, where=host, hint=hint)


def _misread(error: Exception) -> str:
    """Say what made no sense, and how it began."""
    said = error.said if isinstance(error, Unreadable) else getattr(error, "doc", None)  # JSON's errors have the text
    return clean_text(error, 300) + (f": it said {first_line(said)}" if isinstance(said, bytes | str) else "")


def _diagnose(causes: list[BaseException], address: str, words: DaemonWords) -> tuple[str, str]:
    def has(*kinds: type[BaseException]) -> bool:
        return any(isinstance(cause, kinds) for cause in causes)

    from requests.exceptions import Timeout

    known = next((cause for cause in causes if isinstance(cause, DaemonRefused)), None)
    if known is not None:
        return str(known), known.cure
    if isinstance(causes[0], UNREADABLE):
        return f"what answers at {address} is no {words.title} Engine: {_misread(causes[0])}", words.another
    said = " It is what DOCKER_HOST says." if os.environ.get("DOCKER_HOST") else ""
    if has(PermissionError):
        cure = f"sudo usermod -aG docker {read_user()}, then log in again"
        return f"the {words.title} socket {address} may not be used by {read_user()}.{said}", cure
    if has(Timeout, TimeoutError):
        return (
            f"the {words.title} engine at {address} did not answer within {PROBE_TIMEOUT_S:.0f} s.{said}",
            words.hangs,
        )
    if has(FileNotFoundError):
        return f"there is no {words.title} socket at {address}.{said}", words.start
    if has(ConnectionRefusedError):
        return f"nothing listens at the {words.title} socket {address}.{said}", words.start
    return f"no {words.title} engine answers at {address}: {_last_words(causes[0])}.{said}", words.start


def _last_words(error: BaseException) -> str:
    """The innermost reason in one line."""
    words = [clean_text(cause) for cause in causes_of(error)]
    return min((word for word in words if word), key=len, default=type(error).__name__)
