"""Hosts over SSH, against a real sshd: commands, files, deadlines, and links that break."""

from __future__ import annotations

import logging
import os
import signal
import socket
import stat
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from process_support import wait_until_gone
from sshd_support import QUICK, Server, free_port, start_sshd

from harness.hosts.connection import OutputTooLong
from harness.hosts.facts import read_facts
from harness.hosts.folders import read_home, resolve_path
from harness.hosts.lock import acquire, make_owner, read_lock
from harness.hosts.ssh import SSHConnection
from harness.hosts.ssh.link import make_jump_hosts
from harness.hosts.ssh.ssh_connection import MOST_CHANNELS
from harness.values.errors import HostNotReady, HostUnreachable

pytestmark = pytest.mark.ssh


def test_run_returns_code_and_both_streams(connection: SSHConnection) -> None:
    done = connection.run(["sh", "-c", "echo out; echo err >&2; exit 3"])
    assert (done.returncode, done.stdout, done.stderr) == (3, b"out\n", b"err\n")


def test_words_arrive_as_they_are(connection: SSHConnection) -> None:
    words = ["a b", "$HOME", "it's", 'say "x"', "two\nlines", "hey!", "back\\slash", "*", "", "ü", "-n", "a;b&c|d"]
    done = connection.run(["sh", "-c", 'printf "%s\\0" "$@"', "sh", *words])
    assert done.stdout.decode().split("\0")[:-1] == words


def test_a_missing_program_is_127_and_a_forbidden_one_126(connection: SSHConnection, tmp_path: Path) -> None:
    assert connection.run(["no-such-program-at-all"]).returncode == 127
    (tmp_path / "script").write_text("#!/bin/sh\n")
    assert connection.run([str(tmp_path / "script")]).returncode == 126


def test_a_command_ended_by_a_signal_is_no_success_and_no_lost_link(connection: SSHConnection) -> None:
    assert connection.run(["sh", "-c", "kill -9 $$"]).returncode == -1
    assert connection.run(["true"]).returncode == 0


def test_input_and_output_of_many_megabytes(connection: SSHConnection) -> None:
    content = os.urandom(1 << 20) * 24
    begun = time.process_time()
    done = connection.run(["cat"], input=content)
    assert done.stdout == content
    # One text of 24 MiB handed to the library at once costs it ten times as much.
    assert time.process_time() - begun < 6


def test_a_command_that_takes_no_input_ends_all_the_same(connection: SSHConnection) -> None:
    assert connection.run(["sh", "-c", "exit 4"], input=b"x" * 9_000_000).returncode == 4


def test_there_is_no_input_where_none_is_given(connection: SSHConnection) -> None:
    assert connection.run(["cat"], timeout_s=10).stdout == b""


def test_long_stderr_is_kept_whole(connection: SSHConnection) -> None:
    done = connection.run(["sh", "-c", "head -c 5000000 /dev/zero >&2; echo end >&2"])
    assert len(done.stderr) == 5_000_004


def test_endless_output_is_ended_there(connection: SSHConnection, tmp_path: Path) -> None:
    with pytest.raises(OutputTooLong, match="exceeds"):
        connection.run(["sh", "-c", f"echo $$ > {tmp_path}/pid; exec yes"])
    assert wait_until_gone(int((tmp_path / "pid").read_text()))
    with (tmp_path / "sink").open("wb") as sink:
        done = connection.run(["head", "-c", "3000000", "/dev/zero"], sink=sink)
    assert (done.stdout, (tmp_path / "sink").stat().st_size) == (b"", 3_000_000)


def test_a_command_that_outlives_its_deadline_is_ended_there(connection: SSHConnection, tmp_path: Path) -> None:
    script = f"sleep 600 & echo $! > {tmp_path}/pid; wait"
    with pytest.raises(HostUnreachable, match="gave no answer within 1 s") as caught:
        connection.run(["sh", "-c", script], timeout_s=1)
    assert caught.value.hint
    assert wait_until_gone(int((tmp_path / "pid").read_text()))
    assert connection.run(["true"]).returncode == 0


def test_files_are_written_whole_with_their_mode(connection: SSHConnection, tmp_path: Path) -> None:
    target = tmp_path / "a folder" / "it's"
    target.parent.mkdir()
    target.write_text("old")
    content = os.urandom(3_000_000)
    connection.put(content, str(target), mode=0o640)
    assert target.read_bytes() == content
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    source = tmp_path / "source"
    source.write_bytes(b"from a file")
    connection.put(source, str(target))
    assert target.read_bytes() == b"from a file"
    assert list(target.parent.iterdir()) == [target]


def test_a_file_that_cannot_be_written_leaves_nothing(connection: SSHConnection, tmp_path: Path) -> None:
    with pytest.raises(HostNotReady, match="could not be written") as caught:
        connection.put(b"x", str(tmp_path / "absent" / "file"))
    assert "No such file" in caught.value.message
    (tmp_path / "folder").mkdir()
    with pytest.raises(HostNotReady, match="it is a folder"):
        connection.put(b"x" * 4_000_000, str(tmp_path / "folder"))
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_files_are_fetched_whole_or_not_at_all(connection: SSHConnection, tmp_path: Path) -> None:
    (tmp_path / "there").write_bytes(b"\0\xff" * 1_000_000)
    connection.get(str(tmp_path / "there"), tmp_path / "here")
    assert (tmp_path / "here").read_bytes() == (tmp_path / "there").read_bytes()
    with pytest.raises(FileNotFoundError):
        connection.get(str(tmp_path / "absent"), tmp_path / "other")
    with pytest.raises(HostNotReady, match="could not be read"):
        connection.get(str(tmp_path), tmp_path / "other")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["here", "there"]


def test_a_stream_goes_both_ways(connection: SSHConnection) -> None:
    with connection.open_channel(["cat"]) as stream:
        stream.send(b"one\n")
        assert stream.recv() == b"one\n"
        stream.send(memoryview(b"x" * 5_000_000)[:1_000_000])
        stream.finish()
        received = bytearray()
        while piece := stream.recv():
            received += piece
        assert len(received) == 1_000_000
        assert stream.wait_exit() == 0


def test_a_unix_socket_is_reached_without_any_program(connection: SSHConnection, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen()

        def answer() -> None:
            peer, _ = listener.accept()
            with peer:
                peer.sendall(peer.recv(100).upper())

        threading.Thread(target=answer, daemon=True).start()
        with connection.open_unix(str(tmp_path / "s")) as stream:
            stream.send(b"hello")
            assert stream.recv() == b"HELLO"
            assert stream.recv() == b""
    with pytest.raises((ConnectionRefusedError, HostUnreachable)):
        connection.open_unix(str(tmp_path / "nobody"))
    assert connection.run(["true"]).returncode == 0


def test_thirty_threads_never_have_more_than_eight_channels(server: Server, connection: SSHConnection) -> None:
    connection.open()
    counts: list[int] = []
    script = "for p in /proc/[0-9]*; do read -r c < $p/comm; [ $c = sleep ] && cat $p/environ | tr '\\0' '\\n'; done"

    def work(_: int) -> int:
        return connection.run(["env", f"COUNTED={server.port}", "sleep", "0.4"]).returncode

    with ThreadPoolExecutor(max_workers=30) as pool:
        waiting = [pool.submit(work, number) for number in range(30)]
        while not all(one.done() for one in waiting):
            said = subprocess.run(["sh", "-c", script], capture_output=True, check=False).stdout.decode(
                errors="replace"
            )
            counts.append(said.count(f"COUNTED={server.port}"))
    assert [one.result() for one in waiting] == [0] * 30
    assert 1 < max(counts) <= MOST_CHANNELS
    assert "maximum" not in server.log.lower()


def test_more_sessions_than_sshd_allows_are_waited_for(tmp_path: Path) -> None:
    with start_sshd(tmp_path / "sshd", options=("MaxSessions 2",)) as server:
        connection = server.connection()
        with ThreadPoolExecutor(max_workers=12) as pool:
            codes = list(pool.map(lambda _: connection.run(["sleep", "0.2"]).returncode, range(12)))
        assert codes == [0] * 12
        connection.close()


def test_facts_folders_and_the_lock_over_ssh(server: Server, connection: SSHConnection, tmp_path: Path) -> None:
    home = str(server.folder / "home")
    assert read_home(connection) == home
    assert resolve_path(connection, "~/.cache/../x") == f"{home}/x"
    facts = read_facts(connection, scratch=f"{home}/.cache/harness")
    assert facts.ram_bytes and facts.logical_cpus and facts.kernel and facts.boot_id
    assert facts.disks["scratch"].free_bytes
    assert facts.clock_offset_s is not None and abs(facts.clock_offset_s) < 1
    place = str(tmp_path / "lock")
    held = acquire(connection, make_owner("s1"), is_alive=lambda _: True, path=place)
    held.beat()
    owner = read_lock(connection, path=place)
    assert owner is not None and owner.session == "s1"
    held.release()
    assert read_lock(connection, path=place) is None


# -- links that break ----------------------------------------------------------------------------------------------


def test_a_link_that_was_cut_is_made_anew(server: Server) -> None:
    connection = server.connection(patience=QUICK)
    told: list[str] = []
    connection.on_lost = lambda why, silent_s: told.append(f"lost: {why} {silent_s >= 0}")
    connection.on_back = lambda: told.append("back")
    assert connection.run(["true"]).returncode == 0
    assert server.signal(signal.SIGKILL)
    assert connection.run(["echo", "again"]).text == "again\n"
    assert told[0].startswith("lost: ") and told[1:] == ["back"]
    connection.close()


def test_a_link_that_takes_nothing_is_made_anew_though_its_reader_lives(server: Server) -> None:
    """Writing can fail before paramiko's thread, which reads, has seen the end of the connection."""
    connection = server.connection(patience=QUICK)
    connection.open()
    assert connection._link is not None  # noqa: SLF001 - the transport below the connection is looked at
    old = connection._link.transport  # noqa: SLF001 - the transport below the connection is looked at
    old.packetizer._Packetizer__socket = _TakesNothing(old.sock)  # noqa: SLF001 - the transport below the connection is looked at
    assert old.is_active()
    assert connection.run(["echo", "again"]).text == "again\n"
    assert connection._link.transport is not old  # noqa: SLF001 - the transport below the connection is looked at
    connection.close()


class _TakesNothing:
    """A socket of which only one half is broken."""

    def __init__(self, socket: Any) -> None:
        self._socket = socket

    def send(self, _: bytes) -> int:
        raise BrokenPipeError

    def __getattr__(self, name: str) -> Any:
        return getattr(self._socket, name)


def test_a_command_that_runs_when_the_link_is_cut_is_not_repeated(server: Server, tmp_path: Path) -> None:
    connection = server.connection(patience=QUICK)
    connection.open()
    threading.Timer(0.7, lambda: server.signal(signal.SIGKILL)).start()
    with pytest.raises(HostUnreachable, match="the connection was lost while running sh"):
        connection.run(["sh", "-c", f"echo once >> {tmp_path}/runs; sleep 30"], timeout_s=40)
    assert (tmp_path / "runs").read_text() == "once\n"
    assert connection.run(["true"]).returncode == 0
    connection.close()


def test_a_file_that_was_cut_off_takes_nobodys_place(server: Server, tmp_path: Path) -> None:
    connection = server.connection(patience=QUICK)
    connection.open()
    (tmp_path / "file").write_bytes(b"old")
    os.mkfifo(tmp_path / "slow")
    (tmp_path / "big").touch()
    os.truncate(tmp_path / "big", 600 << 20)
    threading.Timer(0.3, lambda: server.signal(signal.SIGKILL)).start()
    with pytest.raises(HostUnreachable):
        connection.put(tmp_path / "big", str(tmp_path / "file"))
    deadline = time.monotonic() + 10
    while [*tmp_path.glob(".file.part*")] and time.monotonic() < deadline:
        time.sleep(0.05)
    assert (tmp_path / "file").read_bytes() == b"old"
    assert not [*tmp_path.glob(".file.part*")]
    connection.close()


def test_a_host_that_stays_away_is_given_up_within_the_deadline(tmp_path: Path) -> None:
    with start_sshd(tmp_path / "sshd") as server:
        connection = server.connection(patience=QUICK)
        connection.open()
        server.stop()
        begun = time.monotonic()
        with pytest.raises(HostUnreachable, match="refuses connections"):
            connection.run(["true"], timeout_s=2.5)
        assert time.monotonic() - begun < 10
        with start_sshd(tmp_path / "sshd", port=server.port) as again:
            assert connection.run(["true"], timeout_s=20).returncode == 0
            assert again.port == server.port
        connection.close()


def test_a_frozen_peer_is_noticed_within_the_stated_time(tmp_path: Path) -> None:
    with start_sshd(tmp_path / "sshd") as server:
        connection = server.connection(patience=QUICK)
        connection.open()
        ended: list[float] = []

        def follow() -> None:
            stream = connection.open_channel(["sleep", "600"], timeout_s=120)
            with pytest.raises(OSError):
                stream.recv()
            ended.append(time.monotonic())
            stream.close()

        def push() -> None:
            stream = connection.open_channel(["cat"], timeout_s=120)
            with pytest.raises(OSError):
                while True:
                    stream.send(b"x" * 65536)
                    while stream.recv_some():
                        pass
            ended.append(time.monotonic())
            stream.close()

        threads = [threading.Thread(target=work) for work in (follow, push)]
        for thread in threads:
            thread.start()
        time.sleep(1)
        frozen = server.signal(signal.SIGSTOP)
        frozen_at = time.monotonic()
        for thread in threads:
            thread.join(30)
        for pid in frozen:
            os.kill(pid, signal.SIGKILL)
        assert len(ended) == 2, "somebody waits for ever"
        # QUICK: asked after one second of silence, given up two seconds later, looked at every second.
        assert max(ended) - frozen_at < 1 + 2 + 1 + 4
        assert connection.run(["true"], timeout_s=20).returncode == 0
        connection.close()


def test_a_peer_that_is_only_quiet_is_kept(server: Server) -> None:
    connection = server.connection(patience=QUICK)
    lost: list[str] = []
    connection.on_lost = lambda why, _silent_s: lost.append(why)
    assert connection.run(["sleep", "5"], timeout_s=20).returncode == 0
    time.sleep(4)
    assert connection.run(["true"]).returncode == 0
    assert lost == []
    connection.close()


def test_nobody_listens_or_something_else_does(tmp_path: Path, server: Server) -> None:
    with pytest.raises(HostUnreachable, match="refuses connections") as caught:
        server.connection(port=free_port()).open()
    assert "listens on port" in (caught.value.hint or "")
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def chatter() -> None:
            while True:
                try:
                    peer, _ = listener.accept()
                except OSError:
                    return
                peer.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n" * 200)
                peer.close()

        threading.Thread(target=chatter, daemon=True).start()
        with pytest.raises(HostUnreachable, match="no SSH server"):
            server.connection(port=listener.getsockname()[1]).open()
    with socket.create_server(("127.0.0.1", 0), backlog=1) as silent:
        begun = time.monotonic()
        with pytest.raises(HostUnreachable):
            server.connection(port=silent.getsockname()[1]).run(["true"], timeout_s=2)
        assert time.monotonic() - begun < 15


def test_a_login_shell_that_runs_nothing_or_chatters(tmp_path: Path) -> None:
    closed = ("ForceCommand echo This account is not available; false",)
    refusal = pytest.raises(HostNotReady, match="runs no commands; it printed: This account is not available")
    with start_sshd(tmp_path / "a", options=closed) as server, refusal:
        server.connection().run(["true"])
    greeting = 'ForceCommand echo Welcome; echo --; /bin/sh -c "$SSH_ORIGINAL_COMMAND"'
    with start_sshd(tmp_path / "b", options=(greeting,)) as server:
        connection = server.connection()
        assert connection.run(["echo", "mine"]).stdout == b"mine\n"
        connection.close()
    garbage = ("ForceCommand head -c 300000 /dev/urandom",)
    refusal = pytest.raises(HostNotReady, match="runs no commands")
    with start_sshd(tmp_path / "c", options=garbage) as server, refusal:
        server.connection().run(["true"])


def test_the_way_leads_through_gates_with_one_transport_each(tmp_path: Path, server: Server) -> None:
    with start_sshd(tmp_path / "gate") as jump_host, start_sshd(tmp_path / "inner") as inner:
        hops = (jump_host.route(host="ws01"), inner.route(host="ws01"))
        jump_hosts = make_jump_hosts()
        many = [server.connection(hops=hops, jump_hosts=jump_hosts, patience=QUICK) for _ in range(4)]
        with ThreadPoolExecutor(max_workers=4) as pool:
            assert list(pool.map(lambda one: one.run(["echo", "far"]).text, many)) == ["far\n"] * 4
        assert jump_host.log.count("Accepted publickey") == 1
        assert inner.log.count("Accepted publickey") == 1
        assert jump_hosts.open_count == 2
        # The gate goes and comes back: so does the way.
        jump_host.signal(signal.SIGKILL)
        assert many[0].run(["echo", "again"], timeout_s=20).text == "again\n"
        for one in many:
            one.close()
        deadline = time.monotonic() + 10
        while (jump_host.children() or inner.children()) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not jump_host.children() and not inner.children()
        assert jump_hosts.open_count == 0


def test_a_frozen_gate_is_noticed_too(tmp_path: Path, server: Server) -> None:
    with start_sshd(tmp_path / "gate") as jump_host:
        connection = server.connection(hops=(jump_host.route(),), patience=QUICK)
        connection.open()
        threading.Timer(1.0, lambda: jump_host.signal(signal.SIGSTOP)).start()
        begun = time.monotonic()
        with pytest.raises(HostUnreachable, match="the connection was lost"):
            connection.run(["sleep", "60"], timeout_s=60)
        assert time.monotonic() - begun < 30
        jump_host.signal(signal.SIGKILL)
        connection.close()


def test_a_proxy_command_is_as_good_as_a_socket(server: Server) -> None:
    relay = (
        "import socket,sys,os,threading\n"
        "s=socket.create_connection((sys.argv[1],int(sys.argv[2])))\n"
        "def up():\n"
        "    while (d:=os.read(0,65536)): s.sendall(d)\n"
        "threading.Thread(target=up,daemon=True).start()\n"
        "while (d:=s.recv(65536)): os.write(1,d)\n"
    )
    (server.folder / "relay.py").write_text(relay)
    command = f"python3 {server.folder}/relay.py 127.0.0.1 {server.port}"
    connection = server.connection(proxy_command=command, address="not.to.be.looked.up.invalid")
    assert connection.run(["cat"], input=b"x" * 3_000_000).stdout == b"x" * 3_000_000
    connection.close()
    assert subprocess.run(["pgrep", "-f", str(server.folder / "relay.py")], check=False).returncode == 1
    with pytest.raises(HostUnreachable):
        server.connection(proxy_command="exit 1").open()


def test_nothing_is_logged_or_printed(server: Server, capfd: pytest.CaptureFixture[str]) -> None:
    connection = server.connection(patience=QUICK)
    connection.open()
    server.signal(signal.SIGKILL)
    connection.run(["true"])
    connection.close()
    assert capfd.readouterr() == ("", "")
    assert logging.getLogger("paramiko").propagate is False


def test_algorithms_are_the_fast_and_sound_ones(server: Server, tmp_path: Path) -> None:
    connection = server.connection()
    connection.open()
    transport = connection._link.transport  # noqa: SLF001 - the transport below the connection is looked at
    assert "gcm" in transport.local_cipher and "gcm" in transport.remote_cipher
    offered = (*transport.preferred_ciphers, *transport.preferred_macs, *transport.preferred_kex)
    offered += (*transport.preferred_keys, *transport.preferred_pubkeys)
    weak = [name for name in offered if "cbc" in name or "sha1" in name or "md5" in name or name == "ssh-rsa"]
    assert weak == []
    connection.close()
    refusal = pytest.raises(HostUnreachable, match="offers no secure algorithm")
    with start_sshd(tmp_path / "old", options=("Ciphers aes128-cbc", "MACs hmac-sha1")) as old, refusal:
        old.connection().open()
