"""The console of one command, made from the options that stand before the command's name."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import typer

if TYPE_CHECKING:
    from harness.console import Console


def console_of(context: typer.Context) -> Console:
    """The console that this command prints on."""
    from harness.console import Console

    wanted = cast("dict[str, object]", context.obj or {})
    if "console" not in wanted:
        wanted["console"] = Console(quiet=bool(wanted.get("quiet")), verbose=bool(wanted.get("verbose")))
    return cast("Console", wanted["console"])
