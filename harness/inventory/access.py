"""How a host is reached, from Ansible's own variables.

Of ``ansible_ssh_common_args``, ``ansible_ssh_extra_args`` only ProxyJump, ProxyCommand, Port and IdentityFile
are honoured; as in OpenSSH the first of several counts, and ``ansible_port`` and ``ansible_ssh_private_key_file``
come before both (the order of Ansible's ssh command line).
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeVar

from harness.inventory.layers import Setting
from harness.values.document import Opaque, describe, near_miss
from harness.values.errors import Mistake

ADDRESS = ("ansible_ssh_host", "ansible_host")
PORT = ("ansible_ssh_port", "ansible_port")
USER = ("ansible_ssh_user", "ansible_user")
PRIVATE_KEY = ("ansible_ssh_private_key_file", "ansible_private_key_file")
CONNECTION = ("ansible_connection",)
ARGUMENTS = ("ansible_ssh_common_args", "ansible_ssh_extra_args")
ACCESS_NAMES = (*ADDRESS, *PORT, *USER, *PRIVATE_KEY, *CONNECTION, *ARGUMENTS)
"""Ansible's variables that are read here; of two for one thing, the first counts, as in Ansible."""

_CONNECTIONS: dict[str, Literal["ssh", "local"]] = {
    "ssh": "ssh",
    "smart": "ssh",
    "paramiko": "ssh",
    "paramiko_ssh": "ssh",
    "ansible.builtin.ssh": "ssh",
    "local": "local",
    "ansible.builtin.local": "local",
}
_TEMPLATE = re.compile(r"\{\{\s*([A-Za-z_]\w*)\s*\}\}")
_FLAGS = {
    "-J": "ProxyJump",
    "-p": "Port",
    "-i": "IdentityFile",
    "-A": "ForwardAgent",
    "-l": "User",
    "-M": "ControlMaster",
    "-S": "ControlPath",
}
_FLAGS_WITH_VALUE = {"-J", "-p", "-i", "-l", "-S", "-F", "-o"}
_FIELDS = {
    "proxyjump": "proxy_jump",
    "proxycommand": "proxy_command",
    "port": "port",
    "identityfile": "private_key",
}
"""What of OpenSSH's arguments is honoured, by keyword: fields of ``Access``."""
_PROXIES = ("proxy_jump", "proxy_command")
_CURES = {
    "stricthostkeychecking": "remove it: host keys are always checked; give the key with `harness: {host_key: …}`",
    "userknownhostsfile": "remove it: host keys are always checked; give the key with `harness: {host_key: …}`",
    "controlmaster": "remove it: each host has one connection anyway",
    "controlpath": "remove it: each host has one connection anyway",
    "controlpersist": "remove it: each host has one connection anyway",
    "serveraliveinterval": "remove it: links are watched anyway",
    "serveralivecountmax": "remove it: links are watched anyway",
    "connecttimeout": "remove it: every wait has a deadline anyway",
    "forwardagent": "remove it: an agent is never forwarded",
    "user": "set `ansible_user`",
    "hostname": "set `ansible_host`",
}
_CURE = "remove it: of these arguments ProxyJump, ProxyCommand, Port and IdentityFile are understood"

_T = TypeVar("_T")


class UnfitError(ValueError):
    """A value that cannot be used: each reason with what to do about it."""

    def __init__(self, *reasons: tuple[str, str]) -> None:
        super().__init__(reasons[0][0])
        self.reasons = reasons

    def mistakes(self, name: str, setting: Setting) -> list[Mistake]:
        """The reasons, at the place of the variable."""
        return [setting.mistake(f"{name}: {message}", hint) for message, hint in self.reasons]


@dataclass(frozen=True)
class Access:
    """How one host is reached, and which setting said so, by field."""

    address: str
    port: int | None = None
    user: str | None = None
    connection: Literal["ssh", "local"] = "ssh"
    private_key: str | None = None
    proxy_jump: str | None = None
    proxy_command: str | None = None
    settings: Mapping[str, Setting] = field(default_factory=dict)


def is_readable(setting: Setting) -> bool:
    """Whether there is a value to read: an encrypted one has been told of where it stands."""
    return setting.value is not None and not isinstance(setting.value, Opaque)


def check_access(name: str, setting: Setting) -> list[Mistake]:
    """What is wrong with one of ``ACCESS_NAMES`` where it stands; templates are judged later, host by host."""
    if isinstance(setting.value, str) and "{{" in setting.value:
        return []
    written = setting.document.written(setting.path)
    if isinstance(setting.value, int | float) and written is not None and written != str(setting.value):
        return [setting.mistake(f"{name}: found {describe(setting.value, written)}", "put it in quotes")]
    try:
        if name in ARGUMENTS:
            read_arguments(_as_text(setting.value))
        elif name in PORT:
            _as_port(setting.value)
        elif name in CONNECTION:
            _as_connection(setting.value)
        else:
            _as_text(setting.value)
    except UnfitError as unfit:
        return unfit.mistakes(name, setting)
    return []


def resolve_access(host: str, variables: Mapping[str, Setting], mistakes: list[Mistake]) -> Access:
    """The access of a host from its merged variables; what is wrong goes into ``mistakes``."""
    settings: dict[str, Setting] = {}

    def read(name: str, parse: Callable[[object], _T]) -> _T | None:
        setting = variables.get(name)
        if setting is None or not is_readable(setting):
            return None
        try:
            return parse(expand_templates(setting.value, host, variables))
        except UnfitError as unfit:
            mistakes.extend(unfit.mistakes(name, setting))
            return None

    def take(key: str, names: tuple[str, ...], parse: Callable[[object], _T]) -> _T | None:
        for name in names:
            if (value := read(name, parse)) is not None:
                settings[key] = variables[name]
                return value
        return None

    address = take("address", ADDRESS, _as_text)
    port = take("port", PORT, _as_port)
    user = take("user", USER, _as_text)
    connection = take("connection", CONNECTION, _as_connection)
    private_key = take("private_key", PRIVATE_KEY, _as_text)
    said: dict[str, str] = {}
    for name in ARGUMENTS:
        for keyword, value in (read(name, lambda text: read_arguments(_as_text(text))) or {}).items():
            key = _FIELDS[keyword]
            is_second_proxy = key.startswith("proxy_") and not settings.keys().isdisjoint(_PROXIES)
            if key not in settings and not is_second_proxy:
                said[key], settings[key] = value, variables[name]
    jump, command = (None if said.get(key) == "none" else said.get(key) for key in _PROXIES)
    return Access(
        address=address or host,
        port=int(said["port"]) if "port" in said else port,
        user=user,
        connection=connection or ("local" if host == "localhost" else "ssh"),
        private_key=said.get("private_key", private_key),
        proxy_jump=jump,
        proxy_command=command,
        settings=settings,
    )


def expand_templates(value: object, host: str, variables: Mapping[str, Setting], depth: int = 0) -> object:
    """``{{ inventory_hostname }}`` and ``{{ name }}`` of a plain variable; any other template raises UnfitError."""
    if not isinstance(value, str) or "{{" not in value:
        return value
    if depth > 8:
        raise UnfitError((f"the template `{value}` refers to itself", "write the value itself"))
    known = {"inventory_hostname": host, "inventory_hostname_short": host.split(".", maxsplit=1)[0]}

    def replace(match: re.Match[str]) -> str:
        name = match[1]
        if name in known:
            return known[name]
        setting = variables.get(name)
        if setting is None or not isinstance(setting.value, str | int) or isinstance(setting.value, bool):
            guess = near_miss(name, [*known, *variables])
            hint = f"did you mean {{{{ {guess} }}}}?" if guess and guess != name else "write the value itself"
            raise UnfitError((f"the template's {name} is no text or number that is known for {host}", hint))
        return str(expand_templates(setting.value, host, variables, depth + 1))

    text = _TEMPLATE.sub(replace, value)
    if "{{" in text or "{%" in text:
        raise UnfitError((f"the template `{value}` cannot be read", "only {{ name }} is understood: write the value"))
    return text


def _as_text(value: object) -> str:
    if isinstance(value, str) and value.strip():
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    raise UnfitError((f"a text is wanted, found {describe(value)}", "put it in quotes"))


def _as_port(value: object) -> int:
    is_number = isinstance(value, int) and not isinstance(value, bool)
    if is_number or (isinstance(value, str) and value.strip().isdecimal()):
        port = int(str(value))
        if 1 <= port <= 65535:
            return port
    raise UnfitError((f"{value!r} is not a port", "write a number from 1 to 65535"))


def _as_connection(value: object) -> Literal["ssh", "local"]:
    if isinstance(value, str) and value in _CONNECTIONS:
        return _CONNECTIONS[value]
    guess = near_miss(str(value), _CONNECTIONS)
    hint = f"did you mean {guess}?" if guess else "hosts are reached by `ssh`, or are this machine: `local`"
    raise UnfitError((f"no connection {value!r} here", hint))


def read_arguments(text: str) -> dict[str, str]:
    """OpenSSH arguments as {keyword in lower case: value}, the first of each.

    Raises UnfitError with a line for each that is not honoured.
    """
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise UnfitError((f"cannot be split into words ({error})", "close the quote")) from None
    found: dict[str, str] = {}
    refused: list[tuple[str, str]] = []
    while words:
        word = words.pop(0)
        flag, value = word[:2], word[2:]
        if flag in _FLAGS_WITH_VALUE and not value:
            value = words.pop(0) if words else ""
        keyword, value = _keyword(flag, value)
        name = keyword.lower()
        if name not in _FIELDS or not value:
            shown = f"-o {keyword}" if flag == "-o" else word if flag not in _FLAGS_WITH_VALUE else f"{flag} {value}"
            refused.append((f"`{shown.strip()}` is not honoured", _CURES.get(name, _CURE)))
        else:
            found.setdefault(name, str(_as_port(value)) if name == "port" else value)
    if refused:
        raise UnfitError(*refused)
    return found


def _keyword(flag: str, value: str) -> tuple[str, str]:
    """OpenSSH's keyword for an argument, and its value; for a flag without one, the flag."""
    if flag == "-o":
        match = re.match(r"\s*(\w+)\s*[=\s]\s*(.*)\Z", value, re.DOTALL)
        return (match[1], match[2]) if match else (value, "")
    return _FLAGS.get(flag, flag), value
