"""Read-only data covers what is mounted inside it: made read-only, or refused by its name."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import docker_support as support
import pytest

from harness.bench.launcher.confine import MountPoint, mounts_below
from harness.engine.interface import Mount
from harness.engine.kinds.docker import DockerEngine
from harness.hosts.local import LocalConnection
from harness.values.errors import JobRefused

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")

MakeDisk = Callable[[str], Path]


def test_mounts_are_found_by_their_real_names_with_their_flags() -> None:
    mountinfo = (
        "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
        "40 22 0:50 / /srv/data rw - tmpfs tmpfs rw\n"
        "41 40 0:51 / /srv/data/a\\040b ro,nosuid,nodev,relatime master:3 - tmpfs tmpfs rw\n"
        "42 22 0:52 / /srv/data2 rw - tmpfs tmpfs rw\n"
        "cut\n"
    )
    assert mounts_below("/srv/data", mountinfo) == [MountPoint("/srv/data/a b", 2 | 4 | 1 << 21)]


@needs_root
def test_a_process_cannot_write_into_a_mount_inside_its_data(make_disk: MakeDisk, tmp_path: Path) -> None:
    inner = make_disk("64k")
    (inner / "precious").write_text("x")
    (tmp_path / "link").symlink_to(tmp_path)
    script = (
        "import os, sys; from harness.bench.launcher import confine\n"
        "print(confine.seal([sys.argv[1]], [], {}))\n"
        "try: os.unlink(sys.argv[2])\n"
        "except OSError as error: print(error.strerror)\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "link"), str(inner / "precious")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == ["None", "Read-only file system"], done.stderr
    (inner / "precious").unlink()  # the host itself may still write


@needs_root
def test_what_a_job_may_write_stays_writable_inside_its_data(make_disk: MakeDisk, tmp_path: Path) -> None:
    inner = make_disk("64k")
    script = (
        "import sys; from harness.bench.launcher import confine\n"
        "print(confine.seal([sys.argv[1]], [sys.argv[2]], {})); open(sys.argv[2] + '/mine', 'w').close()\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path), str(inner)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.stdout, (inner / "mine").exists()) == ("None\n", True), done.stderr


@needs_root
def test_docker_makes_mounts_inside_read_only_or_refuses_them(
    make_disk: MakeDisk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_disk("64k")
    (tmp_path / "plain").mkdir()
    mounts = (Mount("data", str(tmp_path)), Mount("other", str(tmp_path / "plain")))
    request = support.request_of("harness-job-1", "harness-cpu:1", support.stub_payload("pass"), mounts=mounts)
    with support.fake_daemon(tmp_path) as fake:
        engine = DockerEngine("ws01", LocalConnection("ws01"), uid=0, gid=0, address=fake.address)
        engine.submit(request)
        data, other = fake.created[0]["HostConfig"]["Mounts"]
        assert data["ReadOnly"] and data["BindOptions"] == {"ReadOnlyForceRecursive": True}
        assert other["ReadOnly"] and "BindOptions" not in other
        fake.containers.clear()
        monkeypatch.setitem(support.VERSION, "ApiVersion", "1.43")
        old = DockerEngine("ws01", LocalConnection("ws01"), uid=0, gid=0, address=fake.address)
        with pytest.raises(JobRefused, match="disk-64k is mounted inside") as caught:
            old.submit(request)
        assert "Docker Engine 25" in str(caught.value.hint) and len(fake.created) == 1
