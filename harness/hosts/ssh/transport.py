"""paramiko's transport, made fit for hosts that freeze: ciphers that are fast and sound, deadlines, signs of life.

paramiko sends keepalives but never looks for an answer, waits without end for one where it is asked to, and starts a
thread for each handshake that outlives it. Here a silent peer is asked for an answer, and one that owes it is given up.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from typing import Any, cast

import paramiko
from paramiko.channel import Channel
from paramiko.common import (
    cMSG_CHANNEL_OPEN,
    cMSG_CHANNEL_REQUEST,
    cMSG_GLOBAL_REQUEST,
)
from paramiko.packet import Packetizer

SILENCE_S = 10.0
"""A peer that said nothing for so long is asked for a sign of life."""
REPLY_S = 15.0
"""How long it may owe the answer: a frozen peer is noticed within ``SILENCE_S + REPLY_S``, and a second."""

BANNER_TIMEOUT_S = 15.0
KEY_EXCHANGE_S = 30.0
AUTH_TIMEOUT_S = 30.0
CHANNEL_TIMEOUT_S = 20.0

# The library logs what it raises anyway; hosts never print.
_log = logging.getLogger("paramiko")
_log.addHandler(logging.NullHandler())
_log.propagate = False
_log.setLevel(logging.CRITICAL + 1)


@dataclass(frozen=True)
class Patience:
    """How long a silent peer has: until it is asked, and until it has answered. Seconds."""

    silence_s: float = SILENCE_S
    reply_s: float = REPLY_S


class WatchedPacketizer(Packetizer):
    """Notes when the peer was last heard, asks a silent one, and gives up one that owes an answer.

    ``ask`` sends a request that wants a reply; it is set when a session is open, and nothing is judged before.
    """

    def __init__(self, socket: Any) -> None:
        super().__init__(socket)
        self.silence_s, self.reply_s = SILENCE_S, REPLY_S
        self.heard_at = time.monotonic()
        self.asked_at: float | None = None
        self.ask: Any = None
        self._handshake_until: float | None = None

    def read_message(self) -> Any:
        message = super().read_message()
        self.heard_at, self.asked_at = time.monotonic(), None
        return message

    @property
    def is_overdue(self) -> bool:
        """Whether the peer owes an answer for too long."""
        return self.asked_at is not None and time.monotonic() - self.asked_at > self.reply_s

    def _check_keepalive(self) -> None:
        """Called by the transport's thread whenever nothing came for a moment."""
        if self.ask is None:
            return
        if self.is_overdue:
            raise EOFError("the peer does not answer")
        if self.asked_at is None and time.monotonic() - self.heard_at > self.silence_s:
            # Noted first: sending may block, and then the watchdog must know.
            self.asked_at = time.monotonic()
            self.ask()

    def start_handshake(self, timeout: float) -> None:
        self._handshake_until = time.monotonic() + timeout

    def handshake_timed_out(self) -> bool:
        return self._handshake_until is not None and time.monotonic() > self._handshake_until

    def complete_handshake(self) -> None:
        self._handshake_until = None


class Transport(paramiko.Transport):
    """One SSH connection. GCM first; no CBC, no SHA-1, no MD5."""

    _preferred_ciphers = (
        "aes128-gcm@openssh.com",
        "aes256-gcm@openssh.com",
        "aes256-ctr",
        "aes192-ctr",
        "aes128-ctr",
    )
    _preferred_macs = (
        "hmac-sha2-256-etm@openssh.com",
        "hmac-sha2-512-etm@openssh.com",
        "hmac-sha2-256",
        "hmac-sha2-512",
    )
    _CLIENT_ID = "harness"
    packetizer: WatchedPacketizer
    # The stubs leave out what is not public.
    active: bool
    _preferred_keys: tuple[str, ...]
    _channels: Any
    _next_channel: Any
    _send_user_message: Any

    def __init__(self, socket: Any, patience: Patience) -> None:
        super().__init__(socket, packetizer_class=WatchedPacketizer)
        self._is_ended = False
        self._refusals: dict[int, paramiko.ChannelException] = {}
        self.packetizer.silence_s, self.packetizer.reply_s = patience.silence_s, patience.reply_s
        self.banner_timeout = BANNER_TIMEOUT_S
        self.handshake_timeout = BANNER_TIMEOUT_S
        self.auth_timeout = AUTH_TIMEOUT_S
        self.channel_timeout = CHANNEL_TIMEOUT_S

    def prefer_key_types(self, types: list[str], without: frozenset[str] = frozenset()) -> None:
        """Ask first for host keys of these types, as they are known; never for those ``without``."""
        wanted = [name for kind in types for name in _algorithms(kind) if name in self._preferred_keys]
        rest = [name for name in self._preferred_keys if name not in wanted]
        refused = {name for kind in without for name in _algorithms(kind)}
        self._preferred_keys = tuple(name for name in [*wanted, *rest] if name not in refused)

    def negotiate(self, timeout_s: float) -> None:
        """Exchange keys. Raises what paramiko raises, and TimeoutError."""
        self.start_client(timeout=timeout_s)
        if not self.initial_kex_done:
            raise TimeoutError(f"no key exchange within {timeout_s:g} s")

    @property
    def is_cut(self) -> bool:
        """Whether the connection is over, known before channels are told: their end must not look like a clean one."""
        saved = self.saved_exception
        is_broken = saved is not None and not isinstance(saved, paramiko.AuthenticationException)
        return not self.active or self._is_ended or is_broken

    def _parse_disconnect(self, message: Any) -> None:
        self._is_ended = True
        super()._parse_disconnect(message)  # type: ignore[misc]  # not in stubs

    def _send_message(self, message: Any) -> None:
        """What cannot be written ends the link at once: paramiko's own thread, which reads, learns of it later."""
        try:
            super()._send_message(message)  # type: ignore[misc]  # not in stubs
        except (EOFError, OSError, paramiko.ProxyCommandFailure):
            self._is_ended = True
            raise

    def watch(self) -> None:
        """From now on the peer must give signs of life."""
        self.packetizer.heard_at = time.monotonic()
        self.packetizer.ask = self._ask

    def _ask(self) -> None:
        """Request an answer, whatever it is; while keys are exchanged the peer owes one anyway."""
        if self.clear_to_send.is_set():
            message = paramiko.Message()
            message.add_byte(cMSG_GLOBAL_REQUEST)
            message.add_string("keepalive@openssh.com")
            message.add_boolean(True)
            self._send_message(message)

    def open_command(self, timeout_s: float) -> Channel:
        """A channel for one command."""
        return self._open("session", (), timeout_s)

    def open_address(self, address: str, port: int, timeout_s: float) -> Channel:
        """A channel to where the far end itself connects (RFC 4254, 7.2)."""
        return self._open("direct-tcpip", (address, port, "127.0.0.1", 0), timeout_s)

    def open_unix(self, path: str, timeout_s: float) -> Channel:
        """A channel to a Unix socket at the far end (OpenSSH's PROTOCOL, 2.4)."""
        return self._open("direct-streamlocal@openssh.com", (path, "", 0), timeout_s)

    def _open(self, kind: str, fields: tuple[str | int, ...], timeout_s: float) -> Channel:
        """``open_channel`` knows no sockets, and tells one thread of the failure of another's channel."""
        with self.lock:
            number = self._next_channel()
            channel: Any = Channel(number)
            self._channels.put(number, channel)
            self.channel_events[number] = event = threading.Event()
            self.channels_seen[number] = True
            channel._set_transport(self)
            channel._set_window(self.default_window_size, self.default_max_packet_size)
        message = paramiko.Message()
        message.add_byte(cMSG_CHANNEL_OPEN)
        message.add_string(kind)
        for field in (number, self.default_window_size, self.default_max_packet_size, *fields):
            message.add_int(field) if isinstance(field, int) else message.add_string(field)
        self._send_user_message(message)
        if not event.wait(timeout_s):
            raise TimeoutError("no channel was opened in time")
        refusal = self._refusals.pop(number, None)
        if refusal is not None:
            raise refusal
        if not self.is_active() or self._channels.get(number) is None:
            raise ConnectionError("the link was cut")
        return cast("Channel", channel)

    def _parse_channel_open_failure(self, message: Any) -> None:
        number, code, said = message.get_int(), message.get_int(), message.get_text()
        self._refusals[number] = paramiko.ChannelException(code, said)
        with self.lock:
            self._channels.delete(number)
            event = self.channel_events.pop(number, None)
        if event is not None:
            event.set()

    def execute(self, channel: Channel, command: str, timeout_s: float) -> None:
        """Start a command in a channel: ``Channel.exec_command`` waits without a deadline."""
        message = paramiko.Message()
        message.add_byte(cMSG_CHANNEL_REQUEST)
        message.add_int(channel.remote_chanid)
        message.add_string("exec")
        message.add_boolean(True)
        message.add_string(command.encode(errors="surrogateescape"))
        cast("Any", channel)._event_pending()
        self._send_user_message(message)
        if not channel.event.wait(timeout_s):
            raise TimeoutError("the host did not start the command in time")
        if not channel.event_ready:
            raise self.get_exception() or paramiko.SSHException("the host refused to run a command")


def _algorithms(key_type: str) -> tuple[str, ...]:
    """The signature algorithms of a key type: RSA keys have two that are sound."""
    return ("rsa-sha2-512", "rsa-sha2-256") if key_type == "ssh-rsa" else (key_type,)
