"""How long still: each host's own pace, for hosts begin when it is their turn."""

from __future__ import annotations

import pytest

from harness import console as console_module
from harness.console import Console


def test_a_host_that_begins_late_is_not_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(console_module.time, "monotonic", lambda: now[0])
    console = Console()
    assert console.pace("ws1", 0, 10) == ""
    now[0] = 100.0
    assert console.pace("ws1", 10, 10) == ""  # it is through, and the next one begins
    assert console.pace("ws2", 0, 10) == ""
    now[0] = 110.0
    assert console.pace("ws2", 1, 10) == ", about 90.0 s left"


def test_what_an_earlier_controller_began_tells_nothing_of_the_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(console_module.time, "monotonic", lambda: now[0])
    console = Console()
    assert console.pace("ws1", 4, 10, adopted=True) == ""
    now[0] = 0.1
    assert console.pace("ws1", 5, 10) == ""  # it was over already
    now[0] = 20.1
    assert console.pace("ws1", 6, 10) == ", about 80.0 s left"
