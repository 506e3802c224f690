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

CONTENDERS = """
import os, sys
from dataclasses import replace
from harness.hosts.local import LocalConnection
from harness.hosts.lock import acquire, make_owner
from harness.values.errors import HostLocked
path, contenders, rounds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
gate, opener = os.pipe()

def contend(number):
    connection = LocalConnection()
    # Of another machine each: nobody can know of the others whether they run.
    owner = replace(make_owner("session-%d" % number), owner="u@c%d" % number, machine="m%d" % number)
    os.close(opener)
    os.read(gate, 1)
    won = inside = 0
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
                os.unlink(path + ".inside")
            lock.release()
    os.write(1, b"%d %d %d\\n" % (number, won, inside))
    os._exit(0)

for number in range(contenders):
    if os.fork() == 0:
        contend(number)
os.close(opener)  # now they go, all at once
for _ in range(contenders):
    assert os.wait()[1] == 0
"""


def race(path: str, contenders: int, rounds: int) -> list[tuple[int, int]]:
    """Start contenders, let them go at once; for each how often it won, and how often it was not alone."""
    command = [sys.executable, "-c", CONTENDERS, path, str(contenders), str(rounds)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    results = sorted([int(word) for word in line.split()] for line in done.stdout.splitlines())
    assert len(results) == contenders
    return [(won, inside) for _, won, inside in results]


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
