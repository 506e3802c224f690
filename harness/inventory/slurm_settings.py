"""What an inventory says of a cluster under `slurm:`. Each value is checked to be no option and nothing for a shell."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StrictBool, model_validator

from harness.values.units import parse_duration_s

SLURM = "slurm"
"""The key, and the name of the engine that it belongs to."""

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
    """Read a time as Slurm writes it: minutes, M:S, H:M:S, D-H, D-H:M or D-H:M:S; minutes, rounded up."""
    if not isinstance(value, str):
        return value
    match, cure = _TIME.match(value), "write it as Slurm does: minutes, H:M:S or D-H:M:S, in quotation marks"
    if match is None:
        raise ValueError(f"{value!r} is no time limit of Slurm\n{cure}")
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
        raise ValueError("the same one stands here twice\nkeep one")
    return names


Word = Annotated[str, _check(_WORD, "a name in Slurm")]
Node = Annotated[str, _check(_NODE, "the name of a node")]
Features = Annotated[str, _check(_FEATURES, "a constraint")]
Minutes = Annotated[int, BeforeValidator(_parse_minutes), Field(ge=1, le=_MOST_MINUTES)]
Seconds = Annotated[float, BeforeValidator(_parse_seconds), Field(ge=1, le=_MOST_MINUTES * 60)]


class Slurm(BaseModel):
    """A cluster behind a login node: each node or constraint that is named is a host of the report."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    nodes: Annotated[tuple[Node, ...], Field(max_length=MOST_NODES), AfterValidator(_check_unique)] = ()
    """Nodes to measure, by the names that `sinfo -N` prints; each is a host, like `login/n1`."""
    constraint: Annotated[
        tuple[Features, ...], BeforeValidator(_one_or_many), Field(max_length=MOST_NODES), AfterValidator(_check_unique)
    ] = ()
    """Features of nodes (`sbatch --constraint`), one or a list; each is a host, on the node that Slurm gives first."""
    partition: Word | None = None
    """The partition of jobs; default: Slurm's own."""
    account: Word | None = None
    """The account that jobs are charged to."""
    qos: Word | None = None
    """The quality of service of jobs."""
    gres: Annotated[str, _check(_GRES, "a resource")] | None = None
    """Resources of jobs that use GPUs, and of the job that looks at the node, like `gpu:1` or `gpu:a100:2`."""
    time: Minutes | None = None
    """The time limit of each job, as Slurm writes it; default: the experiment's timeout and five minutes."""
    queue: Seconds = 3600.0
    """How long a job may wait in the queue before it is taken back, like 30min or 12h."""
    exclusive: StrictBool = True
    """Whether a job has its node for itself."""
    container: Literal["none", "apptainer", "podman", "pyxis"] = "none"
    """What jobs run in: `none` for the node's own Python; the others were never run by this project's tests."""
    container_image: Annotated[str, _check(_CONTAINER, "an image")] | None = None
    """The image for `container`, with Python and TensorFlow: a file on the shared disk, or a reference."""

    @model_validator(mode="after")
    def _check_whole(self) -> Slurm:
        if not self.nodes and not self.constraint:
            raise ValueError(
                "no node is named\nwrite `nodes: [n1, n2]` or `constraint: …`, as `sinfo -N -l` shows them"
            )
        labels = [one.place for one in self.places()]
        if len(set(labels)) != len(labels) or "" in labels:
            raise ValueError("two of the hosts would have one name\nname nodes, or constraints that differ in letters")
        if (self.container == "none") != (self.container_image is None):
            raise ValueError("`container` and `container_image` go together\ngive both, or neither")
        return self

    @property
    def place(self) -> str:
        """The node or constraint (the first of several) as a part of a host's name."""
        return _OF_LABEL.sub("-", (*self.nodes, *self.constraint)[0]).strip("-.")

    def places(self) -> Iterator[Slurm]:
        """Yield the same with one node or one constraint each."""
        for node in self.nodes:
            yield self.model_copy(update={"nodes": (node,), "constraint": ()})
        for features in self.constraint:
            yield self.model_copy(update={"nodes": (), "constraint": (features,)})
