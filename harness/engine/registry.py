"""The engines that there are, found by their files, those of one host, and why a host gets the one that it gets."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, cast

from harness.bench.protocol.plugins import load_constant
from harness.engine.interface import Engine
from harness.engine.spec import EngineSpec, Means
from harness.values.engine_names import AUTO, KINDS, engine_names
from harness.values.errors import EngineError, EngineUnavailable, ImageUnavailable

if TYPE_CHECKING:
    from docker.api.client import APIClient

    from harness.engine.interface import ImageEngine


def load_engine(name: str) -> EngineSpec:
    """Return what the file of an engine says of it."""
    spec = load_constant(f"{KINDS}.{name}", "SPEC", EngineSpec)
    if spec.name != name:
        raise TypeError(f"{KINDS}.{name} must hold an EngineSpec named {name!r}")
    return spec


def load_engines(requested: str = AUTO) -> tuple[EngineSpec, ...]:
    """Return the engines that may be used where ``requested`` is asked for, in the order in which they are tried."""
    names = engine_names() if requested == AUTO else (requested,)
    return tuple(sorted(map(load_engine, names), key=lambda spec: (spec.rank, spec.name)))


def open_own_client(timeout_s: float | None = None) -> APIClient:
    """A client of this machine's first engine with images that answers. Raises EngineUnavailable with the cure.

    ``timeout_s`` is the longest wait for an answer, by default as long as a call may take.
    """
    from harness.hosts.local import LocalConnection

    means = Means(LocalConnection("this machine"), "", os.getuid(), os.getgid(), is_local=True)
    refused: list[EngineUnavailable] = []
    for spec in load_engines():
        if spec.uses_images:
            engine = cast("ImageEngine", spec.make(means))
            try:
                engine.probe("")
            except EngineUnavailable as error:
                refused.append(error)
                continue
            client = engine.client
            if timeout_s is not None:
                client.timeout = timeout_s  # type: ignore[assignment]  # may be a float
            return client
    raise refused[0]


class HostEngines:
    """The engines of one host, each made when it is first asked for. One thread uses them."""

    def __init__(self, means: Means) -> None:
        self.means = means
        self._made: dict[str, Engine] = {}

    def get(self, spec: EngineSpec) -> Engine:
        """Return the host's engine of this kind, which may not have been asked anything yet."""
        if spec.name not in self._made:
            self._made[spec.name] = spec.make(self.means)
        return self._made[spec.name]

    def may_have_jobs(self, spec: EngineSpec) -> bool:
        """Whether earlier sessions may have left jobs of this kind. Raises EngineUnavailable where it cannot tell."""
        return spec.may_have_jobs(self.get(spec), self.means)


@dataclass(frozen=True)
class Refusal:
    """An engine that was tried before and cannot be used: it does not answer, or no image can be had for it."""

    spec: EngineSpec
    error: EngineUnavailable | ImageUnavailable

    @property
    def reason(self) -> str:
        """Why not, in one sentence; the error has the cause and its cure."""
        if isinstance(self.error, ImageUnavailable):
            return f"a {self.spec.words.title} answers, but no image could be had"
        return f"no {self.spec.words.title} answers{self.spec.remark()}"


@dataclass(frozen=True)
class Choice:
    """Why this engine, in one sentence, and what a user must be told.

    ``warning`` is there where it is not what would have been used had all been well, unless figures that are measured
    with it are worth as much (it has no ``caution``) and no image is lacking. ``severity`` is how it is to be shown:
    ``warning``, or ``error`` (in red) where a better engine answers but no image could be had.
    """

    reason: str
    warning: str | None = None
    severity: Literal["warning", "error"] = "warning"


def explain_choice(requested: str, spec: EngineSpec, refused: Sequence[Refusal]) -> Choice:
    """Say why ``spec`` is used where ``requested`` was asked for and others were refused before it."""
    if requested != AUTO:
        return Choice(f"asked for by `engine: {spec.name}`")
    if not refused:
        return Choice(f"a {spec.words.title} answers")
    reason = ", ".join(refusal.reason for refusal in refused)
    if not spec.words.caution and all(isinstance(refusal.error, EngineUnavailable) for refusal in refused):
        return Choice(f"{reason}, a {spec.words.title} does")
    causes = "\n".join(str(refusal.error) for refusal in refused)
    is_red = any(isinstance(refusal.error, ImageUnavailable) for refusal in refused)
    return Choice(reason, f"{reason}; using `{spec.name}`.\n{causes}", "error" if is_red else "warning")


def explain_none(refused: Sequence[Refusal]) -> EngineError:
    """Return the error of a host for which no engine is left."""
    *before, last = refused
    if not before:
        return last.error
    reasons = ", ".join(refusal.reason for refusal in before)
    message = f"{reasons}, and the {last.spec.name} engine cannot run either: {last.error.message}"
    return EngineUnavailable(message, where=last.error.where, hint=before[0].error.hint or last.error.hint)
