"""Expand ranges in host names as Ansible does: ``ws[01:12]``, ``ws[a:f]``, ``ws[01:12:2]``, several in one name.

The rules are those of ``expand_hostname_range`` in ansible-core's ``plugins/inventory/__init__.py``, except that an
empty or endless range is an error.
"""

from __future__ import annotations

import re
import string

from harness.values.text import clean_text
from harness.values.units import parse_whole

MOST_HOSTS = 10_000
MOST_NAME = 200
"""The most bytes of a host name: it becomes part of file names, which may have 255."""
_MOST_PATTERN = 1000
_MOST_NUMBER = 10**15
_HOST_NAME = re.compile(r"[^\W_][\w.:%-]*\Z")
_WITH_PORT = re.compile(r"((?:[^:\[\]]|\[[^\]]*\])*):([0-9]+)\Z")
_BRACKETED_WITH_PORT = re.compile(r"\[([^\]]+)\]:([0-9]+)\Z")


def split_port(pattern: str) -> tuple[str, int | None]:
    """Split ``ws[01:12]:2222`` into ``ws[01:12]`` and 2222; 0 for a number that is no port, None without a number.

    An IPv6 address with a port needs brackets: ``[fe80::1]:22``.
    """
    match = _BRACKETED_WITH_PORT.match(pattern) or _WITH_PORT.match(pattern)
    return (match[1], parse_whole(match[2], 65535) or 0) if match else (pattern, None)


def expand_host_pattern(pattern: str) -> list[str]:
    """Return the host names of a key under ``hosts:`` without its port. Raises ValueError("message\\nhint")."""
    if len(pattern) > _MOST_PATTERN:
        raise ValueError(f"a host name of {len(pattern)} characters is too long\nwrite a shorter one")
    names = _expand(pattern)
    for name in names:
        if len(name.encode(errors="replace")) > MOST_NAME:
            raise ValueError(f"the host name {name[:30]}… has more than {MOST_NAME} bytes\nwrite a shorter one")
        if not _HOST_NAME.match(name):
            raise ValueError(
                f"{_shown(name)} cannot be a host name: host names become part of file names\n"
                "use letters, digits, '.', '_' and '-'; an address goes into `ansible_host`"
            )
    return names


def _expand(pattern: str) -> list[str]:
    head, bracket, rest = pattern.partition("[")
    if not bracket:
        return [pattern]
    inside, bracket, tail = rest.partition("]")
    if not bracket:
        raise ValueError(f"{_shown(pattern)}: the range's ] is missing\nwrite it like ws[01:12]")
    items = _range_items(inside, pattern)
    tails = _expand(tail)
    if len(items) * len(tails) > MOST_HOSTS:
        raise ValueError(f"{_shown(pattern)} means more than {MOST_HOSTS} hosts\nis a digit too many?")
    return [f"{head}{item}{end}" for item in items for end in tails]


def _range_items(inside: str, pattern: str) -> list[str]:
    bounds = inside.split(":")
    if len(bounds) not in {2, 3}:
        raise ValueError(
            f"{_shown(pattern)}: the text in [] is not a range\n"
            "write it like ws[01:12], ws[a:f] or ws[01:12:2]; a single name needs no []"
        )
    begin, end = bounds[0] or "0", bounds[1]
    step_text = bounds[2] if len(bounds) == 3 else "1"
    if not end:
        raise ValueError(f"{_shown(pattern)}: the range has no end\nwrite it like ws[01:12]")
    step = parse_whole(step_text, _MOST_NUMBER)
    if not step:
        raise ValueError(f"{_shown(pattern)}: the step must be a whole number from 1\nwrite it like ws[01:12:2]")
    letters = string.ascii_letters
    if len(begin) == len(end) == 1 and begin in letters and end in letters:
        items = list(letters[letters.index(begin) : letters.index(end) + 1 : step])
    else:
        items = _numbers(begin, end, step, pattern)
    if not items:
        raise ValueError(f"{_shown(pattern)}: the range begins after its end\nswap the two")
    return items


def _numbers(begin: str, end: str, step: int, pattern: str) -> list[str]:
    if not (begin.isascii() and begin.isdecimal() and end.isascii() and end.isdecimal()):
        raise ValueError(
            f"{_shown(pattern)}: a range takes two numbers, or two single letters\nwrite it like ws[01:12] or ws[a:f]"
        )
    width = len(begin) if begin[0] == "0" and len(begin) > 1 else 0
    if width and width != len(end):
        raise ValueError(
            f"{_shown(pattern)}: the range's ends have unequal lengths\nwrite both with {max(width, len(end))} digits"
        )
    first, last = parse_whole(begin, _MOST_NUMBER), parse_whole(end, _MOST_NUMBER)
    if first is None or last is None:
        raise ValueError(f"{_shown(pattern)}: the numbers are too large\nis a digit too many?")
    numbers = range(first, last + 1, step)
    if len(numbers) > MOST_HOSTS:
        raise ValueError(f"{_shown(pattern)} means more than {MOST_HOSTS} hosts\nis a digit too many?")
    return [str(number).zfill(width) for number in numbers]


def _shown(pattern: str) -> str:
    """Return a pattern in quotes, short enough for a message."""
    return repr(clean_text(pattern, 60))
