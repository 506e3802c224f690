"""Names, facts and descriptions of engines, for the layers below the engines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.bench.protocol.plugins import module_names

if TYPE_CHECKING:
    from harness.values.cuda import CudaBuild

AUTO = "auto"
"""The choice of the first engine, by rank, that answers and has its image."""

PAGE_BYTES = 65536
"""The largest size of a page: the kernel rounds memory limits to whole pages."""

KINDS = "harness.engine.kinds"
"""The package in which each module is an engine."""


@dataclass(frozen=True)
class EngineWords:
    """Texts about an engine for users. Each is part of a sentence, without a full stop.

    ``title``: its name, as in "a TITLE answers". ``instead``: used if a better engine does not answer. ``image``:
    comes before the digest of what runs the benchmark. ``limit_cure``: how to enable memory limits. ``evidence``: where
    to look when a limit did not hold. ``gpu_cure``: how to give it GPUs. ``room``: how to free space for images.
    ``caution``: what is less certain about results measured with it; empty if nothing is.
    """

    title: str
    instead: str
    image: str
    limit_cure: str
    evidence: str
    gpu_cure: str
    room: str = "free space on the host"
    caution: str = ""


NO_WORDS = EngineWords("engine", "another engine is used instead", "it is there, digest", "see its documentation",
                       "the log of the engine", "tell the engine of it, and start it again")  # fmt: skip
"""The texts of an engine without its own."""


@dataclass(frozen=True)
class EngineFacts:
    """What an engine on a host is and can do.

    ``image_digest`` is None if the image is absent. ``gpu_support`` is how its jobs get GPUs: ``direct`` without
    further configuration, None if they cannot. ``cuda`` is the build of its jobs' TensorFlow; None if not known.
    ``folder`` is where it keeps jobs and images on the host; None for the scratch folder. Without an image,
    ``interpreter`` is the Python that runs jobs, and ``lacks`` are its missing packages. ``ends_with_user``: systemd
    ends its jobs when their user logs out, unless the user lingers. ``to_come`` is what must be installed before it can
    run jobs. ``limit_step_bytes``: the kernel or the engine rounds memory limits down to multiples of it. ``reasons``
    are why memory or CPUs cannot be limited, ``limit_cure`` is how to enable memory limits on this host (empty: as
    ``words`` say).
    ``uses_images`` and ``words`` come from the engine's description.
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
    limit_cure: str = ""
    uses_images: bool = True
    words: EngineWords = NO_WORDS


@dataclass(frozen=True)
class HostPython:
    """A Python on a host that might run jobs. ``libc`` is its glibc version; None for another C library.

    ``command`` runs it; ``has_venv``: it can create environments.
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
        """The Python as ``Python 3.11.2 (/usr/bin/python3)``."""
        return f"Python {'.'.join(map(str, self.version))} ({self.path})"


def engine_names() -> tuple[str, ...]:
    """Return the names of all engines, from the files in ``harness/engine/kinds``, without importing them."""
    return module_names(KINDS)


def engine_choices() -> tuple[str, ...]:
    """Return the values of ``--engine``: ``auto``, and the names of all engines."""
    return (AUTO, *engine_names())
