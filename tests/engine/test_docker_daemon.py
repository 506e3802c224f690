"""What daemons say and how they fail: a fake daemon on a real socket stands in for GPUs, old kernels and crashes."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import docker_support as support
import pytest

from harness.engine import daemon
from harness.engine.interface import JobHandle, JobRequest
from harness.engine.kinds.docker import DockerEngine
from harness.hosts.connection import Completed
from harness.hosts.local import LocalConnection
from harness.values.errors import EngineUnavailable, HostUnreachable

DISCARDED = "Your kernel does not support memory limit capabilities or the cgroup is not mounted. Limitation discarded."


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[support.FakeDaemon]:
    with support.fake_daemon(tmp_path) as running:
        yield running


def _engine(address: str) -> DockerEngine:
    return DockerEngine("ws01", LocalConnection("ws01"), uid=1000, gid=1000, address=address)


def _request(**changes: object) -> JobRequest:
    return support.request_of("harness-job-1", "harness-cpu:1", support.stub_payload("pass"), **changes)


def test_an_nvidia_runtime_gets_a_device_request(fake: support.FakeDaemon) -> None:
    fake.info["Runtimes"] = {"runc": {}, "nvidia": {"path": "nvidia-container-runtime"}}
    engine = _engine(fake.address)
    assert engine.probe("harness-cpu:1").gpu_support == "nvidia"
    engine.submit(_request(gpus=("0",)))
    assert fake.created[0]["HostConfig"]["DeviceRequests"] == [
        {
            "Driver": "nvidia",
            "Count": 0,
            "DeviceIDs": ["0"],
            "Capabilities": [["gpu", "compute", "utility"]],
            "Options": {},
        }
    ]


def test_devices_found_by_cdi_get_a_cdi_request(fake: support.FakeDaemon) -> None:
    fake.info["CDISpecDirs"] = ["/etc/cdi", "/var/run/cdi"]
    fake.info["DiscoveredDevices"] = [{"Source": "cdi", "ID": "nvidia.com/gpu=0"}]
    engine = _engine(fake.address)
    assert engine.probe("").gpu_support == "cdi"
    engine.submit(_request(gpus=("0",)))
    request = fake.created[0]["HostConfig"]["DeviceRequests"][0]
    assert (request["Driver"], request["DeviceIDs"]) == ("cdi", ["nvidia.com/gpu=0"])


def test_cdi_folders_alone_are_no_gpu(fake: support.FakeDaemon) -> None:
    fake.info["CDISpecDirs"] = ["/etc/cdi"]
    assert _engine(fake.address).probe("").gpu_support is None


def test_probe_reads_versions_store_and_missing_controllers(fake: support.FakeDaemon) -> None:
    fake.info.update(MemoryLimit=False, SwapLimit=False, Driver="overlayfs")
    fake.info["DriverStatus"] = [["driver-type", "io.containerd.snapshotter.v1"]]
    facts = _engine(fake.address).probe("")
    assert (facts.version, facts.api_version, facts.cgroup_version) == ("27.0.1", "1.46", 2)
    assert facts.storage == "overlayfs (containerd image store)"
    assert (facts.can_limit_memory, facts.can_limit_swap, facts.can_limit_cpus) == (False, False, True)
    assert facts.reasons == ("Docker has no memory controller under cgroup version 2",) and not facts.limit_cure


def test_a_discarded_limit_is_known_to_every_later_controller(fake: support.FakeDaemon) -> None:
    fake.warnings = [DISCARDED]
    handle = _engine(fake.address).submit(_request())
    assert len(fake.created) == 2, "made again with the warning as a label"
    assert list(fake.containers) == [handle.id], "the first one is removed"
    rebuilt = DockerEngine("ws01", LocalConnection("ws01"), uid=1000, gid=1000, address=fake.address)
    again = rebuilt.submit(_request())
    assert again.id == handle.id
    from harness.engine.dockerinfo import Container, job_state

    assert job_state(Container.model_validate(fake.containers[handle.id])).warnings == (DISCARDED,)


def test_a_limit_that_the_daemon_changed_without_a_word_is_a_warning(fake: support.FakeDaemon) -> None:
    from harness.engine.dockerinfo import Container, job_state

    handle = _engine(fake.address).submit(_request())
    assert job_state(Container.model_validate(fake.containers[handle.id])).warnings == ()
    fake.containers[handle.id]["HostConfig"]["Memory"] = 0
    assert "discarded" in job_state(Container.model_validate(fake.containers[handle.id])).warnings[0]


@pytest.mark.parametrize("moment", ["/containers/create", "/archive", "/start", "/json"])
def test_a_daemon_that_dies_in_the_middle_is_a_lost_host(fake: support.FakeDaemon, moment: str) -> None:
    engine = _engine(fake.address)
    fake.die_at = moment
    with pytest.raises(HostUnreachable) as caught:
        engine.submit(_request())
    assert caught.value.where == "ws01"
    assert caught.value.hint
    fake.die_at = None
    handle = engine.submit(_request())
    assert list(fake.containers) == [handle.id], "what was left half made is gone, and one runs"
    assert fake.containers[handle.id]["State"]["Status"] == "running"


def test_every_verb_says_lost_when_nobody_is_there(tmp_path: Path) -> None:
    with support.fake_daemon(tmp_path) as fake:
        engine = _engine(fake.address)
        handle = engine.submit(_request())
    for verb in (
        lambda: engine.poll([handle]),
        lambda: engine.fetch(handle, tmp_path / "out"),
        lambda: engine.cancel([handle]),
        engine.list,
        lambda: engine.submit(_request()),
    ):
        with pytest.raises(HostUnreachable):
            verb()


def test_polling_nothing_asks_nobody() -> None:
    assert _engine("unix:///no/such.sock").poll([]) == []


def test_no_socket_says_how_to_get_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    engine = DockerEngine("ws01", LocalConnection("ws01"), uid=1000, gid=1000)
    with pytest.raises(EngineUnavailable, match="no Docker socket") as caught:
        engine.probe("x")
    assert "DOCKER_HOST" in caught.value.message
    assert "systemctl start docker" in str(caught.value.hint)
    with pytest.raises(EngineUnavailable, match="no Docker socket"):
        _ = engine.client


def test_a_socket_that_nobody_listens_at(tmp_path: Path) -> None:
    path = tmp_path / "dead.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with pytest.raises(EngineUnavailable, match="nothing listens"):
        _engine(f"unix://{path}").probe("x")


def test_a_socket_that_is_not_allowed_names_the_group(open_folder: Path) -> None:
    with support.fake_daemon(open_folder) as fake:
        path = Path(fake.address.removeprefix("unix://"))
        path.chmod(0o600)
        engine = _engine(fake.address)
        engine.probe("")
        if os.getuid() == 0:
            os.seteuid(65534)
        else:
            path.chmod(0o000)
        try:
            with pytest.raises(EngineUnavailable) as caught:
                engine.probe("x")
        finally:
            if os.getuid() == 0:
                os.seteuid(0)
    assert "is not accessible" in caught.value.message
    assert "usermod -aG docker" in str(caught.value.hint)


@contextlib.contextmanager
def silent_engine(folder: Path) -> Iterator[DockerEngine]:
    """An engine whose daemon takes connections and never says a word."""
    path = folder / "silent.sock"
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(path))
        silent.listen(5)
        yield _engine(f"unix://{path}")


def test_a_silent_daemon_ends_the_probe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daemon, "PROBE_TIMEOUT_S", 0.3)
    with silent_engine(tmp_path) as engine, pytest.raises(EngineUnavailable, match="did not answer"):
        engine.probe("x")


def test_a_daemon_that_freezes_is_lost_after_the_deadline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daemon, "CALL_TIMEOUT_S", 0.3)
    with silent_engine(tmp_path) as engine:
        begun = time.monotonic()
        with pytest.raises(HostUnreachable):
            engine.poll([JobHandle("ws01", "harness-job-1", "1" * 64)])
        assert time.monotonic() - begun < 60


def test_an_ssh_address_is_refused_with_the_way_to_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "ssh://somebody@somewhere")
    with pytest.raises(EngineUnavailable, match="inventory"):
        DockerEngine("ws01", LocalConnection("ws01"), uid=1, gid=1).probe("x")


def test_a_rootless_daemon_is_said(fake: support.FakeDaemon) -> None:
    fake.info["SecurityOptions"] = ["name=seccomp,profile=builtin", "name=rootless"]
    facts = _engine(fake.address).probe("")
    assert facts.ends_with_user and "Delegate=" in facts.limit_cure


def test_a_job_of_a_rootless_daemon_is_root_inside_which_is_its_user_outside(fake: support.FakeDaemon) -> None:
    _engine(fake.address).submit(_request())
    fake.info["SecurityOptions"] = ["name=rootless"]
    _engine(fake.address).submit(replace(_request(), name="harness-job-2"))
    assert [body["User"] for body in fake.created] == ["1000:1000", "0:0"]
    assert "uid=0,gid=0" in fake.created[1]["HostConfig"]["Tmpfs"]["/tmp"]


@pytest.mark.parametrize(
    ("delegated", "limits"),
    [("cpuset cpu memory pids", (True, True)), ("cpu memory pids", (True, False)), ("pids", (False, False))],
)
def test_a_rootless_daemon_can_limit_only_what_is_delegated_to_its_user(
    fake: support.FakeDaemon, delegated: str, limits: tuple[bool, bool]
) -> None:
    fake.info["SecurityOptions"] = ["name=rootless"]
    connection = LocalConnection("ws01")
    connection.run = lambda *_, **__: Completed(0, delegated.encode(), b"")  # type: ignore[method-assign]  # of another host
    facts = DockerEngine("ws01", connection, uid=1000, gid=1000, address=fake.address).probe("")
    assert (facts.can_limit_memory, facts.can_limit_cpus) == limits
    assert facts.can_limit_swap == limits[0] and (limits[0] or "rootless Docker has no" in facts.reasons[0])
