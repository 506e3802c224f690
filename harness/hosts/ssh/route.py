"""Resolve the route to a host: the inventory's values, then ``~/.ssh/config``, then SSH's defaults.

As with OpenSSH, the user's file comes before the system's and the first value counts; ``Include`` is followed.
Supported: HostName, Port, User, IdentityFile, IdentitiesOnly, ProxyJump (chains), ProxyCommand, UserKnownHostsFile,
GlobalKnownHostsFile, HostKeyAlias, ConnectTimeout. Host keys are always checked; StrictHostKeyChecking is ignored.
"""

from __future__ import annotations

import getpass
import glob
import os
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import paramiko

from harness.values.errors import HostNotReady

CONNECT_TIMEOUT_S = 10.0
_MOST_HOPS = 8
_MOST_INCLUDES = 16
_SYSTEM_CONFIG = Path("/etc/ssh/ssh_config")
_USER_KNOWN_HOSTS = "~/.ssh/known_hosts ~/.ssh/known_hosts2"
_SYSTEM_KNOWN_HOSTS = "/etc/ssh/ssh_known_hosts /etc/ssh/ssh_known_hosts2"
_HOP = re.compile(r"(?:ssh://)?(?:(?P<user>[^@\s]+)@)?(?P<address>\[[^]\s]+\]|[^:\[\]\s]+)(?::(?P<port>\d+))?/?\Z")


@dataclass(frozen=True)
class Target:
    """The inventory's settings for reaching one host; None where it has none.

    An empty ``proxy_jump`` or ``proxy_command`` means a direct connection, whatever ssh_config says.
    """

    name: str
    address: str
    port: int | None = None
    user: str | None = None
    private_key: str | None = None
    proxy_jump: str | None = None
    proxy_command: str | None = None
    host_key: str | None = None
    known_hosts: Path | None = None


@dataclass(frozen=True)
class Route:
    """All values that are needed to connect to a host.

    ``hops`` are the jump hosts in order. ``pin`` is a fingerprint or a key. ``key_name`` is the name of the host's key
    in known_hosts files.
    """

    host: str
    address: str
    port: int
    user: str
    identities: tuple[str, ...] = ()
    only_identities: bool = False
    known_hosts: tuple[Path, ...] = ()
    project_known_hosts: Path | None = None
    key_name: str = ""
    connect_timeout_s: float = CONNECT_TIMEOUT_S
    hops: tuple[Route, ...] = ()
    proxy_command: str | None = None
    pin: str | None = None
    extra_identities: tuple[str, ...] = field(default=())

    @property
    def label(self) -> str:
        """Return ``user@address:port`` for messages."""
        return f"{self.user}@{self.address}:{self.port}"


class _Config(paramiko.SSHConfig):
    """An ssh_config that leaves tokens of ProxyCommand and ProxyJump, as the inventory may change port and user."""

    TOKENS_BY_CONFIG_KEY: dict[str, list[str]] = {  # noqa: RUF012 - paramiko declares it so
        key: [] if key.startswith("proxy") else tokens
        for key, tokens in paramiko.SSHConfig.TOKENS_BY_CONFIG_KEY.items()
    }


def read_config(user_file: Path | None = None, system_file: Path = _SYSTEM_CONFIG) -> paramiko.SSHConfig:
    """Read the user's ssh_config (default: ``~/.ssh/config``), then the system's. Raises HostNotReady."""
    config = _Config()
    for file in (user_file or Path.home() / ".ssh" / "config", system_file):
        try:
            config.parse(iter([*_lines(file), "Host *"]))
        except (paramiko.SSHException, ValueError, UnicodeDecodeError) as error:
            raise HostNotReady(f"{file} cannot be read: {error}", hint=f"see `ssh -F {file} -G HOST`") from error
    return config


def _lines(file: Path, depth: int = 0) -> Iterator[str]:
    """Yield the lines of a file, with the lines of included files in place of ``Include``."""
    try:
        text = file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return
    block = "Host *"
    for line in text.splitlines():
        words = line.replace("=", " ", 1).split(maxsplit=1)
        keyword = words[0].lower() if words else ""
        if keyword in ("host", "match"):
            block = line
        if keyword != "include" or depth >= _MOST_INCLUDES:
            yield line
            continue
        for pattern in shlex.split(words[1] if len(words) > 1 else "", comments=True):
            base = Path("/etc/ssh") if file.is_relative_to("/etc/ssh") else Path.home() / ".ssh"
            for found in sorted(glob.glob(str(base / os.path.expanduser(pattern)))):  # noqa: PTH111, PTH207 - patterns
                yield from _lines(Path(found), depth + 1)
        yield block


def resolve_route(target: Target, config: paramiko.SSHConfig) -> Route:
    """Return the route to a host. Raises HostNotReady for values of ssh_config that cannot be used."""
    return _resolve(target, config, depth=0)


def _resolve(target: Target, config: paramiko.SSHConfig, *, depth: int) -> Route:
    if depth > _MOST_HOPS:
        hint = "check ~/.ssh/config and the inventory"
        raise HostNotReady("ProxyJump forms a loop", where=target.name, hint=hint)
    said = _lookup(config, target)
    address = str(said.get("hostname") or target.address)
    port = target.port or _number(said, "port", 22, target.name)
    user = target.user or str(said.get("user") or getpass.getuser())
    named = [str(path) for path in said.get("identityfile") or () if str(path).lower() != "none"]
    own = [str(Path(target.private_key).expanduser())] if target.private_key else []
    jump, command = _proxy(target, said)
    hops = _hops(jump, target, config, depth) if jump else ()
    values = {"%h": address, "%p": str(port), "%r": user, "%n": target.address, "%%": "%"}
    return Route(
        host=target.name,
        address=address,
        port=port,
        user=user,
        identities=tuple(dict.fromkeys([*own, *(str(Path(path).expanduser()) for path in named)])),
        only_identities=str(said.get("identitiesonly", "no")).lower() == "yes",
        known_hosts=_known_hosts(said),
        project_known_hosts=target.known_hosts,
        key_name=str(said.get("hostkeyalias") or (address if port == 22 else f"[{address}]:{port}")),
        connect_timeout_s=float(_number(said, "connecttimeout", int(CONNECT_TIMEOUT_S), target.name)),
        hops=hops,
        proxy_command=re.sub("%[hprn%]", lambda found: values[found[0]], command) if command else None,
        pin=target.host_key,
    )


def _lookup(config: paramiko.SSHConfig, target: Target) -> Mapping[str, str | list[str]]:
    try:
        return config.lookup(target.address)
    except Exception as error:  # `Match exec` needs a package, canonical names need the network
        raise HostNotReady(
            f"~/.ssh/config cannot be used for {target.address}: {error}",
            where=target.name,
            hint="`Match exec` is not supported: give the values in the inventory",
        ) from error


def _proxy(target: Target, said: Mapping[str, str | list[str]]) -> tuple[str, str]:
    """Return ProxyJump and ProxyCommand, of which at most one is not empty."""
    if target.proxy_jump is not None or target.proxy_command is not None:
        return target.proxy_jump or "", target.proxy_command or ""
    jump = str(said.get("proxyjump") or "")
    if jump and jump.lower() != "none":
        return jump, ""
    return "", str(said.get("proxycommand") or "") if jump == "" else ""


def _hops(jump: str, target: Target, config: paramiko.SSHConfig, depth: int) -> tuple[Route, ...]:
    """Return the routes of ``[user@]host[:port][,…]``; only the first may have jump hosts itself (ssh_config(5))."""
    routes: list[Route] = []
    for number, text in enumerate(jump.split(",")):
        found = _HOP.match(text.strip())
        if found is None:
            raise HostNotReady(
                f"ProxyJump: {text!r} cannot be read", where=target.name, hint="write [user@]host[:port]"
            )
        hop = Target(
            name=target.name,
            address=found["address"].strip("[]"),
            port=int(found["port"]) if found["port"] else None,
            user=found["user"],
            proxy_jump=None if number == 0 else "",
            known_hosts=target.known_hosts,
        )
        route = _resolve(hop, config, depth=depth + 1)
        if target.private_key:
            route = _with_extra(route, str(Path(target.private_key).expanduser()))
        routes += [*route.hops, _without_hops(route)]
    return tuple(routes)


def _with_extra(route: Route, path: str) -> Route:
    """Return a jump host's route that also offers the target's key, last: users expect it, though OpenSSH does not."""
    return replace(route, extra_identities=(path,))


def _without_hops(route: Route) -> Route:
    return replace(route, hops=())


def _known_hosts(said: Mapping[str, str | list[str]]) -> tuple[Path, ...]:
    words = shlex.split(str(said.get("userknownhostsfile") or _USER_KNOWN_HOSTS))
    words += shlex.split(str(said.get("globalknownhostsfile") or _SYSTEM_KNOWN_HOSTS))
    return tuple(Path(word.replace("%d", "~")).expanduser() for word in words if word.lower() != "none")


def _number(said: Mapping[str, str | list[str]], key: str, default: int, host: str) -> int:
    text = str(said.get(key) or default)
    if text.lower() == "none":
        return default
    if not text.isdecimal():
        raise HostNotReady(f"~/.ssh/config: {key} {text} is not a number", where=host, hint="write a whole number")
    return int(text)


def ssh_command(route: Route) -> str:
    """Return the OpenSSH command line for the same route and keys, which a user can try."""
    words = ["ssh", "-p", str(route.port), *_key_options(route)]
    if route.key_name not in ("", route.address, f"[{route.address}]:{route.port}"):
        words += ["-o", f"HostKeyAlias={route.key_name}"]
    if route.proxy_command is not None:
        words += ["-o", f"ProxyCommand={route.proxy_command.replace('%', '%%')}"]
    elif len(route.hops) == 1 and (options := _key_options(route.hops[0])):
        hop = route.hops[0]  # `ssh -J` does not pass keys and known hosts of its command line to the jump host
        command = shlex.join(["ssh", "-W", "[%h]:%p", "-p", str(hop.port), *options, f"{hop.user}@{hop.address}"])
        words += ["-o", f"ProxyCommand={command}"]
    elif route.hops:
        words += ["-J", ",".join(f"{hop.user}@{hop.address}:{hop.port}" for hop in route.hops)]
    return shlex.join([*words, f"{route.user}@{route.address}"])


def _key_options(route: Route) -> list[str]:
    words = [word for path in (*route.identities, *route.extra_identities) for word in ("-i", path)]
    words += ["-o", "IdentitiesOnly=yes"] if route.only_identities else []
    if route.project_known_hosts is not None and route.project_known_hosts.is_file():
        files = " ".join(f'"{file.absolute()}"' for file in (route.project_known_hosts, *route.known_hosts))
        words += ["-o", f"UserKnownHostsFile={files}"]
    return words
