"""Everything at once: a lab of ``inventory/lab.yaml``'s shape, from `check` to one report; then this machine alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from host_images import tiny_image
from lab_session import DRIVER
from mission_lab import GPU_HOST, GPU_UUIDS, SPECS, furnish, seen_gpus, write_definitions, write_inventory
from workstations import Host, Lab, sweep

from harness.records.folder import SessionFolder
from harness.records.reading import read_records
from harness.values.record import Record

pytestmark = [pytest.mark.lab, pytest.mark.timeout(1500)]

EXPERIMENT = """\
name: mission
parameters:
  data: photos
  mode: train
  loader: [keras-idg, tfdata]
  memory_limit: none
  image_size: 64
  batch_size: 8
  epochs: 2
  model: {name: mobilenet, alpha: 0.25, weights: none}
include:
  - {loader: tfdata, memory_limit: 200MB}
exclude:
  - {loader: ceiling}
rounds: 1
stall_rounds: 0
baseline: {loader: keras-idg}
timeout: 2min
"""
KINDS = {
    "desktop": ("ws01.lab.example", "ws02.lab.example"),
    "tower": ("ws05.lab.example",),
    "shared": ("ws08.lab.example",),
    "small": ("ws10.lab.example",),
}
HOSTS = tuple(host for hosts in KINDS.values() for host in hosts)


@dataclass
class Person:
    """Somebody who types commands in a folder; ``driver`` are words for the driver of the lab's sessions."""

    folder: Path
    driver: tuple[str, ...]

    def type(self, *words: str, is_driven: bool = True, expected: int = 0, timeout_s: float = 900) -> str:
        """One command to its end; what it wrote on stdout. Nobody sees a program's inside."""
        home, programs = self.folder / "home", self.folder / "bin"
        environment = {**os.environ, "NO_COLOR": "1", "COLUMNS": "250", "HOME": str(home)}
        environment |= {"XDG_CACHE_HOME": str(home / "cache"), "PATH": f"{programs}:{os.environ['PATH']}"}
        environment.pop("SSH_AUTH_SOCK", None)
        start = [str(DRIVER), *self.driver] if is_driven else ["-c", "from harness.cli import main; main()"]
        done = subprocess.run(
            [sys.executable, *start, *words], cwd=self.folder, env=environment, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=timeout_s, check=False,
        )  # fmt: skip
        assert done.returncode == expected, f"{words[0]}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr and "unexpected error" not in done.stderr, done.stderr
        return done.stdout

    def session(self, output: str) -> SessionFolder:
        """The one session in a folder."""
        (found,) = (path for path in (self.folder / output).iterdir() if path.is_dir())
        return SessionFolder(found)


@pytest.fixture
def mission(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """The workstations and their gate, none with an image."""
    sweep("mission-")
    lab = Lab.up(SPECS, name=f"mission-{os.getpid()}", folder=tmp_path_factory.mktemp("mission") / "keys")
    try:
        furnish(lab)
        yield lab
    finally:
        lab.down()


def test_the_mission(mission: Lab, tmp_path: Path) -> None:
    definitions = write_definitions(tmp_path / "definitions")
    person = Person(tmp_path, ("--images", f"{definitions}={tiny_image()}"))
    inventory = str(write_inventory(mission, tmp_path))
    (tmp_path / "experiment.yaml").write_text(EXPERIMENT)

    states = check(person, inventory)
    assert states == dict.fromkeys(HOSTS, "ready")
    planned = person.type("plan", inventory, "--experiment", "experiment.yaml")
    assert all(host in planned for host in HOSTS)
    assert "harness-gpu:" in planned and "harness-cpu:" in planned and "process" in planned, planned
    assert not seen_gpus(mission.hosts["ws05"]), "nothing has run yet"

    # 1: the cases of the host whose GPUs are not there are errors.
    person.type("run", inventory, "--experiment", "experiment.yaml", "--output", "reports", expected=1)
    session = person.session("reports")
    records = list(read_records(session))
    measured(records)
    no_gpus(mission, [record for record in records if record.host == GPU_HOST])
    one_report(person, session, records)
    for host in mission.hosts.values():
        nothing_left(host)

    # Now the image is there, and a job that asks for the GPUs tells that none come.
    states = check(person, inventory, expected=1)
    assert states == {**dict.fromkeys(HOSTS, "ready"), GPU_HOST: "not_ready"}
    this_machine(Person(tmp_path, ("--lock", str(tmp_path / "machine.lock"))))


def check(person: Person, inventory: str, expected: int = 0) -> dict[str, str]:
    """``harness check``: the state of each host; what it says of the GPU host is looked at."""
    answers = {one["host"]: one for one in json.loads(person.type("check", inventory, "--json", expected=expected))}
    checks = {(one["id"], one["outcome"]): one["message"] for one in answers[GPU_HOST]["checks"]}
    assert "supports CUDA 12.5" in checks["driver", "ok"] and "8.9" in checks["gpu-code", "ok"]
    if expected:
        assert "a job that requested 2 GPUs got none" in checks["nvidia-runtime", "failure"]
    else:
        assert checks["nvidia-runtime", "ok"] == "containers get GPUs by nvidia"
    return {host: one["state"] for host, one in answers.items()}


def measured(records: list[Record]) -> None:
    """Each case of each host has a record, under the limits of its group, by the engine and the image of its kind."""
    limits = {}
    for group, hosts in KINDS.items():
        for host in hosts:
            own = [record for record in records if record.host == host]
            # Two loaders, one of them under two limits, and the check that repeats one.
            assert len({record.invocation for record in own}) == 4, (host, [(r.case.loader, r.cause) for r in own])
            assert {record.status for record in own} == {"error" if group == "tower" else "ok"}, (host, own[0].cause)
            free = next(record for record in own if record.case.memory_limit == "none")
            limits[group] = free.memory.limit_effective or 0
            assert {r.memory.limit_effective for r in own if r.case.memory_limit != "none"} <= {
                200_000_000,
                199_999_488,
            }
            image = str(free.environment.get("image"))
            kind = {"tower": "harness-gpu:", "small": ""}.get(group, "harness-cpu:")
            assert image.startswith(kind) and (bool(image) or group == "small"), (host, image)
            assert free.engine == ("process" if group == "small" else "docker")
    assert len(set(limits.values())) == len(KINDS), f"memory limits differ by group: {limits}"


def no_gpus(mission: Lab, records: list[Record]) -> None:
    """The runtime was asked for both GPUs, by each job that trains and by no other; none was there."""
    for record in records:
        assert record.case.gpus == "auto" and (record.cause or "").startswith("gpu_missing"), record.cause
        assert "2 GPUs requested, but TensorFlow sees 0" in (record.cause or "")
    seen = [one for env in seen_gpus(mission.hosts["ws05"]) for one in env if one.startswith("NVIDIA_VISIBLE")]
    wanted = "NVIDIA_VISIBLE_DEVICES=" + ",".join(GPU_UUIDS)
    assert seen.count(wanted) >= len(records), seen
    assert "NVIDIA_VISIBLE_DEVICES=void" in seen, "jobs that train nothing get none"


def nothing_left(host: Host) -> None:
    """No job, lock or process of ours is on a host; sshd ends what it ran for a connection a moment after it."""
    deadline = time.monotonic() + 20
    while (left := host.leftovers()) and time.monotonic() < deadline:
        time.sleep(0.5)
    assert not left, (host.name, left)


def one_report(person: Person, session: SessionFolder, records: list[Record]) -> None:
    """One page, grouped by hardware; the two equal hosts are one group."""
    page = session.report_file.read_text()
    kinds = {record.hardware for record in records}
    assert len(kinds) == len(KINDS), kinds
    assert len({record.hardware for record in records if record.host in KINDS["desktop"]}) == 1
    assert all(kind.split(" #")[0] in page for kind in kinds) and "RTX 4090" in page
    assert "gpu_missing" in page
    again = person.type("report", str(session.path), "--to", "again.html")
    assert "again.html" in again and all(kind.split(" #")[0] in again + page for kind in kinds)


def this_machine(person: Person) -> None:
    """Local mode, and its report shown in a browser."""
    browser = person.folder / "bin" / "xdg-open"
    browser.parent.mkdir()
    browser.write_text(f'#!/bin/sh\necho "$1" >{person.folder}/shown\n')
    browser.chmod(0o755)
    photos = person.folder / "photos"
    for name in ("a", "b"):
        (photos / name).mkdir(parents=True)
        (photos / name / "1.jpg").write_bytes(b" " * 100)
    harness = {"engine": "process", "allow_busy": True, "gpus": 0, "data": {"photos": {"folder": str(photos)}}}
    local = {"all": {"hosts": {"here": {"ansible_connection": "local", "harness": harness}}}}
    (person.folder / "local.yaml").write_text(json.dumps(local))
    person.type("run", "local.yaml", "--experiment", "experiment.yaml", "--output", "local")
    session = person.session("local")
    assert {record.status for record in read_records(session)} == {"ok"}
    person.type("report", str(session.path), "--open", is_driven=False)
    deadline = time.monotonic() + 20
    while not (person.folder / "shown").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert (person.folder / "shown").read_text().strip().endswith(str(session.report_file.resolve()))


@pytest.mark.lab_full
@pytest.mark.timeout(3000)
def test_the_gpu_image_itself_is_built_and_shipped(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> None:
    """``Dockerfile.gpu``'s image, several GB, on a host whose GPUs are stand-ins: its TensorFlow sees none."""
    specs = tuple(replace(spec, memory_mb=4096) if spec.name == "ws05" else spec for spec in SPECS)
    lab = Lab.up(specs, name=f"mission-{os.getpid()}", folder=tmp_path_factory.mktemp("mission") / "keys")
    try:
        furnish(lab)
        person = Person(tmp_path, ())
        inventory = str(write_inventory(lab, tmp_path, "{photos: {generate: {profile: coco, images: 40, seed: 1}}}"))
        (tmp_path / "experiment.yaml").write_text(EXPERIMENT.replace("200MB", "1GB"))
        words = ("--experiment", "experiment.yaml", "--output", "reports", "--limit", GPU_HOST)
        person.type("run", inventory, *words, is_driven=False, expected=1, timeout_s=2600)
        records = list(read_records(person.session("reports")))
        no_gpus(lab, records)
        assert all("built for CUDA 12." in str(record.cause) for record in records)
        said = person.type("check", inventory, "--limit", GPU_HOST, "--json", is_driven=False, expected=1)
        checks = {one["id"]: one for one in json.loads(said)[0]["checks"]}
        assert checks["gpu-code"]["outcome"] == "ok" and checks["nvidia-runtime"]["outcome"] == "failure"
        assert not lab.hosts["ws05"].leftovers()
    finally:
        lab.down()
