"""What the command line of ``run`` says."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harness.ship.slots import DEFAULT_TRANSFERS


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
    forks: int = 10
    ship_data: bool = False
    max_transfers: int = DEFAULT_TRANSFERS

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
        ):
            if value is not None:
                words += [flag, str(value)]
        if self.output != Path("reports"):
            words += ["--output", str(self.output)]
        for pattern in self.only:
            words += ["--only", pattern]
        if self.ship_data:
            words.append("--ship-data")
        return (*words, "--allow-busy") if self.allow_busy else tuple(words)
