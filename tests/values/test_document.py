"""Reading users' YAML: lines, plain words, all mistakes at once."""

# mypy: disable-error-code="index"

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, StrictInt, field_validator

from harness.values.document import Opaque, load_document, near_miss, parse_text, validate
from harness.values.errors import ConfigurationError, Mistake


class Disk(BaseModel):
    model_config = ConfigDict(extra="forbid")
    folder: str
    size: Annotated[StrictInt, Field(ge=1)] = 1


class Settings(BaseModel):
    model_config = ConfigDict(extra="forbid")
    port: StrictInt = 22
    name: str = "x"
    engine: Literal["auto", "docker", "process"] = "auto"
    gpus: Literal["auto"] | StrictInt | tuple[StrictInt | str, ...] = "auto"
    disks: dict[str, Disk] = {}
    hosts: list[str] = []

    @field_validator("name")
    @classmethod
    def _not_bad(cls, value: str) -> str:
        if value == "bad":
            raise ValueError("a bad name\ntake a good one")
        return value


def mistakes_in(text: str, prefix: tuple[str | int, ...] = ()) -> list[Mistake]:
    document = parse_text(text, "s.yaml")
    value = document.value
    for part in prefix:
        value = value[part]
    return validate(Settings, value, document, prefix=prefix)[1]


def error_of(text: str) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        parse_text(text, "f.yaml")
    return caught.value


def test_a_good_text_becomes_the_model() -> None:
    document = parse_text("port: 23\ngpus: [0, GPU-1]\ndisks: {nvme: {folder: /n}}\n", "s.yaml")
    settings, mistakes = validate(Settings, document.value, document)
    assert mistakes == []
    assert settings is not None
    assert (settings.port, settings.gpus, settings.disks["nvme"].folder) == (23, (0, "GPU-1"), "/n")


def test_lines_of_keys_items_and_absent_things() -> None:
    document = parse_text("# c\na:\n  b: 1\n  c:\n    - x\n    - {y: 2}\n", "f.yaml")
    assert document.line_of(()) == 2
    assert document.line_of(("a", "b")) == 3
    assert document.line_of(("a", "c")) == 4
    assert document.line_of(("a", "c", 1)) == 6
    assert document.line_of(("a", "c", 1, "y")) == 6
    assert document.line_of(("a", "absent", "deeper")) == 2
    assert document.line_of(("a", "c", 9)) == 4
    assert document.written(("a", "b")) == "1"
    assert document.written(("a", "absent")) is None


def test_merge_keys_and_aliases_keep_the_line_of_their_source() -> None:
    document = parse_text("base: &b {x: 1, y: 2}\nuse:\n  <<: *b\n  y: 3\nlist: [*b]\n", "f.yaml")
    assert document.value["use"] == {"x": 1, "y": 3}
    assert document.line_of(("use", "x")) == 1
    assert document.line_of(("use", "y")) == 4
    assert document.value["list"][0] == {"x": 1, "y": 2}


def test_aliases_that_multiply_are_refused() -> None:
    lines = ["a0: &a0 [x]"] + [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 40)]
    error = error_of("\n".join(lines))
    assert [m.line for m in error.mistakes] == [6]
    assert "expand to more" in error.mistakes[0].message


def test_unknown_tags_are_kept_and_never_shown() -> None:
    value = parse_text("a: !vault |\n  secret\nb: !thing {x: 1}\n", "f.yaml").value
    assert value["a"] == Opaque("!vault", "secret\n")
    assert "secret" not in f"{value['a']} {value['a']!r}"
    assert value["b"].tag == "!thing"


def test_a_file_encrypted_as_a_whole_is_opaque() -> None:
    value = parse_text("$ANSIBLE_VAULT;1.1;AES256\n6162\n6364\n", "f.yaml").value
    assert isinstance(value, Opaque)


def test_every_unknown_and_wrong_key_is_told_at_once_with_its_line() -> None:
    found = mistakes_in(
        "prot: 1\nengine: dokcer\ndisks:\n  a: {foldr: /x, size: 0}\n  b: text\nhosts: ws01\nname: bad\n"
    )
    by_line = [(m.line, m.message, m.hint) for m in found]
    assert [line for line, _, _ in by_line] == [1, 2, 4, 4, 4, 5, 6, 7]
    assert by_line[0] == (1, "prot: unknown key", "did you mean port?")
    assert by_line[1] == (
        2,
        "engine: expected auto, docker or process, found the text 'dokcer'",
        "did you mean docker?",
    )
    assert "did you mean folder?" in {hint for line, _, hint in by_line if line == 4}
    assert any("expected a number not smaller than 1, found the number 0" in m for _, m, _ in by_line)
    assert by_line[5][1] == "disks.b: expected a mapping (`key: value` lines), found the text 'text'"
    assert by_line[6][1] == "hosts: expected a list, found the text 'ws01'"
    assert by_line[7][1:] == ("name: a bad name", "take a good one")


def test_an_unknown_key_that_is_like_none_gets_the_list() -> None:
    (mistake,) = mistakes_in("zzz: 1\n")
    assert mistake.hint is not None
    assert mistake.hint.startswith("known keys: port, name")


def test_branches_of_a_union_make_one_mistake() -> None:
    (mistake,) = mistakes_in("gpus: some\n")
    assert mistake.message == "gpus: expected auto, a whole number or a list, found the text 'some'"
    (deeper,) = mistakes_in("gpus:\n  - 0\n  - {a: 1}\n")
    assert (deeper.line, deeper.message) == (3, "gpus[1]: expected a whole number or text, found a mapping")


def test_a_prefix_shifts_lines_and_names() -> None:
    (mistake,) = mistakes_in("all:\n  vars:\n    port: x\n", prefix=("all", "vars"))
    assert (mistake.line, mistake.message) == (3, "vars.port: expected a whole number, found the text 'x'")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name: no\n", "`no`, which YAML reads as false"),
        ("port: yes\n", "`yes`, which YAML reads as true"),
        ("name: 16:30\n", "`16:30`, which YAML reads as the number 990"),
        ("port: 16:30\n", "YAML reads `16:30` as a number in base 60"),
        ("port: 010\n", "YAML reads `010` as the octal number 8"),
        ("name: 2024-01-02\n", "`2024-01-02`, which YAML reads as a date"),
        ("name: ~\n", "`~` (YAML reads it as nothing)"),
        ("name:\n", "found nothing"),
        ("name: 1.10\n", "`1.10`, which YAML reads as the number 1.1"),
        ("no: 1\n", "a key must be text, but YAML reads this one as false"),
        ("name: !vault abc\n", "a !vault value, which cannot be read here"),
        ("disks:\n  a: folder:/x\n", "expected a mapping (`key: value` lines)"),
    ],
)
def test_what_yaml_makes_of_it_is_said(text: str, words: str) -> None:
    found = mistakes_in(text)
    assert len(found) == 1
    assert words in found[0].message
    assert found[0].line == text.count("\n")


def test_a_missing_space_after_the_colon_is_guessed() -> None:
    (mistake,) = mistakes_in("disks: nvme:fast\n")
    assert mistake.hint == "is a space missing after the colon? `nvme: fast`"


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a:\n\tb: 1\n", 2, "a tab where only spaces are allowed"),
        ("a: b: c\n", 1, "a second ': ' in one value"),
        ("a: 'x\n", 2, "a quote is opened but not closed"),
        ("a: 1\n b: 2\n", 2, "indented further"),
        ("- a\nb: 1\n", 2, "does not fit the lines above"),
        ("a: [1, 2\nb: 3\n", 2, "is not closed"),
        ("a: *.lab\n", 1, "begins with * or &"),
        ("a: *other\n", 1, "begins with * or &"),
        ("a: @file\n", 1, "is reserved in YAML"),
        ('a: "C:\\data"\n', 1, "a backslash inside double quotes"),
        ("a: 1\n---\nb: 2\n", 2, "a second document"),
        ("a: &x [*x]\n", 1, "contains itself"),
        ("a: 1\nb: \x01\n", 2, "a control character"),
        ("a: {{ name }}\n", 1, "is used as a key"),
        ("d: 2024-13-45\n", 1, "cannot be read as timestamp"),
        ("a: 1\n<<: 2\n", 2, "takes a mapping"),
    ],
)
def test_broken_yaml_names_line_and_cure(text: str, line: int, words: str) -> None:
    error = error_of(text)
    (mistake,) = error.mistakes
    assert words in mistake.message
    assert mistake.line == line
    assert mistake.hint


def test_all_duplicate_keys_are_told() -> None:
    error = error_of("a: 1\nb:\n  c: 1\n  c: 2\na: 3\n")
    assert [(m.line, m.message) for m in error.mistakes] == [
        (4, "the key 'c' is repeated; it is set in line 3"),
        (5, "the key 'a' is repeated; it is set in line 1"),
    ]


@pytest.mark.parametrize("text", ["", "# only a comment\n", "---\n"])
def test_an_empty_text_is_a_mistake_unless_allowed(text: str) -> None:
    assert "empty" in str(error_of(text))
    assert parse_text(text, "f.yaml", is_empty_allowed=True).value is None


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "lab.yaml").write_text("a: 1\n")
    with pytest.raises(ConfigurationError, match=r"did you mean .*lab\.yaml") as caught:
        load_document(tmp_path / "lba.yaml")
    assert caught.value.where == str(tmp_path / "lba.yaml")
    with pytest.raises(ConfigurationError, match="this is a folder"):
        load_document(tmp_path)
    with pytest.raises(ConfigurationError, match="does not exist either"):
        load_document(tmp_path / "none" / "lab.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"a: 1\nb: \xe4\n")
    with pytest.raises(ConfigurationError) as caught:
        load_document(tmp_path / "latin.yaml")
    assert caught.value.mistakes[0].line == 2


def test_a_byte_order_mark_and_json_with_tabs_are_read(tmp_path: Path) -> None:
    (tmp_path / "bom.yaml").write_bytes(b"\xef\xbb\xbfa: 1\n")
    assert load_document(tmp_path / "bom.yaml").value == {"a": 1}
    (tmp_path / "tabs.json").write_text('{\n\t"a": [1,\t"x\\ty"]\n}\n')
    assert load_document(tmp_path / "tabs.json").value == {"a": [1, "x\ty"]}


def test_near_misses() -> None:
    known = ["memory_limit", "image_size", "gpus"]
    assert near_miss("memory-limit", known) == "memory_limit"
    assert near_miss("Image size", known) == "image_size"
    assert near_miss("gpu", known) == "gpus"
    assert near_miss("quite other", known) is None


_plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.text(min_size=1), _plain, min_size=1, max_size=4))
def test_what_yaml_writes_is_read_back_with_a_line_for_every_key(value: dict[str, object]) -> None:
    import yaml

    text = yaml.safe_dump(value, allow_unicode=False)
    document = parse_text(text, "f.yaml")
    assert document.value == value
    lines = text.splitlines()
    for key in value:
        line = document.line_of((key,))
        assert line is not None
        assert 1 <= line <= len(lines)


@given(st.text(max_size=60))
def test_no_text_raises_anything_but_a_configuration_error(text: str) -> None:
    try:
        document = parse_text(text, "f.yaml")
    except ConfigurationError as error:
        assert error.mistakes
        return
    model, mistakes = validate(Settings, document.value, document)
    assert (model is None) == bool(mistakes)
