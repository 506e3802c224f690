"""Find the SSH keys for a login: keys of the agent, and key files, whose passphrases are asked for once."""

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
"""Asks the user for a passphrase; returns None where nobody can be asked. Never called by two threads at once."""


class KeyRing:
    """The key files of this controller, each read once. Thread-safe. Passphrases are not kept."""

    def __init__(self, ask: AskPassphrase | None = None) -> None:
        self._ask = ask
        self._mutex = threading.Lock()
        self._keys: dict[str, paramiko.PKey | str] = {}

    def load(self, path: str, *, may_ask: bool) -> paramiko.PKey | str:
        """Return a private key, or a text with the reason why it cannot be used.

        With ``may_ask``, the passphrase of an encrypted key is asked for, once in a process.
        """
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
            return f"{path} is encrypted, and there is no terminal to ask for its passphrase: add the key to ssh-agent"
        for _ in range(3):
            passphrase = self._ask(f"passphrase of {path}")
            if passphrase is None:
                return f"{path} is encrypted, and no passphrase was given: add it to ssh-agent, or run in a terminal"
            found = _read_key(path, passphrase)
            if found is not None:
                return found
        return f"{path} is encrypted, and no passphrase was correct"


@contextlib.contextmanager
def gather_keys(
    ring: KeyRing, named: tuple[str, ...], extra: tuple[str, ...], *, only_named: bool
) -> Iterator[Iterator[tuple[str, paramiko.PKey | str]]]:
    """Context manager: yield pairs of a name and a key in the order of offering; a text instead of a key is a reason.

    First come named files (through the agent, where it holds them), then other keys of the agent, then the default
    files, and last those that need a passphrase.
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
    """Return a key, None where it needs a passphrase or the given one is wrong, or a text why it cannot be used."""
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
    return f"{path} is not a readable ed25519, ECDSA or RSA key ({type(last).__name__})"


def _read_public(path: str) -> bytes:
    """Return the public key from the file beside a private key; empty where there is none."""
    try:
        words = Path(f"{path}.pub").read_text(encoding="utf-8", errors="replace").split()
        return base64.b64decode(words[1], validate=True) if len(words) > 1 else b""
    except (OSError, ValueError):
        return b""


class _Agent:
    """The user's SSH agent and its keys; without an agent, or without its answer, there are none."""

    def __init__(self) -> None:
        self.keys: list[paramiko.AgentKey] = []
        self._found: paramiko.Agent | None = None
        if not os.environ.get("SSH_AUTH_SOCK"):
            return
        # paramiko waits for the agent without a deadline; for signing, the login's own deadline applies.
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
