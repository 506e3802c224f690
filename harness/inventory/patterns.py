"""Select hosts with Ansible's patterns: ``gpu:!ws03``, ``ws*``, ``a:&b``, ``~regex``, ``group[1:3]``, ``@file``.

The rules are those of ``split_host_pattern``, ``order_patterns`` and ``InventoryManager`` in ansible-core's
``inventory/manager.py``. Unlike there, a part that matches nothing is an error: with a mistyped ``!ws3`` the host that
should be left out would be measured.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable

from harness.inventory.host import Host, Inventory
from harness.values.document import near_miss, read_bounded
from harness.values.errors import ConfigurationError
from harness.values.paths import expand_home
from harness.values.text import clean_text
from harness.values.units import parse_whole

_PART = re.compile(r"(?:[^\s:\[\]]|\[[^\]]*\])+")
_SUBSCRIPT = re.compile(r"(.+)\[(?:(-?[0-9]+)|([0-9]+)[:-]([0-9]*))\]\Z")
_GLOB = re.compile(r"[.?*\[]")
_WHERE = "--limit"


def select_hosts(inventory: Inventory, pattern: str | None) -> tuple[Host, ...]:
    """Return the hosts of a pattern, each once; all hosts for None.

    Raises ConfigurationError where the pattern matches nothing, or an unfit host.
    """
    names = select_names(inventory, pattern)
    if mistakes := dict.fromkeys(mistake for name in names for mistake in inventory.unfit.get(name, ())):
        raise ConfigurationError([*mistakes])
    hosts = {host.name: host for host in inventory.hosts}
    return tuple(hosts[name] for name in names)


def select_names(inventory: Inventory, pattern: str | None) -> tuple[str, ...]:
    """Return the host names of a pattern, including unfit hosts. Raises ConfigurationError where it matches nothing."""
    if pattern is None:
        return inventory.names
    parts = [part for text in _split(pattern, inventory) for part in _read_file(text)]
    chosen: dict[str, None] = {}
    regular = [part for part in parts if part[0] not in "!&"] or ["all"]
    for part in regular:
        chosen.update(dict.fromkeys(_match(part, inventory)))
    for part in parts:
        if part[0] == "&":
            kept = set(_match(part[1:], inventory))
            chosen = {name: None for name in chosen if name in kept}
    for part in parts:
        if part[0] == "!":
            left_out = set(_match(part[1:], inventory))
            chosen = {name: None for name in chosen if name not in left_out}
    if not chosen or not pattern.strip():
        hint = f"hosts: {_some(inventory.names)}; groups: {_some(inventory.groups)}"
        raise ConfigurationError(f"the pattern {clean_text(pattern, 80)!r} selects no host", where=_WHERE, hint=hint)
    return tuple(chosen)


def _split(pattern: str, inventory: Inventory) -> list[str]:
    """Split a pattern at commas, and each part at colons outside brackets."""
    parts: list[str] = []
    known = {*inventory.groups, *inventory.names}
    for text in (piece.strip() for piece in pattern.split(",")):
        is_whole = text.lstrip("!&") in known or text.startswith("@")
        is_open = text.rfind("[") > text.rfind("]")
        if not is_whole and (is_open or _PART.sub("", text).strip(": \t")):
            hint = "every [ needs a ], as in ws[1-3] or gpu[0]"
            raise ConfigurationError(f"{text!r} is not a host pattern", where=_WHERE, hint=hint)
        parts += [text] if is_whole else _PART.findall(text)
    return [part for part in parts if part]


def _read_file(part: str) -> list[str]:
    """Return the patterns in ``@file``, one per line; any other part unchanged."""
    if not part.startswith("@"):
        return [part]
    path = expand_home(part[1:])
    try:
        lines = read_bounded(path).decode().splitlines()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not text in UTF-8"
        raise ConfigurationError(
            f"{path} cannot be read: {reason}", where=_WHERE, hint="@FILE names a file with one pattern per line"
        ) from None
    return [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]


def _match(part: str, inventory: Inventory) -> list[str]:
    """Return the host names that match one part of a pattern, without ``!`` or ``&``."""
    names = inventory.names
    if part in names:
        return [part]
    expression, subscript = part, None
    found = None if part.startswith("~") else _SUBSCRIPT.match(part)
    if found and (_matching(inventory.groups, found[1]) or _matching(names, found[1])):
        expression, subscript = found[1], found  # else the brackets are a set of characters, as in ws[1-3]
    groups = _matching(inventory.groups, expression)
    hosts = [name for group in groups for name in inventory.groups[group]]
    if not groups or expression.startswith("~") or _GLOB.search(expression):
        hosts += _matching(names, expression)
    if not hosts and not groups:
        guess = near_miss(expression, [*inventory.groups, *names])
        hint = f"did you mean {guess}?" if guess else f"hosts: {_some(names)}; groups: {_some(inventory.groups)}"
        raise ConfigurationError(f"no host or group matches {part!r}", where=_WHERE, hint=hint)
    # Ansible counts a host once for each matching group, and then applies the subscript.
    return [*dict.fromkeys(hosts if subscript is None else _subscribe(hosts, subscript, part))]


def _subscribe(hosts: list[str], subscript: re.Match[str], part: str) -> list[str]:
    """Apply a subscript ``[0]``, ``[-1]``, ``[1:3]`` (end included) or ``[1:]`` to a list of host names."""
    most = len(hosts)
    _, index, start, end = subscript.groups()
    if index is not None:
        position = parse_whole(index.lstrip("-"), most)
        is_there = position is not None and (position > 0 if index.startswith("-") else position < most)
        chosen = [hosts[int(index)]] if is_there else []
    else:
        first, last = (parse_whole(text, most) for text in (start, end or str(most)))
        chosen = hosts[most if first is None else first : (most if last is None else last) + 1]
    if not chosen:
        hint = f"{subscript[1]} has {most} hosts, counted from 0"
        if len({*hosts}) < most:
            hint += "; a host in several of the matching groups counts once for each"
        raise ConfigurationError(f"no host matches {part!r}", where=_WHERE, hint=hint)
    return chosen


def _matching(names: Iterable[str], expression: str) -> list[str]:
    text = expression[1:] if expression.startswith("~") else fnmatch.translate(expression)
    try:
        matcher = re.compile(text)
    except re.error as error:
        raise ConfigurationError(
            f"{expression!r} is not a regular expression: {error}", where=_WHERE, hint="~ begins a regular expression"
        ) from None
    return [name for name in names if matcher.match(name)]


def _some(names: Iterable[str], most: int = 8) -> str:
    shown = list(names)
    return ", ".join(shown[:most]) + (f" and {len(shown) - most} more" if len(shown) > most else "")
