"""The live table of several hosts: what it says of each, and that it fits a terminal."""

from __future__ import annotations

import io
import time
from typing import Any

import pytest

from harness.console import Console
from harness.console.board import Board
from harness.values import event as happened


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def started(host: str, *, done: int = 3, left_s: float | None = 600.0, label: str = "tfdata, file cache") -> Any:
    return happened.InvocationStarted(host, "i", 1, 2, "c", label, done, 26, left_s=left_s)


def board_of(*hosts: str) -> tuple[Board, Clock]:
    clock = Clock()
    board = Board(clock)
    board.take(happened.CommandStarted("s", "f", False, hosts=hosts))
    return board, clock


def test_one_host_needs_no_table() -> None:
    assert not board_of("ws1")[0].has_several
    assert board_of("ws1", "ws2")[0].has_several


def test_each_host_has_its_state_case_round_counts_and_times() -> None:
    board, clock = board_of("ws1", "ws2", "ws3")
    board.take(happened.HostStateChanged("ws3", "not_ready", "no TensorFlow"))
    board.take(happened.Progress("ws2", "image: loading", 0.25))
    board.take(started("ws1"))
    clock.now += 72
    heading, *lines = board.lines(120)
    assert heading.split() == ["host", "state", "case", "round", "done", "elapsed", "left", "last", "event"]
    assert lines[0].split() == ["ws1", "measuring", "tfdata,", "file", "cache", "2", "3/26", "0:01:12", "0:08:48"]
    assert lines[1].split() == ["ws2", "preparing", "image:", "loading", "25%"]
    assert lines[2].split() == ["ws3", "not", "ready", "no", "TensorFlow"]


def test_an_end_is_the_last_event_and_a_host_that_is_through_measures_nothing() -> None:
    board, _ = board_of("ws1", "ws2")
    board.take(started("ws1"))
    end = happened.InvocationFinished("ws1", "i", 1, 2, "c", "tfdata", "oom", done=4, planned=26, outcome="oom")
    board.take(end)
    assert " ".join(board.lines(140)[1].split()[-4:]) == "out of memory: tfdata"
    board.take(happened.HostFinished("ws1", 26, 26))
    assert board.lines(100)[1].split()[:3] == ["ws1", "done", "26/26"]


@pytest.mark.parametrize("width", [80, 100, 160])
def test_ten_hosts_fit_a_terminal(width: int) -> None:
    hosts = [f"workstation{number}.lab.example" for number in range(10)]
    board, _ = board_of(*hosts)
    for host in hosts:
        board.take(started(host, label="train, tfdata with uint8 file cache, limit 16 GB, 256 × 256 px"))
        board.take(happened.LinkLost(host, "2026-01-01T00:00:00Z", "the network is unreachable from here " * 9))
    lines = board.lines(width)
    assert len(lines) == 11 and max(map(len, lines)) <= width
    assert all(line.startswith("workstation") for line in lines[1:])


def test_more_hosts_are_folded_and_those_at_work_stay() -> None:
    hosts = [f"ws{number:02}" for number in range(25)]
    board, _ = board_of(*hosts)
    for host in hosts[:20]:
        board.take(happened.HostFinished(host, 26, 26))
    for host in hosts[20:]:
        board.take(started(host))
    lines = board.lines(80)
    assert len(lines) == 11
    assert {line.split()[0] for line in lines[1:-1]} >= set(hosts[20:])
    assert lines[-1] == "and 16 more hosts: 16 done"


def test_text_of_a_host_stays_in_its_line() -> None:
    board, _ = board_of("ws1", "ws2")
    board.take(happened.HostStateChanged("ws1", "unreachable", "no\n\x1b[31mroute\r" * 3))
    assert len(board.lines(80)) == 3
    assert not any(ord(letter) < 32 for line in board.lines(80) for letter in line)


class Terminal(io.StringIO):
    """What a console believes to be a terminal."""

    def isatty(self) -> bool:
        return True


def test_a_terminal_shows_the_table_and_a_log_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(stream: io.StringIO) -> str:
        monkeypatch.setattr("sys.stderr", stream)
        console = Console()
        console.handle(happened.CommandStarted("s", "f", False, hosts=("ws1", "ws2")))
        console.handle(started("ws1"))
        until = time.monotonic() + 20
        while "measuring" not in stream.getvalue() and stream.isatty() and time.monotonic() < until:
            time.sleep(0.05)
        console.handle(happened.SessionFinished("s"))
        console.close()
        return stream.getvalue()

    monkeypatch.setenv("TERM", "xterm")
    assert "last event" in run(Terminal())
    assert "last event" not in run(io.StringIO())
