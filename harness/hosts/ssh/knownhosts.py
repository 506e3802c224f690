"""Look up host keys in known_hosts files, format fingerprints, and store keys that a user accepted.

The format is that of sshd(8), SSH_KNOWN_HOSTS FILE FORMAT: hashed names, patterns, negation, ``[host]:port``,
``@revoked``. Certificates (``@cert-authority``) are not supported.
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
    """A public host key: its type and its binary form."""

    type: str
    blob: bytes

    @property
    def fingerprint(self) -> str:
        """Return the fingerprint as ``ssh-keygen -lf`` prints it."""
        digest = hashlib.sha256(self.blob).digest()
        return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")

    @property
    def line(self) -> str:
        """Return type and key as in a known_hosts line, without a host name."""
        return f"{self.type} {base64.b64encode(self.blob).decode()}"


@dataclass(frozen=True)
class KnownKey:
    """An entry of a known_hosts file for a host."""

    key: HostKey
    file: Path
    line: int
    is_revoked: bool = False


def find_keys(files: Iterable[Path], name: str) -> list[KnownKey]:
    """Return all entries for a host; files that are missing or unreadable count as empty.

    As in OpenSSH, the entries of ``host`` are used where there is none for ``[host]:port``.
    """
    files = list(files)
    found = _find(files, name)
    if not found and name.startswith("["):
        found = _find(files, name[1:].rpartition("]:")[0])
    return found


def judge_key(known: Iterable[KnownKey], key: HostKey) -> Verdict:
    """Compare the key of a host with the known entries for that host."""
    entries = list(known)
    if any(entry.is_revoked and entry.key == key for entry in entries):
        return "revoked"
    entries = [entry for entry in entries if not entry.is_revoked]
    if any(entry.key == key for entry in entries):
        return "known"
    return "changed" if any(entry.key.type == key.type for entry in entries) else "unknown"


def matches_pin(pin: str, key: HostKey) -> bool:
    """Return whether a key is the one that the inventory pins by fingerprint or as a key line."""
    if pin.startswith("SHA256:"):
        return pin.rstrip("=") == key.fingerprint
    return pin.split()[:2] == key.line.split()


def keep_key(file: Path, name: str, key: HostKey) -> None:
    """Add a key to a file, replacing keys of the same type under the same name; atomically and under a lock."""
    file.parent.mkdir(parents=True, exist_ok=True)
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        # Text that is not UTF-8 (an old comment) is kept unchanged.
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
        # In known_hosts brackets are not pattern characters; they enclose an address before its port.
        if fnmatch.fnmatchcase(name.lower(), wanted.replace("[", "[[]")):
            if pattern.startswith("!"):
                return False
            is_named = True
    return is_named
