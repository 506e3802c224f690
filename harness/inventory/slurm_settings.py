"""The settings of a Slurm cluster under `slurm:`, checked so that no value is an option or has a meaning in a shell."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StrictBool, model_validator

from harness.values.units import parse_duration_s

SLURM = "slurm"
"""The key of these settings, and the name of the engine that uses them."""

_WORD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+@-]{0,63}\Z")
_NODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,63}\Z")
_FEATURES = re.compile(r"[A-Za-z0-9_(\[][A-Za-z0-9_.:*&|,()\[\]-]{0,127}\Z")
_GRES = re.compile(r"[A-Za-z0-9_]+(:[A-Za-z0-9_.-]+){0,2}(,[A-Za-z0-9_]+(:[A-Za-z0-9_.-]+){0,2}){0,7}\Z")
_TIME = re.compile(r"(?:(?P<days>[0-9]{1,4})-)?(?P<rest>[0-9]{1,5}(?::[0-9]{1,2}){0,2})\Z")
_CONTAINER = re.compile(r"[A-Za-z0-9/_.][A-Za-z0-9/_.:@+#-]{0,255}\Z")
_OF_LABEL = re.compile(r"[^A-Za-z0-9_.-]+")

MOST_NODES = 1000
_MOST_MINUTES = 366 * 24 * 60


def _check(pattern: re.Pattern[str], what: str) -> AfterValidator:
    def check(text: str) -> str:
        if not pattern.match(text):
            raise ValueError(f"{text!r} cannot be {what}\nwrite it as `sinfo` and `scontrol show` print it")
        return text

    return AfterValidator(check)


def _parse_minutes(value: object) -> object:
    """Parse a time in Slurm's format (minutes, M:S, H:M:S, D-H, D-H:M or D-H:M:S) into minutes, rounded up."""
    if not isinstance(value, str):
        return value
    match, cure = _TIME.match(value), "write it as Slurm does: minutes, H:M:S or D-H:M:S, in quotation marks"
    if match is None:
        raise ValueError(f"{value!r} is not a time limit of Slurm\n{cure}")
    parts = [int(part) for part in match["rest"].split(":")]
    if match["days"] is not None:
        hours, minutes, seconds = [*parts, 0, 0][:3]
        hours += 24 * int(match["days"])
    elif len(parts) == 3:
        hours, minutes, seconds = parts
    else:
        hours, (minutes, seconds) = 0, [*parts, 0][:2]
    return hours * 60 + minutes + (seconds > 0)


def _parse_seconds(value: object) -> object:
    return parse_duration_s(value) if isinstance(value, str | int | float) else value


def _one_or_many(value: object) -> object:
    return (value,) if isinstance(value, str) else value


def _check_unique(names: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(names)) != len(names):
        raise ValueError("a value is listed twice\nkeep one")
    return names


Word = Annotated[str, _check(_WORD, "a name in Slurm")]
Node = Annotated[str, _check(_NODE, "the name of a node")]
Features = Annotated[str, _check(_FEATURES, "a constraint")]
Minutes = Annotated[int, BeforeValidator(_parse_minutes), Field(ge=1, le=_MOST_MINUTES)]
Seconds = Annotated[float, BeforeValidator(_parse_seconds), Field(ge=1, le=_MOST_MINUTES * 60)]


class Slurm(BaseModel):
    """A cluster behind a login node; each named node or constraint is a host of the report."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    nodes: Annotated[tuple[Node, ...], Field(max_length=MOST_NODES), AfterValidator(_check_unique)] = ()
    """Nodes to measure, by their names in `sinfo -N`; each is a host, such as `login/n1`."""
    constraint: Annotated[
        tuple[Features, ...], BeforeValidator(_one_or_many), Field(max_length=MOST_NODES), AfterValidator(_check_unique)
    ] = ()
    """Features of nodes (`sbatch --constraint`), one or a list; each is a host, the first node that Slurm assigns."""
    partition: Word | None = None
    """The partition of jobs; default: Slurm's default partition."""
    account: Word | None = None
    """The account that jobs are charged to."""
    qos: Word | None = None
    """The quality of service of jobs."""
    gres: Annotated[str, _check(_GRES, "a resource")] | None = None
    """Resources of jobs that use GPUs, and of the job that reads the node's facts, such as `gpu:1` or `gpu:a100:2`."""
    time: Minutes | None = None
    """The time limit of each job in Slurm's format; default: the experiment's timeout plus five minutes."""
    queue: Seconds = 3600.0
    """How long a job may wait in the queue before it is cancelled, such as 30min or 12h."""
    exclusive: StrictBool = True
    """Whether a job is alone on its node."""
    container: Literal["none", "apptainer", "podman", "pyxis"] = "none"
    """The container program for jobs; `none` means the node's own Python. Tests of this project run only `none`."""
    container_image: Annotated[str, _check(_CONTAINER, "an image")] | None = None
    """The image for `container`, with Python and TensorFlow: a file on the shared disk, or a reference."""

    @model_validator(mode="after")
    def _check_whole(self) -> Slurm:
        if not self.nodes and not self.constraint:
            raise ValueError("no node is named\nwrite `nodes: [n1, n2]` or `constraint: …`, as listed by `sinfo -N -l`")
        labels = [one.place for one in self.places()]
        if len(set(labels)) != len(labels) or "" in labels:
            raise ValueError(
                "two of the hosts would have the same name\nuse nodes, or constraints that differ in letters or digits"
            )
        if (self.container == "none") != (self.container_image is None):
            raise ValueError("`container` and `container_image` go together\ngive both, or neither")
        return self

    @property
    def place(self) -> str:
        """Return the first node or constraint in the form that is a part of a host's name."""
        return _OF_LABEL.sub("-", (*self.nodes, *self.constraint)[0]).strip("-.")

    def places(self) -> Iterator[Slurm]:
        """Yield a copy of these settings for each node and each constraint."""
        for node in self.nodes:
            yield self.model_copy(update={"nodes": (node,), "constraint": ()})
        for features in self.constraint:
            yield self.model_copy(update={"nodes": (), "constraint": (features,)})
