"""The group that holds commands: it answers ``--help`` without loading what only a command's own values need."""

from __future__ import annotations

from typing import Any

from typer.core import TyperGroup


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
        return params
