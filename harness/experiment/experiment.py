"""An experiment: what to vary, what to leave out or add, how a session goes about it; its digest, a round's order."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Annotated, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PlainValidator,
    Strict,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from harness.bench.protocol.loader_registry import LOADERS
from harness.experiment.parameters import PARAMETERS, Assignment, complete, default_of
from harness.experiment.words import MOST_COUNT, count_or
from harness.values.case import Case, ModelSetting
from harness.values.comparability import DEFAULT_BASELINE
from harness.values.digest import digest_of
from harness.values.units import parse_duration_s

NOT_IN_DIGEST = frozenset({"rounds", "stall_rounds", "budget", "timeout", "notes"})
"""More rounds or more time continue a session; notes are remarks on how a file was read."""

DEFAULT_SEED = 1
DEFAULT_STALL_ROUNDS = 1
DEFAULT_TIMEOUT_S = 6 * 3600.0


def read_duration(value: object) -> float:
    """Seconds of ``90s``, ``15min``, ``2h`` or a plain number of seconds; above 0."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"a duration is wanted, like 90s, 15min or 2h, not {value!r}")
    seconds = parse_duration_s(value)
    if not 0 < seconds < float("inf"):
        raise ValueError("a duration is a finite time above 0")
    return seconds


Duration = Annotated[
    float,
    PlainValidator(read_duration),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "exclusiveMinimum": 0},
                {"type": "string", "pattern": r"^\s*[0-9]+(\.[0-9]+)?\s*([sShHdDmM]|[mM][iI][nN])?\s*$"},
            ]
        }
    ),
]


Rounds = Annotated[
    int | Literal["auto"],
    PlainValidator(count_or(("auto",), "auto", least=1, what="rounds")),
    WithJsonSchema({"anyOf": [{"const": "auto"}, {"type": "integer", "minimum": 1}]}),
]


class Pipelines(Assignment):
    """An assignment whose loaders are pipelines to choose from: automatic cases are never asked for."""

    @field_validator("loader", mode="after")
    @classmethod
    def _refuse_automatic(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            if LOADERS[name].is_automatic:
                raise ValueError(
                    f"{name} is added to every training experiment by itself\n"
                    f"leave it out here; an exclude rule `loader: {name}` turns it off"
                )
        return value


class Rule(Assignment):
    """An assignment that names something: a rule that names nothing would match every case."""

    @model_validator(mode="after")
    def _refuse_empty(self) -> Self:
        if not self.named():
            raise ValueError("a rule that names no parameter\nname at least one, like `loader: tfdata`")
        return self


class PipelineRule(Rule, Pipelines):
    """A rule that names pipelines, not automatic cases."""


class Experiment(BaseModel):
    """What a file or a preset says, resolved: every parameter named, sizes in bytes, durations in seconds.

    The cases are (the product of ``parameters`` without those that an ``exclude`` rule matches) and
    those of the ``include`` rules; see ``matrix.expand``. ``model_dump(mode="json")`` reads back as an equal one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Strict(), Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]*$", max_length=100)] = Field(
        description="Part of the session folder's name: letters, digits, dot, underscore, hyphen, plus."
    )
    description: Annotated[str, Strict()] = Field("", description="What it answers.")
    notes: tuple[Annotated[str, Strict()], ...] = Field(
        (), description="What a reader of its numbers must know; plan and report repeat it."
    )
    parameters: Pipelines = Field(description="The matrix is the product of all lists here.")
    exclude: tuple[Rule, ...] = Field(
        (),
        description="Cases that match a rule are left out; a rule names some parameters, each with one value or more.",
    )
    include: tuple[PipelineRule, ...] = Field(
        (),
        description="Cases to add: the product of a rule's own values, every other parameter at the first of its "
        "values in `parameters`. `exclude` does not touch them.",
    )
    rounds: Rounds = Field(
        "auto",
        description="How often each case runs on each host; a verdict needs three or more. auto: at least three, and "
        "then until what the advice rests on is settled, at most twenty, or until the budget ends.",
    )
    stall_rounds: Annotated[int, Strict(), Field(ge=0, le=MOST_COUNT)] = Field(
        DEFAULT_STALL_ROUNDS,
        description="In so many rounds, training cases without a cache run once more with their files in memory, where "
        "there is room: so preparation and storage are told apart.",
    )
    seed: Annotated[int, Strict(), Field(ge=-(2**63), lt=2**63)] = Field(
        DEFAULT_SEED, description="Of the order of cases and of shuffling."
    )
    baseline: PipelineRule = Field(
        PipelineRule(loader=(DEFAULT_BASELINE,)),
        description="Which case the others are compared with, where all but loader, cache and element is equal.",
    )
    timeout: Duration = Field(DEFAULT_TIMEOUT_S, description="Of one invocation, like 90s, 15min or 2h.")
    budget: Duration | None = Field(
        None,
        description="Of one host, from when its image and data have been sent, on this machine from the beginning; no "
        "case starts after it.",
    )

    @property
    def timeout_s(self) -> float:
        """Seconds that one invocation may take."""
        return self.timeout

    @property
    def budget_s(self) -> float | None:
        """Seconds that a session may take, or None."""
        return self.budget

    def with_models(self, change: Callable[[ModelSetting], ModelSetting]) -> Experiment:
        """Return the same with each model that it names changed."""
        return self.model_copy(
            update={
                "parameters": self.parameters.with_models(change),
                "baseline": self.baseline.with_models(change),
                "exclude": tuple(rule.with_models(change) for rule in self.exclude),
                "include": tuple(rule.with_models(change) for rule in self.include),
            }
        )

    @field_validator("parameters", mode="after")
    @classmethod
    def _complete_parameters(cls, value: Pipelines) -> Pipelines:
        """Name every parameter; ``data`` and ``loader`` have no default."""
        for name in ("data", "loader"):
            if not getattr(value, name):
                raise ValueError(f"no {name} is named\nadd `{name}: …` below `parameters:`")
        return complete(value, {name: (default_of(name),) for name in PARAMETERS})


def round_order(cases: Sequence[Case], *, seed: int, host: str, round_number: int) -> tuple[Case, ...]:
    """All cases once, in a random order that depends on nothing but these arguments.

    Sorted by SHA-256 over seed, host, round and case: so one case more or less leaves the order of the others as it is.
    """

    def key(case: Case) -> bytes:
        return hashlib.sha256(f"{seed}\n{host}\n{round_number}\n{case.case_id}".encode()).digest()

    return tuple(sorted(cases, key=key))


def experiment_digest(experiment: Experiment) -> str:
    """Eight hex digits over the resolved experiment without what only continues it (``NOT_IN_DIGEST``)."""
    resolved = experiment.model_dump(mode="json")
    return digest_of({name: value for name, value in resolved.items() if name not in NOT_IN_DIGEST})[:8]
