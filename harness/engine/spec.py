"""The description of an engine in its module: how it is chosen, made and named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from harness.engine.interface import Engine
from harness.hosts.connection import Connection
from harness.values.engine_names import EngineWords


@dataclass(frozen=True)
class Means:
    """The parts of a reached host that its engines need.

    ``scratch`` is the host's folder for our files; ``uid`` and ``gid`` are those of the connection's user. ``python``
    is the command of the interpreter that the inventory names, as words; empty where it names none.
    """

    connection: Connection
    scratch: str
    uid: int
    gid: int
    is_local: bool
    python: tuple[str, ...] = ()


@dataclass(frozen=True)
class EngineSpec:
    """The description of one engine; ``name`` is the name of its module.

    ``rank``: ``auto`` tries the lowest first. ``make`` makes the engine of a host without querying it.
    ``may_have_jobs`` returns whether jobs of earlier sessions may be on the host; it raises EngineUnavailable where
    that is unknown. ``uses_images``: jobs run in an image, and the engine is an ``ImageEngine``; ``uses_python``: jobs
    run in a Python of the host, and it is a ``PythonEngine``. ``is_automatic``: ``auto`` may choose it. ``remark``
    returns a text that is added where the engine does not answer: a setting of this machine that may be the cause.
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
