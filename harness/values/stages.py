"""The cost of a loader's stages on a host. It comes from a host and is parsed with bounds."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from harness.bench.protocol.specs import STAGES

AGREEMENT = 0.1
"""By which share the stages' sum may differ from the whole. A larger rest is shown; a larger sum makes them invalid."""
OTHER = "other"
"""The name of that rest."""

_Count = Annotated[int, Field(ge=0, le=2**50)]
_Seconds = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class StageCost(_Frozen):
    """The cost of an image in one stage, in CPU seconds."""

    name: Literal["read", "decode", "resize", "scale", "cache", "augment", "batch"]
    cpu_s: _Seconds


class PassCosts(_Frozen):
    """The cost of an image in a pass, in CPU seconds of the process: in total, and by stage in order.

    ``stages`` is empty if the loader cannot be stopped between stages.
    """

    cpu_s: _Seconds
    stages: tuple[StageCost, ...] = Field((), max_length=len(STAGES))

    @model_validator(mode="after")
    def _check_names(self) -> Self:
        if len({stage.name for stage in self.stages}) < len(self.stages):
            raise ValueError("a stage is listed twice")
        return self

    @property
    def is_told_apart(self) -> bool:
        """Whether there are stages whose sum does not exceed the whole by more than 10 %."""
        return bool(self.stages) and sum(stage.cpu_s for stage in self.stages) <= (1 + AGREEMENT) * self.cpu_s

    @property
    def other_s(self) -> float | None:
        """The cost outside all stages; 0 if within 10 % of the whole, None if stages are not told apart."""
        if not self.is_told_apart:
            return None
        rest_s = self.cpu_s - sum(stage.cpu_s for stage in self.stages)
        return rest_s if rest_s > AGREEMENT * self.cpu_s else 0.0

    def parts_s(self) -> dict[str, float]:
        """Return the cost of each stage by name, with ``OTHER``; empty if stages are not told apart."""
        other_s = self.other_s
        if other_s is None:
            return {}
        return {**{stage.name: stage.cpu_s for stage in self.stages}, **({OTHER: other_s} if other_s else {})}


class NodeCost(_Frozen):
    """An operation of a tf.data pipeline, as tf.data's own model describes it after a pass.

    ``elapsed_s`` is the wall time in it, summed over its threads; it is not CPU time. ``parallelism`` is its final
    number of threads; None if it has only one.
    """

    name: str = Field(min_length=1, max_length=80)
    elements: _Count
    elapsed_s: _Seconds
    bytes: _Count
    parallelism: Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)] | None = None


class StageCosts(_Frozen):
    """The cost of an image with one loader setting on a host: medians of ``rounds`` passes over ``images`` images.

    ``steady`` is a later pass, ``first`` the one that fills a cache (None without a cache). ``nodes`` are the
    operations of a user's own ``tf.data`` pipeline, source first; None if there is none, or tf.data does not report it.
    """

    images: Annotated[int, Field(ge=1, le=2**32)]
    rounds: Annotated[int, Field(ge=1, le=1000)]
    steady: PassCosts
    first: PassCosts | None = None
    nodes: tuple[NodeCost, ...] | None = Field(None, max_length=200)
