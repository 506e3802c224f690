from __future__ import annotations

import pytest

from harness.engine.interface import EngineFacts
from harness.engine.selection import choose
from harness.values.errors import ConfigurationError, EngineUnavailable, ImageUnavailable

DOCKER = EngineFacts(engine="docker", version="27.0.1", image_digest="ab")
PROCESS = EngineFacts(engine="process", version="Python 3.11")
SILENT = EngineUnavailable("there is no Docker socket", where="pc", hint="start it")
BROKEN = EngineUnavailable("TensorFlow is not installed", where="pc", hint="install it")
IMAGELESS = ImageUnavailable("no base image could be had", hint="--base-image")


def test_auto_takes_docker_where_it_answers() -> None:
    choice = choose("auto", docker=DOCKER, process=PROCESS)
    assert (choice.engine, choice.is_fallback, choice.warning) == ("docker", False, None)
    assert "27.0.1" in choice.reason


def test_auto_takes_docker_even_where_the_image_is_still_to_be_built() -> None:
    without = EngineFacts(engine="docker", version="27.0.1", image_digest=None)
    assert choose("auto", docker=without, process=PROCESS).engine == "docker"


def test_auto_without_an_answer_is_process_with_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    choice = choose("auto", docker=SILENT, process=PROCESS)
    assert (choice.engine, choice.is_fallback, choice.severity) == ("process", True, "warning")
    assert "no Docker socket" in str(choice.warning)
    assert "start it" in str(choice.warning)


def test_auto_says_that_docker_host_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere.sock")
    assert "DOCKER_HOST" in str(choose("auto", docker=SILENT, process=PROCESS).warning)


def test_auto_without_any_image_is_process_in_red() -> None:
    choice = choose("auto", docker=DOCKER, process=PROCESS, image=IMAGELESS)
    assert (choice.engine, choice.is_fallback, choice.severity) == ("process", True, "error")
    assert "--base-image" in str(choice.warning)


@pytest.mark.parametrize(("docker", "image"), [(SILENT, None), (DOCKER, IMAGELESS)])
def test_auto_with_nothing_left_names_both_reasons(docker: object, image: ImageUnavailable | None) -> None:
    with pytest.raises(EngineUnavailable) as caught:
        choose("auto", docker=docker, process=BROKEN, image=image)  # type: ignore[arg-type]
    assert "Docker Engine" in caught.value.message
    assert "TensorFlow is not installed" in caught.value.message
    assert caught.value.hint


def test_what_is_asked_for_is_taken_or_refused() -> None:
    assert choose("docker", docker=DOCKER).engine == "docker"
    assert choose("process", process=PROCESS).engine == "process"
    assert not choose("process", process=PROCESS).is_fallback
    with pytest.raises(EngineUnavailable, match="no Docker socket"):
        choose("docker", docker=SILENT, process=PROCESS)
    with pytest.raises(ImageUnavailable):
        choose("docker", docker=DOCKER, process=PROCESS, image=IMAGELESS)
    with pytest.raises(EngineUnavailable, match="TensorFlow"):
        choose("process", docker=DOCKER, process=BROKEN)
    with pytest.raises(ConfigurationError, match="podman"):
        choose("podman")
