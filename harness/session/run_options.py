"""What ``harness run`` and ``plan`` may be asked: each option once, with its flag, type, default and help."""

from __future__ import annotations

import dataclasses
import math
import shlex
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Annotated, Literal, get_type_hints

import typer
from typer.models import OptionInfo

from harness.session.schedule import Hours, parse_hours
from harness.values.defaults import DEFAULT_FORKS, DEFAULT_TRANSFERS
from harness.values.errors import ConfigurationError
from harness.values.options import (
    BaseImageOption,
    EngineOption,
    ExperimentOption,
    ForksOption,
    InventoryArgument,
    LimitOption,
    MaxTransfersOption,
    OutputOption,
    ReportsFolder,
    SkipUnreadableOption,
    SplitOption,
)
from harness.values.units import parse_duration_s

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

OnInterrupt = Literal["stop", "finish"]


def _parse_patience(text: str) -> float:
    try:
        return parse_duration_s(text)
    except ValueError as error:
        raise ConfigurationError(str(error), where="--link-patience", hint="like 90s, 10min or 2h") from None


@dataclass(frozen=True)
class SessionOptions:
    """What the command line of ``run`` and of ``plan`` says of a session. The commands are made from these fields.

    A field's annotation is how its option is written; without one of its own it is an option that other commands have.
    """

    inventory: InventoryArgument
    limit: LimitOption = None
    experiment: ExperimentOption = None
    output: OutputOption = ReportsFolder
    engine: EngineOption = None
    rounds: Annotated[int | None, typer.Option("--rounds", min=1, help="Overrides the experiment's rounds.")] = None
    seed: Annotated[int | None, typer.Option("--seed", help="Of orders and shuffles; fixed unless given.")] = None
    only: Annotated[
        list[str] | None,
        typer.Option("--only", metavar="CASES", help="loader=tfdata,cache=file or a case id; repeatable."),
    ] = None
    is_fresh: Annotated[bool, typer.Option("--fresh", help="Start a new session instead of continuing one.")] = False
    rerun_failed: Annotated[
        bool, typer.Option("--rerun-failed", help="Do again what ended as error, timeout, disk_full or invalid.")
    ] = False
    name: Annotated[str | None, typer.Option("--name", help="The session folder's name.")] = None
    allow_busy: Annotated[bool, typer.Option("--allow-busy", help="Measure even where somebody else computes.")] = False
    when_idle: Annotated[
        bool, typer.Option("--when-idle", help="Begin a case only while nobody else computes on the host.")
    ] = False
    rename: Annotated[
        list[str] | None,
        typer.Option("--rename", metavar="OLD=NEW", help="The records of host OLD become those of NEW; repeatable."),
    ] = None
    forks: ForksOption = DEFAULT_FORKS
    ship_data: Annotated[
        bool, typer.Option("--ship-data", help="Send data sets of this machine to hosts that lack them.")
    ] = False
    own_data: Annotated[
        bool, typer.Option("--own-data", help="Measure each host on its own files; never compared with others.")
    ] = False
    split: SplitOption = None
    skip_unreadable: SkipUnreadableOption = False


@dataclass(frozen=True)
class RunOptions(SessionOptions):
    """What the command line of ``run`` says; the line that repeats it is made from these fields, too."""

    base_image: BaseImageOption = None
    max_transfers: MaxTransfersOption = DEFAULT_TRANSFERS
    max_fail_percent: Annotated[
        float | None,
        typer.Option("--max-fail", metavar="PERCENT", min=0, max=100, help="Begin nothing more where more hosts fail."),
    ] = None
    between: Annotated[
        Hours | None,
        typer.Option(
            "--between",
            metavar="HH:MM-HH:MM",
            parser=parse_hours,
            help="Begin cases in these hours only: 20:00-07:00.",
        ),
    ] = None
    on_interrupt: Annotated[
        OnInterrupt,
        typer.Option("--on-interrupt", metavar="stop|finish", help="What the first Ctrl-C does to running cases."),
    ] = "stop"
    skip_stages: Annotated[
        bool, typer.Option("--no-stages", help="Do not look for what the stages of each loader cost.")
    ] = False
    link_patience_s: Annotated[
        float | None,
        typer.Option(
            "--link-patience",
            metavar="TIME",
            parser=_parse_patience,
            help="How long a host may be away, like 90s; 10min without it.",
        ),
    ] = None

    @property
    def argv(self) -> tuple[str, ...]:
        """The command that asks for the same, word by word; what has its default is left out."""
        return say_command("run", self)

    @property
    def argv_to_continue(self) -> tuple[str, ...]:
        """The command that goes on with this session: it begins no other, and does nothing once more."""
        return say_command("run", self, without=("is_fresh", "rerun_failed", "rename"))

    def say_how_to_continue(self, seconds: float | None = None) -> str:
        """Return the command line that continues this session; ``seconds`` is the time that its budget needs."""
        command = shlex.join(self.argv_to_continue)
        return command if seconds is None else f"{command}  (with `budget: {in_minutes(seconds)}` in its experiment)"


def in_minutes(seconds: float) -> str:
    """Return a duration as options and experiments write it, in whole minutes and not shorter."""
    return f"{math.ceil(seconds / 60)}min"


def say_command(name: str, options: DataclassInstance, *, without: Collection[str] = ()) -> tuple[str, ...]:
    """Return the command that asks for what these options say; what has its default, or is in ``without``, is not said.

    A field whose annotation has no flag is an argument; one that begins like a flag stands behind ``--``.
    """
    arguments, words = [], ["harness", name]
    flags = _find_flags(type(options))
    for each in dataclasses.fields(options):
        value = getattr(options, each.name)
        if value == each.default or each.name in without:
            continue
        if each.name not in flags:
            arguments.append(str(value))
            continue
        for one in value if isinstance(value, list) else [value]:
            words += [flags[each.name]] if one is True else [flags[each.name], _say(one)]
    if any(one.startswith("-") for one in arguments):
        return (*words, "--", *arguments)
    return (*words[:2], *arguments, *words[2:])


@cache
def _find_flags(options: type) -> dict[str, str]:
    """Return the flag of each field. An annotation's option has its first word where Typer else keeps a default."""
    hints = get_type_hints(options, include_extras=True)
    said = {name: info for name, hint in hints.items() for info in getattr(hint, "__metadata__", ())}
    return {name: str(info.default) for name, info in said.items() if isinstance(info, OptionInfo)}


def _say(value: object) -> str:
    return f"{value:.12g}" if isinstance(value, float) else str(value)
