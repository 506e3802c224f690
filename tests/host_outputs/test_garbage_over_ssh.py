"""A host whose every answer is garbage beside a good one, on real sshds, in every command as a user types it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sshd_support import Server, start_sshd

pytestmark = pytest.mark.ssh

ALL_DIGITS_SQUARED = "sed '1!s/[0-9]/²/g'"
WAYS = {
    "nonsense": "head -n 1; printf 'this is not \\033[31mthe host [/x]\\n'",
    "squares": ALL_DIGITS_SQUARED,
    "half": "head -c 200",
    "noise": "head -n 1; head -c 100000 /dev/urandom",
}
"""What a forced command does with what the true one writes; its first line is the mark that begins every answer."""


def host_of(server: Server) -> dict[str, object]:
    return {
        "ansible_host": "127.0.0.1",
        "ansible_port": server.port,
        "ansible_user": server.user,
        "ansible_ssh_private_key_file": str(server.user_key),
        "harness": {"engine": "process", "allow_busy": True, "data": {"pets": {"folder": "/nowhere"}}},
    }


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with start_sshd(tmp_path_factory.mktemp("good")) as running:
        yield running


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key not in ("SSH_AUTH_SOCK", "HARNESS_DEBUG")}
    nowhere = dict.fromkeys(("DOCKER_HOST", "CONTAINER_HOST"), "unix:///nowhere.sock")
    environment |= {"HOME": str(folder / "home"), **nowhere}
    command = [sys.executable, "-c", "from harness.cli import main; main()", *words]
    return subprocess.run(
        command, capture_output=True, text=True, env=environment, stdin=subprocess.DEVNULL, cwd=folder, check=False
    )


@pytest.mark.parametrize("way", WAYS)
def test_a_garbage_host_costs_its_own_part_alone(way: str, good: Server, tmp_path: Path) -> None:
    (tmp_path / "home" / ".ssh").mkdir(parents=True)
    script = tmp_path / "garble"
    script.write_text(f'#!/bin/sh\nsh -c "$SSH_ORIGINAL_COMMAND" | {{ {WAYS[way]}; }}\n')
    script.chmod(0o755)
    with start_sshd(tmp_path / "bad", options=(f"ForceCommand {script}",)) as bad:
        inventory = tmp_path / "lab.yaml"
        inventory.write_text(json.dumps({"all": {"hosts": {"bad": host_of(bad), "good": host_of(good)}}}))
        assert run(tmp_path, "trust", str(inventory), "--yes").returncode == 0
        for words in (["check"], ["facts"], ["facts", "--record"], ["clean"], ["unlock", "--yes"], ["plan"], ["ship"]):
            done = run(tmp_path, words[0], str(inventory), *words[1:])
            said = done.stdout + done.stderr
            assert done.returncode in (0, 1, 2, 3), said
            for wrong in ("unexpected error", "Traceback", "\x1b"):
                assert wrong not in said, (words, said)
            if words[0] in ("check", "plan", "unlock") or words == ["facts"]:
                assert "good" in done.stdout, (words, said)
            if words == ["facts"]:
                assert done.returncode == 1 and "not_ready: bad: " in done.stderr and "→" in done.stderr
