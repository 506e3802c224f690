"""The model of an experiment: what to vary, leave out or add, and how to measure; its digest, and a round's order."""

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
"""Fields that do not change an experiment's identity: with more rounds or time, a session continues."""

DEFAULT_SEED = 1
DEFAULT_STALL_ROUNDS = 1
DEFAULT_TIMEOUT_S = 6 * 3600.0


def read_duration(value: object) -> float:
    """Parse a duration like ``90s``, ``15min``, ``2h``, or a number of seconds, above 0. Returns seconds."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"expected a duration like 90s, 15min or 2h, not {value!r}")
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
    """An assignment without the loader of automatic cases, which cannot be asked for."""

    @field_validator("loader", mode="after")
    @classmethod
    def _refuse_automatic(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            if LOADERS[name].is_automatic:
                raise ValueError(
                    f"{name} is added automatically to every training experiment\n"
                    f"leave it out here; an exclude rule `loader: {name}` turns it off"
                )
        return value


class Rule(Assignment):
    """An assignment that names at least one parameter; without any, it would match every case."""

    @model_validator(mode="after")
    def _refuse_empty(self) -> Self:
        if not self.named():
            raise ValueError("a rule must name a parameter\nname at least one, like `loader: tfdata`")
        return self


class PipelineRule(Rule, Pipelines):
    """A rule without the loader of automatic cases."""


class Experiment(BaseModel):
    """A resolved experiment file or preset: every parameter named, sizes in bytes, durations in seconds.

    Its cases are the product of ``parameters``, without those that an ``exclude`` rule matches, and those of the
    ``include`` rules; see ``matrix.expand``. ``model_dump(mode="json")`` can be read back as an equal experiment.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Strict(), Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]*$", max_length=100)] = Field(
        description="Part of the session folder's name: letters, digits, dot, underscore, hyphen, plus."
    )
    description: Annotated[str, Strict()] = Field("", description="The question that the experiment answers.")
    notes: tuple[Annotated[str, Strict()], ...] = Field(
        (), description="What a reader of the results must know; plan and report show it."
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
        description="How often each case runs on each host; a verdict needs at least three. auto: three to twenty, "
        "until the comparisons behind the advice are settled or the budget is used up.",
    )
    stall_rounds: Annotated[int, Strict(), Field(ge=0, le=MOST_COUNT)] = Field(
        DEFAULT_STALL_ROUNDS,
        description="In this number of rounds, training cases without a cache run a second time with their files in "
        "memory, if they fit: this separates the time for preparation from the time for storage.",
    )
    seed: Annotated[int, Strict(), Field(ge=-(2**63), lt=2**63)] = Field(
        DEFAULT_SEED, description="Seed of the order of cases and of shuffling."
    )
    baseline: PipelineRule = Field(
        PipelineRule(loader=(DEFAULT_BASELINE,)),
        description="The case with which the others are compared that differ only in the pipeline (loader, cache, …).",
    )
    timeout: Duration = Field(DEFAULT_TIMEOUT_S, description="Time limit of one run, like 90s, 15min or 2h.")
    budget: Duration | None = Field(
        None,
        description="Time limit of one host, from when its image and data have been sent, on this machine from the "
        "start of the command; no case starts after it.",
    )

    @property
    def timeout_s(self) -> float:
        """The time limit of one run, in seconds."""
        return self.timeout

    @property
    def budget_s(self) -> float | None:
        """The time limit of a host, in seconds; None without one."""
        return self.budget

    def with_models(self, change: Callable[[ModelSetting], ModelSetting]) -> Experiment:
        """Return a copy with each model changed by a function."""
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
        """Fill in the defaults of parameters; ``data`` and ``loader`` have none. Raises ValueError without them."""
        for name in ("data", "loader"):
            if not getattr(value, name):
                raise ValueError(f"no {name} is named\nadd `{name}: …` below `parameters:`")
        return complete(value, {name: (default_of(name),) for name in PARAMETERS})


def round_order(cases: Sequence[Case], *, seed: int, host: str, round_number: int) -> tuple[Case, ...]:
    """Return all cases in a pseudo-random order that depends only on these arguments.

    They are sorted by SHA-256 over seed, host, round and case: adding a case does not change the order of the others.
    """

    def key(case: Case) -> bytes:
        return hashlib.sha256(f"{seed}\n{host}\n{round_number}\n{case.case_id}".encode()).digest()

    return tuple(sorted(cases, key=key))


def experiment_digest(experiment: Experiment) -> str:
    """Return eight hex digits over the resolved experiment, without the fields in ``NOT_IN_DIGEST``."""
    resolved = experiment.model_dump(mode="json")
    return digest_of({name: value for name, value in resolved.items() if name not in NOT_IN_DIGEST})[:8]
