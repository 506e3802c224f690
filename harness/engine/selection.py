"""Why a host gets the engine that it gets: what was asked for, and which better ones there are not. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from harness.engine.spec import EngineSpec
from harness.values.engines import AUTO
from harness.values.errors import EngineError, EngineUnavailable, ImageUnavailable


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

    ``warning`` is there where it is not what would have been used had all been well. ``severity`` is how it is to be
    shown: ``warning``, or ``error`` (in red) where a better engine answers but no image could be had.
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
