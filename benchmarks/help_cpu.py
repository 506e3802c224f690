"""CPU time of every ``--help`` against a bare Typer program's: whole processes, taken in turn.

Usage: ``python benchmarks/help_cpu.py [--rounds 9]`` (`make bench-help`). Exit 1 where a median of the differences
is 0.1 s or more.

A round starts the bare program and each ``harness … --help`` once, in an order of its own, and reads user and system
time of each process from ``os.wait4``. Other load moves wall time much more than CPU time, and both sides alike within
a round: what is judged is the median over rounds of (command minus bare program of the same round).
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import sys
import tempfile
from pathlib import Path

LIMIT_S = 0.1

# Three commands, a group, options of the kinds that harness has. Its own `--help` is the cheapest that Typer offers.
BARE = '''
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="A bare program.")
group = typer.Typer(help="A group of it.")
app.add_typer(group, name="group")


@app.command()
def first(path: Path, count: Annotated[int, typer.Option("--count", help="How many.")] = 3) -> None:
    """Do the first thing."""


@app.command()
def second(name: Annotated[str, typer.Option("--name", help="Whose.")] = "nobody", as_json: bool = False) -> None:
    """Do the second thing."""


@group.command()
def third(path: Path) -> None:
    """Do the third thing."""


app()
'''


def main() -> int:
    """Measure, print a table, say whether every help keeps the limit."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        bare = Path(folder, "bare.py")
        bare.write_text(BARE)
        seconds = measure(processes(bare), rounds)
    base = seconds["bare"]
    print(f"CPU seconds of a process, medians of {rounds} rounds; difference: median over rounds against `bare`\n")
    print(f"{'program':<28}{'CPU s':>8}{'ratio':>8}{'difference s':>14}{'min … max':>18}")
    worst = 0.0
    for name, values in seconds.items():
        differences = [value - reference for value, reference in zip(values, base, strict=True)]
        ratio = statistics.median(value / reference for value, reference in zip(values, base, strict=True))
        difference = statistics.median(differences)
        if name.startswith("harness"):
            worst = max(worst, difference)
        spread = f"{min(differences):+.3f} … {max(differences):+.3f}"
        print(f"{name:<28}{statistics.median(values):>8.3f}{ratio:>8.2f}{difference:>+14.3f}{spread:>18}")
    print(f"\nlargest difference {worst:+.3f} s, limit {LIMIT_S:+.3f} s: {'kept' if worst < LIMIT_S else 'BROKEN'}")
    return 0 if worst < LIMIT_S else 1


def processes(bare: Path) -> dict[str, list[str]]:
    """Each program's name and command line: the bare one, one of its commands, and all of harness."""
    from typer.main import get_command

    from harness.cli.app import app

    program = str(Path(sys.executable).with_name("harness"))
    found = {
        "bare": [sys.executable, str(bare), "--help"],
        "bare first": [sys.executable, str(bare), "first", "--help"],
    }

    def add(command: object, path: tuple[str, ...]) -> None:
        found[" ".join(("harness", *path))] = [program, *path, "--help"]
        for name, member in getattr(command, "commands", {}).items():
            add(member, (*path, name))

    add(get_command(app), ())
    return found


def measure(commands: dict[str, list[str]], rounds: int) -> dict[str, list[float]]:
    """CPU seconds of each command, one value a round; a first pass that fills caches is thrown away."""
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    order = random.Random(1)
    for number in range(-1, rounds):
        for name in order.sample(sorted(commands), len(commands)):
            spent = cpu_seconds(commands[name])
            if number >= 0:
                seconds[name].append(spent)
    return seconds


def cpu_seconds(command: list[str]) -> float:
    """User and system time of one process and what it waited for."""
    nothing = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    pid = os.posix_spawn(command[0], command, os.environ, file_actions=nothing)
    _, status, usage = os.wait4(pid, 0)
    if os.waitstatus_to_exitcode(status):
        sys.exit(f"error: {' '.join(command)} ended with {os.waitstatus_to_exitcode(status)}")
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    sys.exit(main())
