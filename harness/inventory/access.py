"""Read how a host is reached from Ansible's variables.

Of ``ansible_ssh_args``, ``ansible_ssh_common_args`` and ``ansible_ssh_extra_args``, the options ProxyJump,
ProxyCommand, Port and IdentityFile are supported. An option that has no effect here (``arguments.py``) gives a note,
any other option is a mistake of the hosts to which it applies. As in OpenSSH the first of several values counts, in the
order of Ansible's ssh command line: ``ansible_ssh_args``, ``ansible_port`` and ``ansible_ssh_private_key_file``, and
the other two.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeVar

from harness.inventory.arguments import Arguments, read_arguments
from harness.inventory.layers import Setting
from harness.inventory.templates import Templates
from harness.inventory.unfit import UnfitError
from harness.inventory.variables import ANY_PYTHON, check_python
from harness.values.document import Opaque, describe, near_miss
from harness.values.errors import Mistake
from harness.values.paths import expand_home
from harness.values.text import clean_text
from harness.values.units import parse_whole

ADDRESS = ("ansible_ssh_host", "ansible_host")
PORT = ("ansible_ssh_port", "ansible_port")
USER = ("ansible_ssh_user", "ansible_user")
PRIVATE_KEY = ("ansible_ssh_private_key_file", "ansible_private_key_file")
CONNECTION = ("ansible_connection",)
ARGUMENTS = ("ansible_ssh_args", "ansible_ssh_common_args", "ansible_ssh_extra_args")
PYTHON = ("ansible_python_interpreter",)
ACCESS_NAMES = (*ADDRESS, *PORT, *USER, *PRIVATE_KEY, *CONNECTION, *ARGUMENTS, *PYTHON)
"""Ansible's variables that are read here; of two with the same meaning the first counts, as in Ansible."""

_CONNECTIONS: dict[str, Literal["ssh", "local"]] = {
    "ssh": "ssh",
    "smart": "ssh",
    "paramiko": "ssh",
    "paramiko_ssh": "ssh",
    "ansible.builtin.ssh": "ssh",
    "ansible.builtin.paramiko_ssh": "ssh",
    "local": "local",
    "ansible.builtin.local": "local",
}
_FIELDS = {
    "proxyjump": "proxy_jump",
    "proxycommand": "proxy_command",
    "port": "port",
    "identityfile": "private_key",
}
"""The supported arguments of OpenSSH, and their fields of ``Access``."""
_PROXIES = ("proxy_jump", "proxy_command")
_DISCOVERY = ("auto", "auto_legacy", "auto_silent", "auto_legacy_silent")
"""Values of ``ansible_python_interpreter`` that mean: find a Python on the host."""
_PASSWORD = re.compile(r"ansible_(\w+_)?(pass|password|passphrase)\Z")
_BECOMING = re.compile(r"become|su_|sudo")
VAULT_HINT = "write this value in plain text, or leave it out: encrypted values are kept, but cannot be read"
_ELSEWHERE = "leave its hosts out (--limit 'all:!NAME'), or keep them in a separate inventory"
_SHELL = frozenset("'`\"$\\;&<>|(){}")
"""Characters that OpenSSH refuses in host names (``valid_hostname``, ssh.c): a ProxyCommand passes names to a shell."""
_MOST_ADDRESS = 255
_MOST_ARGUMENTS = 4000
_CONTROL = re.compile(r"[^\S \t\n]|[\0-\x08\x0e-\x1f\x7f]")

_T = TypeVar("_T")


@dataclass(frozen=True)
class Access:
    """The values for reaching one host, and the setting that each field came from.

    ``python`` is the interpreter that Ansible would use on the host, None where none is named.
    """

    address: str
    port: int | None = None
    user: str | None = None
    connection: Literal["ssh", "local"] = "ssh"
    private_key: str | None = None
    proxy_jump: str | None = None
    proxy_command: str | None = None
    python: str | None = None
    settings: Mapping[str, Setting] = field(default_factory=dict)


@dataclass
class Judged:
    """The problems of one host's access: ``mistakes`` make the host unusable, ``warnings`` do not."""

    mistakes: list[Mistake] = field(default_factory=list)
    warnings: list[Mistake] = field(default_factory=list)


def is_password(name: str) -> bool:
    """Return whether a variable holds a password for the login."""
    return _PASSWORD.match(name) is not None and not is_login_of_another(name)


def is_login_of_another(name: str) -> bool:
    """Return whether a variable holds a password for becoming another user on a host."""
    return _PASSWORD.match(name) is not None and _BECOMING.search(name) is not None


def resolve_access(host: str, variables: Mapping[str, Setting], templates: Templates, judged: Judged) -> Access:
    """Return the access of a host from its merged variables; problems are added to ``judged``."""
    settings: dict[str, Setting] = {}
    for name in filter(is_password, variables):
        judged.mistakes.append(variables[name].mistake(f"{name}: passwords are not used here", _password_cure(name)))

    def read(name: str, parse: Callable[[object], _T]) -> _T | None:
        setting = variables.get(name)
        if setting is None or setting.value is None:
            return None
        try:
            _check_written(setting)
            return parse(templates.expand(setting.value))
        except UnfitError as unfit:
            # Jobs in containers need no interpreter, so an unusable one is only a warning.
            told = judged.warnings if name in PYTHON else judged.mistakes
            told.extend(unfit.mistakes(name, setting))
            return None

    def take(key: str, names: tuple[str, ...], parse: Callable[[object], _T]) -> _T | None:
        for name in names:
            if (value := read(name, parse)) is not None:
                settings[key] = variables[name]
                return value
        return None

    said: dict[str, str] = {}

    def take_arguments(name: str) -> None:
        found = read(name, _as_arguments)
        if found is None:
            return
        judged.warnings += [variables[name].mistake(f"{name}: {text}", hint) for text, hint in found.notes]
        for keyword, value in found.said.items():
            key = _FIELDS[keyword]
            is_second_proxy = key.startswith("proxy_") and not settings.keys().isdisjoint(_PROXIES)
            if key not in settings and not is_second_proxy:
                said[key], settings[key] = value, variables[name]

    first, *others = ARGUMENTS
    address = take("address", ADDRESS, _as_host)
    user = take("user", USER, _as_user)
    connection = take("connection", CONNECTION, _as_connection)
    take_arguments(first)
    port = None if "port" in said else take("port", PORT, _as_port)
    private_key = None if "private_key" in said else take("private_key", PRIVATE_KEY, _as_path)
    for name in others:
        take_arguments(name)
    jump, command = (None if said.get(key, "").lower() == "none" else said.get(key) for key in _PROXIES)
    return Access(
        address=address or host,
        port=int(said["port"]) if "port" in said else port,
        user=user,
        connection=connection or ("local" if host == "localhost" else "ssh"),
        private_key=said.get("private_key", private_key),
        proxy_jump=jump,
        proxy_command=command,
        python=take("python", PYTHON, _as_python),
        settings=settings,
    )


def _password_cure(name: str) -> str:
    if "passphrase" in name or "private_key" in name:
        return "remove it and load the key into ssh-agent (`ssh-add`)"
    return "remove it and use a key: `ssh-copy-id USER@HOST`, then ansible_ssh_private_key_file or ssh-agent"


def _check_written(setting: Setting) -> None:
    """Raise UnfitError for an encrypted value, and for a number that YAML made from other text."""
    if isinstance(setting.value, Opaque):
        raise UnfitError((f"found {describe(setting.value)}", VAULT_HINT))
    written = setting.document.written(setting.path)
    if isinstance(setting.value, int | float) and written is not None and written != str(setting.value):
        raise UnfitError((f"found {describe(setting.value, written)}", "put it in quotes"))


def _as_text(value: object) -> str:
    if isinstance(value, str) and value.strip() and value.isprintable():
        return str(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    raise UnfitError((f"expected a text, found {describe(value)}", "write a text of one line"))


def _as_host(value: object) -> str:
    text = _as_text(value)
    _refuse_shell(text, "a host's name or address")
    return text


def _as_path(value: object) -> str:
    text = _as_text(value)
    if text.startswith("~") and str(expand_home(text)) == text:
        user = text.partition("/")[0]
        raise UnfitError((f"`{clean_text(text, 60)}`: there is no home of {user!r} on this machine", "write the path"))
    return text


def _as_user(value: object) -> str:
    text = _as_text(value)
    _refuse_shell(text.replace(" ", "").replace("\\", ""), "a user's name")  # domain accounts have both
    return text


def _refuse_shell(text: str, what: str) -> None:
    wrong = next((one for one in text if one in _SHELL or one.isspace()), "-" if text.startswith("-") else None)
    if wrong is not None or len(text) > _MOST_ADDRESS:
        reason = (
            f"it holds {wrong!r}" if wrong and wrong != "-" else "it begins with '-'" if wrong else "it is too long"
        )
        raise UnfitError(
            (f"`{clean_text(text, 60)}` cannot be {what}: {reason}", "OpenSSH refuses it, too: write only the name")
        )


def _as_port(value: object) -> int:
    number = value if isinstance(value, int) and not isinstance(value, bool) else None
    if isinstance(value, str):
        number = parse_whole(value, 65535)
    if number is None or not 1 <= number <= 65535:
        raise UnfitError((f"{describe(value)} is not a port", "write a number from 1 to 65535"))
    return number


def _as_connection(value: object) -> Literal["ssh", "local"]:
    if isinstance(value, str) and value in _CONNECTIONS:
        return _CONNECTIONS[value]
    shown = clean_text(value, 60)
    guess = near_miss(shown, _CONNECTIONS, cutoff=0.75)
    cure = f"did you mean {guess}?" if guess else f"only `ssh` and `local` (this machine) are supported: {_ELSEWHERE}"
    raise UnfitError((f"the connection {shown!r} is not supported", cure))


def _as_python(value: object) -> str:
    text = _as_text(value)
    if text in _DISCOVERY:
        return ANY_PYTHON
    try:
        return check_python(text)
    except ValueError as error:
        message, _, hint = str(error).partition("\n")
        raise UnfitError((f"ignored: {message}", f"{hint}; or name it with `harness: {{python: …}}`")) from None


def _as_arguments(value: object) -> Arguments:
    if not isinstance(value, str) or len(value) > _MOST_ARGUMENTS or _CONTROL.search(value):
        _as_text(value)  # a number counts as text, too; other values are refused
    found = read_arguments(str(value)[:_MOST_ARGUMENTS])
    refused: list[tuple[str, str]] = []
    for keyword, text in found.said.items():
        try:
            if keyword == "port":
                _as_port(text)
            elif keyword == "identityfile":
                _as_path(text)
            elif keyword == "proxyjump":
                _refuse_shell(text, "a jump host")
        except UnfitError as unfit:
            refused += unfit.reasons
    if refused:
        raise UnfitError(*refused)
    return found
