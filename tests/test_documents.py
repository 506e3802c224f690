"""What documents and messages tell a user to type exists, and does not install somebody else's package."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from conf import include_patterns

from harness import __version__
from harness.cli.app import app

ROOT = Path(__file__).resolve().parents[1]
TRACKED = subprocess.run(
    ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
).stdout.splitlines()
DOCUMENTS = [name for name in TRACKED if name.endswith(".md") and not name.startswith("reports/sample/")]
SPEAKING = [
    name for name in TRACKED if name.endswith((".md", ".py", ".j2", ".html", ".yaml", ".sh")) or name == "Makefile"
]

NAMES = r"(?:harness|input-pipeline-harness)(?:\[[a-z, -]+\])?(?:[=<>~!][^\s`]*)?"
MODULE = re.compile(r"`((?:harness|tests|images|benchmarks)/[\w./-]+)`")
STRANGERS = re.compile(rf"\binstall\b[^\n`]*?[\s'\"]{NAMES}(?:[\"\s`).]|'(?!s))")


def test_no_install_line_fetches_a_package_of_that_name() -> None:
    """`harness` on the index is another project's; ours is not there under any name."""
    assert STRANGERS.search("pip install harness`") and STRANGERS.search("pip install 'harness[process]'")
    assert STRANGERS.search("uv pip install --quiet input-pipeline-harness==0.1.0 ")
    assert not STRANGERS.search(
        "pip install '.[process-cpu]'\npip install 'dist/input_pipeline_harness-0.1.0-py3-none-any.whl[process]'"
    )
    found = []
    for name in SPEAKING:
        if name != "tests/test_documents.py":
            text = (ROOT / name).read_text(errors="replace")
            found += [f"{name}: {one[0]}" for one in STRANGERS.finditer(text)]
            found += [f"{name}: {one[0]}" for one in re.finditer(r"'harness\[[^\]]*\]'", text)]
    assert found == []


def test_each_module_that_a_document_names_exists() -> None:
    named = {(name, place) for name in DOCUMENTS for place in MODULE.findall((ROOT / name).read_text())}
    assert len(named) > 50
    assert [each for each in sorted(named) if not (ROOT / each[1]).exists()] == []


# -- command lines -----------------------------------------------------------------------------------------------------


def fenced_lines(text: str) -> Iterator[str]:
    """Lines of fenced blocks that show commands: those without a language, or of a shell."""
    for block in re.finditer(r"^```(?:sh|bash|console)?\n(.*?)^```$", text, re.M | re.S):
        yield from re.sub(r"\\\n\s*", " ", block[1]).splitlines()


def shown_commands(program: str) -> list[tuple[str, str]]:
    """(where, command line) of a program, in fenced blocks of documents and between backquotes anywhere."""
    found = []
    for name in SPEAKING:
        text = (ROOT / name).read_text(errors="replace")
        lines = list(fenced_lines(text)) if name.endswith(".md") else []
        lines += (
            [one[1] for one in re.finditer(r"(?<!`)`([^`\n]+)`(?!`)", text)] if not name.startswith("tests/") else []
        )
        for line in lines:
            words = re.sub(r"\s#\s.*", "", line.strip().removeprefix("sudo ")).strip()
            if re.match(rf"{program}\s+\S", words):
                found.append((name, words))
    return sorted(set(found))


HARNESS_LINES = shown_commands("harness")
MAKE_LINES = shown_commands("make")


PROGRAM = typer.main.get_command(app)


def find_fault(line: str) -> str | None:
    """Why a command line of `harness` is not understood; None where it is."""
    words = shlex.split(re.sub(r"\{[^}]*\}|…|\[[^\]]*\]", "X", line))[1:]
    command = PROGRAM
    while words and hasattr(command, "commands") and not words[0].startswith("-"):
        if words[0] == "X":
            return None  # `harness … --help`: any command
        if words[0] not in command.commands:
            return f"no command {words[0]!r}"
        command = command.commands[words.pop(0)]
    options: dict[str, Any] = {
        name: one
        for one in command.params
        if one.param_type_name == "option"
        for name in [*one.opts, *one.secondary_opts]
    }
    options.setdefault("--help", None)
    arguments, given = [one for one in command.params if one.param_type_name == "argument"], []
    while words:
        word = words.pop(0)
        if not word.startswith("-"):
            given.append(word)
            continue
        name, _, value = word.partition("=")
        if name not in options:
            return f"no option {name!r}"
        option = options[name]
        if option is not None and not option.is_flag and not value and words:
            words.pop(0)  # a line in a sentence may name an option alone
    if len(given) > len(arguments) and not any(one.nargs == -1 for one in arguments):
        return f"too many arguments: {given}"
    return None


def test_every_command_that_is_shown_exists_with_its_options() -> None:
    faults = [f"{name}: `{line}`: {find_fault(line)}" for name, line in HARNESS_LINES if find_fault(line) is not None]
    assert faults == []


def test_what_does_not_exist_is_found() -> None:
    assert len(HARNESS_LINES) > 60
    assert find_fault("harness rnu x.yaml") == "no command 'rnu'"
    assert find_fault("harness check x.yaml --no-such") == "no option '--no-such'"
    assert find_fault("harness compare A B C") == "too many arguments: ['A', 'B', 'C']"
    assert find_fault("harness report A B C --to all.html") is None


def test_every_make_target_that_is_shown_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    shown = {word for _, line in MAKE_LINES for word in shlex.split(line)[1:] if "=" not in word}
    assert {"run", "test", "lock"} <= shown
    assert shown - targets == set()


@pytest.mark.parametrize("name", DOCUMENTS)
def test_files_that_a_document_names_are_there(name: Any) -> None:
    """Links, and paths of this tree between backquotes or in commands."""
    text = (ROOT / name).read_text()
    links = [link for link in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text) if "://" not in link]
    missing = [link for link in links if not (ROOT / name).parent.joinpath(link).exists()]
    own = re.compile(
        r"(?<![\w/.~-])(?:harness|benchmarks|images|tests|docs|locks|inventory)/[\w./-]*\w\.(?:py|md|yaml|txt|sh|json|cpu)\b"
    )
    missing += [path for path in own.findall(text) if not (ROOT / path).exists()]
    assert missing == []


# -- the site ----------------------------------------------------------------------------------------------------------


def test_every_document_is_reached_from_the_index() -> None:
    """`make docs` builds a page of each document that the index links to."""
    beside_what_they_describe = {"images/ca/README.md", "reports/README.md"}
    assert set(DOCUMENTS) - set(include_patterns) == beside_what_they_describe


def test_the_version_is_the_same_wherever_it_is_stated() -> None:
    """The newest section of the changelog may be that of the next version, without a number."""
    versions = re.findall(r"^## (\d+\.\d+\.\d+) - (\d{4}-\d\d-\d\d)$", (ROOT / "CHANGELOG.md").read_text(), re.M)
    citation = (ROOT / "CITATION.cff").read_text()
    assert versions[0][0] == __version__
    assert f"version: {__version__}\ndate-released: {versions[0][1]}\n" in citation
    assert f"input_pipeline_harness-{__version__}-py3" in (ROOT / "README.md").read_text()
