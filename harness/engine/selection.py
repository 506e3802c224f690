"""Which engine a host gets: what was asked for, and what there is. Pure; the asking is done elsewhere."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Literal

from harness.engine.interface import EngineFacts
from harness.values.errors import ConfigurationError, EngineError, EngineUnavailable, ImageUnavailable


@dataclass(frozen=True)
class Choice:
    """The engine chosen, in one sentence why, and what a user must be told.

    ``is_fallback``: it is not what would have been used had all been well. ``severity`` is how
    ``warning`` is to be shown: ``warning``, or ``error`` (in red) where Docker answers but no image could be had.
    """

    engine: Literal["docker", "process"]
    reason: str
    is_fallback: bool = False
    warning: str | None = None
    severity: Literal["warning", "error"] = "warning"


def choose(
    requested: str,
    *,
    docker: EngineFacts | EngineUnavailable | None = None,
    process: EngineFacts | EngineUnavailable | None = None,
    image: ImageUnavailable | None = None,
) -> Choice:
    """Choose between docker and process.

    ``docker`` and ``process`` are what their probes gave (None: not asked); ``image`` is why
    the image cannot be had, after trying to build it. ``auto`` takes docker where it answers and
    its image is there or can be made; else process, with a warning. Raises what made
    the asked-for engine impossible, and EngineUnavailable where none is left.
    """
    if requested == "process":
        _require(process, "process")
        return Choice("process", "asked for by `engine: process`")
    if requested == "docker":
        _require(docker, "docker")
        if image is not None:
            raise image
        return Choice("docker", f"asked for by `engine: docker`{_version(docker)}")
    if requested != "auto":
        raise ConfigurationError(f"{requested!r} is no engine", hint="engine: auto, docker or process")
    if isinstance(docker, EngineFacts) and image is None:
        return Choice("docker", f"a Docker Engine answers{_version(docker)}")
    return _fall_back(docker, process, image)


def _fall_back(
    docker: EngineFacts | EngineUnavailable | None,
    process: EngineFacts | EngineUnavailable | None,
    image: ImageUnavailable | None,
) -> Choice:
    if isinstance(docker, EngineFacts) and image is not None:
        reason, cause = "a Docker Engine answers, but no image could be had", str(image)
        severity: Literal["warning", "error"] = "error"
    elif isinstance(docker, EngineUnavailable):
        reason, cause, severity = "no Docker Engine answers", str(docker), "warning"
        if os.environ.get("DOCKER_HOST"):
            reason += " (DOCKER_HOST is set)"
    else:
        _require(process, "process")
        return Choice("process", "Docker was not asked")
    if isinstance(process, EngineUnavailable):
        message = f"{reason}, and the process engine cannot run either: {process.message}"
        raise EngineUnavailable(message, where=process.where, hint=_hint(docker, image) or process.hint) from process
    return Choice(
        "process", reason, is_fallback=True, warning=f"{reason}; using `process`.\n{cause}", severity=severity
    )


def _require(found: EngineFacts | EngineUnavailable | None, name: str) -> None:
    if isinstance(found, EngineUnavailable):
        raise found
    if found is None and name == "docker":
        raise EngineUnavailable("the Docker Engine was not asked", hint="engine: auto")


def _version(found: EngineFacts | EngineUnavailable | None) -> str:
    return f": Docker {found.version}" if isinstance(found, EngineFacts) else ""


def _hint(docker: object, image: ImageUnavailable | None) -> str | None:
    error = image if image is not None else docker
    return error.hint if isinstance(error, EngineError) else None
