"""A session on Podman as a user runs it: over SSH, in a small image, with stand-ins for what needs TensorFlow."""

from __future__ import annotations

import getpass
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from docker_support import python_image
from sshd_support import Server

from harness.engine.registry import load_engine
from harness.engine.spec import Means
from harness.hosts.local import LocalConnection
from harness.records.folder import SessionFolder
from harness.records.reading import read_records
from harness.values.errors import EngineUnavailable

pytestmark = [pytest.mark.podman, pytest.mark.ssh, pytest.mark.whole]

DRIVER = Path(__file__).parents[1] / "lab/lab_driver.py"
EXPERIMENT = {
    "name": "podman",
    "parameters": {
        "data": "photos",
        "mode": "load",
        "loader": ["keras-idg", "tfdata"],
        "memory_limit": "200MB",
        "epochs": 2,
    },
    "rounds": 1,
    "baseline": {"loader": "keras-idg"},
    "timeout": "2min",
}


def harness(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """One command, with stand-ins, on a machine where no Docker Engine answers."""
    home = folder / "home"
    home.mkdir(exist_ok=True)
    environment = {**os.environ, "HOME": str(home), "DOCKER_HOST": "unix:///nowhere.sock", "NO_COLOR": "1"}
    command = [sys.executable, str(DRIVER), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=folder)


def test_a_session_over_ssh(tmp_path: Path, server: Server) -> None:
    means = Means(LocalConnection("here"), str(tmp_path), os.getuid(), os.getgid(), is_local=True)
    engine: Any = load_engine("podman").make(means)
    try:
        version = engine.probe("").version
    except EngineUnavailable as error:
        pytest.skip(str(error))
    photos = tmp_path / "photos"
    for number in range(10):
        (photos / "ab"[number % 2]).mkdir(parents=True, exist_ok=True)
        (photos / "ab"[number % 2] / f"{number}.jpg").write_bytes(b"not looked at")
    known = server.known_hosts.read_text().split()
    variables = {
        "ansible_host": "127.0.0.1",
        "ansible_port": server.port,
        "ansible_user": getpass.getuser(),
        "ansible_ssh_private_key_file": str(server.user_key),
        "harness": {
            "engine": "podman",
            "image": python_image(engine.client),
            "data": {"photos": {"folder": str(photos)}},
            "scratch": str(tmp_path / "scratch"),
            "host_key": f"{known[1]} {known[2]}",
            "allow_busy": True,
            "memory_reserve": "128MiB",
            "disk_reserve": "100MB",
        },
    }
    (tmp_path / "inventory.yaml").write_text(yaml.safe_dump({"all": {"hosts": {"ws01": variables}}}))
    (tmp_path / "experiment.yaml").write_text(yaml.safe_dump(EXPERIMENT))
    checked = harness(tmp_path, "check", "inventory.yaml", "--ship")
    assert f"✓ engine podman: podman {version}" in checked.stdout, checked.stdout + checked.stderr
    assert "a limit of 67.1 MB is enforced" in checked.stdout
    done = harness(tmp_path, "run", "inventory.yaml", "--experiment", "experiment.yaml", "--output", "reports")
    assert done.returncode == 0, done.stdout + done.stderr
    (session,) = (tmp_path / "reports").glob("*/session.json")
    records = read_records(SessionFolder(session.parent))
    assert {(record.engine, record.status, record.memory.limit_effective) for record in records} == {
        ("podman", "ok", 200_000_000 // 4096 * 4096)
    }
    assert len(records) >= 2 and engine.list() == []
    cleaned = harness(tmp_path, "clean", "inventory.yaml", "--dry-run")
    assert "podman job" not in cleaned.stdout, cleaned.stdout
