"""paramiko's transport with deadlines, keepalives that detect a frozen host, and fast, secure ciphers.

paramiko sends keepalives but ignores whether an answer comes, waits for one without a deadline where asked to, and
starts a thread for each handshake that lives on after it. Here a silent peer is asked for an answer (``watchdog``), and
the link is closed where none comes. Only public members of paramiko are used; tests/hosts/test_paramiko.py lists the
undocumented ones.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from dataclasses import dataclass

import paramiko
from paramiko.channel import Channel
from paramiko.common import MSG_DISCONNECT, cMSG_CHANNEL_OPEN
from paramiko.message import Message
from paramiko.packet import NeedRekeyException, Packetizer

Way = socket.socket | Channel
"""A way to a host's sshd: a socket, or a channel of the transport to a jump host."""

SILENCE_S = 10.0
"""After so many seconds without a message the peer is asked for an answer."""
REPLY_S = 15.0
"""Deadline of that answer: a frozen peer is detected within ``SILENCE_S + REPLY_S`` and one second."""

BANNER_TIMEOUT_S = 15.0
KEY_EXCHANGE_S = 30.0
AUTH_TIMEOUT_S = 30.0
CHANNEL_TIMEOUT_S = 20.0

CIPHERS = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "aes256-ctr", "aes192-ctr", "aes128-ctr")
MACS = ("hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com", "hmac-sha2-256", "hmac-sha2-512")

_ANSWERS = (paramiko.AuthenticationException, paramiko.ChannelException)
"""Refusals by a host that still answers: they do not end the link."""

# The library logs exceptions that it also raises; only the console may print.
_log = logging.getLogger("paramiko")
_log.addHandler(logging.NullHandler())
_log.propagate = False
_log.setLevel(logging.CRITICAL + 1)


@dataclass(frozen=True)
class Patience:
    """The deadlines for a silent peer in seconds: before it is asked for an answer, and for the answer."""

    silence_s: float = SILENCE_S
    reply_s: float = REPLY_S


class WatchedPacketizer(Packetizer):
    """A packetizer that notes the peer's last message and a lost link, and completes requests for channels.

    ``is_cut`` is set before channels are closed, so that their end does not look like a regular one. ``open_fields``
    are appended to the request for a channel of a type whose fields paramiko does not write.
    """

    def __init__(self, way: socket.socket) -> None:
        super().__init__(way)
        self.silence_s, self.reply_s = SILENCE_S, REPLY_S
        self.heard_at = time.monotonic()
        self.asked_at: float | None = None
        self.is_cut = False
        self.open_fields: tuple[str | int, ...] = ()
        self._handshake_until: float | None = None

    def read_message(self) -> tuple[int, Message]:
        """Read one message, in the transport's own thread."""
        try:
            kind, message = super().read_message()
        except NeedRekeyException:
            raise
        except Exception:
            self.is_cut = True
            raise
        self.heard_at, self.asked_at = time.monotonic(), None
        if kind == MSG_DISCONNECT:
            self.is_cut = True
        return kind, message

    def send_message(self, data: Message) -> None:
        """Send one message. A failure marks the link as lost at once; the reading thread would notice it later."""
        if self.open_fields and data.asbytes()[:1] == cMSG_CHANNEL_OPEN:
            for field in self.open_fields:
                data.add_int(field) if isinstance(field, int) else data.add_string(field)
        try:
            super().send_message(data)
        except (EOFError, OSError, paramiko.ProxyCommandFailure):
            self.is_cut = True
            raise

    @property
    def is_silent(self) -> bool:
        """Return whether the peer must be asked for an answer now."""
        return self.asked_at is None and time.monotonic() - self.heard_at > self.silence_s

    @property
    def is_overdue(self) -> bool:
        """Return whether the peer's answer is overdue."""
        return self.asked_at is not None and time.monotonic() - self.asked_at > self.reply_s

    def start_handshake(self, timeout: float) -> None:
        """Start the handshake's deadline, without paramiko's extra thread."""
        self._handshake_until = time.monotonic() + timeout

    def handshake_timed_out(self) -> bool:
        """Return whether the handshake's deadline has passed."""
        return self._handshake_until is not None and time.monotonic() > self._handshake_until

    def complete_handshake(self) -> None:
        """End the handshake's deadline."""
        self._handshake_until = None


class Transport(paramiko.Transport):
    """One SSH connection; GCM is preferred, and CBC, SHA-1 and MD5 are disabled."""

    packetizer: WatchedPacketizer

    def __init__(self, way: Way, patience: Patience) -> None:
        super().__init__(way, packetizer_class=WatchedPacketizer)
        options = self.get_security_options()
        options.ciphers, options.digests = CIPHERS, MACS
        self.local_version = "SSH-2.0-harness"
        self._opening = threading.Lock()
        self.packetizer.silence_s, self.packetizer.reply_s = patience.silence_s, patience.reply_s
        self.banner_timeout = BANNER_TIMEOUT_S
        self.handshake_timeout = BANNER_TIMEOUT_S
        self.auth_timeout = AUTH_TIMEOUT_S
        self.channel_timeout = CHANNEL_TIMEOUT_S

    def prefer_key_types(self, types: list[str], without: frozenset[str] = frozenset()) -> None:
        """Prefer host keys of these types, which are known for the host; never use those in ``without``."""
        options = self.get_security_options()
        wanted = [name for kind in types for name in _algorithms(kind) if name in options.key_types]
        rest = [name for name in options.key_types if name not in wanted]
        refused = {name for kind in without for name in _algorithms(kind)}
        options.key_types = tuple(name for name in [*wanted, *rest] if name not in refused)

    def negotiate(self, timeout_s: float) -> None:
        """Exchange keys. Raises what paramiko raises, and TimeoutError."""
        done = threading.Event()
        self.start_client(event=done)
        if not done.wait(timeout_s):
            raise TimeoutError(f"no key exchange within {timeout_s:g} s")
        if not self.is_active():
            raise self.get_exception() or paramiko.SSHException("the key exchange failed")

    @property
    def is_cut(self) -> bool:
        """Return whether the connection has ended."""
        saved = self.saved_exception
        is_broken = saved is not None and not isinstance(saved, _ANSWERS)
        return not self.is_active() or self.packetizer.is_cut or is_broken

    def ask(self) -> None:
        """Ask the peer for any answer, and wait until it comes or the link is closed; run this in a separate thread."""
        self.global_request("keepalive@openssh.com", wait=True)

    def open_command(self, timeout_s: float) -> Channel:
        """Open a channel for one command."""
        return self._open("session", timeout_s)

    def open_address(self, address: str, port: int, timeout_s: float) -> Channel:
        """Open a channel to an address that the peer connects to (RFC 4254, 7.2)."""
        return self._open("direct-tcpip", timeout_s, target=(address, port))

    def open_unix(self, path: str, timeout_s: float) -> Channel:
        """Open a channel to a Unix socket on the peer (OpenSSH's PROTOCOL, 2.4)."""
        return self._open("direct-streamlocal@openssh.com", timeout_s, fields=(path, "", 0))

    def _open(
        self,
        kind: str,
        timeout_s: float,
        *,
        target: tuple[str, int] | None = None,
        fields: tuple[str | int, ...] = (),
    ) -> Channel:
        """Open a channel, one at a time, because paramiko reports a refusal to the first thread that asks.

        Raises TimeoutError, and what paramiko raises.
        """
        deadline = time.monotonic() + timeout_s
        if not self._opening.acquire(timeout=timeout_s):
            raise TimeoutError("no channel was opened in time")
        try:
            self.packetizer.open_fields = fields
            rest_s = max(0.1, deadline - time.monotonic())
            return self.open_channel(kind, dest_addr=target, src_addr=("127.0.0.1", 0), timeout=rest_s)
        finally:
            self.packetizer.open_fields = ()
            self._opening.release()


def execute(channel: Channel, command: str, timeout_s: float) -> None:
    """Start a command in a channel within ``timeout_s``, and close the channel otherwise; paramiko has no deadline.

    Raises TimeoutError.
    """
    deadline = time.monotonic() + timeout_s

    def give_up() -> None:
        channel.event.set()  # a link that was just lost does not wake the waiting thread
        channel.close()

    timer = threading.Timer(timeout_s, give_up)
    timer.daemon = True
    timer.start()
    try:
        channel.exec_command(command.encode(errors="surrogateescape"))
    except paramiko.SSHException as error:
        if time.monotonic() >= deadline:
            raise TimeoutError("the host did not start the command in time") from error
        raise
    finally:
        timer.cancel()


def _algorithms(key_type: str) -> tuple[str, ...]:
    """Return the secure signature algorithms of a key type; RSA keys have two."""
    return ("rsa-sha2-512", "rsa-sha2-256") if key_type == "ssh-rsa" else (key_type,)
