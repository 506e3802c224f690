"""The Pythons of a host: looked for by their names, told by their versions and by whether they have TensorFlow."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.hosts.local import LocalConnection
from harness.hosts.pythons import FoundPython, find_pythons, parse_pythons


def test_what_a_host_says_is_read_and_what_makes_no_sense_is_left_out() -> None:
    said = "3.9.21\t0\t/usr/bin/python3\nwelcome to ws01!\n3.12.4\t1\t/usr/bin/python3.12\n3.12\t1\t/x\n3.11.2\t2\t/x\n"
    assert parse_pythons(said) == [
        FoundPython("/usr/bin/python3", (3, 9, 21), has_tensorflow=False),
        FoundPython("/usr/bin/python3.12", (3, 12, 4), has_tensorflow=True),
    ]
    assert parse_pythons("") == [] and parse_pythons("9" * 5000) == []
    assert len(parse_pythons("3.12.4\t1\t/usr/bin/python3\n" * 1000)) == 20


def test_they_are_found_in_the_path_one_that_does_not_run_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, line in (("python3", "exit 1"), ("python3.13", "printf '3.13.1\\t1\\t%s\\n' \"$3\"")):
        (tmp_path / name).write_text(f"#!/bin/sh\n{line}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    first = find_pythons(LocalConnection("here"))[0]
    assert first == FoundPython(f"{tmp_path}/python3.13", (3, 13, 1), has_tensorflow=True)
