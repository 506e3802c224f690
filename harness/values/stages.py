"""What a host found that the stages of a loader cost; it comes from outside, and is parsed into bounded values."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from harness.bench.protocol.specs import STAGES

AGREEMENT = 0.1
"""Where the stages sum to a whole that is this share larger or more, the rest is named; where smaller, none is told."""
OTHER = "other"
"""The name of that rest, beside those of stages."""

_Count = Annotated[int, Field(ge=0, le=2**50)]
_Seconds = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class StageCost(_Frozen):
    """What an image costs in one stage, in CPU seconds."""

    name: Literal["read", "decode", "resize", "scale", "cache", "augment", "batch"]
    cpu_s: _Seconds


class PassCosts(_Frozen):
    """What an image costs in a pass, in CPU seconds of the process: all of it, and its stages in their order.

    ``stages`` is empty where a loader cannot be stopped early.
    """

    cpu_s: _Seconds
    stages: tuple[StageCost, ...] = Field((), max_length=len(STAGES))

    @model_validator(mode="after")
    def _check_names(self) -> Self:
        if len({stage.name for stage in self.stages}) < len(self.stages):
            raise ValueError("a stage stands twice")
        return self

    @property
    def is_told_apart(self) -> bool:
        """Whether there are stages, and their sum is not more than the whole by more than noise explains."""
        return bool(self.stages) and sum(stage.cpu_s for stage in self.stages) <= (1 + AGREEMENT) * self.cpu_s

    @property
    def other_s(self) -> float | None:
        """What is in no stage; 0 where they sum to the whole within 10 %, None where they are not told apart."""
        if not self.is_told_apart:
            return None
        rest_s = self.cpu_s - sum(stage.cpu_s for stage in self.stages)
        return rest_s if rest_s > AGREEMENT * self.cpu_s else 0.0

    def parts_s(self) -> dict[str, float]:
        """Return what each stage costs by its name, with ``OTHER``; empty where they are not told apart."""
        other_s = self.other_s
        if other_s is None:
            return {}
        return {**{stage.name: stage.cpu_s for stage in self.stages}, **({OTHER: other_s} if other_s else {})}


class NodeCost(_Frozen):
    """An operation of a pipeline, as tf.data's own model tells it over a pass.

    ``elapsed_s`` has elapsed in it, in all of its threads together: no CPU time. ``parallelism`` is how many threads it
    had at last; None where it has one.
    """

    name: str = Field(min_length=1, max_length=80)
    elements: _Count
    elapsed_s: _Seconds
    bytes: _Count
    parallelism: Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)] | None = None


class StageCosts(_Frozen):
    """What an image of one loader setting costs on a host: medians of ``rounds`` passes over ``images`` images.

    ``steady`` is a later pass, ``first`` the one that fills a cache (None without one). ``nodes`` are the operations of
    a user's own ``tf.data`` pipeline, the source first; None where there is none, or tf.data does not tell.
    """

    images: Annotated[int, Field(ge=1, le=2**32)]
    rounds: Annotated[int, Field(ge=1, le=1000)]
    steady: PassCosts
    first: PassCosts | None = None
    nodes: tuple[NodeCost, ...] | None = Field(None, max_length=200)
