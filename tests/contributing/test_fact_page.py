"""``docs/contributing/fact.md``, followed: its fact is read from a host and shown."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

from following import PAGES, followed
from typer.testing import CliRunner

from harness.cli.app import app
from harness.hosts.facts import find_facts, kinds

INVENTORY = "all: {hosts: {here: {ansible_connection: local, harness: {scratch: %s}}}}"


def test_its_file_is_all_that_the_facts_need(tmp_path: Path) -> None:
    inventory = tmp_path / "inventory.yaml"
    inventory.write_text(INVENTORY % (tmp_path / "scratch"), encoding="utf-8")
    release = os.confstr("CS_GNU_LIBC_VERSION")

    def facts(*options: str) -> str:
        done = CliRunner().invoke(app, ["facts", str(inventory), *options])
        assert done.exit_code == 0, done.output
        return done.stdout

    others = json.loads(facts("--json"))["here"]["others"]
    assert "C library" not in facts() and "C library" not in others
    with followed("fact.md", kinds, tmp_path / "kinds"):
        assert f"  C library: {release.split()[1]}\n" in facts()  # type: ignore[union-attr]
        assert json.loads(facts("--json"))["here"]["others"] == {**others, "C library": release.split()[1]}  # type: ignore[union-attr]
        recording = tmp_path / "recorded"
        facts("--record", "--output", str(recording))
        (written,) = recording.iterdir()
        assert json.loads(written.read_text())["facts"]["libc"]["output"][0] == release
    assert "libc" not in [fact.name for fact in find_facts()]


def test_its_recording_is_what_its_parser_reads(tmp_path: Path) -> None:
    (block,) = re.findall(r"```json\n(.*?)```", (PAGES / "fact.md").read_text(encoding="utf-8"), re.DOTALL)
    recording = json.loads(block)
    with followed("fact.md", kinds, tmp_path / "kinds"):
        (fact,) = [fact for fact in find_facts() if fact.name == "libc"]
    assert list(fact.command) == recording["command"]
    assert fact.parse("\n".join(recording["output"])) == recording["fact"]
    assert [fact.parse(text) for text in ("", "musl libc\nVersion 1.2", "glibc")] == [None, None, None]
