"""Names of engines, what one is and can do, and how it is spoken of: what layers below the engines know of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.bench.protocol.plugins import module_names

if TYPE_CHECKING:
    from harness.values.cuda import CudaBuild
    from harness.values.record import Finding

AUTO = "auto"
"""Asks for the first engine, by rank, that answers and has its image."""

PAGE_BYTES = 65536
"""The kernel rounds a memory limit to whole pages, of at most 64 KiB."""

KINDS = "harness.engine.kinds"
"""The package in which each module is an engine."""


@dataclass(frozen=True)
class EngineWords:
    """How an engine is spoken of to users. Each text stands in a sentence, without a full stop.

    ``title``: what does or does not answer: "a TITLE answers". ``instead``: said where it is used because a better one
    does not answer. ``image``: comes before the digest of what runs the benchmark. ``limit_cure``: how memory limits
    are had. ``evidence``: where to look when a limit did not hold. ``gpu_cure``: how GPUs are given to it. ``room``:
    how room for images is made. ``caution``: what is less certain of figures that were measured with it, empty where
    nothing is.
    """

    title: str
    instead: str
    image: str
    limit_cure: str
    evidence: str
    gpu_cure: str
    room: str = "make room there"
    caution: str = ""


NO_WORDS = EngineWords("engine", "another engine is used instead", "it is there, digest", "see its documentation",
                       "the log of the engine", "tell the engine of it, and start it again")  # fmt: skip
"""Of an engine that has said nothing."""


@dataclass(frozen=True)
class EngineFacts:
    """What an engine is and can do.

    ``image_digest`` is None where the image is not there. ``gpu_support`` is how its jobs get GPUs: ``direct`` where
    nothing need be done for it, None where they cannot; ``cuda`` what the TensorFlow of its jobs was built for, None
    where that is not known. ``folder`` is where it keeps jobs and images on the host, None for the scratch. Without an
    image, ``interpreter`` is the Python that jobs run in, and ``lacks`` are packages that this has not.
    ``ends_with_user``: systemd ends its jobs when their user has logged out and does not linger. ``to_come`` says what
    must be brought to the host before it can run jobs. ``limit_step_bytes``: a memory limit is rounded down to
    multiples of it, by the kernel or by the engine. ``uses_images`` and ``words`` are as its file says: whoever finds
    an engine adds them.
    """

    engine: str
    version: str
    image_digest: str | None = None
    api_version: str | None = None
    cgroup_version: int | None = None
    can_limit_memory: bool = False
    can_limit_swap: bool = False
    can_limit_cpus: bool = False
    storage: str | None = None
    folder: str | None = None
    gpu_support: str | None = None
    cuda: CudaBuild | None = None
    interpreter: str = ""
    lacks: tuple[str, ...] = ()
    ends_with_user: bool = False
    to_come: str = ""
    limit_step_bytes: int = PAGE_BYTES
    reasons: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    uses_images: bool = True
    words: EngineWords = NO_WORDS


@dataclass(frozen=True)
class HostPython:
    """A Python of a host in which jobs might run. ``libc`` is its GNU C library's release, None for another library.

    ``command`` is how it is run there, ``has_venv`` whether it can make environments.
    """

    command: tuple[str, ...]
    path: str
    version: tuple[int, int, int]
    machine: str
    libc: tuple[int, int] | None = None
    has_venv: bool = True
    has_tensorflow: bool = False

    @property
    def words(self) -> str:
        """Return ``Python 3.11.2 (/usr/bin/python3)``."""
        return f"Python {'.'.join(map(str, self.version))} ({self.path})"


def engine_names() -> tuple[str, ...]:
    """Return the names of all engines, those of the files in ``harness/engine/kinds``; imports none of them."""
    return module_names(KINDS)


def engine_choices() -> tuple[str, ...]:
    """Return what may be asked for: ``auto``, or an engine by its name."""
    return (AUTO, *engine_names())
