"""The line that repeats a run says all that it was asked: it is what continues a session whose terminal is gone."""

from __future__ import annotations

import dataclasses
from datetime import time
from pathlib import Path
from typing import Any

import pytest
import typer

from harness.cli.app import app
from harness.session.run_options import RunOptions
from harness.session.schedule import Hours
from harness.workflow.run import run

EVERY = RunOptions(
    inventory=Path("my lab.yaml"),
    limit="gpu:!ws03",
    experiment="article",
    output=Path("elsewhere"),
    engine="docker",
    rounds=5,
    seed=-7,
    only=["loader=tfdata,cache=file", "c0ffee"],
    is_fresh=True,
    rerun_failed=True,
    name="--one",
    base_image="base:1",
    allow_busy=True,
    forks=3,
    ship_data=True,
    own_data=True,
    split="val",
    skip_unreadable=True,
    rename=["ws1=lab-1", "ws2=lab-2"],
    max_transfers=2,
    max_fail_percent=33.5,
    when_idle=True,
    between=Hours(time(20), time(7, 30)),
    on_interrupt="finish",
    skip_stages=True,
    link_patience_s=5400.25,
)


@pytest.fixture
def read_back(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A function that types a line in, and returns what the command was asked."""
    asked: list[RunOptions] = []

    def keep(_console: object, options: RunOptions) -> int:
        asked.append(options)
        return 0

    def type_in(words: tuple[str, ...]) -> RunOptions:
        assert words[0] == "harness"
        typer.main.get_command(app).main(list(words[1:]), prog_name="harness", standalone_mode=False)
        return asked.pop()

    monkeypatch.setattr(run, "run_session", keep)
    return type_in


def test_every_option_survives_the_way_to_a_line_and_back(read_back: Any) -> None:
    fields = [each for each in dataclasses.fields(RunOptions) if each.name != "inventory"]
    assert [each.name for each in fields if getattr(EVERY, each.name) == each.default] == [], "an option is not tried"
    assert read_back(EVERY.argv) == EVERY


def test_what_has_its_default_is_not_said(read_back: Any) -> None:
    plain = RunOptions(Path("lab.yaml"))
    assert plain.argv == ("harness", "run", "lab.yaml")
    assert read_back(plain.argv) == plain


def test_the_line_that_continues_begins_no_other_session(read_back: Any) -> None:
    assert read_back(EVERY.argv_to_continue) == dataclasses.replace(
        EVERY, is_fresh=False, rerun_failed=False, rename=None
    )
