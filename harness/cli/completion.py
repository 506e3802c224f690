"""Shell completion of values. Typer calls one of these functions for each option or argument."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import typer
from typer.models import ParameterInfo

from harness.session.advise_options import RemoteOption
from harness.values.options import EngineOption, ExperimentOption, LimitOption, ReportsFolder


def complete_engine(incomplete: str) -> list[str]:
    """Complete the name of an engine."""
    from harness.workflow.local.completing import list_engines

    return _begin(list_engines(), incomplete)


def complete_experiment(incomplete: str) -> list[str]:
    """Complete the name of a preset, or the path of a file."""
    from harness.workflow.local.completing import list_experiments

    return _begin(list_experiments(incomplete), incomplete)


def complete_loader(incomplete: str) -> list[str]:
    """Complete the name of a loader."""
    from harness.workflow.local.completing import list_loaders

    return _begin(list_loaders(), incomplete)


def complete_hosts(ctx: typer.Context, incomplete: str) -> list[str]:
    """Complete the last host or group of a pattern, from the inventory named earlier on the command line."""
    from harness.workflow.local.completing import list_hosts

    # Parsing ends at an option without a value (the one being typed); the rest of the words is in `args`.
    words = (ctx.params.get("inventory"), ctx.params.get("target"), *ctx.args)
    inventory = next((word for word in words if word is not None and not str(word).startswith("-")), None)
    names = list_hosts(None if inventory is None else Path(inventory))
    place = max(incomplete.rfind(mark) for mark in ":!&,") + 1
    return _begin([incomplete[:place] + name for name in names], incomplete)


def complete_remote(incomplete: str) -> list[str]:
    """Complete a host name from ``~/.ssh/config``, also after ``USER@``."""
    from harness.workflow.local.completing import list_remotes

    user = incomplete[: incomplete.rfind("@") + 1]
    return _begin([user + name for name in list_remotes()], incomplete)


def complete_session(ctx: typer.Context, incomplete: str) -> list[str]:
    """Complete a session's name or folder."""
    from harness.workflow.local.completing import list_sessions

    return _begin(list_sessions(Path(ctx.params.get("output") or ReportsFolder), incomplete), incomplete)


def _begin(words: Iterable[str], incomplete: str) -> list[str]:
    return [word for word in dict.fromkeys(words) if word.startswith(incomplete)]


_SHARED: tuple[tuple[object, Callable[..., list[str]]], ...] = (
    (EngineOption, complete_engine),
    (ExperimentOption, complete_experiment),
    (LimitOption, complete_hosts),
    (RemoteOption, complete_remote),
)


def complete_shared_options() -> None:
    """Attach completion functions to the options that several commands share."""
    for annotation, complete in _SHARED:
        for info in getattr(annotation, "__metadata__", ()):
            if isinstance(info, ParameterInfo):
                info.autocompletion = complete
