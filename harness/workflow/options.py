"""What the command line of ``run`` says."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harness.session.schedule import Hours, parse_hours
from harness.values.defaults import DEFAULT_FORKS, DEFAULT_TRANSFERS
from harness.values.errors import ConfigurationError
from harness.values.units import parse_duration_s
from harness.workflow.stops import OnInterrupt


@dataclass(frozen=True)
class RunOptions:
    """What the command line of ``run`` says."""

    inventory: Path
    limit: str | None = None
    experiment: str | None = None
    output: Path = Path("reports")
    engine: str | None = None
    rounds: int | None = None
    seed: int | None = None
    only: tuple[str, ...] = ()
    is_fresh: bool = False
    rerun_failed: bool = False
    name: str | None = None
    base_image: str | None = None
    allow_busy: bool = False
    forks: int = DEFAULT_FORKS
    ship_data: bool = False
    max_transfers: int = DEFAULT_TRANSFERS
    max_fail_percent: float | None = None
    when_idle: bool = False
    between: Hours | None = None
    on_interrupt: OnInterrupt = "stop"
    link_patience_s: float | None = None

    @property
    def argv(self) -> tuple[str, ...]:
        """The command that continues this session, word by word."""
        words = ["harness", "run", str(self.inventory)]
        for flag, value in (
            ("--limit", self.limit),
            ("--experiment", self.experiment),
            ("--engine", self.engine),
            ("--name", self.name),
            ("--rounds", self.rounds),
            ("--seed", self.seed),
            ("--between", self.between),
            ("--forks", None if self.forks == DEFAULT_FORKS else self.forks),
            ("--max-fail", None if self.max_fail_percent is None else f"{self.max_fail_percent:g}"),
            ("--link-patience", None if self.link_patience_s is None else f"{self.link_patience_s:g}s"),
            ("--on-interrupt", None if self.on_interrupt == "stop" else self.on_interrupt),
        ):
            if value is not None:
                words += [flag, str(value)]
        if self.output != Path("reports"):
            words += ["--output", str(self.output)]
        for pattern in self.only:
            words += ["--only", pattern]
        given = (
            ("--ship-data", self.ship_data),
            ("--when-idle", self.when_idle),
            ("--allow-busy", self.allow_busy),
        )
        return (*words, *(flag for flag, is_given in given if is_given))


def read_between(text: str | None) -> Hours | None:
    """The hours of ``--between``. Raises ConfigurationError."""
    return None if text is None else parse_hours(text)


def read_on_interrupt(text: str) -> OnInterrupt:
    """The policy of ``--on-interrupt``. Raises ConfigurationError."""
    if text not in ("stop", "finish"):
        raise ConfigurationError(f"{text!r} is no policy", where="--on-interrupt", hint="stop, or finish")
    return "stop" if text == "stop" else "finish"


def read_patience(text: str | None) -> float | None:
    """Seconds of ``--link-patience``. Raises ConfigurationError."""
    if text is None:
        return None
    try:
        return parse_duration_s(text)
    except ValueError as error:
        raise ConfigurationError(str(error), where="--link-patience", hint="like 90s, 10min or 2h") from None
