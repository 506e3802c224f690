"""Read OpenSSH's arguments in Ansible's variables: some are supported, some have no effect here, others are refused."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field

from harness.inventory.unfit import UnfitError
from harness.values.text import clean_text

_FLAGS = {
    "-4": "AddressFamily",
    "-6": "AddressFamily",
    "-A": "ForwardAgent",
    "-C": "Compression",
    "-J": "ProxyJump",
    "-M": "ControlMaster",
    "-S": "ControlPath",
    "-T": "RequestTTY",
    "-X": "ForwardX11",
    "-Y": "ForwardX11Trusted",
    "-a": "ForwardAgent=no",
    "-i": "IdentityFile",
    "-l": "User",
    "-n": "StdinNull",
    "-p": "Port",
    "-q": "LogLevel",
    "-t": "RequestTTY",
    "-v": "LogLevel",
    "-x": "ForwardX11=no",
}
_WITH_VALUE = frozenset(f"-{letter}" for letter in "BbcDEeFIiJLlmOoPpQRSWw")
_HONOURED = frozenset({"proxyjump", "proxycommand", "port", "identityfile"})

_ONE_CONNECTION = "each host has one connection anyway"
_WATCHED = "connections are always monitored"
_DEADLINES = "every wait has a deadline anyway"
_KEYS_ONLY = "only keys are used anyway"
_NOTHING_FORWARDED = "nothing is forwarded anyway"
_NO_TERMINAL = "commands have no terminal and no input anyway"
_HARMLESS = {
    "controlmaster": _ONE_CONNECTION,
    "controlpath": _ONE_CONNECTION,
    "controlpersist": _ONE_CONNECTION,
    "serveraliveinterval": _WATCHED,
    "serveralivecountmax": _WATCHED,
    "tcpkeepalive": _WATCHED,
    "connecttimeout": _DEADLINES,
    "connectionattempts": "failed connections are retried anyway",
    "compression": "nothing is compressed on the way",
    "loglevel": "every error is reported anyway",
    "batchmode": "nothing is asked anyway",
    "numberofpasswordprompts": _KEYS_ONLY,
    "addkeystoagent": "keys are never added to the agent",
    "gssapiauthentication": _KEYS_ONLY,
    "gssapidelegatecredentials": _KEYS_ONLY,
    "addressfamily": "the system's order of addresses is used",
    "requesttty": _NO_TERMINAL,
    "stdinnull": _NO_TERMINAL,
    "ipqos": "the system's priority is used",
    "identitiesonly": "the named key is tried first",
    "escapechar": _NO_TERMINAL,
    "visualhostkey": "host keys are not drawn",
}
"""Options that have no effect here, whatever their value, and the reason."""
_HARMLESS_VALUES = {
    ("forwardagent", "no"): _NOTHING_FORWARDED,
    ("forwardx11", "no"): _NOTHING_FORWARDED,
    ("forwardx11trusted", "no"): _NOTHING_FORWARDED,
    ("clearallforwardings", "yes"): _NOTHING_FORWARDED,
    ("permitlocalcommand", "no"): "no command is run here anyway",
    ("passwordauthentication", "no"): _KEYS_ONLY,
    ("kbdinteractiveauthentication", "no"): _KEYS_ONLY,
    ("challengeresponseauthentication", "no"): _KEYS_ONLY,
    ("hostbasedauthentication", "no"): _KEYS_ONLY,
    ("pubkeyauthentication", "yes"): _KEYS_ONLY,
    ("preferredauthentications", "publickey"): _KEYS_ONLY,
}
"""Options with a value that has no effect here, and the reason."""
_HOST_KEYS = (
    "remove it: host keys are always checked; give the key with `harness: {host_key: …}`, or see `harness trust`"
)
_CURES = {
    "stricthostkeychecking": _HOST_KEYS,
    "userknownhostsfile": _HOST_KEYS,
    "globalknownhostsfile": _HOST_KEYS,
    "knownhostscommand": _HOST_KEYS,
    "hostkeyalgorithms": _HOST_KEYS,
    "hostkeyalias": _HOST_KEYS,
    "checkhostip": _HOST_KEYS,
    "updatehostkeys": _HOST_KEYS,
    "verifyhostkeydns": _HOST_KEYS,
    "revokedhostkeys": _HOST_KEYS,
    "nohostauthenticationforlocalhost": _HOST_KEYS,
    "forwardagent": "remove it: an agent is never forwarded",
    "user": "set `ansible_user`",
    "hostname": "set `ansible_host`",
    "-f": "remove it: ~/.ssh/config is read; copy this file's settings into it, or into ansible_… variables",
}
_CURE = "remove it: only ProxyJump, ProxyCommand, Port and IdentityFile are supported here"


@dataclass
class Arguments:
    """Parsed arguments: ``said`` has the first value of each supported keyword (in lower case).

    ``notes`` are pairs of message and hint about arguments that have no effect here.
    """

    said: dict[str, str] = field(default_factory=dict)
    notes: list[tuple[str, str]] = field(default_factory=list)


def read_arguments(text: str) -> Arguments:
    """Parse OpenSSH's arguments. Raises UnfitError with a reason for each argument that is refused."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise UnfitError((f"cannot be split into words ({error})", "close the quote")) from None
    found = Arguments()
    refused: list[tuple[str, str]] = []
    words.reverse()
    while words:
        word = words.pop()
        flag, value = word[:2], word[2:]
        if flag in _WITH_VALUE:
            value = value or (words.pop() if words else "")
        elif flag.startswith("-") and value:
            words.append(f"-{value}")  # several flags in one word, such as -Cq
            word, value = flag, ""
        keyword, value = _keyword(flag, value)
        name = keyword.lower()
        reason = _HARMLESS.get(name) or _HARMLESS_VALUES.get((name, value.lower()))
        shown = f"-o {keyword}" + (f"={value}" if value else "") if flag == "-o" else word
        shown = f"{flag} {value}" if flag in _WITH_VALUE and flag != "-o" else shown
        shown = clean_text(shown, 80)
        if name in _HONOURED and value:
            found.said.setdefault(name, value)
        elif reason and (value or flag != "-o"):
            found.notes.append((f"`{shown}` has no effect: {reason}", "keep it, or remove it"))
        else:
            refused.append((f"`{shown}` is not supported", _CURES.get(name, _CURE)))
    if refused:
        raise UnfitError(*refused)
    return found


def _keyword(flag: str, value: str) -> tuple[str, str]:
    """Return OpenSSH's keyword for an argument, and its value; for a flag without one, the flag."""
    if flag == "-o":
        match = re.match(r"\s*(\w+)\s*[=\s]\s*(.*)\Z", value, re.DOTALL)
        return (match[1], match[2].strip()) if match else (value, "")
    keyword, _, said = _FLAGS.get(flag, flag).partition("=")
    return keyword, said or value
