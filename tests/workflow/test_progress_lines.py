"""How far something is, as a log without a terminal is told of it."""

from __future__ import annotations

import time

import pytest

from harness.console.console import LINE_EVERY_S, Console
from harness.values.event import ImageReady, ImageShipped, Progress


def said(console: Console, *events: Progress) -> None:
    for event in events:
        console.handle(event)


def test_each_step_is_said_when_it_begins_and_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    console = Console()
    steps = [Progress("ws01", f"same work: settings: {done} of 3", done / 3) for done in range(4)]
    said(console, *steps, Progress("ws02", "same work: starting", None))
    assert capsys.readouterr().err.splitlines() == [
        "ws01: same work: settings: 0 of 3 0%",
        "ws02: same work: starting",
    ]
    now += LINE_EVERY_S
    said(console, *steps[2:], Progress(None, "rehearsal: case 1", None))
    assert capsys.readouterr().err.splitlines() == ["ws01: same work: settings: 2 of 3 67%", "rehearsal: case 1"]


def test_quiet_says_none_and_verbose_each_once(capsys: pytest.CaptureFixture[str]) -> None:
    step = Progress("ws01", "same work: settings: 1 of 3", 1 / 3)
    said(Console(quiet=True), step)
    assert capsys.readouterr().err == ""
    said(Console(verbose=True), step, step)
    assert capsys.readouterr().err.splitlines() == ["ws01: same work: settings: 1 of 3 33%"]


def test_how_an_image_came_is_said_once_and_in_plain_words(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console()
    shipped = ImageShipped("ws01", "full", 2_000_000, 1_000_000, 115.0, image="harness-cpu:abc")
    for event in (shipped, ImageReady("ws01", "6199f59eadd2" * 5, "full", 115.0)):
        console.handle(event)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("ws01: image harness-cpu:abc sent whole: needed 2")
    for method in ("present", "built"):
        console.handle(ImageReady("here", "6199f59eadd2" * 5, method, 115.0))
    assert capsys.readouterr().err.splitlines() == ["here: image built in 1 min 55 s"]
