"""Find the engines by their files, make those of one host, and explain which one a host uses."""

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
    """Return the ``SPEC`` of an engine's module. Raises TypeError where it has none of that name."""
    spec = load_constant(f"{KINDS}.{name}", "SPEC", EngineSpec)
    if spec.name != name:
        raise TypeError(f"{KINDS}.{name} must hold an EngineSpec named {name!r}")
    return spec


def load_engines(requested: str = AUTO) -> tuple[EngineSpec, ...]:
    """Return the engines that may be used for the inventory's ``engine: requested``, in the order of trying."""
    names = engine_names() if requested == AUTO else (requested,)
    return tuple(sorted(map(load_engine, names), key=lambda spec: (spec.rank, spec.name)))


def open_own_client(timeout_s: float | None = None) -> APIClient:
    """Return a client of the first engine with images that answers on this machine. Raises EngineUnavailable.

    ``timeout_s`` is the longest wait for an answer (default: the deadline of a call).
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
    """The engines of one host, each made on first use. For one thread."""

    def __init__(self, means: Means) -> None:
        self.means = means
        self._made: dict[str, Engine] = {}

    def get(self, spec: EngineSpec) -> Engine:
        """Return the host's engine of this kind, without querying it."""
        if spec.name not in self._made:
            self._made[spec.name] = spec.make(self.means)
        return self._made[spec.name]

    def may_have_jobs(self, spec: EngineSpec) -> bool:
        """Return whether earlier sessions may have left jobs of this kind. Raises EngineUnavailable if unknown."""
        return spec.may_have_jobs(self.get(spec), self.means)


@dataclass(frozen=True)
class Refusal:
    """An engine that was tried first and cannot be used: it does not answer, or its image is not available."""

    spec: EngineSpec
    error: EngineUnavailable | ImageUnavailable

    @property
    def reason(self) -> str:
        """Return the reason in one sentence; the error has the cause and its cure."""
        if isinstance(self.error, ImageUnavailable):
            return f"a {self.spec.words.title} answers, but no image could be had"
        return f"no {self.spec.words.title} answers{self.spec.remark()}"


@dataclass(frozen=True)
class Choice:
    """The reason for a host's engine in one sentence, and a warning for the user where one is needed.

    There is a ``warning`` where a preferred engine was refused, unless this engine's figures are equally reliable (it
    has no ``caution``) and no image is missing. ``severity`` is ``error`` (shown in red) where a preferred engine
    answers but its image is not available, else ``warning``.
    """

    reason: str
    warning: str | None = None
    severity: Literal["warning", "error"] = "warning"


def explain_choice(requested: str, spec: EngineSpec, refused: Sequence[Refusal]) -> Choice:
    """Return why ``spec`` is used for ``engine: requested``, after the refusal of the engines in ``refused``."""
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
    """Return the error for a host on which every engine was refused."""
    *before, last = refused
    if not before:
        return last.error
    reasons = ", ".join(refusal.reason for refusal in before)
    message = f"{reasons}, and the {last.spec.name} engine cannot run either: {last.error.message}"
    return EngineUnavailable(message, where=last.error.where, hint=before[0].error.hint or last.error.hint)
