"""What a user types wrongly, and where the program's words go: every answer is one clear error and its exit code."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from harness.cli import app as program
from harness.values.engine_names import engine_choices

INVENTORY = """\
all:
  hosts:
    here:
      ansible_connection: local
      harness: {data: {mini: {generate: {profile: dogs-and-cats, images: 24, seed: 1}}}}
"""
EXPERIMENT = "{name: e, rounds: 1, parameters: {data: mini, loader: tfdata}}"
PLAN = ("plan", "inventory.yaml", "--experiment", "experiment.yaml", "--offline")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an inventory and an experiment, in which the user stands."""
    (tmp_path / "inventory.yaml").write_text(INVENTORY)
    (tmp_path / "experiment.yaml").write_text(EXPERIMENT)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    return tmp_path


def type_in(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """One command in this process: its exit code, stdout and stderr."""
    monkeypatch.setattr(sys, "argv", ["harness", *words])
    monkeypatch.setattr("harness.cli.app.signal.signal", lambda *_: None)  # the test's own process keeps its signals
    with pytest.raises(SystemExit) as ended:
        program.main()
    captured = capsys.readouterr()
    code = ended.value.code
    return (0 if code is None else int(code)), captured.out, captured.err


WRONG: dict[str, tuple[dict[str, Any], tuple[str, ...], list[str]]] = {
    "broken YAML": ({"inventory.yaml": "all: [1, 2\n hosts: {"}, PLAN, ["inventory.yaml:2: not valid YAML"]),
    "not text": ({"inventory.yaml": b"\xff\xfe\x00"}, PLAN, ["not UTF-8 text"]),
    "empty file": ({"inventory.yaml": ""}, PLAN, ["the file is empty", "harness init"]),
    "no hosts": ({"inventory.yaml": "all: {}"}, PLAN, ["the inventory holds no host"]),
    "a list": ({"inventory.yaml": "- a"}, PLAN, ["an inventory is a mapping of groups"]),
    "unknown key and wrong type": (
        {"inventory.yaml": "all: {hosts: {a: {harness: {enginee: docker, gpus: -1, scratch: 5}}}}"},
        PLAN,
        ["unknown key", "did you mean engine?", "harness.gpus", "found the number -1", "found the number 5"],
    ),
    "two kinds of data": (
        {"inventory.yaml": "all: {hosts: {a: {harness: {data: {d: {folder: /x, images: /y}}}}}}"},
        PLAN,
        ["2 forms of data set in one"],
    ),
    "no such inventory": ({}, ("plan", "inventry.yaml", "--offline"), ["no such file", "did you mean inventory.yaml?"]),
    "a folder": ({}, ("plan", ".", "--offline"), ["this is a folder, not a file", "inventory.yaml"]),
    "broken experiment": ({"experiment.yaml": "name: ["}, PLAN, ["experiment.yaml:", "not valid YAML"]),
    "unknown parameter": (
        {"experiment.yaml": "{name: e, ruonds: 2, parameters: {data: mini, loader: tfdat, image_sizes: 3, epochs: 0}}"},
        PLAN,
        ["did you mean rounds?", "did you mean tfdata?", "did you mean image_size?", "found the number 0"],
    ),
    "empty list": (
        {"experiment.yaml": "{name: e, parameters: {data: mini, loader: []}}"}, PLAN, ["makes an empty matrix"],
    ),
    "empty matrix": (
        {"experiment.yaml": "{name: e, parameters: {data: mini, loader: tfdata}, exclude: [{loader: tfdata}]}"},
        PLAN,
        ["the matrix is empty", "exclude rule 1"],
    ),
    "no such data set": (
        {"experiment.yaml": "{name: e, parameters: {data: other, loader: tfdata}}"},
        ("run", "inventory.yaml", "--experiment", "experiment.yaml"),
        ["no host of this session has a data set named 'other'", "known: mini"],
    ),
    "unknown preset": ({}, ("plan", "inventory.yaml", "--experiment", "quik", "--offline"), ["did you mean quick?"]),
    "bad --only": ({}, (*PLAN, "--only", "lodaer=tfdata"), ["there is no parameter 'lodaer'", "did you mean loader?"]),
    "--only of nothing": ({}, (*PLAN, "--only", "bogus"), ["--only bogus", "harness plan"]),
    "bad --limit": ({}, (*PLAN, "--limit", "nohost"), ["--limit: no host or group matches 'nohost'"]),
    "half a --limit": ({}, (*PLAN, "--limit", "ws[01"), ["--limit: 'ws[01' is not a host pattern"]),
    "empty --limit": ({}, (*PLAN, "--limit", ""), ["--limit: the pattern '' selects no host"]),
    "--limit from nowhere": ({}, (*PLAN, "--limit", "@nofile"), ["--limit: nofile cannot be read"]),
    "bad --explain": ({}, ("plan", "inventory.yaml", "--explain", "nohost"), ["--explain: no host or group matches"]),
    "bad --engine": ({}, (*PLAN, "--engine", "whale"), ["unknown engine 'whale'", ", ".join(engine_choices())]),
    "bad --rounds": ({}, (*PLAN, "--rounds", "0"), ["--rounds"]),
    "unknown command": ({}, ("rnu",), ["No such command 'rnu'", "'run'"]),
    "no session": ({}, ("status",), ["there is no session in this folder", "harness run INVENTORY"]),
    "not a session": ({}, ("export", "nosuch"), ["this is not a session folder"]),
    "not a page": ({}, ("report", "inventory.yaml"), ["no records in this page"]),
    "output is a file": (
        {}, ("run", *PLAN[1:4], "--output", "inventory.yaml"), ["inventory.yaml", "Not a directory", "--output"],
    ),
    "make in a file": ({}, ("data", "make", "inventory.yaml", "--images", "3"), ["inventory.yaml"]),
    "describe nothing": ({}, ("data", "describe", "nosuch"), ["there is no folder nosuch"]),
    "init twice": ({}, ("init", "."), ["these files exist already: inventory.yaml", "--force"]),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_one_clear_error(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], case: str
) -> None:
    files, words, told = WRONG[case]
    for name, content in files.items():
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    before = sorted(folder.rglob("*"))
    code, out, err = type_in(monkeypatch, capsys, *words)
    said = " ".join(err.replace("│", " ").split())
    assert code == 2
    assert out == ""  # stdout is for results
    for word in told:
        assert word in said
    assert "Traceback" not in said
    assert "unexpected error" not in said
    assert said.count("error:") + said.count("─ Error ─") == 1
    assert sorted(folder.rglob("*")) == before


def test_quiet_and_verbose_before_and_behind(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = [
        type_in(monkeypatch, capsys, *words)
        for words in (("-v", *PLAN), (*PLAN, "-v"), (*PLAN, "--quiet"), ("--quiet", *PLAN), PLAN)
    ]
    assert {code for code, _, _ in answers} == {0}
    outs = [out for _, out, _ in answers]
    assert outs[0] == outs[1] and "order of round 1" in outs[0]
    assert len(set(outs[2:])) == 1 and "order of round" not in outs[2]
    assert answers[2][2] == answers[3][2] == ""


@pytest.mark.parametrize(
    "words", [(*PLAN, "--json"), ("loaders", "--json"), ("plan", "inventory.yaml", "--explain", "here", "--json")]
)
def test_json_is_json(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    code, out, _ = type_in(monkeypatch, capsys, *words)
    assert code == 0
    assert json.loads(out)


def test_init_says_what_comes_next(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = type_in(monkeypatch, capsys, "init", "my lab")
    assert (code, len(out.splitlines())) == (0, 4)
    assert [line.split()[:2] for line in err.splitlines()[1:]] == [
        ["harness", word] for word in ("check", "plan", "run")
    ]
    assert "harness plan 'my lab/inventory.yaml' --experiment 'my lab/experiment.yaml'" in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("plan", "nowhere.yaml"), "there is no such file"),
        (("check", "inventory.yaml", "--limit", "nobody"), "no host or group matches 'nobody'"),
        (("data", "describe", "nowhere"), "there is no folder nowhere"),
        (("status", "nowhere"), "this is not a session folder"),
        (("plan", "inventory.yaml", "--rouds", "3"), "No such option: --rouds"),
        (("data", "describe"), "Missing argument"),
    ],
)
def test_errors_are_json_where_json_is_asked_for(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: tuple[str], message: str
) -> None:
    code, out, err = type_in(monkeypatch, capsys, *words, "--json")
    told = json.loads(out)["error"]
    assert told["message"].startswith(message) and told["hint"]
    assert code == told["exit_code"] == 2
    assert message in err, "people who look on read it, too"


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:300]), ["1 of 2 files", "a/1.jpg", "truncated or damaged"]),
        (lambda path: path.write_bytes(b""), ["1 of 2 files", "a/1.jpg", "zero bytes"]),
        (lambda path: path.write_bytes(b"hello"), ["1 of 2 files", "a/1.jpg", "not an image"]),
        (lambda path: [one.unlink() for one in path.parent.iterdir()], ["has no images"]),
    ],
    ids=["truncated", "empty", "no image", "no files"],
)
def test_a_set_that_cannot_be_read_is_described_and_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], spoil: object, words: list[str]
) -> None:
    from PIL import Image

    (folder / "set" / "a").mkdir(parents=True)
    for number in range(2):
        Image.effect_noise((40, 30), 50).save(folder / "set" / "a" / f"{number}.jpg")
    spoil(folder / "set" / "a" / "1.jpg")  # type: ignore[operator]
    code, out, err = type_in(monkeypatch, capsys, "data", "describe", "set")
    assert code == 2
    assert ("fingerprint" in out) is (words != ["has no images"])
    assert err.count("error:") == 1
    for word in words:
        assert word in err
    code, out, _ = type_in(monkeypatch, capsys, "data", "describe", "set", "--json")
    told = json.loads(out)["error"]
    assert code == told["exit_code"] == 2 and told["hint"] and words[-1] in told["message"]


# -- streams and terminals ---------------------------------------------------------------------------------------------

HARNESS = f"{sys.executable} -c 'import sys; sys.argv[0] = \"harness\"; from harness.cli import main; main()'"


def shell(text: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", text.replace("harness ", f"{HARNESS} ", 1)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("text", "codes", "told"),
    [
        ("harness schema record | head -1", {0, 141}, ""),  # 141: ended by SIGPIPE, as any program
        ("harness loaders --json > /dev/full", {2}, "No space left on device"),
        ("harness loaders >&-", {0}, ""),
        ("harness loaders 2>&- >/dev/null <&-", {0}, ""),
    ],
)
def test_streams_that_end(text: str, codes: set[int], told: str) -> None:
    done = shell(text)
    assert done.returncode in codes
    assert told in done.stderr
    assert "unexpected error" not in done.stderr
    assert "Traceback" not in done.stderr


def test_a_terminal_that_knows_only_ascii() -> None:
    done = shell("harness loaders", PYTHONIOENCODING="ascii", LC_ALL="C")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.isascii()


def on_a_terminal(*words: str, **environment: str) -> str:
    """What a terminal gets to show."""
    master, slave = pty.openpty()
    command = [sys.executable, "-c", "from harness.cli import main; main()", *words]
    plain = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "FORCE_COLOR")}
    with subprocess.Popen(
        command, stdin=slave, stdout=slave, stderr=slave, env={**plain, "TERM": "xterm", **environment}
    ) as process:
        os.close(slave)
        shown = b""
        while True:
            try:
                shown += os.read(master, 65536)
            except OSError:
                break
        process.wait()
    os.close(master)
    return shown.decode(errors="replace")


@pytest.mark.slow
def test_colours_only_where_they_are_wanted(folder: Path) -> None:
    command = ("plan", "inventory.yaml")
    assert "\x1b[" in on_a_terminal(*command)
    assert "\x1b" not in on_a_terminal(*command, NO_COLOR="1")
    assert "\x1b" not in shell(f"harness {' '.join(command)}").stdout


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_the_list_of_loaders_fits_the_terminal(folder: Path, columns: int) -> None:
    lines = shell("harness loaders", COLUMNS=str(columns)).stdout.splitlines()
    assert max(map(len, lines)) <= columns
    text = " ".join(line.strip() for line in lines)
    for words in ("tfdata-tuned", "caches: memory, file, array", "interpolations: nearest", "elements: float32, uint8"):
        assert words in re.sub(r"\s+", " ", text)


def test_names_do_not_obey_the_terminal(folder: Path) -> None:
    (folder / "set" / "\x1b]0;owned\x07\x1b[31m\n").mkdir(parents=True)
    (folder / "set" / "\x1b]0;owned\x07\x1b[31m\n" / "\x1b[2J.jpg").write_bytes(b"hello")
    shown = on_a_terminal("data", "describe", "set")
    assert "\x1b]0;" not in shown
    assert "\x07" not in shown
    assert "\x1b[2J" not in shown
    assert "\x1b[31m\\n" not in shown
    assert "owned" in shown


# -- help --------------------------------------------------------------------------------------------------------------


def all_commands() -> list[tuple[str, ...]]:
    def walk(command: object, path: tuple[str, ...]) -> list[tuple[str, ...]]:
        members: dict[str, object] = getattr(command, "commands", {})
        return [path, *(found for name, member in members.items() for found in walk(member, (*path, name)))]

    return walk(typer.main.get_command(program.app), ())


@pytest.mark.parametrize("path", all_commands(), ids=lambda path: " ".join(path) or "harness")
def test_every_help_is_real(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], path: tuple[str, ...]
) -> None:
    code, out, err = type_in(monkeypatch, capsys, *path, "--help")
    text = " ".join(out.split())
    assert (code, err) == (0, "")
    assert ("Example" if path else "Start with:") in text
    for ugly in ("<bool>", "<path>  <", "[[", "None", "[default: ]"):
        assert ugly not in text
    assert all(line.isprintable() for line in out.splitlines())
    assert max(map(len, out.splitlines())) <= 100


def test_no_help_loses_what_stands_in_brackets() -> None:
    """They are markup to what prints the help."""

    def walk(command: Any) -> list[str]:
        found = [each.help for each in command.params if getattr(each, "help", None)]
        return found + [text for one in getattr(command, "commands", {}).values() for text in walk(one)]

    assert [text for text in walk(typer.main.get_command(program.app)) if "[" in text] == []


@pytest.mark.parametrize(
    ("shell_name", "mark"), [("bash", "complete -o default"), ("zsh", "#compdef"), ("fish", "complete --command")]
)
def test_completion_of_the_shell_that_is_named(shell_name: str, mark: str) -> None:
    done = shell(f"harness --show-completion {shell_name}")
    assert done.returncode == 0, done.stderr
    assert mark in done.stdout
    assert "_HARNESS_COMPLETE" in done.stdout
