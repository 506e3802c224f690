"""What an engine's file says of the engine, for choosing it, making it and speaking of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from harness.engine.interface import Engine
from harness.hosts.connection import Connection
from harness.values.engine_names import EngineWords


@dataclass(frozen=True)
class Means:
    """What a reached host gives to its engines.

    ``scratch`` is its folder for what we put there; ``uid`` and ``gid`` are those of the connection's user. ``python``
    is the command of the interpreter that is named for it, by words; empty where none is.
    """

    connection: Connection
    scratch: str
    uid: int
    gid: int
    is_local: bool
    python: tuple[str, ...] = ()


@dataclass(frozen=True)
class EngineSpec:
    """One engine. ``name`` is that of its file.

    ``rank``: ``auto`` tries the lowest first; of engines that come later it tells that a better one did not answer.
    ``make`` makes the engine of a host, which asks nothing yet. ``may_have_jobs`` says whether jobs of earlier
    sessions may be on the host; where that cannot be known it raises EngineUnavailable. ``uses_images``: its jobs run
    in an image, and it is an ``ImageEngine``; ``uses_python``: in a Python of the host, and it is a ``PythonEngine``.
    ``is_automatic``: ``auto`` may take it. ``remark`` is added where it does not answer: what is set on this machine
    and may be why.
    """

    name: str
    rank: int
    words: EngineWords
    make: Callable[[Means], Engine]
    may_have_jobs: Callable[[Engine, Means], bool]
    uses_images: bool = False
    uses_python: bool = False
    is_automatic: bool = True
    remark: Callable[[], str] = lambda: ""
