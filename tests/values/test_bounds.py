"""Files that people write are read within bounds: each excess is one mistake with its line, found before it costs."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from harness.values.document import MOST_FILE_BYTES, load_document, parse_text
from harness.values.errors import ConfigurationError
from harness.values.units import MOST_SIZE, parse_bytes, parse_duration_s, parse_whole

DOUBLED = "a: &a [1, 1]\n" + "".join(
    f"{n}: &{n} [*{p}, *{p}]\n" for p, n in zip("abcdefghijklmnopqrst", "bcdefghijklmnopqrstu", strict=True)
)
CHAIN = "l0: &l0 1\n" + "".join(f"l{n + 1}: &l{n + 1} [*l{n}]\n" for n in range(300))


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("x: " + "[" * 5000, 1, "nested more than 100 deep"),
        ("x:\n" + "".join(" " * n + f"a{n}:\n" for n in range(1, 200)), 100, "nested more than 100 deep"),
        ("- " * 3000, 1, "nested more than 100 deep"),
        (CHAIN, 101, "nested more than 100 deep"),
        (DOUBLED, 17, "expand to more than 200000 values"),
        ("a: 1\nb: " + "9" * 5000, 2, "a number of 5000 digits"),
        ("a: 0x" + "f" * 5000, 1, "a number of 5002 digits"),
        ("a: 1" + ":59" * 4000, 1, "digits"),
        ('a: 1\nb: "\\ud800"', 2, "cannot be read as str"),
        ("a: 1\n" + "b: [" + "a," * 210_000 + "]", 2, "more than 200000 values"),
    ],
)
def test_what_is_too_much_is_one_mistake_with_its_line(text: str, line: int, words: str) -> None:
    begun = time.process_time()
    with pytest.raises(ConfigurationError) as caught:
        parse_text(text, "file.yaml")
    assert time.process_time() - begun < 20
    (mistake,) = caught.value.mistakes[:1]
    assert words in mistake.message
    assert mistake.line == line
    assert mistake.hint


def test_halves_of_a_character_that_json_writes_are_one() -> None:
    assert parse_text('{"a": "\\ud83d\\ude00"}', "file.json").value == {"a": "😀"}


def test_a_file_that_has_no_end_is_refused(tmp_path: Path) -> None:
    (tmp_path / "big.yaml").write_bytes(b"#" * (MOST_FILE_BYTES + 1))
    for path in (tmp_path / "big.yaml", Path("/dev/zero")):
        with pytest.raises(ConfigurationError, match="larger than 2 MiB") as caught:
            load_document(path)
        assert caught.value.where == str(path)


def test_whole_numbers() -> None:
    assert parse_whole("007", 10) == 7
    assert [parse_whole(text, 10) for text in ("11", "-1", "²", "٣", "1.0", "", "9" * 10**6, "0" * 10**6 + "x")] == [
        None
    ] * 8


@pytest.mark.parametrize("text", ["9" * 300, "9" * 300 + "GB", 10**300, 10**4299, "1e400", "inf", "nan", "²", "1001PB"])
def test_a_size_that_no_machine_has_is_refused(text: str | int) -> None:
    with pytest.raises(ValueError, match=r"is not a size|more than any machine has|digits or more") as caught:
        parse_bytes(text)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("text", ["9" * 300, "367d", float("inf"), float("nan"), 1e308, 10**300])
def test_a_duration_that_nobody_waits_for_is_refused(text: str | float) -> None:
    with pytest.raises(ValueError, match=r"is not a duration|longer than a year"):
        parse_duration_s(text)


def test_the_largest_size_is_a_size() -> None:
    assert parse_bytes("1000PB") == MOST_SIZE
