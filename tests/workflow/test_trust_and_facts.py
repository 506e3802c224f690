"""``harness trust``, ``facts`` and ``check`` as a user types them, on a real sshd."""

from __future__ import annotations

import getpass
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sshd_support import Server, free_port, make_key, start_sshd

pytestmark = pytest.mark.ssh
PASSPHRASE = "a passphrase that nobody shall read"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with start_sshd(tmp_path_factory.mktemp("sshd")) as running:
        yield running


class Desk:
    """A folder with an inventory, and a home without keys."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "home" / ".ssh").mkdir(parents=True)
        self.inventory = folder / "lab.yaml"
        self.known = folder / "known_hosts"

    def write(self, hosts: dict[str, dict[str, object]]) -> None:
        self.inventory.write_text(json.dumps({"all": {"hosts": hosts}}))

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        environment = {key: value for key, value in os.environ.items() if key != "SSH_AUTH_SOCK"}
        environment["HOME"] = str(self.folder / "home")
        command = [sys.executable, "-c", "from harness.cli import main; main()", *words]
        return subprocess.run(
            command, capture_output=True, text=True, env=environment, stdin=subprocess.DEVNULL, check=False
        )


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def host_of(server: Server, **changes: object) -> dict[str, object]:
    return {
        "ansible_host": "127.0.0.1",
        "ansible_port": server.port,
        "ansible_user": server.user,
        "ansible_ssh_private_key_file": str(server.user_key),
        **changes,
    }


def test_trust_shows_every_key_once_and_keeps_what_is_accepted(server: Server, desk: Desk) -> None:
    desk.write({"ws01": host_of(server), "ws02": host_of(server), "here": {"ansible_connection": "local"}})
    fingerprint = subprocess.run(
        ["ssh-keygen", "-lf", str(server.folder / "host_ed25519.pub")], capture_output=True, text=True, check=True
    ).stdout.split()[1]
    refused = desk.run("facts", str(desk.inventory))
    assert refused.returncode == 1 and fingerprint in refused.stderr and "harness trust" in refused.stderr
    shown = desk.run("trust", str(desk.inventory))
    assert shown.returncode == 1 and not desk.known.exists()
    assert shown.stdout.count(fingerprint) == 1 and "ws01, ws02" in shown.stdout and "unknown" in shown.stdout
    assert "--yes" in shown.stderr
    assert desk.run("trust", str(desk.inventory), "--yes").returncode == 0
    assert fingerprint in desk.run("trust", str(desk.inventory), "--json").stdout
    assert desk.known.read_text().count("ssh-ed25519") == 1
    accepted = desk.run("facts", str(desk.inventory), "--json")
    assert accepted.returncode == 0, accepted.stderr
    found = json.loads(accepted.stdout)
    assert found["ws01"]["hardware"] == found["ws02"]["hardware"] != ""


def test_a_changed_key_is_not_kept_by_the_way(server: Server, desk: Desk) -> None:
    desk.write({"ws01": host_of(server)})
    old = " ".join(Path(f"{make_key(desk.folder / 'old')}.pub").read_text().split()[:2])
    desk.known.write_text(f"[127.0.0.1]:{server.port} {old}\n")
    for words in ([], ["--yes"]):
        shown = desk.run("trust", str(desk.inventory), *words)
        assert shown.returncode == 1 and "changed" in shown.stdout and "--replace" in shown.stderr
        assert old in desk.known.read_text()
    assert desk.run("trust", str(desk.inventory), "--yes", "--replace").returncode == 0
    assert old not in desk.known.read_text()


def test_gates_are_trusted_before_what_is_behind_them(server: Server, desk: Desk, tmp_path: Path) -> None:
    with start_sshd(tmp_path / "gate") as jump_host:
        (jump_host.folder / "authorized_keys").write_text((server.folder / "id.pub").read_text())
        through = f"-o ProxyJump={jump_host.user}@127.0.0.1:{jump_host.port}"
        desk.write({name: host_of(server, ansible_ssh_common_args=through) for name in ("ws01", "ws02")})
        kept = desk.run("trust", str(desk.inventory), "--yes")
        assert kept.returncode == 0, kept.stdout + kept.stderr
        assert [line.split()[0] for line in desk.known.read_text().splitlines()] == [
            f"[127.0.0.1]:{jump_host.port}",
            f"[127.0.0.1]:{server.port}",
        ]
        assert desk.run("facts", str(desk.inventory)).returncode == 0


def test_hosts_that_do_not_answer_are_named_and_the_others_kept(server: Server, desk: Desk) -> None:
    desk.write({"ws01": host_of(server), "ws02": host_of(server, ansible_port=free_port())})
    shown = desk.run("trust", str(desk.inventory), "--yes")
    assert shown.returncode == 1
    assert "unreachable" in shown.stdout and desk.known.exists()
    facts = desk.run("facts", str(desk.inventory))
    assert facts.returncode == 1
    assert "ws02" in facts.stderr and "refuses connections" in facts.stderr and "ws01" in facts.stdout


def test_a_recording_holds_no_name_and_no_number_of_a_machine(server: Server, desk: Desk) -> None:
    desk.write({"secret-host-name": host_of(server, harness={"scratch": "~/secret-host-name/scratch"})})
    assert desk.run("trust", str(desk.inventory), "--yes").returncode == 0
    done = desk.run("facts", str(desk.inventory), "--record", "--output", str(desk.folder / "out"))
    assert done.returncode == 0, done.stderr
    file = Path(done.stdout.strip())
    text = file.read_text()
    recording = json.loads(text)
    assert len(recording["facts"]) > 15
    outputs = json.dumps([one["output"] for one in recording["facts"].values()])
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    names = ["secret-host-name", "127.0.0.1", boot]
    names += [name for name in (socket.gethostname(), getpass.getuser()) if len(name) > 4]
    assert [name for name in names if name in outputs] == []
    assert re.search(r"00000000-0000-0000-0000-0{11}1", outputs)


def test_nothing_secret_is_ever_told(server: Server, desk: Desk) -> None:
    key = make_key(desk.folder / "locked", passphrase=PASSPHRASE)
    data = {"dogs-and-cats": {"generate": {"profile": "dogs-and-cats", "images": 10}}}
    desk.write({"ws01": host_of(server, ansible_ssh_private_key_file=str(key), harness={"data": data})})
    desk.run("trust", str(desk.inventory), "--yes")
    told = ""
    for words in (("facts",), ("check",), ("run", "--experiment", "loading", "--output", str(desk.folder / "reports"))):
        done = desk.run(words[0], str(desk.inventory), *words[1:])
        assert done.returncode == 3, done.stdout + done.stderr
        told += done.stdout + done.stderr
    assert told.count("is encrypted, and no passphrase was given") >= 3
    written = "".join(
        path.read_text(errors="replace")
        for path in desk.folder.rglob("*")
        if path.is_file() and not path.name.startswith("locked")
    )
    for secret in (PASSPHRASE, *key.read_text().splitlines()[1:-1]):
        assert secret not in told and secret not in written
