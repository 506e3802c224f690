"""The result of the same-work check of a loader, and which cases share it."""

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
"""Parameters on which a loader's pixels, labels and order depend; other sizes and models run the same code."""

_MOST_PROBLEMS = 12
_MOST_WORDS = 400
_MOST_TRACE = 20_000


def work_key(case: Case, kind: str) -> str:
    """Return twelve hex digits that are equal for cases that share a result of the same-work check."""
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
    """The result of the same-work check of one loader.

    ``problems`` are sentences on what differs; if there is no result, ``reason`` is why. ``pixel_difference`` is the
    largest mean difference of an image, in grey levels. ``trace`` is the traceback of an error, which is stored in
    ``log``, a file in the session's folder.
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
        """Whether the loader does not do the same work; such a loader is not measured."""
        return bool(self.problems)

    def as_fields(self) -> dict[str, object]:
        """Return the fields that a record stores."""
        return self.model_dump(mode="json", exclude={"trace", "log"})


def unproven(reason: str) -> WorkProof:
    """Return a result of the same-work check that could not be obtained."""
    return WorkProof(is_proven=False, reason=reason)


def say_differs(loader: str, problems: Iterable[str]) -> str:
    """Return a sentence that a loader does not do the same work, and what differs."""
    return f"{loader} does not do the same work as the others: {'; '.join(problems)}"


def hint_differs(proof: WorkProof) -> str:
    """Return what to do about a loader that does not do the same work."""
    trace = f"; full error: {proof.log}" if proof.log else ""
    return f"it is not measured: fix the loader and give the same command again (report a built-in one){trace}"


def read_proof(value: object) -> WorkProof:
    """Parse a job's result for one loader; a result that is not valid counts as none."""
    try:
        return WorkProof.model_validate(value)
    except ValueError:
        return unproven("its result is not valid")


def problems_of(environment: Mapping[str, object]) -> tuple[str, ...]:
    """Return the problems that the same-work check found with the loader of a record, from its environment."""
    work = environment.get("samework")
    return tuple(map(str, work.get("problems") or ())) if isinstance(work, Mapping) else ()


def is_proven(environment: Mapping[str, object]) -> bool:
    """Whether the loader of a record passed the same-work check, from its environment."""
    work = environment.get("samework")
    return isinstance(work, Mapping) and bool(work.get("is_proven")) and not work.get("problems")
