"""Every command over a lab of fakes in which each answer of one host in turn is garbage: the other host is well."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import garbage
import pytest
import yaml
from fake_lab import BAD, GOOD, Lab
from lab_commands import COMMANDS, Done, make_pets, run_command

from harness.console import Console
from harness.records.folder import list_folders
from harness.records.reading import read_records
from harness.workflow.machines.trust import trust_hosts

MOST_CPU_S = 10.0
QUICK, THOROUGH = 3, 60
"""A session gives some hundred answers and takes seconds: so many of them are garbled."""
ENGINES = ("process", "docker")
Kind = Callable[[bytes], bytes]


@pytest.fixture(autouse=True)
def _no_engine_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """No engine of this machine takes part."""
    for variable in ("DOCKER_HOST", "CONTAINER_HOST"):
        monkeypatch.setenv(variable, "unix:///nowhere.sock")


def make_lab(folder: Path, engine: str, *, is_held: bool = False) -> Lab:
    folder.mkdir(parents=True)
    make_pets(folder)
    lab = Lab(folder, engine=engine, **({"image": "lab-image:1"} if engine == "docker" else {}))
    if is_held:
        lab.hold()
    return lab


def garble(lab: Lab, number: int, kind: Kind) -> None:
    """Put garbage in the place of one answer of the bad host."""
    lab.bad.meddler.meddle = lambda count, _question, truth: kind(truth) if count == number else truth


def assert_contained(command: str, done: Done, lab: Lab, cpu_s: float) -> None:
    """See that the bad host costs itself alone, and that what is said of it is plain and says what to do."""
    for bad in ("Traceback", "unexpected error", "\x1b"):
        assert bad not in done.said, done.said
    assert done.code in (0, 1), done.said
    assert cpu_s < MOST_CPU_S
    failures = [line for line in done.err.splitlines() if line.startswith(("not_ready: ", "unreachable: ", "locked: "))]
    assert all(line.split(": ")[1] == BAD for line in failures), done.err
    assert not failures or "→" in done.err
    expected = {
        "check": (f"{GOOD}: ready", done.out),
        "facts": (GOOD, done.out),
        "record": ("facts-1.json", done.out),
        "unlock": (f"{GOOD}: not locked", done.out),
        "plan": (f"{GOOD} (ready", done.out),
    }.get(command)
    assert expected is None or expected[0] in expected[1], done.said
    if command == "run":
        (folder,) = list_folders(lab.folder / "reports")
        assert [one.status for one in read_records(folder) if one.host == GOOD] == ["ok"] * 3


def choose_answers(tmp_path: Path, engine: str, command: str, most_of_run: int) -> range:
    """Numbers of answers that the bad host gives where all is well, of ``run`` some; that all is well then, too."""
    lab = make_lab(tmp_path / "well", engine)
    done = run_command(command, lab)
    assert done.code == 0, done.said
    assert_contained(command, done, lab, 0.0)
    count = len(lab.bad.meddler.asked)
    return range(count) if command != "run" else range(count // most_of_run // 2, count, count // most_of_run)


def try_garbage(tmp_path: Path, engine: str, command: str, number: int, kind: Kind) -> None:
    lab = make_lab(tmp_path / f"{number}-{kind.__name__}", engine)
    garble(lab, number, kind)
    begun = time.process_time()
    done = run_command(command, lab)
    assert_contained(command, done, lab, time.process_time() - begun)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    "command", [pytest.param(name, marks=[pytest.mark.slow] if name == "run" else []) for name in COMMANDS]
)
def test_each_answer_in_turn_is_one_kind_of_garbage(tmp_path: Path, engine: str, command: str) -> None:
    first = list(COMMANDS).index(command)
    for number in choose_answers(tmp_path, engine, command, QUICK):
        kind = garbage.KINDS[(number + first * 5) % len(garbage.KINDS)]
        try_garbage(tmp_path, engine, command, number, kind)


@pytest.mark.thorough
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("command", COMMANDS)
def test_each_answer_in_turn_is_every_kind_of_garbage(tmp_path: Path, engine: str, command: str) -> None:
    for number in choose_answers(tmp_path, engine, command, THOROUGH):
        for kind in garbage.KINDS if command != "run" else (garbage.KINDS[number % len(garbage.KINDS)],):
            try_garbage(tmp_path, engine, command, number, kind)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("command", ["check", "clean", "unlock", "plan"])
def test_a_held_lock_and_garbage(tmp_path: Path, engine: str, command: str) -> None:
    lab = make_lab(tmp_path / "well", engine, is_held=True)
    run_command(command, lab)
    for number in range(len(lab.bad.meddler.asked)):
        lab = make_lab(tmp_path / f"{number}", engine, is_held=True)
        garble(lab, number, garbage.KINDS[number % len(garbage.KINDS)])
        done = run_command(command, lab)
        assert "unexpected error" not in done.said and "\x1b" not in done.said and done.code in (0, 1, 3), done.said


def test_the_first_line_that_a_host_said_is_told(tmp_path: Path) -> None:
    lab = make_lab(tmp_path / "lab", "process")
    garble(lab, 0, lambda _truth: b"\n  Welcome to ws01!\x1b[31m\nyou have mail\n")
    done = run_command("check", lab)
    assert f"{BAD}: not_ready" in done.out and "“Welcome to ws01!�[31m”" in done.out
    assert f"{GOOD}: ready" in done.out and done.code == 1


@pytest.mark.parametrize(
    ("fact", "said"),
    [
        ("meminfo", "MemTotal: ² kB\nMemAvailable: 5 kB\n"),
        ("meminfo", f"MemTotal: {10**18} kB\n"),
        ("online_cpus", "0-99999999999\n"),
        ("online_cpus", "all of them\n"),
        ("user", "-1\n-1\n"),
        ("kernel", "Linux\n"),
        ("os", "PRETTY_NAME=x\n" * 100_000),
    ],
)
def test_a_fact_that_is_needed_and_makes_no_sense(tmp_path: Path, fact: str, said: str) -> None:
    lab = make_lab(tmp_path / "lab", "process")
    machine, true_fact = lab.bad.machine, lab.bad.machine._fact  # noqa: SLF001 - one fact of a simulated host
    machine._fact = lambda name: said if name == fact else true_fact(name)  # type: ignore[method-assign]  # noqa: SLF001
    done = run_command("facts", lab)
    assert done.code == 1 and f"not_ready: {BAD}: the fact '{fact}'" in done.err
    assert said.split("\n", maxsplit=1)[0][:20] in done.err and GOOD in done.out


def test_an_image_that_nothing_is_known_of_is_said_to_be_so(tmp_path: Path) -> None:
    done = run_command("ship", make_lab(tmp_path / "lab", "docker"))
    assert done.code == 0 and done.err.count("is used without verification") == 2


# -- sshd's place --------------------------------------------------------------------------------------------------


@contextmanager
def answering(said: bytes) -> Iterator[int]:
    """A port where whoever connects hears this, and no more."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    peer, _ = server.accept()
                except OSError:
                    return
                threading.Thread(target=partial(_say, peer, said), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


def _say(peer: socket.socket, said: bytes) -> None:
    with peer:
        try:
            peer.sendall(said)
            peer.settimeout(0.5)
            while peer.recv(65536):
                pass
        except OSError:
            return


PACKETS = b"SSH-2.0-OpenSSH_9.2\r\n" + b"\x00\x00\x00\x1c\x0a\x14" + bytes(26) + b"\xff" * 64


@pytest.mark.parametrize(
    "said",
    [
        b"",
        bytes(range(256)) * 40,
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        PACKETS,
        b"SSH-2.0-\xff\xfe\x1b[31m\r\n" + b"\xff" * 4000,
        b"SSH-2.0-OpenSSH_9.2\r\n" + b"\x00\x00\x00\x0c\x0a" + b"\x14" + b"\xff" * 9,
        b"x" * 10_000_000,
    ],
    ids=["empty", "binary", "http", "silent", "packets", "codes", "short", "large"],
)
def test_what_is_no_sshd_costs_trust_and_check_its_own_host(
    said: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.hosts.ssh.link.KEY_EXCHANGE_S", 3.0)
    monkeypatch.setattr("harness.hosts.ssh.ssh_connection._FIRST_TRIES", 1)
    with answering(said) as port, answering(b"") as other:
        inventory = tmp_path / "lab.yaml"
        ports = {BAD: port, GOOD: other}
        hosts = {name: {"ansible_host": "127.0.0.1", "ansible_port": number} for name, number in ports.items()}
        inventory.write_text(yaml.safe_dump({"all": {"hosts": hosts}}))
        code = trust_hosts(Console(), inventory, limit=None, yes=True, replace_changed=False, forks=2, as_json=False)
    shown = capsys.readouterr()
    assert code == 3
    assert "unexpected error" not in shown.out + shown.err and "\x1b" not in shown.out + shown.err
    assert shown.out.count("unreachable") == 2, shown.out
