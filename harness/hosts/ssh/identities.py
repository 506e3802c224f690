"""Who we are to a host: keys of the agent, key files, and passphrases, asked once, where somebody can answer."""

from __future__ import annotations

import base64
import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import paramiko

AGENT_TIMEOUT_S = 30.0
_DEFAULT_FILES = ("~/.ssh/id_ed25519", "~/.ssh/id_ecdsa", "~/.ssh/id_rsa")

AskPassphrase = Callable[[str], str | None]
"""Asks a person, and returns None where there is nobody to ask. It is never called by two threads at once."""


class KeyRing:
    """Key files of this controller, each read once; safe for many threads. Keeps no passphrase."""

    def __init__(self, ask: AskPassphrase | None = None) -> None:
        self._ask = ask
        self._mutex = threading.Lock()
        self._keys: dict[str, paramiko.PKey | str] = {}

    def load(self, path: str, *, may_ask: bool) -> paramiko.PKey | str:
        """A private key, or in words why it cannot be used. An encrypted one is asked for once in a process."""
        with self._mutex:
            kept = self._keys.get(path)
            if isinstance(kept, paramiko.PKey):
                return kept
            found = _read_key(path, None)
            if found is None and may_ask:
                found = kept or self._open(path)
                self._keys[path] = found
            elif isinstance(found, paramiko.PKey):
                self._keys[path] = found
            return found if found is not None else f"{path} is encrypted"

    def _open(self, path: str) -> paramiko.PKey | str:
        if self._ask is None:
            return f"{path} is encrypted, and there is no terminal to ask for its passphrase: put it into ssh-agent"
        for _ in range(3):
            passphrase = self._ask(f"passphrase of {path}")
            if passphrase is None:
                return f"{path} is encrypted, and no passphrase was given: put it into ssh-agent, or run on a terminal"
            found = _read_key(path, passphrase)
            if found is not None:
                return found
        return f"{path} is encrypted, and no passphrase fitted"


@contextlib.contextmanager
def gather_keys(
    ring: KeyRing, named: tuple[str, ...], extra: tuple[str, ...], *, only_named: bool
) -> Iterator[Iterator[tuple[str, paramiko.PKey | str]]]:
    """Keys in the order in which they are offered, each with what it is; a text in a key's place says why it is none.

    Named files first (by the agent, where it holds them), then other keys of the agent, then the usual files,
    and at the end those that need a passphrase.
    """
    agent = _Agent()
    try:
        yield _offer(ring, agent, named, extra, only_named=only_named)
    finally:
        agent.close()


def _offer(
    ring: KeyRing, agent: _Agent, named: tuple[str, ...], extra: tuple[str, ...], *, only_named: bool
) -> Iterator[tuple[str, paramiko.PKey | str]]:
    held = {key.asbytes(): key for key in agent.keys}
    usual = tuple(path for path in (*extra, *([] if named else _DEFAULT_FILES)) if Path(path).expanduser().exists())
    encrypted: list[str] = []
    offered: set[bytes] = set()

    def files(paths: tuple[str, ...]) -> Iterator[tuple[str, paramiko.PKey | str]]:
        for path in (str(Path(one).expanduser()) for one in paths):
            public = _read_public(path)
            if public in held:
                offered.add(public)
                yield f"{path} (by the agent)", held[public]
                continue
            found = ring.load(path, may_ask=False)
            if isinstance(found, str) and found.endswith(" is encrypted"):
                encrypted.append(path)
            elif isinstance(found, str) or found.asbytes() not in offered:
                if not isinstance(found, str):
                    offered.add(found.asbytes())
                yield path, found

    yield from files(named)
    if not only_named:
        for blob, key in held.items():
            if blob not in offered:
                offered.add(blob)
                yield f"{key.get_name()} key of the agent", key
    yield from files(usual)
    for path in encrypted:
        yield path, ring.load(path, may_ask=True)


def _read_key(path: str, passphrase: str | None) -> paramiko.PKey | str | None:
    """The key; a text where it cannot be used at all; None where a passphrase is needed, or the given one is wrong."""
    last: Exception | None = None
    for kind in (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey):
        try:
            key = kind.from_private_key_file(path, passphrase)
            if Path(f"{path}-cert.pub").exists():
                key.load_certificate(f"{path}-cert.pub")
            return key
        except paramiko.PasswordRequiredException:
            return None
        except FileNotFoundError:
            return f"{path} is not there"
        except OSError as error:
            return f"{path} cannot be read: {error.strerror}"
        except (paramiko.SSHException, ValueError) as error:
            last = error
    if passphrase is not None:
        return None
    return f"{path} is no ed25519, ECDSA or RSA key that can be read ({type(last).__name__})"


def _read_public(path: str) -> bytes:
    """The public part, from the file beside it; empty where there is none."""
    try:
        words = Path(f"{path}.pub").read_text(encoding="utf-8", errors="replace").split()
        return base64.b64decode(words[1], validate=True) if len(words) > 1 else b""
    except (OSError, ValueError):
        return b""


class _Agent:
    """The user's agent; without one, or with one that is silent, there are no keys."""

    def __init__(self) -> None:
        self.keys: list[paramiko.AgentKey] = []
        self._found: paramiko.Agent | None = None
        if not os.environ.get("SSH_AUTH_SOCK"):
            return
        # paramiko waits for the agent without a deadline; while it signs, the login's own deadline holds.
        asking = threading.Thread(target=self._ask, daemon=True)
        asking.start()
        asking.join(AGENT_TIMEOUT_S)

    def _ask(self) -> None:
        usable = ("ssh-ed25519", "ecdsa-sha2-", "ssh-rsa")
        with contextlib.suppress(OSError, paramiko.SSHException, ValueError):
            self._found = paramiko.Agent()
            self.keys = [key for key in self._found.get_keys() if key.get_name().startswith(usable)]

    def close(self) -> None:
        """Close the connection to the agent."""
        if self._found is not None:
            self._found.close()
