"""Host keys: what known_hosts files say of one, its fingerprint, and keeping one that a user accepted.

The format is sshd(8)'s, SSH_KNOWN_HOSTS FILE FORMAT: hashed names, patterns, negation, ``[host]:port``, ``@revoked``.
Certificates (``@cert-authority``) are not used.
"""

from __future__ import annotations

import base64
import fcntl
import fnmatch
import hashlib
import hmac
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from harness.bench.protocol.atomic import write_file

Verdict = Literal["known", "unknown", "changed", "revoked"]


@dataclass(frozen=True)
class HostKey:
    """A public host key: its type and blob."""

    type: str
    blob: bytes

    @property
    def fingerprint(self) -> str:
        """As ``ssh-keygen -lf`` prints it."""
        digest = hashlib.sha256(self.blob).digest()
        return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")

    @property
    def line(self) -> str:
        """Type and key as known_hosts keeps them, without a name."""
        return f"{self.type} {base64.b64encode(self.blob).decode()}"


@dataclass(frozen=True)
class KnownKey:
    """One entry that names a host."""

    key: HostKey
    file: Path
    line: int
    is_revoked: bool = False


def find_keys(files: Iterable[Path], name: str) -> list[KnownKey]:
    """All entries for a host; a file that is not there or cannot be read holds none.

    As OpenSSH does, ``[host]:port`` falls back to ``host`` where nothing names the port.
    """
    files = list(files)
    found = _find(files, name)
    if not found and name.startswith("["):
        found = _find(files, name[1:].rpartition("]:")[0])
    return found


def judge_key(known: Iterable[KnownKey], key: HostKey) -> Verdict:
    """What the entries for a host say of the key that it showed."""
    entries = list(known)
    if any(entry.is_revoked and entry.key == key for entry in entries):
        return "revoked"
    entries = [entry for entry in entries if not entry.is_revoked]
    if any(entry.key == key for entry in entries):
        return "known"
    return "changed" if any(entry.key.type == key.type for entry in entries) else "unknown"


def matches_pin(pin: str, key: HostKey) -> bool:
    """Whether a key is the one that an inventory pins, by fingerprint or as a key line."""
    if pin.startswith("SHA256:"):
        return pin.rstrip("=") == key.fingerprint
    return pin.split()[:2] == key.line.split()


def keep_key(file: Path, name: str, key: HostKey) -> None:
    """Add a key, taking the place of other keys of its type under that very name; whole or not at all, under a lock."""
    file.parent.mkdir(parents=True, exist_ok=True)
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        # What is not UTF-8 (a comment of long ago) stays as it is.
        old = file.read_text(encoding="utf-8", errors="surrogateescape").splitlines() if file.exists() else []
        lines = [line for line in old if not _is_entry(line, name, key.type)]
        text = "\n".join([*lines, f"{name} {key.line}"]) + "\n"
        write_file(file, text.encode(errors="surrogateescape"))
    finally:
        os.close(folder)


def _is_entry(line: str, name: str, key_type: str) -> bool:
    fields = line.split()
    return len(fields) >= 3 and fields[0] == name and fields[1] == key_type


def _find(files: Iterable[Path], name: str) -> list[KnownKey]:
    found = []
    for file in files:
        try:
            text = file.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        for number, line in enumerate(text.splitlines(), 1):
            entry = _read_line(line, name, file, number)
            if entry is not None:
                found.append(entry)
    return found


def _read_line(line: str, name: str, file: Path, number: int) -> KnownKey | None:
    fields = line.split()
    is_revoked = fields[:1] == ["@revoked"]
    fields = fields[1:] if is_revoked else fields
    if len(fields) < 3 or fields[0].startswith(("#", "@")) or not _is_named(fields[0], name):
        return None
    try:
        blob = base64.b64decode(fields[2], validate=True)
    except ValueError:
        return None
    return KnownKey(HostKey(fields[1], blob), file, number, is_revoked)


def _is_named(field: str, name: str) -> bool:
    if field.startswith("|1|"):
        try:
            salt, digest = (base64.b64decode(part) for part in field.split("|")[2:4])
        except ValueError:
            return False
        return hmac.compare_digest(hmac.digest(salt, name.lower().encode(), "sha1"), digest)
    is_named = False
    for pattern in field.lower().split(","):
        wanted = pattern.removeprefix("!")
        # Brackets are no patterns in known_hosts: they stand around an address before its port.
        if fnmatch.fnmatchcase(name.lower(), wanted.replace("[", "[[]")):
            if pattern.startswith("!"):
                return False
            is_named = True
    return is_named
