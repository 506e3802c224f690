"""The options of ``harness run`` and ``plan``: each once, with its flag, type, default and help."""

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
    """The options of ``run`` and ``plan``. Their command lines are generated from these fields.

    A field's annotation declares its option; annotations that several commands share are in ``values.options``.
    """

    inventory: InventoryArgument
    limit: LimitOption = None
    experiment: ExperimentOption = None
    output: OutputOption = ReportsFolder
    engine: EngineOption = None
    rounds: Annotated[
        int | None, typer.Option("--rounds", min=1, help="Number of rounds; overrides the experiment's.")
    ] = None
    seed: Annotated[int | None, typer.Option("--seed", help="Seed of orders and shuffles; fixed by default.")] = None
    only: Annotated[
        list[str] | None,
        typer.Option("--only", metavar="CASES", help="Only loader=tfdata,cache=file or a case id; repeatable."),
    ] = None
    is_fresh: Annotated[bool, typer.Option("--fresh", help="Start a new session instead of continuing one.")] = False
    rerun_failed: Annotated[
        bool, typer.Option("--rerun-failed", help="Repeat runs that ended as error, timeout, disk_full or invalid.")
    ] = False
    name: Annotated[str | None, typer.Option("--name", help="Name of the session folder.")] = None
    allow_busy: Annotated[bool, typer.Option("--allow-busy", help="Measure even on hosts that are busy.")] = False
    when_idle: Annotated[bool, typer.Option("--when-idle", help="Start a case only while the host is idle.")] = False
    rename: Annotated[
        list[str] | None,
        typer.Option("--rename", metavar="OLD=NEW", help="The records of host OLD become those of NEW; repeatable."),
    ] = None
    forks: ForksOption = DEFAULT_FORKS
    ship_data: Annotated[
        bool, typer.Option("--ship-data", help="Send data sets of this machine to hosts that lack them.")
    ] = False
    own_data: Annotated[
        bool, typer.Option("--own-data", help="Measure each host on its own files, also if they differ.")
    ] = False
    split: SplitOption = None
    skip_unreadable: SkipUnreadableOption = False


@dataclass(frozen=True)
class RunOptions(SessionOptions):
    """The options of ``run``. The command that continues a session is generated from these fields, too."""

    base_image: BaseImageOption = None
    max_transfers: MaxTransfersOption = DEFAULT_TRANSFERS
    max_fail_percent: Annotated[
        float | None,
        typer.Option("--max-fail", metavar="PERCENT", min=0, max=100, help="Start no further case if more hosts fail."),
    ] = None
    between: Annotated[
        Hours | None,
        typer.Option(
            "--between",
            metavar="HH:MM-HH:MM",
            parser=parse_hours,
            help="Start cases only in these hours, like 20:00-07:00.",
        ),
    ] = None
    on_interrupt: Annotated[
        OnInterrupt,
        typer.Option("--on-interrupt", metavar="stop|finish", help="What the first Ctrl-C does to running cases."),
    ] = "stop"
    skip_stages: Annotated[bool, typer.Option("--no-stages", help="Do not measure the stages of each loader.")] = False
    link_patience_s: Annotated[
        float | None,
        typer.Option(
            "--link-patience",
            metavar="TIME",
            parser=_parse_patience,
            help="How long to wait for a host that does not answer, like 90s; default 10min.",
        ),
    ] = None

    @property
    def argv(self) -> tuple[str, ...]:
        """The command line with these options, as words; defaults are left out."""
        return say_command("run", self)

    @property
    def argv_to_continue(self) -> tuple[str, ...]:
        """The command line that continues this session: without options that begin another or repeat runs."""
        return say_command("run", self, without=("is_fresh", "rerun_failed", "rename"))

    def say_how_to_continue(self, seconds: float | None = None) -> str:
        """Return the command line that continues this session; ``seconds`` is the time that its budget needs."""
        command = shlex.join(self.argv_to_continue)
        return command if seconds is None else f"{command}  (with `budget: {in_minutes(seconds)}` in its experiment)"


def in_minutes(seconds: float) -> str:
    """Return a duration as options and experiments write it, in whole minutes and not shorter."""
    return f"{math.ceil(seconds / 60)}min"


def say_command(name: str, options: DataclassInstance, *, without: Collection[str] = ()) -> tuple[str, ...]:
    """Return the command line for options, as words, without defaults and the fields in ``without``.

    A field whose annotation has no flag is an argument; one that looks like a flag is put after ``--``.
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
    """Return the flag of each field. In an annotation, Typer stores an option's flag as its default."""
    hints = get_type_hints(options, include_extras=True)
    said = {name: info for name, hint in hints.items() for info in getattr(hint, "__metadata__", ())}
    return {name: str(info.default) for name, info in said.items() if isinstance(info, OptionInfo)}


def _say(value: object) -> str:
    return f"{value:.12g}" if isinstance(value, float) else str(value)
