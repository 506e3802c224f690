"""The fuzzer's target "host outputs": some answers of one host of a lab of fakes are damaged, whatever the command."""

from __future__ import annotations

import random

import garbage
import pytest
from fake_lab import GOOD, Lab
from fuzzing import fuzzed, one_case
from hypothesis import given
from hypothesis import strategies as st
from lab_commands import make_pets, run_command

from harness.hosts.lock_owner import parse_state
from harness.values.errors import HarnessError

COMMANDS = ("check", "facts", "record", "clean", "unlock", "plan", "ship", "ship data")
"""A session takes seconds: ``tests/host_outputs/test_garbage.py`` has it."""

_STATE = (
    "now 2026-01-01T00:00:00Z\nuptime 1000.5\nboot_now b\nstamp t/900.5\nformat 1\ntoken t\nowner ann@ctl\n"
    "session s\nreason run\nboot b\nsince 2025-12-31T23:00:00Z\nbeat 900.5\nbeat_at 2025-12-31T23:58:20Z\n"
)


def damage(truth: bytes, chance: random.Random) -> bytes:
    """Return an answer with one kind of garbage in it, or with some of its bytes or words changed."""
    ways = [
        lambda: chance.choice(garbage.KINDS)(truth),
        lambda: garbage.other_types(truth, chance.randrange(10**6)),
        lambda: _change_bytes(truth, chance),
        lambda: _change_words(truth, chance),
    ]
    return chance.choice(ways)()


def _change_bytes(truth: bytes, chance: random.Random) -> bytes:
    changed = bytearray(truth)
    for _ in range(chance.randint(1, 20)):
        place = chance.randrange(len(changed) + 1)
        changed[place : place + chance.randint(0, 3)] = chance.randbytes(chance.randint(0, 3))
    return bytes(changed)


def _change_words(truth: bytes, chance: random.Random) -> bytes:
    words = truth.split(b" ")
    odd = [b"", b"-1", b"1e400", "²".encode(), b"\x1b[2J", b"9" * 5000, b"NaN", b"/../..", b"\xff\xfe", b"[/x]"]
    return b" ".join(chance.choice(odd) if chance.random() < 0.05 else word for word in words)


@fuzzed
@given(
    command=st.sampled_from(COMMANDS),
    engine=st.sampled_from(["process", "docker"]),
    is_held=st.booleans(),
    seed=st.integers(0, 2**32),
    share=st.sampled_from([0.05, 0.2, 1.0]),
)
def test_what_one_host_answers_costs_that_host_alone(
    command: str, engine: str, is_held: bool, seed: int, share: float
) -> None:
    with one_case() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCKER_HOST", "unix:///nowhere.sock")
        patch.setenv("CONTAINER_HOST", "unix:///nowhere.sock")
        make_pets(folder)
        lab = Lab(folder, engine=engine, **({"image": "lab-image:1"} if engine == "docker" else {}))
        if is_held:
            lab.hold()
        chance = random.Random(seed)
        lab.bad.meddler.meddle = lambda _number, _question, truth: (
            damage(truth, chance) if chance.random() < share else truth
        )
        done = run_command(command, lab)
        for bad in ("Traceback", "unexpected error", "\x1b"):
            assert bad not in done.said, done.said
        # 2 where no host is left, and what the bad one said reads as a data set without images: its user's mistake.
        assert done.code in ((0, 1, 2, 3) if is_held else (0, 1)), done.said
        if command in ("check", "facts", "plan"):
            assert GOOD in done.out


@fuzzed
@given(seed=st.integers(0, 2**32))
def test_what_lies_in_the_locks_place_is_an_owner_or_none(seed: int) -> None:
    with one_case():
        state = parse_state(damage(_STATE.encode(), random.Random(seed)).decode(errors="replace"))
        try:
            said = "" if state.owner is None else state.owner.describe()
        except HarnessError as error:
            said = str(error)
        assert said.isprintable() and (state.damage or "").isprintable()
