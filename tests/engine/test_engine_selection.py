"""Which engine is used, why, and what the user is told of those that are not."""

from __future__ import annotations

import ast
from dataclasses import replace
from pathlib import Path

import pytest

import harness
from harness.engine.registry import Refusal, explain_choice, explain_none, load_engine, load_engines
from harness.values.engine_names import engine_choices, engine_names
from harness.values.errors import EngineUnavailable, ImageUnavailable

DOCKER, PROCESS = load_engine("docker"), load_engine("process")
SILENT = Refusal(DOCKER, EngineUnavailable("there is no Docker socket", where="pc", hint="start it"))
BROKEN = Refusal(PROCESS, EngineUnavailable("TensorFlow is not installed", where="pc", hint="install it"))
IMAGELESS = Refusal(DOCKER, ImageUnavailable("no base image could be had", hint="--base-image"))


@pytest.fixture(autouse=True)
def no_docker_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DOCKER_HOST", raising=False)


def test_every_file_is_an_engine_and_auto_tries_them_by_rank() -> None:
    assert set(engine_names()) >= {"docker", "process"} and engine_choices() == ("auto", *engine_names())
    ranks = [spec.rank for spec in load_engines()]
    assert ranks == sorted(ranks) and len(ranks) == len(engine_names())
    assert load_engines()[0] is DOCKER and load_engines("process") == (PROCESS,)


@pytest.mark.parametrize("name", engine_names())
def test_an_engine_has_words_for_all_that_is_said_of_it(name: str) -> None:
    spec = load_engine(name)
    texts = {key: text for key, text in vars(spec.words).items() if key != "caution"}
    assert all(texts.values()) and not [text for text in texts.values() if text.endswith(".")]
    assert len({each.rank for each in load_engines()}) == len(engine_names()), "no two come at the same place"


def test_auto_takes_the_first_that_answers() -> None:
    choice = explain_choice("auto", DOCKER, [])
    assert (choice.reason, choice.warning) == ("a Docker Engine answers", None)


def test_auto_without_an_answer_is_the_next_with_a_warning() -> None:
    choice = explain_choice("auto", PROCESS, [SILENT])
    assert (choice.reason, choice.severity) == ("no Docker Engine answers", "warning")
    assert choice.warning == ("no Docker Engine answers; using `process`.\npc: there is no Docker socket\n  → start it")


def test_auto_says_that_docker_host_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere.sock")
    assert "no Docker Engine answers (DOCKER_HOST is set); using" in str(
        explain_choice("auto", PROCESS, [SILENT]).warning
    )


def test_auto_without_any_image_is_the_next_in_red() -> None:
    choice = explain_choice("auto", PROCESS, [IMAGELESS])
    assert choice.severity == "error"
    assert choice.warning == (
        "a Docker Engine answers, but no image could be had; using `process`.\n"
        "no base image could be had\n  → --base-image"
    )


def test_of_several_each_is_named_with_its_cause() -> None:
    other = Refusal(replace(DOCKER, name="podman", words=replace(DOCKER.words, title="Podman service")),
                    EngineUnavailable("no such socket", where="pc"))  # fmt: skip
    choice = explain_choice("auto", PROCESS, [SILENT, other])
    assert choice.reason == "no Docker Engine answers, no Podman service answers"
    assert "there is no Docker socket" in str(choice.warning) and "no such socket" in str(choice.warning)


@pytest.mark.parametrize("first", [SILENT, IMAGELESS])
def test_auto_with_nothing_left_names_both_reasons(first: Refusal) -> None:
    error = explain_none([first, BROKEN])
    assert error.message == f"{first.reason}, and the process engine cannot run either: TensorFlow is not installed"
    assert (error.where, error.hint) == ("pc", first.error.hint)


def test_what_is_asked_for_is_taken_or_refused() -> None:
    choice = explain_choice("process", PROCESS, [])
    assert (choice.reason, choice.warning) == ("asked for by `engine: process`", None)
    assert explain_none([SILENT]) is SILENT.error
    assert explain_none([IMAGELESS]) is IMAGELESS.error


_KEYS = ("inventory/slurm_settings.py", "hosts/slurm/commands.py")


def test_no_file_but_an_engines_own_names_it() -> None:
    """Others are the group of Docker's socket, and what a cluster has: its key, and programs that run containers."""
    root = Path(harness.__file__).parent
    named = {
        file.relative_to(root).as_posix()
        for file in root.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and node.value in engine_names()
    }
    assert named == {*(f"engine/kinds/{name}.py" for name in engine_names()), "engine/daemon_access.py", *_KEYS}
