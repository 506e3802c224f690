"""Kinds of garbage that a host may answer with: nothing, noise, far too much, half, and values that make no sense."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from typing import Any

HUGE = 10**30
_NUMBER = re.compile(rb"[0-9]+(\.[0-9]+)?")
_SECTION = re.compile(rb"(--harness-[0-9a-f]+ [^\n]+\n)(.*?)(\n--harness-[0-9a-f]+= \d+\n)", re.DOTALL)

VALUES: tuple[Any, ...] = (
    None,
    "text",
    "\x1b[31m[/x]²",
    [],
    {},
    [None],
    {"a": 1},
    -7,
    HUGE,
    1e308,
    True,
    "²",
    "9" * 5000,
)
"""What stands where another type or size is expected."""


def empty(_truth: bytes) -> bytes:
    return b""


def binary(_truth: bytes) -> bytes:
    return bytes(range(256)) * 4


def large(_truth: bytes) -> bytes:
    return b"lots of \x1b[2Jnoise [/x]\n" * (10_000_000 // 21)


def truncated(truth: bytes) -> bytes:
    return truth[: len(truth) * 2 // 3]


def greeting(truth: bytes) -> bytes:
    """A shell that greets before each answer."""
    return b"Welcome to ws01!\n" + truth


def squared(truth: bytes) -> bytes:
    """A digit that is none for int(): str.isdigit() takes it."""
    return _in_sections(truth, lambda part: _NUMBER.sub("²".encode(), part))


def negative(truth: bytes) -> bytes:
    return _in_sections(truth, lambda part: _NUMBER.sub(rb"-7", part))


def huge(truth: bytes) -> bytes:
    return _in_sections(truth, lambda part: _NUMBER.sub(str(HUGE).encode(), part))


def endless(truth: bytes) -> bytes:
    """More digits than Python makes a number of."""
    return _in_sections(truth, lambda part: _NUMBER.sub(b"9" * 5000, part))


def infinite(truth: bytes) -> bytes:
    return _in_sections(truth, lambda part: _NUMBER.sub(b"-inf", part))


def quoted(truth: bytes) -> bytes:
    """Codes that a terminal obeys, and marks that a table obeys, in each word."""
    return _in_sections(truth, lambda part: re.sub(rb"([A-Za-z]{4,})", lambda word: word[1] + b"\x1b[31m[/x]", part))


def other_types(truth: bytes, seed: int = 1) -> bytes:
    """JSON whose values are of other types; words of text in another order."""
    chance = random.Random(seed)
    try:
        value = json.loads(truth)
    except ValueError:
        return _in_sections(truth, lambda part: b" ".join(chance.sample(words := part.split(), len(words))))
    return json.dumps(_change(value, chance)).encode()


def _change(value: Any, chance: random.Random) -> Any:
    if chance.random() < 0.25:
        return chance.choice(VALUES)
    if isinstance(value, dict):
        return {key: _change(one, chance) for key, one in value.items()}
    if isinstance(value, list):
        return [_change(one, chance) for one in value]
    return chance.choice(VALUES) if chance.random() < 0.25 else value


def nested(_truth: bytes) -> bytes:
    return b"[" * 100_000


def _in_sections(truth: bytes, change: Callable[[bytes], bytes]) -> bytes:
    """Change the output of each fact, but not the marks between facts; or the whole answer."""
    if not _SECTION.search(truth):
        return change(truth)
    return _SECTION.sub(lambda found: found[1] + change(found[2]) + found[3], truth)


KINDS: tuple[Callable[[bytes], bytes], ...] = (
    empty, binary, large, truncated, greeting, squared, negative, huge, endless, infinite, quoted, other_types, nested,
)  # fmt: skip
