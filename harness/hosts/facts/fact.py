"""The interface of a fact: one command, and a pure parser of its output."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from harness.hosts.answers import parse_int

__all__ = ["Fact", "Section", "parse_int"]

T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True)
class Fact(Generic[T_co]):
    """A command for a host, and the parser of its output.

    ``parse`` gets the whole stdout of the command, whatever its exit code; a missing tool writes nothing. It returns
    None for output that it cannot parse, never a guess and never 0. ``label`` is the displayed name of a fact without a
    field in ``values.facts.Facts``; the value of such a fact is a text, number or boolean. ``is_needed``: nothing can
    be measured without this fact, so a host on which it cannot be parsed is not ready.
    """

    name: str
    command: tuple[str, ...]
    parse: Callable[[str], T_co | None]
    label: str = ""
    is_needed: bool = False


@dataclass(frozen=True)
class Section:
    """The recorded result of one fact's command on a host."""

    name: str
    command: tuple[str, ...]
    returncode: int | None
    output: str
