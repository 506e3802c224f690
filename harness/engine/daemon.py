"""Make clients of a Docker daemon and translate its failures.

Every exception of a broken connection becomes ``HostUnreachable``. Every call has a
deadline, so that a frozen daemon is noticed like a dead one.
"""

from __future__ import annotations

import http.client
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from harness.engine.daemon_words import DOCKER, DaemonWords
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
"""The most characters of a daemon's error; a build error has several lines."""

ClientFactory = Callable[[float], "APIClient"]
"""Makes a client whose calls end within the given number of seconds."""


class DaemonRefused(ConnectionRefusedError):
    """Raised when an engine cannot be used for a known reason; ``cure`` says what to do."""

    def __init__(self, message: str, cure: str) -> None:
        super().__init__(message)
        self.cure = cure


def local_address() -> str:
    """Return the address of this machine's engine: ``DOCKER_HOST``, or Docker's own default.

    Where this user may not use the default and has a rootless engine, it is the address of that engine.
    """
    own = f"{os.environ.get('XDG_RUNTIME_DIR') or f'/run/user/{os.getuid()}'}/docker.sock"
    is_rootless = os.access(own, os.W_OK) and not os.access(DEFAULT_SOCKET.removeprefix("unix://"), os.W_OK)
    return os.environ.get("DOCKER_HOST") or (f"unix://{own}" if is_rootless else DEFAULT_SOCKET)


def connect_local(timeout_s: float = CALL_TIMEOUT_S, base_url: str | None = None) -> APIClient:
    """Return a client of this machine's engine with a negotiated API version. Raises what docker-py raises."""
    from docker.utils import kwargs_from_env

    from harness.engine.bounded_client import BoundedClient

    settings = {"base_url": base_url} if base_url else kwargs_from_env()
    address = str(settings.get("base_url") or local_address())
    if address.startswith("ssh://"):
        raise OSError("DOCKER_HOST is an ssh:// address; put that machine into the inventory as a host instead")
    return BoundedClient(address, "auto", timeout_s, tls=settings.get("tls", False))  # type: ignore[arg-type]  # float


def open_client(host: str = "localhost", *, timeout_s: float = CALL_TIMEOUT_S) -> APIClient:
    """Return a client of this machine's engine for building and finding images. Raises EngineUnavailable."""
    try:
        connect_local(PROBE_TIMEOUT_S).close()
        return connect_local(timeout_s)
    except Exception as error:
        if is_lost(error):
            raise unavailable(error, host, local_address()) from error
        raise


def causes_of(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception and its causes, including those that libraries keep among the arguments."""
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
    """Return whether an exception means that the daemon or the connection to it is gone or silent."""
    from docker.errors import APIError, DockerException
    from requests.exceptions import RequestException
    from urllib3.exceptions import HTTPError

    if isinstance(error, APIError):
        return False
    kinds = (DockerException, RequestException, HTTPError, OSError, EOFError, http.client.HTTPException)
    return isinstance(error, kinds) or type(error).__module__.split(".")[0] == "paramiko"


def is_no_engine(error: BaseException) -> bool:
    """Return whether an exception means that no engine gave a usable answer (none, a refusal, or an unreadable one)."""
    return isinstance(error, UNREADABLE) or status_of(error) is not None or is_lost(error)


@contextmanager
def talking(host: str, doing: str, forget: Callable[[], None], words: DaemonWords = DOCKER) -> Iterator[None]:
    """Translate exceptions of a call: HostUnreachable for a lost connection, EngineError otherwise.

    ``doing`` is the call as a verb phrase for messages, such as "list containers". An unreadable answer is an
    EngineError. ``forget`` is called when the connection is lost, because the old client can no longer be used.
    Docker's NotFound and conflicts (409) pass through for the caller to judge.
    """
    from docker.errors import APIError, NotFound

    try:
        yield
    except NotFound:
        raise
    except APIError as error:
        if status_of(error) == 409:
            raise
        raise EngineError(f"{words.title} could not {doing}: {explain(error)}", where=host, hint=words.log) from error
    except EngineError:
        raise
    except UNREADABLE as error:
        message = f"{words.title} was asked to {doing}, and its answer cannot be read: {_misread(error)}"
        raise EngineError(message, where=host, hint=words.another) from error
    except Exception as error:
        if not is_lost(error):
            raise
        forget()
        message = f"lost the connection to the {words.title} engine ({doing}): {_last_words(error)}"
        raise HostUnreachable(message, where=host, hint=words.state) from error


def status_of(error: BaseException) -> int | None:
    """Return the HTTP status of an error that the daemon answered with; None for any other exception."""
    return getattr(getattr(error, "response", None), "status_code", None)


def explain(error: BaseException) -> str:
    """Return the daemon's own message of an error."""
    return clean_lines(str(getattr(error, "explanation", None) or error).strip(), _MOST_WORDS)


def unavailable(error: BaseException, host: str, address: str, words: DaemonWords = DOCKER) -> EngineUnavailable:
    """Return the error for an engine that does not answer at ``address``, with the reason and a hint."""
    message, hint = _diagnose(list(causes_of(error)), address, words)
    return EngineUnavailable(message, where=host, hint=hint)


def _misread(error: Exception) -> str:
    """Return what is wrong with an unreadable answer, and the answer's first line."""
    said = error.said if isinstance(error, Unreadable) else getattr(error, "doc", None)  # JSON's errors have the text
    return clean_text(error, 300) + (f": the answer was {first_line(said)}" if isinstance(said, bytes | str) else "")


def _diagnose(causes: list[BaseException], address: str, words: DaemonWords) -> tuple[str, str]:
    def has(*kinds: type[BaseException]) -> bool:
        return any(isinstance(cause, kinds) for cause in causes)

    from requests.exceptions import Timeout

    known = next((cause for cause in causes if isinstance(cause, DaemonRefused)), None)
    if known is not None:
        return str(known), known.cure
    if isinstance(causes[0], UNREADABLE):
        return f"the program that answers at {address} is no {words.title} Engine: {_misread(causes[0])}", words.another
    said = " DOCKER_HOST names this address." if os.environ.get("DOCKER_HOST") else ""
    if has(PermissionError):
        cure = f"sudo usermod -aG docker {read_user()}, then log in again"
        return f"the {words.title} socket {address} is not accessible to {read_user()}.{said}", cure
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
    """Return the shortest message among an exception and its causes, in one line."""
    words = [clean_text(cause) for cause in causes_of(error)]
    return min((word for word in words if word), key=len, default=type(error).__name__)
