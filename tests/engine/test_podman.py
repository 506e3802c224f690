"""Podman: what it is asked for, where its service is, and what its answers mean. With Docker's: test_docker.py."""

# mypy: disable-error-code="index"

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker_support as support
import pytest
from contract import EngineContract, EngineTest
from sshd_support import QUICK, Server, start_sshd

from harness.engine.container import Owner
from harness.engine.daemon_access import DaemonAccess
from harness.engine.dial import Dialer
from harness.engine.dockerinfo import EngineInfo, EngineVersion
from harness.engine.interface import Mount
from harness.engine.kinds.docker import DockerEngine
from harness.engine.kinds.podman import PodmanEngine
from harness.engine.local_streams import LocalStreams
from harness.engine.podman_container import build_podman_create, find_gpu_names, name_devices
from harness.engine.podman_dial import PodmanDialer
from harness.engine.podman_info import PodmanInfo, podman_facts
from harness.engine.registry import Refusal, explain_choice, load_engine
from harness.hosts.local import LocalConnection
from harness.hosts.ssh import SSHConnection
from harness.values.engine_names import EngineFacts
from harness.values.errors import EngineAbsent, EngineUnavailable

GOLDEN = Path(__file__).with_name("golden_podman_create.json")
COMPONENTS = [{"Name": "Podman Engine", "Version": "4.3.1"}, {"Name": "Conmon", "Version": "2.1.6"}]
CDI_YAML = """\
cdiVersion: 0.5.0
kind: nvidia.com/gpu
devices:
- name: "0"
  containerEdits: {deviceNodes: [{path: /dev/nvidia0}]}
- name: GPU-1f
- name: all
containerEdits:
  hooks:
  - hookName: createContainer
"""
ssh = pytest.mark.ssh
podman = pytest.mark.podman


def request_of(**changes: Any) -> Any:
    mounts = (
        Mount("data", "/srv/photos"),
        Mount("cache", "/fast/harness-cache-4f0c-1", read_only=False, ephemeral=True),
    )
    fields = {"mounts": mounts, "cpus": (3, 0), "memory_bytes": 16_000_000_000, **changes}
    return support.request_of("harness-4f0c-1", "harness-cpu:1", support.stub_payload("pass"), **fields)


# -- what Podman is asked for ------------------------------------------------------------------------------------------


def test_the_create_request_is_the_golden_one() -> None:
    """Each line of it is a promise: no network, read-only root, no capabilities, swap not doubled, GPUs by CDI, …"""
    devices = name_devices(("GPU-1f",), find_gpu_names(CDI_YAML))
    body = build_podman_create(request_of(gpus=("GPU-1f",)), Owner(1000, 1001), image="sha256:1", devices=devices or ())
    assert body == json.loads(GOLDEN.read_text())


def test_without_root_users_keep_their_numbers_and_cpus_are_asked_for_where_they_can_be_had() -> None:
    body: Any = build_podman_create(
        request_of(memory_bytes=None), Owner(1000, 1000), image="x", is_rootless=True, can_limit_cpus=False
    )
    assert body["userns"] == {"nsmode": "keep-id"}
    assert body["resource_limits"] == {"pids": {"limit": 4096}}
    assert "devices" not in body and body["env"]["NVIDIA_VISIBLE_DEVICES"] == "void"


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (CDI_YAML, {"0", "GPU-1f", "all"}),
        ('{"kind":"nvidia.com/gpu","devices":[{"name":"0"},{"name": "all"}]}', {"0", "all"}),
        (CDI_YAML.replace("nvidia.com/gpu", "vendor.com/net"), set()),
        ("", set()),
    ],
)
def test_names_of_gpus_are_read_from_what_the_host_says(text: str, names: set[str]) -> None:
    assert find_gpu_names(text) == names


@pytest.mark.parametrize(
    ("gpus", "known", "devices"),
    [
        (("0",), {"0", "1", "all"}, ("nvidia.com/gpu=0",)),
        (("GPU-1f",), {"0", "GPU-1f", "all"}, ("nvidia.com/gpu=GPU-1f",)),
        (("GPU-1f", "GPU-2e"), {"0", "1", "all"}, ("nvidia.com/gpu=all",)),
        (("GPU-1f",), {"0", "1", "all"}, None),
        (("GPU-1f",), set(), None),
    ],
)
def test_gpus_are_named_as_the_host_names_them(
    gpus: tuple[str, ...], known: set[str], devices: tuple[str, ...] | None
) -> None:
    assert name_devices(gpus, frozenset(known)) == devices


# -- what it says of itself --------------------------------------------------------------------------------------------


def facts_of(
    controllers: list[str], *, group: str = "v1", rootless: bool = False, says_swap: bool = True
) -> EngineFacts:
    said = {
        "host": {"cgroupVersion": group, "cgroupControllers": controllers, "security": {"rootless": rootless}},
        "store": {"graphDriverName": "overlay", "graphRoot": "/var/lib/containers/storage"},
    }
    podman_info = PodmanInfo.model_validate(said)
    info = EngineInfo.model_validate({"SwapLimit": says_swap, "MemoryLimit": True, "CPUSet": True})
    version = EngineVersion.model_validate({"Version": "4.3.1", "Components": COMPONENTS})
    return podman_facts("podman", version, info, podman_info, api_version="1.41", image=None, gpu_support=None)


def test_with_root_it_proves_what_docker_does() -> None:
    facts = facts_of(["cpuset", "cpu", "memory", "pids"])
    assert (facts.can_limit_memory, facts.can_limit_swap, facts.can_limit_cpus) == (True, True, True)
    assert (facts.version, facts.cgroup_version, facts.storage) == ("4.3.1", 1, "overlay")
    assert facts.folder == "/var/lib/containers/storage" and not facts.reasons


def test_without_root_under_cgroup_version_1_nothing_can_be_limited() -> None:
    facts = facts_of([], rootless=True)
    assert (facts.can_limit_memory, facts.can_limit_swap, facts.can_limit_cpus) == (False, False, False)
    assert "rootless Podman has no memory controller under cgroup version 1" in facts.reasons[0]
    assert "systemd.unified_cgroup_hierarchy=1" in facts.limit_cure


def test_without_root_under_cgroup_version_2_what_was_delegated_can_be_limited() -> None:
    facts = facts_of(["cpu", "memory", "pids"], group="v2", rootless=True)
    assert (facts.can_limit_memory, facts.can_limit_swap, facts.can_limit_cpus) == (True, True, False)
    assert facts_of(["memory"], group="v2", says_swap=False).can_limit_swap
    assert not facts_of(["memory"], group="v1", says_swap=False).can_limit_swap
    none = facts_of(["pids"], group="v2", rootless=True)
    assert not none.can_limit_memory and "Delegate=" in none.limit_cure
    assert none.ends_with_user and not facts_of(["memory"], group="v2").ends_with_user


# -- Docker's engine where Podman answers ------------------------------------------------------------------------------


def test_podman_at_dockers_socket_is_called_by_its_own_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(support.VERSION, "Components", COMPONENTS)
    monkeypatch.setitem(support.VERSION, "Version", "4.3.1")
    with support.fake_daemon(tmp_path) as fake:
        engine = DockerEngine("ws01", LocalConnection("ws01"), uid=0, gid=0, address=fake.address)
        with pytest.raises(EngineUnavailable, match=r"Podman 4\.3\.1 answers .* instead of a Docker") as caught:
            engine.probe("x")
    assert "engine: podman" in str(caught.value.hint)


def test_any_engine_is_podman_where_docker_is_not_and_nobody_is_warned() -> None:
    refused = [Refusal(load_engine("docker"), EngineUnavailable("no socket"))]
    choice = explain_choice("auto", load_engine("podman"), refused)
    assert (choice.reason, choice.warning) == ("no Docker Engine answers, a Podman service does", None)


@ssh
def test_a_docker_command_that_is_podmans_is_no_lost_link(connection: SSHConnection, tmp_path: Path) -> None:
    command = tmp_path / "docker"
    command.write_text("#!/bin/sh\necho \"Try 'podman system --help' for more information.\" >&2\nexit 125\n")
    command.chmod(0o755)
    engine = docker_over(connection, DaemonAccess(cli=str(command), usable=("/run/docker.sock",)))
    with pytest.raises(EngineUnavailable, match="the docker command on the host is Podman's") as caught:
        engine.probe("")
    assert "engine: podman" in str(caught.value.hint)


@ssh
def test_docker_host_without_a_docker_command(connection: SSHConnection, tmp_path: Path) -> None:
    engine = docker_over(connection, DaemonAccess(docker_host="tcp://127.0.0.1:2375"))
    with pytest.raises(EngineUnavailable, match=r"DOCKER_HOST is tcp://127\.0\.0\.1:2375 on the host") as caught:
        engine.probe("")
    assert "install the docker CLI" in str(caught.value.hint)
    with support.fake_daemon(tmp_path) as fake:
        assert docker_over(connection, DaemonAccess(docker_host=fake.address)).probe("").version == "27.0.1"


def docker_over(connection: SSHConnection, access: DaemonAccess) -> DockerEngine:
    dialer = Dialer(connection)
    dialer._look = lambda: access  # type: ignore[method-assign]  # noqa: SLF001 - what a host has is not to be had here
    return DockerEngine(connection.host, connection, uid=0, gid=0, connect=dialer.client, address=dialer.address)


# -- where its service is ----------------------------------------------------------------------------------------------


def local_engine() -> tuple[PodmanEngine, PodmanDialer]:
    connection = LocalConnection("here")
    dialer = PodmanDialer(LocalStreams(connection))
    uid, gid = os.getuid(), os.getgid()
    return PodmanEngine("here", connection, uid=uid, gid=gid, connect=dialer.client, address=dialer.address), dialer


def services() -> list[int]:
    """Services of Podman that somebody started for a while."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (entry / "cmdline").read_bytes().split(b"\0")
            if words[1:3] == [b"system", b"service"] and b"harness-podman-" in b" ".join(words):
                found.append(int(entry.name))
    return found


def test_where_there_is_no_podman_it_is_absent(tmp_path: Path) -> None:
    engine, dialer = local_engine()
    dialer._connection.run = lambda *_, **__: LocalConnection("x").run(["true"])  # type: ignore[method-assign]  # noqa: SLF001 - what is here may be
    with pytest.raises(EngineAbsent, match="there is no Podman") as caught:
        engine.probe("")
    assert caught.value.where == "here" and "apt-get install podman" in str(caught.value.hint)


@podman
def test_a_service_is_started_and_ends_with_us(monkeypatch: pytest.MonkeyPatch) -> None:
    before = set(services())
    engine, dialer = local_engine()
    assert engine.probe("").version
    if dialer._service is None:  # noqa: SLF001 - else nothing was started
        pytest.skip("a service of Podman runs here already")
    (ours,) = set(services()) - before
    os.kill(ours, signal.SIGTERM)
    support.wait_for(lambda: not Path(f"/proc/{ours}").exists(), 20)
    assert engine.list("no-such-session") == [], "it is started again"
    dialer.close()
    support.wait_for(lambda: set(services()) <= before, 20)


@podman
def test_a_service_ends_with_a_program_that_is_killed() -> None:
    before = set(services())
    script = (
        "import sys, time; sys.path.insert(0, sys.argv[1]); import test_podman\n"
        "engine, dialer = test_podman.local_engine(); engine.probe('')\n"
        "print(dialer._service is not None, flush=True)\n"
        "time.sleep(600)"
    )
    command = [sys.executable, "-c", script, str(Path(__file__).parent)]
    environment = {**os.environ, "PYTHONPATH": ":".join(sys.path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        is_ours = process.stdout.readline().strip() == "True"
        process.kill()
    if not is_ours:
        pytest.skip("a service of Podman runs here already")
    support.wait_for(lambda: set(services()) <= before, 20)
    assert not list(Path("/tmp").glob("harness-podman-*")) or set(services()) == before


@pytest.fixture(scope="module")
def own_client() -> Iterator[Any]:
    """A client of this machine's Podman."""
    engine, dialer = local_engine()
    yield engine.client
    dialer.close()


@podman
@ssh
class TestPodmanOverSSH(EngineTest):
    """Of the contract what the way there may change."""

    test_confinement = EngineContract.test_a_job_ends_with_its_results_and_confinement
    test_found_again = EngineContract.test_a_handle_is_rebuilt_from_the_host
    test_running = EngineContract.test_results_of_a_running_job_can_be_had
    test_removal = EngineContract.test_cancelling_removes_every_trace
    test_out_of_memory = EngineContract.test_out_of_memory_is_recorded

    @pytest.fixture
    def image(self, own_client: Any) -> str:
        return support.python_image(own_client)

    @pytest.fixture
    def engine(self, connection: SSHConnection) -> Iterator[PodmanEngine]:
        engine, dialer = engine_over(connection)
        yield engine
        dialer.close()


def engine_over(connection: SSHConnection) -> tuple[PodmanEngine, PodmanDialer]:
    dialer = PodmanDialer(connection)
    uid, gid = os.getuid(), os.getgid()
    engine = PodmanEngine("ws01", connection, uid=uid, gid=gid, connect=dialer.client, address=dialer.address)
    return engine, dialer


@pytest.fixture
def strict_server(tmp_path: Path) -> Iterator[Server]:
    """An sshd that opens no sockets."""
    with start_sshd(tmp_path / "sshd", options=("AllowStreamLocalForwarding no",)) as server:
        yield server


@podman
@ssh
def test_an_sshd_that_opens_no_sockets_is_passed_by_podmans_own_command(strict_server: Server) -> None:
    connection = strict_server.connection(patience=QUICK)
    engine, dialer = engine_over(connection)
    assert engine.probe("").version
    assert dialer._way is not None and "dial-stdio" in dialer._way.argv  # noqa: SLF001
    assert engine.list("no-such-session") == []
    dialer.close()
    connection.close()


@podman
def test_gpus_by_cdi_reach_the_container(tmp_path: Path) -> None:
    """A specification that gives a harmless device stands in for NVIDIA's."""
    if os.geteuid() != 0 or Path("/etc/cdi").exists():
        pytest.skip("a specification can be put into /etc/cdi by root only, and where there is none")
    specification = {
        "cdiVersion": "0.5.0",
        "kind": "nvidia.com/gpu",
        "devices": [{"name": name, "containerEdits": {"env": [f"GPU_SEEN={name}"]}} for name in ("0", "all")],
    }
    report = "import os, sys; open(sys.argv[1] + '/results/gpu', 'w').write(os.environ['GPU_SEEN'])"
    engine, dialer = local_engine()
    image = support.python_image(engine.client)
    request = support.request_of("harness-test-gpu", image, support.stub_payload(report), gpus=("GPU-1f",))
    Path("/etc/cdi").mkdir()
    try:
        Path("/etc/cdi/nvidia.json").write_text(json.dumps(specification))
        assert engine.probe("").gpu_support == "cdi"
        handle = engine.submit(request)
        try:
            support.wait_for(lambda: engine.poll([handle])[0].phase == "exited")
            engine.fetch(handle, tmp_path)
        finally:
            engine.cancel([handle])
    finally:
        Path("/etc/cdi/nvidia.json").unlink()
        Path("/etc/cdi").rmdir()
        dialer.close()
    assert (tmp_path / "gpu").read_text() == "all"
