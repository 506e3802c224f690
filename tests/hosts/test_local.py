"""The connection to this machine: commands, deadlines, files."""

from __future__ import annotations

import os
import stat
import time
import tracemalloc
from pathlib import Path

import pytest
from process_support import is_running, wait_until_gone

from harness.hosts.connection import MOST_ERROR_BYTES, MOST_OUTPUT_BYTES, Connection, OutputTooLong
from harness.hosts.local import LocalConnection
from harness.values.errors import HostNotReady, HostUnreachable

connection: Connection = LocalConnection("here")


def test_run_returns_code_and_both_streams() -> None:
    done = connection.run(["sh", "-c", "echo out; echo err >&2; exit 3"])
    assert (done.returncode, done.stdout, done.stderr) == (3, b"out\n", b"err\n")


def test_run_passes_input_and_arguments_unquoted() -> None:
    done = connection.run(["sh", "-c", 'cat; printf "%s|" "$@"', "sh", "a b", "$HOME", "'"], input=b"in\0put")
    assert done.stdout == b"in\0puta b|$HOME|'|"


def test_run_gives_no_terminal_input_where_none_is_given() -> None:
    assert connection.run(["cat"], timeout_s=5).stdout == b""


def test_missing_program_is_127_and_forbidden_one_126(tmp_path: Path) -> None:
    assert connection.run(["no-such-program-at-all"]).returncode == 127
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\n")
    done = connection.run([str(script)])
    assert done.returncode == 126
    assert b"script" in done.stderr


def test_undecodable_output_is_text_all_the_same() -> None:
    assert connection.run(["printf", r"\377ok"]).text.endswith("ok")


def test_endless_output_is_ended_and_costs_little(tmp_path: Path) -> None:
    sparse = tmp_path / "sparse"
    with sparse.open("wb") as stream:
        stream.truncate(50 * 10**9)
    tracemalloc.start()
    try:
        for argv in (["cat", "--", str(sparse)], ["sh", "-c", f"echo $$ > {tmp_path}/pid; exec yes"]):
            with pytest.raises(OutputTooLong, match="exceeds") as raised:
                connection.run(argv)
            assert raised.value.where == "here" and raised.value.hint
        assert tracemalloc.get_traced_memory()[1] < 2 * MOST_OUTPUT_BYTES
    finally:
        tracemalloc.stop()
    assert wait_until_gone(int((tmp_path / "pid").read_text()))
    with pytest.raises(OutputTooLong, match="sparse"):
        connection.get(str(sparse), tmp_path / "here")
    assert not (tmp_path / "here").exists()


def test_of_an_endless_stderr_the_end_is_kept() -> None:
    done = connection.run(["sh", "-c", "head -c 20000000 /dev/zero >&2; echo end >&2"])
    assert len(done.stderr) == MOST_ERROR_BYTES and done.stderr.endswith(b"end\n")


def test_output_goes_to_a_sink_where_one_is_given(tmp_path: Path) -> None:
    with (tmp_path / "sink").open("wb") as sink:
        done = connection.run(["head", "-c", "50000000", "/dev/zero"], most_bytes=50_000_000, sink=sink)
    assert (done.returncode, done.stdout, (tmp_path / "sink").stat().st_size) == (0, b"", 50_000_000)


def test_a_command_that_takes_no_input_ends_all_the_same() -> None:
    content = os.urandom(1 << 20) * 8
    assert connection.run(["sh", "-c", "exit 4"], input=content).returncode == 4
    assert connection.run(["cat"], input=content).stdout == content


def test_deadline_ends_the_command_and_all_that_it_started(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    script = f"sleep 60 & echo $! > {pids}; echo $$ >> {pids}; wait"
    with pytest.raises(HostUnreachable) as raised:
        connection.run(["sh", "-c", script], timeout_s=0.5)
    assert raised.value.where == "here"
    assert "0.5 s" in raised.value.message
    assert all(wait_until_gone(int(pid)) for pid in pids.read_text().split())


def test_deadline_holds_where_a_daemon_keeps_the_pipe(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    script = f"setsid sh -c 'echo $$ > {pid_file}; exec sleep 60' & sleep 60"
    begun = time.monotonic()
    with pytest.raises(HostUnreachable):
        connection.run(["sh", "-c", script], timeout_s=1)
    assert time.monotonic() - begun < 30  # not the minute that the daemon holds on
    daemon = int(pid_file.read_text())
    assert is_running(daemon)
    os.kill(daemon, 9)


def test_put_writes_content_and_mode(tmp_path: Path) -> None:
    target = tmp_path / "file"
    connection.put(b"first", str(target))
    assert stat.S_IMODE(target.stat().st_mode) == 0o644
    source = tmp_path / "source"
    source.write_bytes(b"second")
    connection.put(source, str(target), mode=0o600)
    assert target.read_bytes() == b"second"
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


def test_put_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_bytes(b"old")
    with pytest.raises(HostNotReady, match="could not be written"):
        connection.put(tmp_path / "absent", str(target))
    assert target.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["target"]
    with pytest.raises(HostNotReady, match="no-folder"):
        connection.put(b"x", str(tmp_path / "no-folder" / "file"))


def test_get_fetches_or_raises_and_leaves_nothing(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(b"\0data")
    connection.get(str(source), target)
    assert target.read_bytes() == b"\0data"
    with pytest.raises(FileNotFoundError):
        connection.get(str(tmp_path / "absent"), tmp_path / "other")
    assert sorted(os.listdir(tmp_path)) == ["source", "target"]


def test_expand_and_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    local = LocalConnection()
    assert local.home == str(tmp_path)
    assert local.expand("~/a/../b") == str(tmp_path / "b")
