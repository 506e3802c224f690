"""Build the errors for failed connections, refused keys and refused logins. No message contains a secret."""

from __future__ import annotations

import socket

import paramiko

from harness.hosts.ssh.knownhosts import HostKey, KnownKey, Verdict
from harness.hosts.ssh.route import Route, ssh_command
from harness.values.errors import HostNotReady, HostUnreachable

LOST = (paramiko.SSHException, OSError, EOFError)
"""Exceptions of paramiko and sockets for a link that is lost, silent, or could not be made."""

TRUST = "harness trust INVENTORY"


def unreachable(error: BaseException, route: Route) -> HostUnreachable:
    """Build the error for a host to which no connection can be made, with the reason and a hint."""
    message, hint = _diagnose(error, route)
    return HostUnreachable(message, where=route.host, hint=hint)


def _diagnose(error: BaseException, route: Route) -> tuple[str, str]:
    place = f"{route.address}:{route.port}"
    again = "check that it is on and in the network, and that its sshd runs; the same command continues from here"
    if isinstance(error, socket.gaierror):
        cure = "check `ansible_host` in the inventory and HostName in ~/.ssh/config"
        return f"the name {route.address} is not known here", cure
    if isinstance(error, ConnectionRefusedError):
        return f"{place} refuses connections", f"check that sshd runs there and listens on port {route.port}"
    if isinstance(error, TimeoutError):
        return f"{place} does not answer ({error or 'timed out'})", again
    if isinstance(error, paramiko.ssh_exception.IncompatiblePeer):
        cure = "update its sshd: SHA-1 and CBC are not used here"
        return f"{place} offers no secure algorithm: {error}", cure
    if any(word in str(error).lower() for word in ("banner", "protocol version")):
        cure = "check that the port is right and that sshd is not overloaded (MaxStartups)"
        return f"the program at {place} is no SSH server, or it drops connections: {error}", cure
    return f"the connection to {place} failed: {describe(error)}", again


def describe(error: BaseException) -> str:
    """Return an exception's message in one line."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split()) or {"EOFError": "the connection was closed"}.get(
        type(error).__name__, type(error).__name__
    )


def refused_key(route: Route, key: HostKey, verdict: Verdict, known: list[KnownKey]) -> HostNotReady:
    """Build the error for a host key that is not trusted, with its fingerprint and the command to trust it."""
    shown = f"{key.type} {key.fingerprint}"
    if verdict == "revoked":
        hint = "the key was revoked, so somebody may have stolen it: do not connect; make a new key on the host"
        return HostNotReady(f"{route.label} showed a revoked host key, {shown}", where=route.host, hint=hint)
    if verdict == "unknown":
        hint = f"compare it with `ssh-keygen -lf /etc/ssh/ssh_host_*_key.pub` there, then: {TRUST} --limit {route.host}"
        return HostNotReady(f"the host key of {route.label} is not known: {shown}", where=route.host, hint=hint)
    if route.pin is not None and not known:
        hint = "set `host_key:` in the inventory only after comparing it on the host itself"
        message = f"{route.label} showed another host key than the inventory's `host_key`: {shown}"
        return HostNotReady(message, where=route.host, hint=hint)
    before = next(one for one in known if one.key.type == key.type and not one.is_revoked)
    hint = (
        "somebody may intercept the connection, or the host was reinstalled: compare the key on the host itself, then: "
        f"{TRUST} --limit {route.host}"
    )
    message = (
        f"the host key of {route.label} has CHANGED: it is now {shown}, "
        f"{before.file}:{before.line} has {before.key.fingerprint}"
    )
    return HostNotReady(message, where=route.host, hint=hint)


def refused_login(route: Route, tried: list[str], left_out: list[str], why: str) -> HostNotReady:
    """Build the error for a rejected login, listing the keys that were offered and those that were left out."""
    said = f" (offered: {', '.join(tried)})" if tried else " (no key to offer)"
    said += f"; not offered: {'; '.join(left_out)}" if left_out else ""
    cure = f"try `{ssh_command(route)}`; check `ansible_user` and the key in the inventory"
    if "too many" in why.lower():
        cure = "name the one key with `ansible_ssh_private_key_file` and set IdentitiesOnly in ~/.ssh/config"
    elif any("encrypted" in one for one in left_out):
        cure = "add the key to the agent (`ssh-add`), or run this in a terminal, which asks for its passphrase"
    return HostNotReady(f"{route.label} accepts none of our keys: {why}{said}", where=route.host, hint=cure)
