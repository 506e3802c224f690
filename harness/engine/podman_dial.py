"""Connect Docker's SDK to Podman's service, on this machine or over SSH.

An existing socket is used where one answers. Otherwise ``podman system service`` is started. It ends when its input is
closed, which happens when this program ends for any reason, or the connection is lost.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass

from harness.engine.daemon import DaemonRefused
from harness.engine.daemon_access import PLACES, DaemonAccess, parse_access
from harness.engine.daemon_words import PODMAN
from harness.engine.dial import ByteStream, Dialer, Streams
from harness.values.errors import EngineAbsent
from harness.values.text import clean_text

IDLE_S = 3600
"""A service that this program started ends after this time without a request, should its input not be closed."""

_LOOK = f"""
cli=$(command -v podman 2>/dev/null)
for d in {PLACES}; do [ -n "$cli" ] || {{ [ -x "$d/podman" ] && cli=$d/podman; }}; done
echo "cli $cli"
echo "user $(id -un)"
echo "docker_host $CONTAINER_HOST"
own=${{XDG_RUNTIME_DIR:-/run/user/$(id -u)}}/podman/podman.sock
set -- "$CONTAINER_HOST" "$DOCKER_HOST" /run/podman/podman.sock "$own"
[ -z "$CONTAINER_HOST" ] || set -- "$CONTAINER_HOST"
for s; do
  s=${{s#unix://}}
  [ -S "$s" ] || continue
  if [ -r "$s" ] && [ -w "$s" ]; then echo "usable $s"; else echo "forbidden $s $(stat -c %G "$s" 2>/dev/null)"; fi
done
:
"""
_SERVE = """
exec 3<&0
for d in "$XDG_RUNTIME_DIR" /tmp; do [ -n "$d" ] && d=$(mktemp -d "$d/harness-podman-XXXXXX" 2>/dev/null) && break; done
[ -d "$d" ] || { echo "failed no folder for a socket can be made"; exit 1; }
trap 'rm -rf "$d"' EXIT
"$1" system service --time "$2" "unix://$d/sock" </dev/null 3<&- >/dev/null 2>"$d/said" &
service=$!
trap 'kill $service 2>/dev/null' TERM HUP INT
{ read -r _ <&3; kill $service 2>/dev/null; } >/dev/null 2>&1 &
watch=$!
until [ -S "$d/sock" ]; do
  kill -0 $service 2>/dev/null || { echo "failed $(tail -n 1 "$d/said")"; kill $watch; exit 1; }
  sleep 0.1
done
echo "socket $d/sock"
exec 3<&-
wait $service
kill $watch 2>/dev/null
"""
_LOOK_TIMEOUT_S = 30.0
_START_TIMEOUT_S = 60.0
_ASK = b"GET /version HTTP/1.0\r\nHost: localhost\r\n\r\n"
_ANSWER = b'"Podman Engine"'
_MOST_BYTES = 64 * 1024
_INSTALL = "install it on the host (Debian, Ubuntu: apt-get install podman; Fedora, RHEL: dnf install podman)"


@dataclass(frozen=True)
class _Way:
    """A way to a service: its socket, opened directly, or through the program ``argv`` on the host."""

    socket: str
    argv: tuple[str, ...] = ()


def look_command() -> list[str]:
    """Return the command that looks for a CLI and sockets on a host; it changes nothing and does not wait."""
    return ["sh", "-c", _LOOK]


class PodmanDialer(Dialer):
    """A ``Dialer`` for a host's Podman; it finds the way to Podman once, and again after a lost connection."""

    words = PODMAN

    def __init__(self, streams: Streams) -> None:
        super().__init__(streams)
        self._way: _Way | None = None
        self._service: ByteStream | None = None
        self._finding = threading.Lock()

    @property
    def address(self) -> str:
        """Return Podman's address for messages."""
        return f"Podman's socket on {self._connection.host}"

    def dial(self, timeout_s: float) -> ByteStream:
        """Open a new stream to Podman's API. Raises EngineAbsent, DaemonRefused, and what the connection raises."""
        try:
            return self._enter(self._find(), timeout_s)
        except (ConnectionRefusedError, FileNotFoundError):  # an unused service has ended in the meantime
            self._forget_way()
            return self._enter(self._find(), timeout_s)

    def close(self) -> None:
        """Close the pooled connections, and end a service that this program started."""
        super().close()
        with self._finding:
            service, self._service, self._way = self._service, None, None
        if service is not None:
            service.close()

    def _enter(self, way: _Way, timeout_s: float) -> ByteStream:
        if way.argv:
            return self._connection.open_channel(way.argv, timeout_s=timeout_s)
        return self._connection.open_unix(way.socket, timeout_s=timeout_s)

    def _forget_way(self) -> None:
        with self._finding:
            self._way = None

    def _find(self) -> _Way:
        with self._finding:
            if self._service is not None and not self._service.is_open:
                self._service.close()
                self._service = self._way = None
            if self._way is None:
                self._way = self._look_for_way()
            return self._way

    def _look_for_way(self) -> _Way:
        done = self._connection.run(look_command(), timeout_s=_LOOK_TIMEOUT_S)
        access = parse_access(done.text)
        for socket in access.usable:
            for way in _ways(socket, access.cli):
                if self._answers(way):
                    return way
        if access.docker_host is not None:
            message = f"no Podman answers at {clean_text(access.docker_host, 200)}, the host's CONTAINER_HOST"
            raise DaemonRefused(message, "start it, or remove CONTAINER_HOST from that user's environment")
        if access.cli is None:
            raise self._refuse(access)
        return self._serve(access.cli)

    def _refuse(self, access: DaemonAccess) -> DaemonRefused | EngineAbsent:
        """Return the error for a host without a podman command."""
        if access.usable:
            message = f"no Podman answers at {access.usable[0]}, and there is no podman command"
            return DaemonRefused(message, f"{_INSTALL}, or set `AllowStreamLocalForwarding yes` in its sshd_config")
        if access.forbidden:
            who = access.user or "the user"
            message = f"the Podman socket {access.forbidden[0][0]} is not accessible to {who}"
            return DaemonRefused(message, f"{_INSTALL}: {who} can then run a rootless Podman")
        return EngineAbsent("there is no Podman", where=self._connection.host, hint=_INSTALL)

    def _serve(self, cli: str) -> _Way:
        """Start a service. Raises DaemonRefused where it does not start."""
        argv = ["sh", "-c", _SERVE, "sh", cli, str(IDLE_S)]
        stream = self._connection.open_channel(argv, timeout_s=_START_TIMEOUT_S)
        try:
            said = _read(stream, until=b"\n").decode(errors="replace")
            word, _, rest = said.strip().partition(" ")
            ways = _ways(rest, cli) if word == "socket" else ()
            way = next((way for way in ways if self._answers(way)), None)
            if way is None:
                reason = clean_text(rest, 300) or "it does not answer"
                hint = "check the output of `podman info` on the host"
                raise DaemonRefused(f"Podman's service does not start: {reason}", hint)
        except BaseException:
            stream.close()
            raise
        self._service = stream
        return way

    def _answers(self, way: _Way) -> bool:
        """Return whether Podman answers on this way."""
        try:
            with contextlib.closing(self._enter(way, _LOOK_TIMEOUT_S)) as stream:
                stream.send(_ASK)
                return _ANSWER in _read(stream, until=_ANSWER)
        except (OSError, EOFError):
            return False


def _ways(socket: str, cli: str | None) -> Iterator[_Way]:
    yield _Way(socket)
    if cli is not None:  # for hosts whose sshd does not open sockets
        yield _Way(socket, (cli, "--remote", "--url", f"unix://{socket}", "system", "dial-stdio"))


def _read(stream: ByteStream, *, until: bytes) -> bytes:
    """Read up to ``until``, the end of the stream, or a size limit."""
    found = b""
    while until not in found and len(found) < _MOST_BYTES:
        piece = stream.recv()
        if not piece:
            break
        found += piece
    return found
