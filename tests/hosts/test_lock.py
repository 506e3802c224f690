"""The lock of a machine: who may have it when. Real scripts in a folder of the test."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.hosts import lock_commands
from harness.hosts.connection import Completed
from harness.hosts.local import LocalConnection
from harness.hosts.lock import acquire, break_lock, read_lock, take_lock
from harness.hosts.lock_owner import (
    LockOwner,
    format_owner,
    is_controller_gone,
    make_owner,
    parse_state,
    read_pid_start,
)
from harness.values.errors import HostLocked, HostNotReady, HostUnreachable

local = LocalConnection("ws01")
ELSEWHERE = "another-machine/pid:[1]"


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "harness.lock")


def alive(session: str) -> bool:
    return True


def dead(session: str) -> bool:
    return False


def forbidden(session: str) -> bool:
    raise AssertionError("nobody needs to be asked")


def foreign_owner(session: str) -> LockOwner:
    """A controller on another machine: whether its process runs cannot be known."""
    return replace(make_owner(session), owner="ann@far", machine=ELSEWHERE)


def age(path: str, seconds: float) -> None:
    """Make the last sign of life older."""
    file = Path(path) / "owner"
    text = file.read_text()
    beat = float(re.search(r"^beat ([\d.]+)$", text, re.M)[1])  # type: ignore[index]
    file.write_text(text.replace(f"beat {beat:.2f}", f"beat {beat - seconds:.2f}"))


def owner_at(path: str) -> LockOwner:
    """Who holds the lock, which somebody does."""
    held = read_lock(local, path=path)
    assert held is not None
    return held


def test_acquire_makes_a_folder_for_all_and_names_the_owner(path: str) -> None:
    owner = make_owner("lab-quick-12345678", "harness run")
    lock = acquire(local, owner, is_alive=forbidden, path=path)
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o777
    held = owner_at(path)
    assert (held.session, held.reason, held.token) == ("lab-quick-12345678", "harness run", owner.token)
    assert "@" in held.owner
    assert held.boot == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", held.since or "")
    assert held.age_s is not None
    assert held.age_s < 60
    lock.release()


def test_release_leaves_nothing_and_may_be_repeated(path: str) -> None:
    lock = acquire(local, make_owner("s"), is_alive=forbidden, path=path)
    lock.release()
    assert not os.path.exists(path)
    lock.release()
    assert read_lock(local, path=path) is None


def test_the_mode_holds_under_any_umask(path: str) -> None:
    old = os.umask(0o077)
    try:
        acquire(local, make_owner("s"), is_alive=forbidden, path=path)
    finally:
        os.umask(old)
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o777
    assert stat.S_IMODE(os.stat(f"{path}/owner").st_mode) == 0o644


def test_a_second_session_is_refused_with_who_since_when_and_the_cure(path: str) -> None:
    acquire(local, make_owner("first", "harness run"), is_alive=forbidden, path=path)
    with pytest.raises(HostLocked) as raised:
        acquire(local, make_owner("second"), is_alive=dead, path=path)
    error = raised.value
    assert error.where == "ws01"
    assert error.state == "locked"
    assert "first" in error.message
    assert "harness run" in error.message
    assert re.search(r"since \d{4}-", error.message)
    assert "harness unlock INVENTORY" in (error.hint or "")


def test_an_old_heartbeat_alone_does_not_free_a_host_that_still_measures(path: str) -> None:
    acquire(local, foreign_owner("first"), is_alive=forbidden, path=path)
    age(path, 1000)
    with pytest.raises(HostLocked, match="still runs"):
        acquire(local, make_owner("second"), is_alive=alive, stale_after_s=180, path=path)
    asked = []
    lock = acquire(
        local,
        make_owner("second"),
        is_alive=lambda session: bool(asked.append(session)),  # type: ignore[func-returns-value]
        stale_after_s=180,
        path=path,
    )
    assert asked == ["first"]
    assert lock.owner.session == "second"


def test_a_fresh_heartbeat_from_elsewhere_is_never_doubted(path: str) -> None:
    acquire(local, foreign_owner("first"), is_alive=forbidden, path=path)
    with pytest.raises(HostLocked, match="another session"):
        acquire(local, make_owner("second"), is_alive=forbidden, path=path)


def test_what_cannot_be_asked_counts_as_alive(path: str) -> None:
    def broken(session: str) -> bool:
        raise HostUnreachable("the engine does not answer")

    acquire(local, foreign_owner("first"), is_alive=forbidden, path=path)
    age(path, 1000)
    with pytest.raises(HostLocked, match="the engine does not answer"):
        acquire(local, make_owner("second"), is_alive=broken, path=path)


def test_a_host_that_was_started_anew_is_free_at_once(path: str) -> None:
    acquire(local, foreign_owner("first"), is_alive=forbidden, path=path)
    file = Path(path) / "owner"
    file.write_text(re.sub(r"(?m)^boot .*$", "boot 00000000-0000-0000-0000-000000000000", file.read_text()))
    assert read_lock(local, path=path) is None
    lock = acquire(local, make_owner("second"), is_alive=forbidden, path=path)
    assert lock.owner.is_this_boot


def run_controller_and_kill(path: str, session: str) -> None:
    """A controller that takes the lock and is ended by SIGKILL."""
    script = (
        "import os, sys, signal\n"
        "from harness.hosts.local import LocalConnection\n"
        "from harness.hosts.lock import acquire, make_owner\n"
        f"acquire(LocalConnection(), make_owner({session!r}), is_alive=lambda s: True, path={path!r})\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == -9


def test_a_killed_session_takes_its_lock_back_at_once_though_its_job_runs(path: str) -> None:
    run_controller_and_kill(path, "mine")
    lock = acquire(local, make_owner("mine"), is_alive=alive, path=path)
    assert lock.owner.pid == str(os.getpid())


def test_another_session_gets_a_killed_ones_lock_only_when_no_job_runs(path: str) -> None:
    run_controller_and_kill(path, "theirs")
    with pytest.raises(HostLocked, match=r"its job still runs on this machine: .*, its controller on this machine has"):
        acquire(local, make_owner("mine"), is_alive=alive, path=path)
    assert acquire(local, make_owner("mine"), is_alive=dead, path=path).owner.session == "mine"


def test_the_same_session_from_another_machine_waits_for_the_heartbeat(path: str) -> None:
    acquire(local, foreign_owner("mine"), is_alive=forbidden, path=path)
    with pytest.raises(HostLocked, match="running already"):
        acquire(local, make_owner("mine"), is_alive=forbidden, path=path)
    age(path, 1000)
    assert acquire(local, make_owner("mine"), is_alive=forbidden, path=path).owner.machine != ELSEWHERE


def test_one_controller_cannot_take_one_machine_twice(path: str) -> None:
    acquire(local, make_owner("mine"), is_alive=forbidden, path=path)
    with pytest.raises(HostLocked, match="another host of the inventory"):
        acquire(local, make_owner("mine"), is_alive=forbidden, path=path)


def test_an_answer_that_was_lost_does_not_lock_the_owner_out(path: str) -> None:
    owner = make_owner("mine")
    acquire(local, owner, is_alive=forbidden, path=path)
    assert acquire(local, owner, is_alive=forbidden, path=path).owner.token == owner.token


def test_beat_is_a_sign_of_life_and_keeps_since(path: str) -> None:
    lock = acquire(local, make_owner("s"), is_alive=forbidden, path=path)
    before = read_lock(local, path=path)
    age(path, 1000)
    lock.beat()
    after = read_lock(local, path=path)
    assert before is not None
    assert after is not None
    assert after.age_s is not None
    assert after.age_s < 100
    assert (after.since, after.token, after.reason) == (before.since, before.token, before.reason)
    assert os.listdir(path) == ["owner"]


def test_beat_and_release_of_a_lock_that_was_taken_over_change_nothing(path: str) -> None:
    old = acquire(local, foreign_owner("old"), is_alive=forbidden, path=path)
    age(path, 1000)
    new = acquire(local, make_owner("new"), is_alive=dead, path=path)
    with pytest.raises(HostLocked, match="taken over"):
        old.beat()
    old.release()
    held = owner_at(path)
    assert held.token == new.owner.token


def test_beat_takes_a_lock_again_that_was_swept_away(path: str) -> None:
    lock = acquire(local, make_owner("s"), is_alive=forbidden, path=path)
    os.unlink(f"{path}/owner")
    os.rmdir(path)
    lock.beat()
    held = owner_at(path)
    assert held.token == lock.owner.token


def test_a_holder_whose_lock_was_taken_is_told_by_whom_and_takes_it_not_again(path: str) -> None:
    old = acquire(local, foreign_owner("old"), is_alive=forbidden, path=path)
    assert take_lock(local, owner_at(path), "ann@desk", path=path)
    assert read_lock(local, path=path) is None
    with pytest.raises(HostLocked, match="taken away by ann@desk"):
        old.beat()
    assert not os.path.exists(path), "and nothing is left of it"


def test_one_lock_that_was_taken_spares_the_next_holder(path: str) -> None:
    old = acquire(local, foreign_owner("old"), is_alive=forbidden, path=path)
    seen = owner_at(path)
    assert take_lock(local, seen, "ann@desk", path=path)
    new = acquire(local, make_owner("new"), is_alive=dead, path=path)
    assert not take_lock(local, seen, "ann@desk", path=path), "it holds it no more"
    new.beat()
    with pytest.raises(HostLocked, match="taken away by ann@desk"):
        old.beat()
    assert owner_at(path).token == new.owner.token
    new.release()
    assert not os.path.exists(path)


def test_a_holder_who_comes_back_to_life_in_between_keeps_the_lock(path: str) -> None:
    lock = acquire(local, foreign_owner("sleeper"), is_alive=forbidden, path=path)
    age(path, 1000)

    def wakes_up(session: str) -> bool:
        lock.beat()
        return False

    with pytest.raises(HostLocked, match="another session measures"):
        acquire(local, make_owner("second"), is_alive=wakes_up, path=path)
    held = owner_at(path)
    assert held.session == "sleeper"


def test_break_lock_frees_and_says_whose_it_was(path: str) -> None:
    acquire(local, make_owner("s"), is_alive=forbidden, path=path)
    broken = break_lock(local, path=path)
    assert isinstance(broken, LockOwner)
    assert broken.session == "s"
    assert not os.path.exists(path)
    assert break_lock(local, path=path) is None


def test_break_lock_of_a_dead_owner_spares_the_next_one(path: str) -> None:
    acquire(local, make_owner("dead"), is_alive=forbidden, path=path)
    seen = owner_at(path)
    break_lock(local, path=path)
    acquire(local, make_owner("next"), is_alive=forbidden, path=path)
    assert break_lock(local, only=seen, path=path) is None
    held = owner_at(path)
    assert held.session == "next"
    assert break_lock(local, only=held, path=path) == held
    assert not os.path.exists(path)


@pytest.mark.parametrize("garbage", ["", "garbage\n", "\0\xff" * 100, "token \nsession x\n"])
def test_an_owner_file_that_names_nobody_locks_nobody_out(path: str, garbage: Any) -> None:
    os.mkdir(path, 0o777)
    Path(path, "owner").write_text(garbage)
    assert read_lock(local, path=path) is None
    assert acquire(local, make_owner("s"), is_alive=forbidden, path=path).owner.session == "s"


def test_no_word_of_a_session_can_forge_a_line(path: str) -> None:
    owner = replace(make_owner("a\ntoken forged\nboot x"), reason="x $(touch /tmp/forged) '\"")
    held = acquire(local, owner, is_alive=forbidden, path=path).owner
    assert held.session == "a token forged boot x"
    assert held.reason == "x $(touch /tmp/forged) '\""
    assert held.token == owner.token


def test_links_in_a_folder_open_to_all_are_not_followed(path: str, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    os.mkdir(path)
    os.chmod(path, 0o777)
    owner = make_owner("s")
    os.symlink(victim, f"{path}/owner")
    os.symlink(victim, f"{path}/owner.{owner.token}.part")
    acquire(local, owner, is_alive=forbidden, path=path).beat()
    assert victim.read_text() == "precious"
    assert not os.path.islink(f"{path}/owner")
    break_lock(local, path=path)
    os.symlink(tmp_path, path)
    with pytest.raises(HostNotReady):
        acquire(local, owner, is_alive=forbidden, path=path)


def test_a_lock_that_cannot_be_made_says_why(tmp_path: Path) -> None:
    with pytest.raises(HostNotReady) as raised:
        acquire(local, make_owner("s"), is_alive=forbidden, path=str(tmp_path / "absent/lock"))
    assert "absent/lock" in raised.value.message
    assert raised.value.hint


@pytest.mark.skipif(os.getuid() != 0, reason="needs root, to become two users")
def test_users_take_over_from_each_other_on_a_sticky_tmp(open_folder: Path) -> None:
    class As(LocalConnection):
        def __init__(self, uid: int) -> None:
            super().__init__(f"user{uid}")
            self.uid = uid

        def run(self, argv: Any, *, input: Any = None, timeout_s: float = 60.0, **options: Any) -> Any:
            done = subprocess.run(
                list(argv),
                check=False,
                input=input,
                capture_output=True,
                timeout=timeout_s,
                user=self.uid,
                group=self.uid,
                extra_groups=[],
            )
            return Completed(done.returncode, done.stdout, done.stderr)

    sticky = open_folder / "tmp"
    sticky.mkdir()
    sticky.chmod(0o1777)
    path = str(sticky / "harness.lock")
    first = acquire(As(1001), foreign_owner("of-1001"), is_alive=forbidden, path=path)
    with pytest.raises(HostLocked):
        acquire(As(1002), make_owner("of-1002"), is_alive=alive, path=path)
    age(path, 1000)
    second = acquire(As(1002), make_owner("of-1002"), is_alive=dead, path=path)
    assert os.stat(f"{path}/owner").st_uid == 1002
    with pytest.raises(HostLocked):
        first.beat()
    second.beat()
    second.release()  # user 1002 may not remove the folder of 1001, and it counts as free all the same
    assert os.listdir(path) == []
    third = acquire(As(1003), make_owner("of-1003"), is_alive=forbidden, path=path)
    third.release()
    fourth = acquire(As(1001), make_owner("again"), is_alive=forbidden, path=path)
    fourth.release()
    assert not os.path.exists(path)


def test_a_script_that_hangs_with_the_guard_is_told_from_a_lock(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkdir(path, 0o777)
    holder = subprocess.Popen(
        ["sh", "-c", f'exec 9<"{path}"; flock 9; echo ready; exec sleep 60'], stdout=subprocess.PIPE
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"ready\n"
        monkeypatch.setattr(lock_commands, "_CLAIM", lock_commands._CLAIM.replace("flock -w 20", "flock -w 1"))  # noqa: SLF001 - the same script, less patient
        with pytest.raises(HostNotReady, match="hangs"):
            acquire(local, make_owner("s"), is_alive=forbidden, path=path)
    finally:
        holder.kill()
        holder.wait()
        assert holder.stdout is not None
        holder.stdout.close()


def test_state_is_parsed_without_a_host() -> None:
    text = (
        "now 2026-01-01T00:00:00Z\nuptime 1000.5\nboot_now b\nstamp t/900.5\nformat 1\ntoken t\nowner ann@ctl\n"
        "session s\nreason run\nboot b\nsince 2025-12-31T23:00:00Z\nbeat 900.5\nbeat_at 2025-12-31T23:58:20Z\n"
    )
    state = parse_state(text)
    assert state.stamp == "t/900.5"
    assert state.owner is not None
    assert (state.owner.age_s, state.owner.since, state.owner.is_this_boot) == (100.0, "2025-12-31T23:00:00Z", True)
    assert state.owner.describe() == (
        "ann@ctl, session s (run) since 2025-12-31T23:00:00Z, "
        "alive (last heartbeat 1 min 40 s ago, one comes about every minute)"
    )
    assert parse_state("").owner is None
    rebooted = parse_state(text.replace("boot_now b", "boot_now c")).owner
    assert rebooted is not None
    assert (rebooted.is_this_boot, rebooted.age_s) == (False, None)


def test_owner_survives_its_own_text() -> None:
    owner = make_owner("s", "why not")
    parsed = parse_state(format_owner(owner)).owner
    assert parsed == owner


def test_when_a_controller_is_certainly_gone() -> None:
    me = make_owner("me")
    held = replace(me, pid="7", pid_start="100")
    assert is_controller_gone(held, me, read_start=lambda pid: "")
    assert is_controller_gone(held, me, read_start=lambda pid: "200")  # the number was given to another process
    assert not is_controller_gone(held, me, read_start=lambda pid: "100")
    assert not is_controller_gone(replace(held, machine=ELSEWHERE), me, read_start=lambda pid: "")
    assert not is_controller_gone(replace(held, owner="x@other"), me, read_start=lambda pid: "")
    assert not is_controller_gone(replace(held, machine=""), replace(me, machine=""), read_start=lambda pid: "")
    assert is_controller_gone(replace(held, boot_of_controller="older"), me, read_start=lambda pid: "100")
    assert not is_controller_gone(replace(held, boot_of_controller=""), me, read_start=lambda pid: "100")


def test_a_process_has_one_start_time_and_a_zombie_none() -> None:
    assert read_pid_start(str(os.getpid())) == read_pid_start("self") != ""
    child = subprocess.Popen(["true"])
    end = time.monotonic() + 10
    while read_pid_start(str(child.pid)) and time.monotonic() < end:
        time.sleep(0.01)
    assert read_pid_start(str(child.pid)) == ""
    child.wait()
