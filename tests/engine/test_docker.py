"""Engines of containers for real: Docker's daemon and Podman. See test_docker_daemon.py for what daemons may say."""

# mypy: disable-error-code="index"

from __future__ import annotations

import contextlib
import json
import os
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import docker_support as support
import pytest
from contract import tells

from harness.bench.protocol import protocol
from harness.engine.interface import JobHandle, JobState, Mount
from harness.engine.kinds.docker import DockerEngine
from harness.engine.registry import load_engine
from harness.engine.spec import Means
from harness.hosts.local import LocalConnection
from harness.ship.payload_archive import build_payload
from harness.values.errors import EngineUnavailable, ImageUnavailable, JobGone, JobRefused

REPORTER = """
import json, os, sys
folder = sys.argv[1]
def attempt(make):
    try:
        make()
        return True
    except OSError as error:
        return error.strerror
def limit():
    for path in ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory.max"):
        if os.path.exists(path):
            return open(path).read().strip()
def touch(path):
    open(path, "w").close()
status = dict(line.split(":", 1) for line in open("/proc/self/status") if ":" in line)
seen = {
    "pid": os.getpid(), "uid": os.getuid(), "gid": os.getgid(), "limit": limit(),
    "cpus": sorted(os.sched_getaffinity(0)), "interfaces": os.listdir("/sys/class/net"),
    "capabilities": status["CapEff"].strip() + status["CapBnd"].strip(), "no_new_privs": status["NoNewPrivs"].strip(),
    "root": attempt(lambda: touch("/x")), "opt": attempt(lambda: touch("/opt/x")),
    "data": attempt(lambda: touch("/data/x")), "cache": attempt(lambda: touch("/cache/x")),
    "home": attempt(lambda: touch(os.environ["HOME"] + "/x")), "tmp": attempt(lambda: touch("/tmp/x")),
    "home_bytes": (lambda v: v.f_blocks * v.f_frsize)(os.statvfs(os.environ["HOME"])),
    "tmp_bytes": (lambda v: v.f_blocks * v.f_frsize)(os.statvfs("/tmp")),
    "request": json.load(open(folder + "/request.json")),
    "content": open("/data/photo.jpg").read(), "is_isolated": sys.flags.ignore_environment and sys.flags.no_site,
}
with open(folder + "/results/seen.json", "w") as stream:
    json.dump(seen, stream)
os.symlink("/etc/passwd", folder + "/results/link")
"""
SLEEPER = """
import sys, time
open(sys.argv[1] + "/results/started", "w").close()
time.sleep(300)
"""
HUNGRY = """
blocks = []
while True:
    blocks.append(bytearray(2**22))
    for offset in range(0, 2**22, 4096):
        blocks[-1][offset] = 1
"""


@pytest.fixture(
    scope="module",
    params=[pytest.param(name, marks=getattr(pytest.mark, name)) for name in ("docker", "podman")],
)
def kind(request: pytest.FixtureRequest) -> str:
    """An engine of containers; skips where it does not answer."""
    try:
        make_engine(request.param).probe("")
    except EngineUnavailable as error:
        pytest.skip(str(error))
    return str(request.param)


def make_engine(kind: str) -> DockerEngine:
    connection = LocalConnection("here")
    means = Means(connection, "/nowhere", os.getuid() or 12345, os.getgid() or 12345, is_local=True)
    return cast("DockerEngine", load_engine(kind).make(means))


@pytest.fixture(scope="module")
def client(kind: str) -> Any:
    return make_engine(kind).client


@pytest.fixture(scope="module")
def image(client: Any) -> str:
    return support.python_image(client)


@pytest.fixture
def engine(kind: str) -> DockerEngine:
    return make_engine(kind)


@pytest.fixture
def name(kind: str, client: Any) -> Iterator[str]:
    """A job's name; what is left of it is removed at the end."""
    chosen = f"harness-test-{uuid.uuid4().hex[:12]}"
    yield chosen
    for one in client.containers(all=True, filters={"name": chosen}):
        _remove_by_force(client, kind, one["Id"])


def _await_end(engine: DockerEngine, handle: JobHandle) -> Any:
    support.wait_for(lambda: engine.poll([handle])[0].phase == "exited")
    return engine.poll([handle])[0]


def _volumes_of(client: Any, handle: JobHandle) -> list[str]:
    return [mount["Name"] for mount in client.inspect_container(handle.id)["Mounts"] if mount["Type"] == "volume"]


def test_a_job_sees_what_was_promised(engine: DockerEngine, client: Any, image: str, name: str, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "photo.jpg").write_text("pixels")
    cache = tmp_path / f"harness-cache-{name}"
    owner = 12345
    tmp_path.chmod(0o755)
    mounts = (Mount("data", str(data)), Mount("cache", str(cache), read_only=False, ephemeral=False))
    cache.mkdir()
    os.chown(cache, owner, owner) if os.getuid() == 0 else None
    request = support.request_of(name, image, support.stub_payload(REPORTER), mounts=mounts, cpus=(0,), tmp_bytes=2**20)
    handle = engine.submit(request)
    state = _await_end(engine, handle)
    assert (state.exit_code, state.error) == (0, None), client.logs(handle.id)
    assert tells(engine, state, was_oom=False)
    assert state.started_at and state.finished_at and not state.warnings
    engine.fetch(handle, tmp_path / "out")
    seen = json.loads((tmp_path / "out" / "seen.json").read_text())
    assert not (tmp_path / "out" / "link").exists()
    expected = {
        "pid": 1, "uid": os.getuid() or owner, "gid": os.getgid() or owner, "limit": str(200 * 2**20), "cpus": [0],
        "interfaces": ["lo"], "capabilities": "0" * 32, "no_new_privs": "1", "root": "Read-only file system",
        "opt": "Read-only file system", "data": "Read-only file system", "cache": True, "home": True, "tmp": True,
        "home_bytes": 64 * 2**20, "tmp_bytes": 2**20, "content": "pixels", "is_isolated": 1,
    }  # fmt: skip
    assert {key: seen[key] for key in expected} == expected
    assert seen["request"]["paths"] == {"data": "/data", "cache": "/cache"}
    volumes = _volumes_of(client, handle)
    assert len(volumes) == 1
    engine.cancel([handle])
    assert engine.poll([handle])[0].phase == "gone"
    assert not {volume["Name"] for volume in client.volumes()["Volumes"] or ()} & set(volumes)
    assert (data / "photo.jpg").exists()
    assert cache.exists(), "a folder that is not ephemeral stays"


def test_submitting_twice_starts_one(engine: DockerEngine, kind: str, client: Any, image: str, name: str) -> None:
    request = support.request_of(name, image, support.stub_payload(SLEEPER))
    first = engine.submit(request)
    begun = client.inspect_container(first.id)["State"]["StartedAt"]
    later = make_engine(kind)
    assert later.submit(request).id == first.id
    assert client.inspect_container(first.id)["State"]["StartedAt"] == begun
    assert [one.id for one in later.list("test-session") if one.name == name] == [first.id]
    found = next(one for one in later.list() if one.name == name)
    assert found.labels["harness.task"] == "probe"
    assert not [one for one in later.list("another-session") if one.name == name]
    later.cancel([found])
    later.cancel([found])
    assert later.poll([first, found]) == [JobState("gone")] * 2


def test_a_container_that_was_never_started_is_made_anew(
    engine: DockerEngine, image: str, name: str, tmp_path: Path
) -> None:
    """A controller that was killed between create and start leaves one without a payload."""
    request = support.request_of(name, image, support.stub_payload(SLEEPER))
    half = engine._create(request, ()).id  # noqa: SLF001 - as far as it came
    assert engine.poll([JobHandle("here", name, half)])[0].phase == "created"
    handle = engine.submit(request)
    assert handle.id != half
    support.wait_for(lambda: _has_started(engine, handle, tmp_path))
    assert engine.poll([handle])[0].phase == "running"
    assert engine.poll([JobHandle("here", name, half)])[0].phase == "gone"


def _has_started(engine: DockerEngine, handle: JobHandle, tmp_path: Path) -> bool:
    engine.fetch(handle, tmp_path / "running")
    return (tmp_path / "running" / "started").exists()


def test_cancel_removes_the_jobs_own_cache_and_nothing_else(
    engine: DockerEngine, image: str, name: str, tmp_path: Path
) -> None:
    cache, other = tmp_path / f"harness-cache-{name}", tmp_path / "harness-cache-of-another"
    other.mkdir()
    cache.mkdir()
    (cache / "stale.tfcache").write_text("left by an attempt that was killed")
    mount = Mount("cache", str(cache), read_only=False, ephemeral=True)
    handle = engine.submit(support.request_of(name, image, support.stub_payload(SLEEPER), mounts=(mount,)))
    assert list(cache.iterdir()) == []
    (cache / "new.tfcache").write_text("made by the job")
    rebuilt = next(one for one in engine.list() if one.name == name)
    engine.cancel([JobHandle("here", name, rebuilt.id)])
    assert not cache.exists()
    assert other.exists()
    assert handle.id == rebuilt.id


def test_a_child_dies_at_the_limit_and_the_supervisor_tells(
    engine: DockerEngine, client: Any, image: str, name: str, tmp_path: Path
) -> None:
    """The real supervisor as PID 1: OOMKilled is true although it exits with 0, and its evidence is on disk."""
    payload = build_payload({"bench/proof/probe.py": HUNGRY.encode()})
    limits = {"memory_bytes": 100 * 2**20, "cpus": [], "gpus": [], "oom_score_adj": 1000}
    body = {"format": 1, "task": "probe", "timeout_s": 120.0, "limits": limits, "seed": 1}
    request = support.request_of(name, image, payload, request=body, memory_bytes=100 * 2**20)
    handle = engine.submit(request)
    state = _await_end(engine, handle)
    assert state.exit_code == 0 and tells(engine, state, was_oom=True), client.logs(handle.id)
    engine.fetch(handle, tmp_path)
    outcome = protocol.read_json(tmp_path / protocol.OUTCOME)
    assert outcome["child"]["signal"] == 9
    assert outcome["memory"]["limit_effective"] == 100 * 2**20
    assert outcome["memory"]["oom_kills"] in (1, None)
    assert outcome["memory"]["peak_total"] > 50 * 2**20  # the kernel's own peak: samples may miss so quick a death


def test_an_absent_image_is_refused_and_not_pulled(
    engine: DockerEngine, client: Any, name: str, tmp_path: Path
) -> None:
    cache = tmp_path / f"harness-cache-{name}"
    mount = Mount("cache", str(cache), read_only=False, ephemeral=True)
    request = support.request_of(name, "harness-no-such:1", support.stub_payload(SLEEPER), mounts=(mount,))
    with pytest.raises(ImageUnavailable, match="harness-no-such") as caught:
        engine.submit(request)
    assert caught.value.where == "here"
    assert caught.value.hint
    assert not cache.exists()
    assert not client.containers(all=True, filters={"name": name})


@pytest.mark.parametrize(
    "changes",
    [
        {"mounts": (Mount("data", "/no/such/folder"),)},
        {"cpus": (4095,)},
        {"memory_bytes": 1024},
        {"mounts": (Mount("cache", "/srv/photos", read_only=False, ephemeral=True),)},
    ],
    ids=["mount", "cpu", "memory", "ephemeral"],
)
def test_what_cannot_be_is_refused_and_leaves_nothing(
    engine: DockerEngine, client: Any, image: str, name: str, changes: dict[str, Any]
) -> None:
    with pytest.raises(JobRefused) as caught:
        engine.submit(support.request_of(name, image, support.stub_payload(SLEEPER), **changes))
    assert caught.value.message
    assert not client.containers(all=True, filters={"name": name})


def test_a_foreign_container_of_that_name_is_left_alone(
    engine: DockerEngine, client: Any, image: str, name: str
) -> None:
    foreign = client.create_container_from_config({"Image": image, "Cmd": ["true"], "HostConfig": {}}, name)["Id"]
    with pytest.raises(JobRefused, match="another program"):
        engine.submit(support.request_of(name, image, support.stub_payload(SLEEPER)))
    assert client.inspect_container(foreign)["Id"] == foreign


def test_fetching_from_what_is_gone_is_an_error(engine: DockerEngine, tmp_path: Path) -> None:
    with pytest.raises(JobGone, match="gone"):
        engine.fetch(JobHandle("here", "harness-test-gone", "0" * 64), tmp_path)


def _remove_by_force(client: Any, kind: str, identifier: str) -> None:
    """As ``docker rm -f`` does it, and ``podman rm -f -t 0``: Podman waits for a job that is told to end."""
    if kind == "podman":
        address = f"{client.base_url}/v4.0.0/libpod/containers/{identifier}"
        client.delete(address, params={"force": "true", "v": "true", "timeout": "0"}, timeout=client.timeout)
    else:
        client.remove_container(identifier, v=True, force=True)


def test_a_job_that_is_removed_by_hand_is_gone_at_every_moment(
    engine: DockerEngine, kind: str, client: Any, image: str, name: str, tmp_path: Path
) -> None:
    """``docker rm -f`` kills first and removes then: in between it must not look like a job that ended by itself.

    Podman has no word for what is being removed: there it was killed, which its exit code says.
    """
    handle = engine.submit(support.request_of(name, image, support.stub_payload(SLEEPER)))
    support.wait_for(lambda: _has_started(engine, handle, tmp_path))
    removal = threading.Thread(target=lambda: _remove_by_force(client, kind, handle.id))
    removal.start()
    seen: list[str] = []
    while not seen or seen[-1] == "running":
        with contextlib.suppress(JobGone):
            state = engine.poll([handle])[0]
            is_killed = kind == "podman" and (state.phase, state.exit_code) == ("exited", 137)
            seen.append("gone" if is_killed else state.phase)
            engine.fetch(handle, tmp_path / "late")
    removal.join()
    assert set(seen) <= {"running", "gone"} and seen[-1] == "gone"
    with pytest.raises(JobGone):
        engine.fetch(handle, tmp_path / "late")


def test_a_name_is_free_again_as_soon_as_its_container_was_removed(
    engine: DockerEngine, kind: str, client: Any, image: str, name: str
) -> None:
    request = support.request_of(name, image, support.stub_payload(SLEEPER))
    first = engine.submit(request)
    removal = threading.Thread(target=lambda: _remove_by_force(client, kind, first.id))
    removal.start()
    support.wait_for(lambda: engine.poll([first])[0].phase == "gone")
    second = engine.submit(request)
    removal.join()
    assert second.id != first.id and engine.poll([second])[0].phase == "running"


def test_probe_tells_what_this_engine_is(engine: DockerEngine, kind: str, client: Any, image: str) -> None:
    facts = engine.probe(image)
    assert facts.engine == kind
    assert facts.version == client.version()["Version"]
    assert facts.cgroup_version in (1, 2)
    assert facts.can_limit_memory is client.info()["MemoryLimit"]
    assert facts.image_digest is not None
    assert len(facts.image_digest) == 64
    assert engine.probe("harness-no-such:1").image_digest is None
    assert engine.probe("").image_digest is None
