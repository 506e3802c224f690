"""A fact: one command, and a pure parser of what it writes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from harness.hosts.answers import parse_int

__all__ = ["Fact", "Section", "parse_int"]

T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True)
class Fact(Generic[T_co]):
    """What to run on a host, and how to read it.

    ``parse`` gets all that the command wrote to stdout, whatever its exit code was: a
    missing tool writes nothing. It returns None for what it does not understand, never a
    guess and never 0. ``label``: what it is called where it is shown, for a fact that has
    no field of its own in ``values.facts.Facts``; its value is then text, a number or a truth. ``is_needed``: nothing
    can be measured without it, so that a host which answers, and not with that, is not ready.
    """

    name: str
    command: tuple[str, ...]
    parse: Callable[[str], T_co | None]
    label: str = ""
    is_needed: bool = False


@dataclass(frozen=True)
class Section:
    """What one fact's command left on a host: a recording."""

    name: str
    command: tuple[str, ...]
    returncode: int | None
    output: str
