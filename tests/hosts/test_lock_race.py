"""Many real processes want one machine at once: exactly one gets it."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from harness.hosts.local import LocalConnection
from harness.hosts.lock import acquire, make_owner, read_lock

CONTENDER = """
import sys
from dataclasses import replace
from harness.hosts.local import LocalConnection
from harness.hosts.lock import acquire, make_owner
from harness.values.errors import HostLocked
path, number, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3])
connection = LocalConnection()
# Of another machine each: nobody can know of the others whether they run.
owner = replace(make_owner("session-" + number), owner="u@c" + number, machine="m" + number)
print("ready", flush=True)
sys.stdin.readline()
won = 0
inside = 0
for _ in range(rounds):
    try:
        lock = acquire(connection, owner, is_alive=lambda session: False, stale_after_s=100, path=path)
    except HostLocked:
        continue
    won += 1
    if rounds > 1:
        # A witness that only one may hold at a time.
        try:
            with open(path + ".inside", "x"):
                pass
        except FileExistsError:
            inside += 1
        else:
            import os
            os.unlink(path + ".inside")
        lock.release()
print(won, inside, flush=True)
"""


def race(path: str, contenders: int, rounds: int) -> list[tuple[int, int]]:
    """Start contenders, let them go at once; for each how often it won, and how often it was not alone."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", CONTENDER, path, str(number), str(rounds)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(contenders)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    results = []
    for process in processes:
        out, _ = process.communicate(timeout=120)
        assert process.returncode == 0
        won, inside = out.split()
        results.append((int(won), int(inside)))
    return results


def test_one_of_many_wins_a_free_machine(tmp_path: Path) -> None:
    path = str(tmp_path / "lock")
    won = [won for won, _ in race(path, contenders=10, rounds=1)]
    assert sum(won) == 1
    held = read_lock(LocalConnection(), path=path)
    assert held is not None
    assert held.session == f"session-{won.index(1)}"


@pytest.mark.parametrize("death", ["stale", "rebooted"])
def test_one_of_many_takes_over_from_the_dead(tmp_path: Path, death: str) -> None:
    path = str(tmp_path / "lock")
    local = LocalConnection()
    acquire(local, replace(make_owner("dead"), machine="far"), is_alive=lambda session: True, path=path)
    file = Path(path) / "owner"
    text = file.read_text()
    if death == "stale":
        beat = float(re.search(r"(?m)^beat ([\d.]+)$", text)[1])  # type: ignore[index]
        file.write_text(text.replace(f"beat {beat:.2f}", f"beat {beat - 1000:.2f}"))
    else:
        file.write_text(re.sub(r"(?m)^boot .*$", "boot another", text))
    won = [won for won, _ in race(path, contenders=10, rounds=1)]
    assert sum(won) == 1
    held = read_lock(local, path=path)
    assert held is not None
    assert held.session == f"session-{won.index(1)}"


@pytest.mark.slow
def test_holders_who_come_and_go_are_never_two(tmp_path: Path) -> None:
    path = str(tmp_path / "lock")
    results = race(path, contenders=6, rounds=25)
    assert sum(won for won, _ in results) > 0
    assert sum(inside for _, inside in results) == 0
    assert not Path(path).exists()
