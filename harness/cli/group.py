"""Building blocks of commands: groups, options and the console. ``--help`` imports nothing that it does not need."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar, cast, get_type_hints

import typer
from typer.core import TyperCommand, TyperGroup, TyperOption

if TYPE_CHECKING:
    from harness.console import Console

_Function = TypeVar("_Function", bound=Callable[..., object])
_Options = TypeVar("_Options")
_Own = ParamSpec("_Own")
_Item = TypeVar("_Item")


def with_options(
    options: type[_Options],
) -> Callable[[Callable[Concatenate[typer.Context, _Options, _Own], None]], Callable[..., None]]:
    """Return a decorator that adds the options declared by a dataclass's fields to a command, before its own options.

    The command receives its context, an instance of the dataclass, and the values of its own options.
    """

    def give(command: Callable[Concatenate[typer.Context, _Options, _Own], None]) -> Callable[..., None]:
        context, _, *own = _parameters_of(command)
        given = _parameters_of(options)

        @wraps(command)
        def call(context: typer.Context, **values: object) -> None:
            asked = options(**{each.name: values.pop(each.name) for each in given})
            command(context, asked, **values)  # type: ignore[call-arg, arg-type]

        call.__signature__ = inspect.Signature([context, *given, *own])  # type: ignore[attr-defined]
        return call

    return give


def _parameters_of(function: Callable[..., object]) -> list[inspect.Parameter]:
    """Return a function's parameters as keyword-only parameters, with their annotations resolved."""
    hints = get_type_hints(function, include_extras=True)
    return [
        each.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=hints[each.name])
        for each in inspect.signature(function).parameters.values()
    ]


def _with_plain_flags(get_params: Callable[_Own, list[_Item]]) -> Callable[_Own, list[_Item]]:
    """Return a ``get_params`` whose flags show no type in the help and default to ``False``.

    Typer (0.29) would show ``<bool>`` beside each flag. It also passes every value that does not have its option's type
    through pydantic, and the flags that it adds itself (``--help``, ``--install-completion``, ``--show-completion``)
    default to ``None``: ``harness run --help`` would load pydantic (0.1 s of CPU) only to find them not given.
    """

    @wraps(get_params)
    def get(*args: _Own.args, **kwargs: _Own.kwargs) -> list[_Item]:
        params = get_params(*args, **kwargs)
        for param in params:
            if isinstance(param, TyperOption) and param.is_flag:
                param.metavar = "" if param.metavar is None else param.metavar
                param.default = False if param.default is None else param.default
        return params

    return get


class Command(TyperCommand):
    """A Typer command whose flags show no type."""

    get_params = _with_plain_flags(TyperCommand.get_params)


class CommandGroup(TyperGroup):
    """A Typer group whose flags show no type."""

    get_params = _with_plain_flags(TyperGroup.get_params)


class Program(typer.Typer):
    """A Typer application whose commands are instances of ``Command``."""

    def command(self, name: str | None = None, **options: Any) -> Callable[[_Function], _Function]:
        """Return a decorator that registers a function as a command."""
        return super().command(name, **{"cls": Command, **options})


@dataclass(frozen=True)
class Commands:
    """The commands of one file: ``rank`` is their place in ``harness --help``, ``register`` adds them to a program."""

    rank: int
    register: Callable[[typer.Typer], None]


def console_of(context: typer.Context) -> Console:
    """Return the console of this command, created from the shared options when it is first asked for."""
    from harness.console import Console

    wanted = cast("dict[str, object]", context.obj or {})
    if "console" not in wanted:
        wanted["console"] = Console(quiet=bool(wanted.get("quiet")), verbose=bool(wanted.get("verbose")))
    return cast("Console", wanted["console"])
