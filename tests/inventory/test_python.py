"""Which Python a host's jobs run in: `harness: python:`, or Ansible's own variable, and what neither may be."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from harness.inventory import Inventory, explain_host, load_inventory
from harness.values.errors import ConfigurationError


def load(folder: Path, *lines: str, group: str = "") -> Inventory:
    """An inventory of one host ``h`` with these variables, and of its group ``g``."""
    own = "".join(f"          {line}\n" for line in lines)
    of_group = f"      vars:\n        {group}\n" if group else ""
    (folder / "lab.yaml").write_text(f"all:\n  children:\n    g:\n{of_group}      hosts:\n        h:\n{own}")
    return load_inventory(folder / "lab.yaml")


def words(folder: Path, *lines: str, group: str = "") -> tuple[str, ...]:
    return load(folder, *lines, group=group).host("h").variables.python_words


def test_ansibles_interpreter_is_taken_with_its_place(tmp_path: Path) -> None:
    read = load(tmp_path, "ansible_python_interpreter: /opt/tf/bin/python")
    host = read.host("h")
    assert (host.variables.python_words, read.warnings) == (("/opt/tf/bin/python",), ())
    assert "ansible_python_interpreter" not in host.foreign
    row = next(row for row in explain_host(host) if row.key == "harness.python")
    assert (row.value, Path(row.file).name, row.line) == ("/opt/tf/bin/python", "lab.yaml", 6)


def test_our_own_word_comes_before_ansibles_wherever_it_stands(tmp_path: Path) -> None:
    group = "{ansible_python_interpreter: /usr/bin/python3, harness: {python: /opt/tf/bin/python}}"
    assert words(tmp_path, group=group) == ("/opt/tf/bin/python",)
    assert words(tmp_path, "ansible_python_interpreter: /own", group=group) == ("/opt/tf/bin/python",)
    assert words(tmp_path, "harness: {python: auto}", group=group) == ()
    ansible = "{ansible_python_interpreter: /usr/bin/python3}"
    assert words(tmp_path, "ansible_python_interpreter: auto_silent", group=ansible) == ()


@pytest.mark.parametrize("value", ["auto", "auto_silent", "auto_legacy", "auto_legacy_silent"])
def test_discovery_names_no_python(tmp_path: Path, value: str) -> None:
    assert words(tmp_path, f"ansible_python_interpreter: {value}") == ()
    assert words(tmp_path) == ()


@pytest.mark.parametrize(("value", "expected"), [
    ("python3.12", ("python3.12",)),
    ("~/tf/bin/python", ("~/tf/bin/python",)),
    ("apptainer exec --bind /srv ~/tf.sif python3", ("apptainer", "exec", "--bind", "/srv", "~/tf.sif", "python3")),
    ("'/opt/with space/python' -I", ("/opt/with space/python", "-I")),
    ("/usr/bin/env python3", ("/usr/bin/env", "python3")),
    ("a;b && c | d > e", ("a;b", "&&", "c", "|", "d", ">", "e")),
])  # fmt: skip
def test_a_command_is_split_into_words_and_no_more(tmp_path: Path, value: str, expected: tuple[str, ...]) -> None:
    assert words(tmp_path, f'harness: {{python: "{value}"}}') == expected
    assert words(tmp_path, f'ansible_python_interpreter: "{value}"') == expected


@pytest.mark.parametrize(("value", "message"), [
    ("venv/bin/python", "'venv/bin/python' cannot be the program of an interpreter"),
    ("$HOME/python", "'$HOME/python': shell variables and commands are not expanded"),
    ("`which python3`", "shell variables and commands are not expanded"),
    ("~bob/python", "'~bob/python': home folders of other users are not supported"),
    ("-m x", "'-m' cannot be the program of an interpreter"),
    ("'open", "a quote is not closed"),
    ("''", "the command is empty"),
    ("  ", "the command is empty"),
    ("x" * 1001, "more than 1000 characters"),
])  # fmt: skip
def test_what_cannot_be_one_is_our_mistake_and_of_ansibles_a_note(tmp_path: Path, value: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path, f'harness: {{python: "{value}"}}')
    (mistake,) = caught.value.mistakes
    assert message in mistake.message and mistake.hint and mistake.line == 6
    if value.strip():
        read = load(tmp_path, f'ansible_python_interpreter: "{value}"')
        (note,) = read.warnings
        assert message in note.message and "ignored" in note.message and "harness: {python: …}" in str(note.hint)
        assert read.host("h").variables.python_words == ()


def test_the_python_of_ansible_itself_is_that_of_this_program(tmp_path: Path) -> None:
    assert words(tmp_path, 'ansible_python_interpreter: "{{ ansible_playbook_python }}"') == (sys.executable,)
    assert words(tmp_path, 'ansible_python_interpreter: "{{ tf }}"', "tf: /opt/tf/bin/python") == (
        "/opt/tf/bin/python",
    )


def test_a_template_that_cannot_be_read_is_noted(tmp_path: Path) -> None:
    read = load(tmp_path, "ansible_python_interpreter: \"{{ lookup('env', 'PYTHON') }}\"")
    assert "cannot be read" in read.warnings[0].message and read.host("h").variables.python_words == ()


def test_a_misspelt_variable_is_noted(tmp_path: Path) -> None:
    (note,) = load(tmp_path, "ansible_python_interperter: /usr/bin/python3").warnings
    assert "did you mean ansible_python_interpreter?" in str(note.hint)
