"""Experiments that would cost a traceback, the memory or an hour: each is one mistake with its line."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from harness.experiment import expand, load_experiment, parse_experiment
from harness.values.errors import ConfigurationError

GOOD = "parameters:\n  data: coco\n  loader: tfdata\n"
DIGITS = "9" * 300


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("mode: train\n  model: {name: mobilenet, alpha: .inf}", "above 0 and at most 100, not inf"),
        ("mode: train\n  model: {name: mobilenet, alpha: .nan}", "above 0 and at most 100, not nan"),
        ("mode: train\n  model: {name: emulated, images_per_second: .inf}", "images_per_second is above 0 and at most"),
        ("mode: train\n  model: {name: emulated, step_seconds: 1e-320}", "step_seconds is above 0"),
        ('mode: train\n  model: {name: mobilenet, weights: "a\\0b"}', "there is no weights file"),
        (f"mode: train\n  model: {{name: mobilenet, weights: {'w' * 5000}}}", "there is no weights file"),
        ("mode: train\n  model: {name: mobilenet, weights: ~nobody-is-called-so/w}", "there is no weights file"),
        (f"memory_limit: {DIGITS}", "a number of 300 digits"),
        (f"memory_limit: {DIGITS}GB", "is not a size"),
        ("memory_limit: 2000PB", "more than any machine has"),
        ("memory_limit: 1000", "a memory limit of 1 kB is too small: Python alone needs 40 MB"),
        ("memory_limit: 30MB", "a memory limit of 30 MB is too small"),
        (f"image_size: {DIGITS}x{DIGITS}", "an image size is a number of pixels"),
        ("image_size: ²x²", "an image size is a number of pixels"),
        ("batch_size: 10000000000", "not greater than 1000000000"),
        ("max_images: 10000000000000000000000", "at most 1000000000"),
        ("cpus: 10000000000000000000000", "at most 1000000000"),
        (f"data: {'d' * 65}", "at most 64 characters"),
        (f"cache: [{'[' * 40}{']' * 40}]", "a cache is one of"),
        (f"interpolation: {'x' * 100_000}", "expected nearest"),
    ],
)
def test_each_is_one_mistake_with_its_line(line: str, words: str) -> None:
    number = GOOD.count("\n") + 1 + line.count("\n")
    text = GOOD if not line.startswith("data") else GOOD.replace("  data: coco\n", "")
    number -= GOOD.count("\n") - text.count("\n")
    with pytest.raises(ConfigurationError) as caught:
        parse_experiment(f"{text}  {line}\n", "mine.yaml")
    (mistake,) = caught.value.mistakes
    assert mistake.line == number
    assert words in mistake.message
    assert len(str(mistake)) < 800


def test_a_limit_without_its_unit_gets_the_cure() -> None:
    with pytest.raises(ConfigurationError, match=r"is a unit missing, as in 1000MB\? write a size like 16GB, or none"):
        parse_experiment(f"{GOOD}  memory_limit: 1000\n", "mine.yaml")


@pytest.mark.parametrize(
    "line", ["timeout: .inf", "timeout: .nan", "budget: 1e300", "timeout: 999999999999999999999d", "budget: 400d"]
)
def test_a_time_without_end_is_a_mistake(line: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_experiment(f"{GOOD}{line}\n", "mine.yaml")
    (mistake,) = caught.value.mistakes
    assert mistake.line == 4
    assert "year" in mistake.message or "not a duration" in mistake.message


def test_rules_without_number_are_refused_before_they_are_compared() -> None:
    rules = "".join(f"  - {{batch_size: {n}}}\n" for n in range(1, 2001))
    lists = f"  batch_size: {[*range(1, 101)]}\n  epochs: {[*range(1, 11)]}\n"
    begun = time.process_time()
    with pytest.raises(ConfigurationError, match="2,000 exclude rules for 1,000 combinations"):
        expand(parse_experiment(f"{GOOD}{lists}exclude:\n{rules}", "mine.yaml"))
    assert time.process_time() - begun < 10


@pytest.mark.parametrize("name", ["~nobody-is-called-so/e.yaml", "e" * 5000, "/" + "e" * 5000 + ".yaml", "a\0b"])
def test_a_name_that_no_file_can_have_is_one_error(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_experiment(name)
    assert caught.value.hint
