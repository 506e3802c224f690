"""``harness check``: a line for each thing that works or does not, the state of the host, and the exit code."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from machine import HERE, Machine, keep_facts
from PIL import Image

from harness.console import Console
from harness.engine.kinds import docker, podman
from harness.engine.spec import Means
from harness.hosts.facts import read_facts
from harness.ship.transfer.image_sources import ImageSources
from harness.values.engine_names import EngineFacts
from harness.values.errors import ConfigurationError
from harness.values.facts import DiskFacts
from harness.workflow import reaching
from harness.workflow.machines import check_hosts as checking


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A machine whose memory limit is not tried: that is a job, and tests/engine has it."""
    monkeypatch.setattr(checking, "probe_limit", lambda *_arguments, **_named: None)
    monkeypatch.setattr(checking, "probe_gpus", lambda *_arguments, **_named: None)
    keep_facts(monkeypatch)
    for name in ("cat", "dog"):
        (tmp_path / "pets" / name).mkdir(parents=True)
        Image.new("RGB", (40, 30)).save(tmp_path / "pets" / name / "0.jpg")
    return Machine(tmp_path)


def check(inventory: Path, *, as_json: bool = False) -> int:
    return checking.check_hosts(
        Console(), inventory, limit=None, engine=None, ship=False, base_image=None, forks=4, as_json=as_json
    )


def checks_of(inventory: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, Any]]:
    code = check(inventory, as_json=True)
    (host,) = json.loads(capsys.readouterr().out)
    return code, host


def test_every_line_has_a_sign_and_what_is_no_success_a_cure(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    pets = {"pets": {"folder": str(machine.folder / "pets")}}
    assert check(machine.inventory("here", data=pets)) == 0
    first, *lines = capsys.readouterr().out.splitlines()
    assert first == "here: ready"
    signs = [line[2] for line in lines if line[2] != " "]
    assert len(signs) > 5 and set(signs) <= set("✓!?")
    cures = [number for number, line in enumerate(lines) if line.startswith("      → ")]
    assert all(lines[number - 1][2] in "!?" for number in cures)
    assert any(line.startswith(("  ✓ data pets: ", "  ? data pets: ")) for line in lines)


def test_more_than_three_hosts_have_a_line_each_and_those_that_are_not_ready_their_reason(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ("a1", "a2", "a3", "a4")
    check(machine.inventory(*names))
    said = capsys.readouterr().out.splitlines()
    assert sorted(line.split(";")[0] for line in said if "; " in line and ": ready" in line) == [
        f"✓ {name}: ready" for name in names
    ]
    assert not any(line.startswith("  ✓") for line in said)
    assert "for all checks, give the same command with --limit HOST or -v" in said
    assert check(machine.inventory(*names, data={"gone": {"folder": str(machine.folder / "gone")}})) == 2
    said = capsys.readouterr().out.splitlines()
    assert sum(line.startswith("✗ a") and ": not ready; " in line for line in said) == 4
    for name in names:
        place = said.index(f"{name}: not_ready")
        assert said[place + 1].startswith("  ✗ data gone: ") and said[place + 2].startswith("      → ")


def test_data_that_is_not_there_is_a_mistake_of_the_inventory(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = {"gone": {"folder": str(machine.folder / "gone")}}
    code, host = checks_of(machine.inventory("here", data=gone), capsys)
    assert (code, host["state"]) == (2, "not_ready")
    (failed,) = [one for one in host["checks"] if one["outcome"] == "failure"]
    assert (failed["id"], failed["subject"]) == ("data", "gone") and failed["cure"]


def test_a_machine_that_another_session_holds_is_locked(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    held = machine.hold("other-session")
    try:
        code, host = checks_of(machine.inventory("here"), capsys)
    finally:
        held.release()
    assert (code, host["state"]) == (3, "locked")
    assert any("other-session" in one["message"] for one in host["checks"])
    assert checks_of(machine.inventory("here"), capsys)[1]["state"] == "ready"


def test_each_disk_may_have_a_reserve_of_its_own(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    fast = machine.folder / "fast"
    fast.mkdir()
    reserves = {"fast": "1000TB", "scratch": 0}
    _, host = checks_of(machine.inventory("here", disks={"fast": str(fast)}, disk_reserve=reserves), capsys)
    said = {one["subject"]: one for one in host["checks"] if one["id"] == "disk"}
    assert "0 B for caches" in said["fast"]["message"] and said["fast"]["outcome"] == "warning"
    assert "0 B for caches" not in said["scratch"]["message"]
    with pytest.raises(ConfigurationError, match="the host has no disk 'slow' \\(it has scratch, fast\\)"):
        check(machine.inventory("here", disks={"fast": str(fast)}, disk_reserve={"slow": "1GB"}))


def test_the_image_store_must_have_room_for_an_image_that_is_to_come(
    machine: Machine, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Lacking:
        def __init__(self, _means: Means) -> None: ...

        def probe(self, image: str) -> EngineFacts:
            return EngineFacts(engine="docker", version="28", image_digest=None)

    facts = read_facts(HERE, scratch=str(machine.scratch))
    store = DiskFacts(path="/var/lib/docker", total_bytes=10**10, free_bytes=3 * 10**9)
    with_store = facts.model_copy(update={"disks": {**facts.disks, "images": store}})
    monkeypatch.setattr(reaching, "read_facts", lambda *_arguments, **_named: with_store)
    monkeypatch.setattr(docker, "SPEC", replace(docker.SPEC, make=cast("Any", Lacking)))
    monkeypatch.setattr(checking, "find_holder", lambda *_arguments, **_named: None)
    for size, outcome in ((10**9, "ok"), (2 * 10**9, "failure"), (None, None)):
        monkeypatch.setattr(ImageSources, "size_of", lambda _images, _reference, found=size: found)
        _, host = checks_of(machine.inventory("here", engine="docker"), capsys)
        said = [one["outcome"] for one in host["checks"] if (one["id"], one["subject"]) == ("disk", "images")]
        assert said == ([] if outcome is None else [outcome])


def test_the_engine_says_where_its_images_lie(
    machine: Machine, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = machine.folder / "containers" / "storage"

    class Lacking:
        def __init__(self, _means: Means) -> None: ...

        def probe(self, image: str) -> EngineFacts:
            return EngineFacts(engine="podman", version="4.3", folder=str(store))

    monkeypatch.setattr(podman, "SPEC", replace(podman.SPEC, make=cast("Any", Lacking)))
    monkeypatch.setattr(checking, "find_holder", lambda *_arguments, **_named: None)
    monkeypatch.setattr(ImageSources, "size_of", lambda _images, _reference: 10**15)
    _, host = checks_of(machine.inventory("here", engine="podman"), capsys)
    (said,) = [one for one in host["checks"] if (one["id"], one["subject"]) == ("disk", "images")]
    assert said["outcome"] == "failure" and said["message"].startswith(f"{store}: ")
    assert "0 B free" not in said["message"] and "`podman image prune`" in said["cure"]


def test_an_engine_that_does_not_answer(
    machine: Machine, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere.sock")
    code, host = checks_of(machine.inventory("here", engine="docker"), capsys)
    assert (code, host["state"]) == (3, "not_ready")
    failed = [one for one in host["checks"] if one["outcome"] == "failure"]
    assert [one["id"] for one in failed] == ["engine"] and "DOCKER_HOST" in failed[0]["message"] + failed[0]["cure"]


def test_the_python_that_the_inventory_names_is_said(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    wrapper = machine.folder / "tf python"
    wrapper.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    wrapper.chmod(0o755)
    _, host = checks_of(machine.inventory("here", python=f"'{wrapper}'"), capsys)
    (said,) = [one for one in host["checks"] if one["id"] in ("python", "engine") and one["outcome"] != "ok"] or [
        one for one in host["checks"] if one["id"] == "python"
    ]
    assert "tf python" in said["message"]


def test_a_python_without_tensorflow_lacks_what_a_run_would_bring(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", machine.folder / "bare"], check=True)
    _, host = checks_of(machine.inventory("here", python=f"{machine.folder}/bare/bin/python"), capsys)
    (said,) = [one for one in host["checks"] if one["id"] == "python"]
    assert (
        said["outcome"] == "unproven" and "bare/bin/python) has no TensorFlow; the environment cpu-" in said["message"]
    )
    assert said["cure"] == "`harness run` or `harness ship` sends it"
    assert host["state"] == "ready" and not (machine.scratch / "environments").exists()
