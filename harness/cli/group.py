"""What commands are made of: groups, options and the console; ``--help`` loads nothing that only a command needs."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, cast, get_type_hints

import typer
from typer.core import TyperCommand, TyperGroup

if TYPE_CHECKING:
    from harness.console import Console

_Function = TypeVar("_Function", bound=Callable[..., Any])


def with_options(options: type) -> Callable[[_Function], _Function]:
    """A decorator that gives a command, beside its context, the options that the fields of a dataclass declare."""

    def give(command: _Function) -> _Function:
        given = {"context": typer.Context, **get_type_hints(options, include_extras=True)}
        defaults = {name: parameter.default for name, parameter in inspect.signature(options).parameters.items()}
        command.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [
                inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=hint, default=defaults.get(name))
                for name, hint in given.items()
            ]
        )
        return command

    return give


class Command(TyperCommand):
    """A command whose help names no type beside a flag: there is none to give."""

    def get_params(self, ctx: Any) -> list[Any]:
        """The command's options and arguments."""
        return _without_types(super().get_params(ctx))


class CommandGroup(TyperGroup):
    """A group whose own flags are ``False``, never ``None``, where they are not given.

    Typer (0.29) sends every value that is not yet of its option's type through pydantic, and the flags that it adds to
    a group by itself (``--help``, ``--install-completion``, ``--show-completion``) default to ``None``: without this,
    ``harness run --help`` would load pydantic, 0.1 s of CPU, to learn that three flags were not given.
    """

    def get_params(self, ctx: Any) -> list[Any]:
        """The group's options, each flag with a default of its own type."""
        params = super().get_params(ctx)
        for param in params:
            if getattr(param, "is_flag", False) and param.default is None:
                param.default = False
        return _without_types(params)


class Program(typer.Typer):
    """A program or a group of commands, of the classes above."""

    def command(self, name: str | None = None, **options: Any) -> Callable[[_Function], _Function]:
        """A decorator that adds a command."""
        return super().command(name, **{"cls": Command, **options})


@dataclass(frozen=True)
class Commands:
    """What a file adds to the program: ``rank`` is its place in ``harness --help``, ``register`` adds its commands."""

    rank: int
    register: Callable[[typer.Typer], None]


def _without_types(params: list[Any]) -> list[Any]:
    """Typer (0.29) would show ``<bool>`` beside each flag."""
    for param in params:
        if getattr(param, "is_flag", False) and param.metavar is None:
            param.metavar = ""
    return params


def console_of(context: typer.Context) -> Console:
    """Return the console that this command prints on, made from the options that stand before the command's name."""
    from harness.console import Console

    wanted = cast("dict[str, object]", context.obj or {})
    if "console" not in wanted:
        wanted["console"] = Console(quiet=bool(wanted.get("quiet")), verbose=bool(wanted.get("verbose")))
    return cast("Console", wanted["console"])
