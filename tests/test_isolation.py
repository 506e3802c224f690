"""Tests keep away from what the user measures and has: the lock, the home folder with its scratch and its jobs."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

from harness.hosts import lock
from harness.hosts.local import LocalConnection
from harness.hosts.lock import LOCK_PATH, acquire, make_owner, read_lock
from harness.inventory.variables import DEFAULT_SCRATCH


def test_the_lock_is_the_tests_own() -> None:
    here = LocalConnection("here")
    held = acquire(here, make_owner("tests"), is_alive=lambda _session: False)
    try:
        assert held.path != LOCK_PATH
        owner = read_lock(here)
        assert owner is not None and owner.token == held.owner.token
        everyones = read_lock(here, path=LOCK_PATH)
        assert everyones is None or everyones.token != held.owner.token
    finally:
        held.release()


def test_every_function_that_knows_the_place_of_the_lock_is_told_of_another() -> None:
    named = [vars(lock)[name] for name in lock.__all__]
    places = [
        function.__kwdefaults__["path"]
        for function in named
        if "path" in (getattr(function, "__kwdefaults__", None) or ())
    ]
    assert len(places) >= 5 and LOCK_PATH not in places


def test_scratch_and_jobs_lie_in_a_home_of_the_tests() -> None:
    scratch = Path(DEFAULT_SCRATCH).expanduser()
    assert scratch.is_relative_to(os.environ["HOME"])
    assert os.environ["HOME"] != pwd.getpwuid(os.getuid()).pw_dir
