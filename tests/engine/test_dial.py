"""Docker behind SSH: the same contract as every engine, over a real sshd; and what only the way there can get wrong."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import socket
import sys
import tarfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import docker_support as support
import pytest
from contract import EngineContract
from sshd_support import Server

from harness.bench.launcher import confine
from harness.engine import daemon
from harness.engine.daemon import DaemonRefused
from harness.engine.daemon_access import DaemonAccess, explain_silence, judge_access, parse_access
from harness.engine.dial import KEPT_CONNECTIONS, NEWEST_API, Dialer, agree_version
from harness.engine.kinds.docker import DockerEngine
from harness.engine.kinds.process import ProcessEngine
from harness.hosts.ssh import SSHConnection
from harness.values.errors import EngineUnavailable, HostUnreachable

ssh = pytest.mark.ssh
docker = pytest.mark.docker


def engine_over(connection: SSHConnection, dialer: Dialer | None = None) -> DockerEngine:
    dialer = dialer or Dialer(connection)
    return DockerEngine(
        connection.host,
        connection,
        uid=os.getuid(),
        gid=os.getgid(),
        connect=dialer.client,
        address=dialer.address,
    )


@ssh
@docker
class TestDockerOverSSH(EngineContract):
    @pytest.fixture
    def image(self) -> str:
        return support.python_image(support.real_client())

    @pytest.fixture
    def engine(self, connection: SSHConnection) -> DockerEngine:
        return engine_over(connection)


@ssh
@pytest.mark.cgroup
@pytest.mark.skipif(
    os.geteuid() != 0 or not confine.try_limit()["can_limit"], reason="no memory cgroup can be made here"
)
class TestProcessOverSSH(EngineContract):
    @pytest.fixture
    def engine(self, connection: SSHConnection, tmp_path: Path) -> ProcessEngine:
        return ProcessEngine(connection, scratch=str(tmp_path / "scratch"), python=sys.executable)


@pytest.fixture
def dialer(connection: SSHConnection) -> Dialer:
    support.real_client().close()
    return Dialer(connection)


def dialled(server: Server) -> int:
    """How many of this sshd's users speak to the engine just now."""
    found = 0
    for process in Path("/proc").glob("[0-9]*"):
        try:
            is_ours = f"HOME={server.folder}/home\0".encode() in (process / "environ").read_bytes()
            found += is_ours and b"dial-stdio" in (process / "cmdline").read_bytes()
        except OSError:
            continue
    return found


@ssh
@docker
def test_many_clients_share_few_connections(server: Server, dialer: Dialer, connection: SSHConnection) -> None:
    clients = [dialer.client(20) for _ in range(6)]
    with ThreadPoolExecutor(max_workers=30) as pool:
        versions = list(pool.map(lambda number: clients[number % 6].version()["Version"], range(60)))
    assert len(set(versions)) == 1
    support.wait_for(lambda: 0 < dialled(server) <= KEPT_CONNECTIONS, 20)
    for client in clients:
        client.close()
    dialer.close()


@ssh
@docker
def test_without_a_docker_cli_sshd_opens_the_socket_itself(connection: SSHConnection, dialer: Dialer) -> None:
    client = dialer.client(20)
    assert dialer._access is not None and dialer._access.cli  # noqa: SLF001 - what a host has is not to be had here
    dialer._access = replace(dialer._access, cli=None)  # noqa: SLF001 - what a host has is not to be had here
    dialer.close()
    assert client.version()["Version"]
    assert client.info()["ServerVersion"]
    engine = engine_over(connection, dialer)
    assert engine.probe("").version


@ssh
@docker
def test_a_cut_link_is_one_error_and_the_next_call_works(
    server: Server, connection: SSHConnection, dialer: Dialer
) -> None:
    engine = engine_over(connection, dialer)
    assert engine.list("no-such-session") == []
    server.signal(signal.SIGKILL)
    # Whether the cut is seen before a kept connection is used, or while it is: at most one call fails.
    with contextlib.suppress(HostUnreachable):
        engine.list("no-such-session")
    assert engine.list("no-such-session") == []


@ssh
@docker
def test_a_link_cut_in_a_stream_is_told(server: Server, dialer: Dialer) -> None:
    image = support.python_image(support.real_client())
    client = dialer.client(30)
    made = client.create_container(image, ["true"])
    try:
        stream, _ = client.get_archive(made["Id"], "/usr", chunk_size=65536)
        next(stream)
        server.signal(signal.SIGKILL)
        with pytest.raises(HostUnreachable), daemon.talking("ws01", "hand out files", lambda: None):
            for _ in stream:
                pass
        assert _ask_until_back(lambda: client.version()["Version"])
    finally:
        client.remove_container(made["Id"], force=True)


def _ask_until_back(ask: Callable[[], Any], patience_s: float = 20.0) -> Any:
    """The link is dead before every part of it has noticed: a call at that moment may still be told so."""
    deadline = time.monotonic() + patience_s
    while True:
        try:
            return ask()
        except (HostUnreachable, OSError):
            if time.monotonic() > deadline:
                raise
        time.sleep(0.1)


@ssh
@docker
def test_large_archives_go_in_slices(dialer: Dialer) -> None:
    image = support.python_image(support.real_client())
    client = dialer.client(60)
    made = client.create_container(image, ["true"], volumes=["/x"])
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        member = tarfile.TarInfo("big")
        member.size = 48 << 20
        tar.addfile(member, io.BytesIO(bytes(member.size)))
    buffer.seek(0)
    begun = time.process_time()
    try:
        assert client.put_archive(made["Id"], "/x", buffer)
        # In one text it costs 18 seconds of CPU.
        assert time.process_time() - begun < 8
        stream, _ = client.get_archive(made["Id"], "/x/big")
        assert sum(map(len, stream)) > 48 << 20
    finally:
        client.remove_container(made["Id"], v=True, force=True)


# -- engines that are odd, silent or not there ---------------------------------------------------------------------


def fake_sight(dialer: Dialer, path: Path | str) -> None:
    dialer._access = DaemonAccess(usable=(str(path),))  # noqa: SLF001 - what a host has is not to be had here


@ssh
def test_a_fake_engine_is_spoken_to_in_the_version_agreed(connection: SSHConnection, tmp_path: Path) -> None:
    with support.fake_daemon(tmp_path) as fake:
        dialer = Dialer(connection)
        fake_sight(dialer, fake.address.removeprefix("unix://"))
        client = dialer.client(10)
        assert client.api_version == "1.46"
        client.info()
        assert ("GET", "/v1.46/info") in fake.seen
        client.close()
        dialer.close()


@ssh
def test_an_engine_that_is_silent_costs_its_deadline_only(connection: SSHConnection, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen()
        dialer = Dialer(connection)
        fake_sight(dialer, tmp_path / "s")
        begun = time.monotonic()
        with pytest.raises(Exception) as caught:
            dialer.client(1.0)
        assert daemon.is_lost(caught.value)
        assert time.monotonic() - begun < 15
        assert connection.run(["true"]).returncode == 0


@ssh
def test_a_stream_that_stops_costs_its_deadline_although_the_sdk_takes_it_off(
    connection: SSHConnection, tmp_path: Path
) -> None:
    answers = (
        b'HTTP/1.1 200 OK\r\nContent-Length: 45\r\n\r\n{"ApiVersion":"1.41","MinAPIVersion":"1.12"}\n',
        b"HTTP/1.1 200 OK\r\nX-Docker-Container-Path-Stat: e30=\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    )
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen()
        peers: list[socket.socket] = []

        def serve() -> None:
            peer, _ = listener.accept()
            peers.append(peer)
            for answer in answers:
                while b"\r\n\r\n" not in peer.recv(65536):
                    pass
                peer.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        dialer = Dialer(connection)
        fake_sight(dialer, tmp_path / "s")
        client = dialer.client(1.5)
        stream, _ = client.get_archive("x", "/y")
        begun = time.monotonic()
        with pytest.raises(HostUnreachable), daemon.talking("ws01", "hand out files", lambda: None):
            for _ in stream:
                pass
        assert time.monotonic() - begun < 15
        for peer in peers:
            peer.close()


@ssh
def test_no_engine_and_a_dead_socket_are_told_with_their_cures(connection: SSHConnection, tmp_path: Path) -> None:
    dialer = Dialer(connection)
    engine = engine_over(connection, dialer)
    dialer._look = lambda: DaemonAccess(user="bench", forbidden=(("/var/run/docker.sock", "docker"),))  # type: ignore[method-assign]  # noqa: SLF001 - what a host has is not to be had here
    with pytest.raises(EngineUnavailable, match="is not accessible to bench") as caught:
        engine.probe("")
    assert "usermod -aG docker bench" in (caught.value.hint or "")
    dialer._look = lambda: DaemonAccess(user="bench")  # type: ignore[method-assign]  # noqa: SLF001 - what a host has is not to be had here
    with pytest.raises(EngineUnavailable, match="no Docker socket") as caught:
        engine.probe("")
    assert "install Docker Engine" in (caught.value.hint or "")
    with socket.socket(socket.AF_UNIX) as nobody:
        nobody.bind(str(tmp_path / "dead"))
    dialer._look = lambda: DaemonAccess(usable=(str(tmp_path / "dead"),))  # type: ignore[method-assign]  # noqa: SLF001 - what a host has is not to be had here
    with pytest.raises(EngineUnavailable):
        engine.probe("")


# -- pure ----------------------------------------------------------------------------------------------------------


def test_what_the_far_end_says_is_read() -> None:
    text = (
        "cli /usr/bin/docker\nuser bench\ndocker_host \nusable /var/run/docker.sock\n"
        "forbidden /run/user/1000/docker.sock root\n"
    )
    access = parse_access(text)
    assert access == DaemonAccess(
        "/usr/bin/docker", "bench", None, ("/var/run/docker.sock",), (("/run/user/1000/docker.sock", "root"),)
    )
    assert parse_access("") == DaemonAccess()
    assert parse_access("garbage\n\0\n").cli is None


@pytest.mark.parametrize(
    ("access", "words"),
    [
        (DaemonAccess(usable=("/run/docker.sock",)), None),
        (DaemonAccess(cli="/usr/bin/docker", docker_host="tcp://127.0.0.1:2375"), None),
        (DaemonAccess(docker_host="unix:///run/user/1/podman/podman.sock"), None),
        (DaemonAccess(docker_host="tcp://127.0.0.1:2375"), "install the docker CLI"),
        (DaemonAccess(docker_host="tcp://127.0.0.1:2375", usable=("/run/docker.sock",)), "install the docker CLI"),
        (
            DaemonAccess(cli="/usr/bin/docker", user="u", forbidden=(("/run/docker.sock", "docker"),)),
            "usermod -aG docker u",
        ),
        (DaemonAccess(user="u", forbidden=(("/run/docker.sock", "root"),)), "usermod -aG docker u"),
        (DaemonAccess(cli="/usr/bin/docker"), "systemctl start docker"),
    ],
)
def test_what_stands_there_is_judged(access: DaemonAccess, words: str | None) -> None:
    refusal = judge_access(access)
    assert (refusal is None) if words is None else (refusal is not None and words in refusal.cure)


@pytest.mark.parametrize(
    ("usable", "docker_host", "words"),
    [
        (("/var/run/docker.sock", "/run/user/1/docker.sock"), None, []),
        (("/run/user/1/docker.sock",), None, ["--host", "unix:///run/user/1/docker.sock"]),
        (("/run/user/1/docker.sock",), "tcp://127.0.0.1:2375", []),
        ((), "tcp://127.0.0.1:2375", []),
    ],
)
def test_a_rootless_engine_is_named_where_no_other_may_be_used(
    usable: tuple[str, ...], docker_host: str | None, words: list[str]
) -> None:
    access = DaemonAccess("/usr/bin/docker", "u", docker_host, usable)
    assert access.command == ["/usr/bin/docker", *words, "system", "dial-stdio"]


@pytest.mark.parametrize(
    ("newest", "oldest", "agreed"),
    [
        ("1.41", "1.12", "1.41"),
        (NEWEST_API, "1.24", NEWEST_API),
        ("1.99", "1.44", NEWEST_API),
        ("1.99", "1.60", "1.60"),
    ],
)
def test_the_version_is_one_that_both_know(newest: str, oldest: str, agreed: str) -> None:
    assert agree_version(newest, oldest) == agreed


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("permission denied while trying to connect to the Docker daemon socket", "usermod"),
        ("docker: 'dial-stdio' is not a docker command", "18.09"),
        ("Error: unrecognized command\nTry 'podman system --help' for more information.", "engine: podman"),
        ("error during connect: Cannot connect to the Docker daemon at unix:///x. Is it running?", "systemctl start"),
    ],
)
def test_what_the_cli_says_is_explained(said: str, words: str) -> None:
    error = explain_silence(said)
    assert isinstance(error, DaemonRefused) and words in error.cure
    assert daemon.is_lost(error)


def test_silence_is_a_lost_link() -> None:
    assert isinstance(explain_silence(""), ConnectionResetError)
