"""When a job that has stopped getting anywhere at its limit is given up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.bench.supervisor.thrashing import PATIENCE_S, ThrashWatch

LIMIT = 1000


class Group:
    """A cgroup whose major faults grow by ``rate`` a second."""

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self.now = 0.0

    def limit_bytes(self) -> int:
        return LIMIT

    def major_faults(self) -> int:
        return int(self.rate * self.now)


def watch(
    tmp_path: Path, *, rate: float, anon: int, grows_every: float | None = None, seconds: float = 60.0
) -> float | None:
    """The moment at which the watch gives up, looking five times a second; None where it never does."""
    events = tmp_path / "events.jsonl"
    events.write_text("begun\n")
    group = Group(rate)
    looking = ThrashWatch(group, str(events))  # type: ignore[arg-type]
    written = 0.0
    while group.now < seconds:
        if grows_every is not None and group.now - written >= grows_every:
            events.write_text(events.read_text() + "progress\n")
            written = group.now
        if looking.look(group.now, anon):
            assert looking.finding is not None
            assert looking.finding["major_faults_per_s"] == pytest.approx(rate, rel=0.02)
            return group.now
        group.now += 0.2
    return None


def test_gives_up_where_pages_are_read_again_and_nothing_moves(tmp_path: Path) -> None:
    given_up = watch(tmp_path, rate=1000, anon=980)
    assert given_up == pytest.approx(PATIENCE_S, abs=0.5)


@pytest.mark.parametrize(
    "circumstances",
    [
        {"rate": 1000, "anon": 500},  # memory is left
        {"rate": 10, "anon": 980},  # no pages are read again: it computes
        {"rate": 1000, "anon": 980, "grows_every": 10.0},  # slow, but it gets on
    ],
)
def test_is_patient_where_it_still_gets_on(tmp_path: Path, circumstances: Any) -> None:
    assert watch(tmp_path, **circumstances) is None


def test_without_a_cgroup_nothing_is_given_up(tmp_path: Path) -> None:
    looking = ThrashWatch(None, str(tmp_path / "none"))
    assert not any(looking.look(float(second), 10**12) for second in range(100))
