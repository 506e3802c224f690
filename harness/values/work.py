"""What the proof of same work found of a loader, and which cases do the same work in the same way."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from harness.values.case import Case
from harness.values.digest import digest_of

WORK_PARAMETERS = (
    "loader", "cache", "element", "deliver", "cache_reuse", "cache_compression", "interpolation", "decoding", "shuffle",
    "augment", "deterministic", "workers", "shuffle_buffer",
)  # fmt: skip
"""What a loader's pixels, labels and order depend on; sizes and models are the same code at other numbers."""

_MOST_PROBLEMS = 12
_MOST_WORDS = 400
_MOST_TRACE = 20_000


def work_key(case: Case, kind: str) -> str:
    """Return twelve hex digits, equal for cases whose loaders do the same work in the same way on data of one kind."""
    setting = case.model_dump(mode="json")
    return digest_of([kind, {name: setting.get(name) for name in WORK_PARAMETERS}])[:12]


def _in_one_line(text: str) -> str:
    line = " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())
    return line if len(line) <= _MOST_WORDS else line[: _MOST_WORDS - 1] + "…"


def _shorten(text: str) -> str:
    return text[-_MOST_TRACE:]


def _first(problems: tuple[str, ...]) -> tuple[str, ...]:
    return problems[:_MOST_PROBLEMS]


_Words = Annotated[str, AfterValidator(_in_one_line)]


class WorkProof(BaseModel):
    """What was found when a loader ran over the set that proves its work.

    ``problems`` tell what is wrong, one sentence each; where it is not proven, ``reason`` says why.
    ``pixel_difference`` is the largest of a picture, in grey levels. ``trace`` is an exception in full, which goes to
    ``log``, a file of the session's folder.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    is_proven: bool
    problems: Annotated[tuple[_Words, ...], AfterValidator(_first)] = ()
    reason: _Words | None = None
    pixel_difference: float | None = Field(default=None, allow_inf_nan=False)
    is_approximate: bool = False
    interpolation: _Words | None = None
    trace: Annotated[str, AfterValidator(_shorten)] | None = None
    log: str | None = None

    @property
    def fails(self) -> bool:
        """Whether the loader does other work: then it is not measured."""
        return bool(self.problems)

    def as_fields(self) -> dict[str, object]:
        """What a record keeps of it."""
        return self.model_dump(mode="json", exclude={"trace", "log"})


def unproven(reason: str) -> WorkProof:
    """Make the proof that could not be had."""
    return WorkProof(is_proven=False, reason=reason)


def say_differs(loader: str, problems: Iterable[str]) -> str:
    """Say that a loader does other work, and which."""
    return f"{loader} does not do the same work as the others: {'; '.join(problems)}"


def hint_differs(proof: WorkProof) -> str:
    """Say what to do about a loader that does other work."""
    trace = f"; the error in full: {proof.log}" if proof.log else ""
    return f"it is not measured: mend the loader and give the same command again (a built-in one: report it){trace}"


def read_proof(value: object) -> WorkProof:
    """Read what a job says of one loader; what makes no sense proves nothing."""
    try:
        return WorkProof.model_validate(value)
    except ValueError:
        return unproven("what the proof left makes no sense")


def problems_of(environment: Mapping[str, object]) -> tuple[str, ...]:
    """Return what the proof had against the loader of a record, from its environment; nothing where it had not."""
    work = environment.get("samework")
    return tuple(map(str, work.get("problems") or ())) if isinstance(work, Mapping) else ()


def is_proven(environment: Mapping[str, object]) -> bool:
    """Whether the loader of a record was proven to do the same work, from its environment."""
    work = environment.get("samework")
    return isinstance(work, Mapping) and bool(work.get("is_proven")) and not work.get("problems")
