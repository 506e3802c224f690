"""What works on a host, what does not, and the cure."""

# mypy: disable-error-code="union-attr, operator"

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import Any

import pytest

from harness.analysis.check_engine import judge_probe
from harness.analysis.checks import host_state, judge_host
from harness.analysis.gpu_fit import is_driver_enough, minimum_driver
from harness.analysis.host_check import Check, LimitProbe, limit_probe_of
from harness.analysis.protection import busy_reason
from harness.values.cuda import CudaBuild
from harness.values.data import DataState
from harness.values.engine_names import EngineFacts, EngineWords
from harness.values.errors import EngineUnavailable, HostLocked, HostNotReady, HostUnreachable, ImageUnavailable
from harness.values.facts import DiskFacts, Facts, GpuFacts

GIB = 2**30
GPU = GpuFacts(name="NVIDIA GeForce RTX 3090", memory_bytes=24 * GIB, driver="535.104.05", uuid="GPU-1")
FACTS = Facts(
    cpu_model="A CPU",
    logical_cpus=8,
    usable_cpus=tuple(range(8)),
    ram_bytes=32 * GIB,
    available_bytes=28 * GIB,
    swap_bytes=0,
    os="Debian GNU/Linux 12 (bookworm)",
    kernel="6.1.0",
    cgroup_version=2,
    disks={
        "scratch": DiskFacts(path="/s", filesystem="ext4", kind="nvme", total_bytes=500 * GIB, free_bytes=300 * GIB),
        "images": DiskFacts(path="/var/lib/docker", filesystem="ext4", total_bytes=500 * GIB, free_bytes=9 * GIB),
    },
    load_1m=0.2,
)


WORDS = EngineWords(
    title="Whale",
    instead="jobs run in whales instead",
    image="it is there, identity",
    limit_cure="feed the whale",
    evidence="what the whale sings",
    gpu_cure="`sudo nvidia-ctk runtime configure --runtime=whale`",
)


Engine = functools.partial(
    EngineFacts,
    engine="docker",
    version="28.5.2",
    image_digest="sha256:0123456789abcdef",
    cgroup_version=2,
    can_limit_memory=True,
    can_limit_swap=True,
    can_limit_cpus=True,
    storage="overlay2",
    words=WORDS,
)


@dataclass(frozen=True)
class Owner:
    session: str = "lab-quick-00000000"

    def describe(self) -> str:
        return "ann@ctl, session lab-quick-00000000 (harness run) since 2026-01-01T00:00:00Z"


PROBE = LimitProbe(
    asked_bytes=64 * 2**20,
    effective_bytes=64 * 2**20,
    swap_limit_bytes=64 * 2**20,
    was_killed=True,
    oom_kills=1,
    enforced_by="cgroup-v2",
)


def find(checks: list[Check], id: str, subject: str | None = None) -> Check:
    found = [check for check in checks if check.id == id and subject in (None, check.subject)]
    assert len(found) == 1, found
    return found[0]


def changed(**values: object) -> Facts:
    return FACTS.model_copy(update=values)


def test_a_good_host_is_ready_and_everything_is_ok() -> None:
    data = [DataState("coco", "/data/coco", 10, 1000, "as last checked", fingerprint="f" * 64)]
    checks = judge_host(FACTS, Engine(), limit_probe=PROBE, data=data)
    assert [check for check in checks if check.outcome != "ok"] == []
    assert host_state(checks) == "ready"
    assert find(checks, "data").message == "/data/coco, 10 images, 1 kB, fingerprint ffffffffffff (as last checked)"
    assert "cgroup v2" in find(checks, "cgroup").message


def test_whatever_is_wrong_has_a_cure() -> None:
    poor = changed(
        load_1m=9.0,
        cgroup_version=None,
        swap_bytes=GIB,
        silent_gpus=("10de:2204",),
        available_bytes=GIB,
        governor="powersave",
        clock_offset_s=-60.0,
        usable_cpus=(0, 1),
        disks={
            "scratch": DiskFacts(path="/s", filesystem="nfs4", kind="network", total_bytes=9 * GIB, free_bytes=GIB),
            "ram": DiskFacts(
                path="/dev/shm", filesystem="tmpfs", kind="memory", total_bytes=99 * GIB, free_bytes=90 * GIB
            ),
            "nas": DiskFacts(path="/n", filesystem="nfs4", kind="network", total_bytes=99 * GIB, free_bytes=90 * GIB),
            "images": DiskFacts(path="/i", total_bytes=9 * GIB, free_bytes=GIB),
        },
    )
    engine = Engine(
        image_digest=None, cgroup_version=None, can_limit_memory=False, can_limit_swap=False, reasons=("old",)
    )
    data = [
        DataState("gone", "/gone", problem="there is no folder /gone", hint="correct it"),
        DataState("new", "/new", source="files counted, not read yet"),
    ]
    checks = judge_host(poor, engine, data=data, image_bytes=2 * GIB, lock_owner=Owner())
    bad = [check for check in checks if check.outcome != "ok"]
    assert [check for check in bad if not check.cure] == []
    assert {check.id for check in bad} == {
        "lock", "load", "image", "cgroup", "memory-limit", "swap", "cpus", "gpu", "memory", "governor", "clock", "disk",
        "data",
    }  # fmt: skip
    assert find(checks, "disk", "scratch").outcome == "failure"
    assert find(checks, "disk", "images").outcome == "failure"
    assert (find(checks, "data", "gone").outcome, find(checks, "data", "new").outcome) == ("warning", "unproven")
    assert find(checks, "data", "gone").message == "there is no folder /gone"
    assert "old" in find(checks, "memory-limit").message


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (HostUnreachable("no route", hint="wake it"), "unreachable"),
        (HostNotReady("no shell", hint="give it one"), "not_ready"),
        (HostLocked("mine", hint="wait"), "not_ready"),
    ],
)
def test_a_host_without_facts_has_one_check(error: Any, state: str) -> None:
    checks = judge_host(error)
    assert [(check.id, check.outcome, check.cure) for check in checks] == [("host", "failure", error.hint)]
    assert host_state(checks) == state


def test_states_what_must_be_mended_comes_before_what_passes() -> None:
    locked = judge_host(FACTS, Engine(), lock_owner=Owner())
    assert host_state(locked) == "locked"
    assert "ann@ctl" in find(locked, "lock").message
    busy = judge_host(changed(load_1m=20.0), Engine())
    assert host_state(busy) == "busy"
    assert host_state(judge_host(changed(load_1m=20.0), Engine(), lock_owner=Owner())) == "locked"
    broken = judge_host(changed(load_1m=20.0, available_bytes=0), Engine(), lock_owner=Owner())
    assert host_state(broken) == "not_ready"
    assert host_state(broken) != "ready"


def test_no_docker_is_a_warning_where_processes_can_do() -> None:
    error = EngineUnavailable("no Docker Engine answers", hint="start it")
    process = Engine(engine="process", version="1", storage=None, words=replace(WORDS, caution="less isolated"))
    checks = judge_host(FACTS, process, [("docker", error)])
    assert find(checks, "engine", "docker").outcome == "warning"
    assert find(checks, "engine", "docker").message == "jobs run in whales instead: no Docker Engine answers"
    assert find(checks, "engine", "docker").cure == "start it"
    assert find(checks, "engine", "process").outcome == "ok"
    assert host_state(checks) == "ready"
    alone = judge_host(FACTS, None, [("docker", error)])
    assert host_state(alone) == "not_ready"
    no_tensorflow = EngineUnavailable("no TensorFlow", hint="install it")
    neither = judge_host(FACTS, None, [("docker", error), ("process", no_tensorflow)])
    assert {check.subject for check in neither if check.id == "engine" and check.outcome == "failure"} == {
        "docker",
        "process",
    }


def test_an_engine_that_is_as_good_is_named_with_the_one_that_does_not_answer() -> None:
    error = EngineUnavailable("Podman 4.3.1 answers at /run/docker.sock instead of a Docker Engine", hint="none")
    checks = judge_host(FACTS, Engine(engine="podman", version="4.3.1", storage="overlay"), [("docker", error)])
    (engine,) = [check for check in checks if check.id == "engine"]
    assert (engine.subject, engine.outcome) == ("podman", "ok")
    assert engine.message == f"podman 4.3.1, storage overlay; docker is not used: {error.message}"


def test_an_image_that_cannot_be_had_is_said_of_the_image() -> None:
    error = ImageUnavailable("no base image could be had", hint="--base-image")
    (alone,) = [check for check in judge_host(FACTS, None, [("docker", error)]) if check.outcome == "failure"]
    assert (alone.id, alone.subject, alone.cure) == ("image", "docker", "--base-image")
    beside = judge_host(FACTS, Engine(engine="process", uses_images=False), [("docker", error)])
    assert find(beside, "image", "docker").outcome == "warning" and host_state(beside) == "ready"


def test_an_engine_answers_in_its_own_words() -> None:
    checks = judge_host(FACTS, Engine(can_limit_memory=False))
    assert find(checks, "memory-limit").cure == "feed the whale"
    here = judge_host(FACTS, Engine(can_limit_memory=False, limit_cure="delegate it"))
    assert find(here, "memory-limit").cure == "delegate it"
    escaped = judge_host(FACTS, Engine(), limit_probe=replace(PROBE, was_killed=False))
    assert find(escaped, "memory-limit").cure == "see what the whale sings, and the log of the probe"
    assert find(checks, "image").message.startswith("it is there, identity ")
    packages = replace(WORDS, image="its packages")
    assert find(judge_host(FACTS, Engine(words=packages)), "image").message == "its packages sha256:0123456789ab"
    without = judge_host(FACTS, Engine(image_digest=None, uses_images=False))
    assert find(without, "image").outcome == "failure"


def test_an_engine_without_images_uses_none_and_says_so() -> None:
    words = replace(WORDS, image="its packages")
    gpu = GPU.model_copy(update={"driver": "470.256.02"})
    build = CudaBuild(cuda="12.5")
    process = Engine(engine="process", words=words, uses_images=False, gpu_support="direct", cuda=build)
    assert (
        find(judge_host(FACTS, process), "image").message
        == "none is used: jobs run with its packages sha256:0123456789ab"
    )
    checks = judge_host(changed(gpus=(gpu,)), process)
    assert find(checks, "driver").outcome == "failure"
    assert all("image" not in f"{check.message}{check.cure or ''}" for check in checks if check.id != "image")
    without = judge_host(changed(gpus=()), process)
    assert "image" not in find(without, "gpu").message


def test_a_limit_is_ok_only_when_it_was_read_back_and_killed() -> None:
    assert judge_probe(PROBE).outcome == "ok"
    assert judge_probe(replace(PROBE, was_killed=False, failure="could be used")).outcome == "failure"
    assert "could be used" in judge_probe(replace(PROBE, was_killed=False, failure="could be used")).message
    discarded = judge_probe(replace(PROBE, effective_bytes=24 * GIB))
    assert discarded.outcome == "failure"
    assert "25.8 GB" in discarded.message
    assert judge_probe(replace(PROBE, effective_bytes=None)).outcome == "warning"
    assert find(judge_host(FACTS, Engine()), "memory-limit").outcome == "unproven"


def test_the_probes_own_files_are_understood() -> None:
    outcome: dict[str, dict[str, Any]] = {
        "child": {"exit_code": None, "signal": 9},
        "memory": {"limit_effective": 100, "swap_limit": 100, "enforced_by": "cgroup-v1", "oom_kills": 1},
    }
    probe = limit_probe_of(100, outcome, None)
    assert (probe.was_killed, probe.effective_bytes, probe.swap_limit_bytes) == (True, 100, 100)
    # Killed, but not by the limit: somebody else's signal proves nothing.
    outside = limit_probe_of(100, {**outcome, "memory": {**outcome["memory"], "oom_kills": 0}}, None)
    assert judge_probe(outside).outcome == "failure"
    survived = limit_probe_of(
        100, {"child": {"exit_code": 1, "signal": None}, "memory": {}}, {"message": "not enforced"}
    )
    assert (survived.was_killed, survived.failure) == (False, "not enforced")
    assert judge_probe(limit_probe_of(100, None, None)).outcome == "failure"
    garbled = limit_probe_of(100, {**outcome, "memory": "much"}, None)
    assert "cannot be parsed" in (garbled.failure or "") and judge_probe(garbled).outcome == "failure"


def test_swap() -> None:
    swapping = changed(swap_bytes=8 * GIB)
    assert find(judge_host(swapping, Engine(can_limit_swap=True)), "swap").outcome == "ok"
    assert find(judge_host(swapping, Engine(can_limit_swap=False)), "swap").outcome == "warning"
    # What was read back from inside outweighs what the engine says.
    read_back = replace(PROBE, swap_limit_bytes=2 * PROBE.asked_bytes)
    assert find(judge_host(swapping, Engine(), limit_probe=read_back), "swap").outcome == "warning"
    assert find(judge_host(changed(swap_bytes=None), Engine(can_limit_swap=False)), "swap").outcome == "warning"


@pytest.mark.parametrize(
    ("driver", "cuda", "outcome"),
    [
        ("525.60.13", "12.5", "ok"),
        ("525.60.11", "12.5", "failure"),
        ("535.104.05", "12.9.1", "ok"),
        ("470.256.02", "12.5", "failure"),
        ("575.57.08", "13.0", "failure"),
        ("580.65.06", "13.0", "ok"),
        ("610.43", "11.8", "ok"),
        ("535.104.05", "14.0", "unproven"),
        (None, "12.5", "unproven"),
        ("garbage", "12.5", "unproven"),
    ],
)
def test_driver_against_the_images_cuda(driver: str | None, cuda: str, outcome: str) -> None:
    facts = changed(gpus=(GPU.model_copy(update={"driver": driver}),))
    check = find(judge_host(facts, Engine(gpu_support="nvidia", cuda=CudaBuild(cuda=cuda))), "driver")
    assert check.outcome == outcome
    if outcome == "failure":
        assert minimum_driver(cuda) in (check.cure or "")


def test_driver_versions_are_compared_as_numbers() -> None:
    assert is_driver_enough("1000.1", "525.60.13")
    assert is_driver_enough("525.60.13-open", "525.60.13")
    assert is_driver_enough("525.105", "525.60.13")
    assert is_driver_enough("525.9", "525.60.13") is False
    assert minimum_driver("12") == "525.60.13"
    assert minimum_driver("123") is None


def test_no_cuda_no_driver_check() -> None:
    checks = judge_host(changed(gpus=(GPU,)), Engine(gpu_support="nvidia"))
    assert [check for check in checks if check.id == "driver"] == []


def test_how_containers_get_gpus() -> None:
    facts = changed(gpus=(GPU,))
    assert find(judge_host(facts, Engine(gpu_support="cdi")), "nvidia-runtime").outcome == "ok"
    missing = find(judge_host(facts, Engine()), "nvidia-runtime")
    assert missing.outcome == "failure"
    assert "nvidia-container-toolkit" in (missing.cure or "")
    installed = find(judge_host(changed(gpus=(GPU,), nvidia_runtime="runtime"), Engine()), "nvidia-runtime")
    assert installed.outcome == "warning"
    assert "nvidia-ctk runtime configure" in (installed.cure or "")
    assert "--runtime=whale" in (missing.cure or "")
    assert find(judge_host(facts, Engine(gpu_support="direct")), "nvidia-runtime").outcome == "ok"
    assert find(judge_host(facts, None), "nvidia-runtime").cure.endswith("tell the engine of it, and start it again")
    assert [check for check in judge_host(FACTS, Engine()) if check.id == "nvidia-runtime"] == []


def test_a_gpu_whose_driver_is_silent_is_no_machine_without_gpu() -> None:
    check = find(judge_host(changed(silent_gpus=("10de:2204",)), Engine()), "gpu")
    assert check.outcome == "warning"
    assert "nvidia-smi" in (check.cure or "")
    assert find(judge_host(FACTS, Engine()), "gpu").outcome == "ok"


def test_busy() -> None:
    assert busy_reason(FACTS) is None
    assert busy_reason(changed(load_1m=None)) is None
    assert "load 5.0" in (busy_reason(changed(load_1m=5.0)) or "")
    assert busy_reason(changed(load_1m=5.0), allow_busy=True) is None
    # Two CPUs: what just installed something is not somebody at work.
    small = changed(logical_cpus=2, usable_cpus=(0, 1))
    assert busy_reason(small.model_copy(update={"load_1m": 1.2})) is None
    assert busy_reason(small.model_copy(update={"load_1m": 1.8})) is not None
    allowed = find(judge_host(changed(load_1m=5.0), Engine(), allow_busy=True), "load")
    assert allowed.outcome == "warning"


def test_data_that_will_be_made_is_no_failure() -> None:
    said = DataState("flat", "/flat", 2, 10, "as last checked", fingerprint="f" * 64, said=("without labels",))
    told = [check for check in judge_host(FACTS, Engine(), data=[said]) if check.subject == "flat"]
    assert [(check.outcome, check.message) for check in told][1] == ("ok", "without labels")
    checks = judge_host(FACTS, Engine(), data=[DataState("toy", "generated", 24, will_be_made=True)])
    assert find(checks, "data").outcome == "ok"
    assert host_state(checks) == "ready"


def test_a_host_without_any_data_set_that_can_be_used_is_not_ready() -> None:
    gone = DataState("gone", "/gone", problem="there is no folder /gone", hint="correct it")
    checks = judge_host(FACTS, Engine(), data=[gone])
    assert (find(checks, "data").outcome, find(checks, "data").cure, host_state(checks) == "ready") == (
        "failure",
        "correct it",
        False,
    )
    both = [gone, DataState("toy", "generated", 24, will_be_made=True)]
    assert host_state(judge_host(FACTS, Engine(), data=both)) == "ready"


def test_a_busy_host_is_told_which_command_may_measure_it() -> None:
    busy = find(judge_host(changed(load_1m=5.0), Engine()), "load")
    assert busy.outcome == "failure" and "`harness run --allow-busy`" in str(busy.cure)


def test_room_for_an_image_is_asked_only_where_one_must_come() -> None:
    assert [check for check in judge_host(FACTS, Engine()) if check.subject == "images"] == []
    assert find(judge_host(FACTS, Engine(image_digest=None), image_bytes=4 * GIB), "disk", "images").outcome == "ok"
    assert (
        find(judge_host(FACTS, Engine(image_digest=None), image_bytes=5 * GIB), "disk", "images").outcome == "failure"
    )


def test_data_folders_disks_are_not_where_caches_go() -> None:
    facts = changed(
        disks={**FACTS.disks, "data:coco": DiskFacts(path="/d", kind="network", free_bytes=0, total_bytes=1)}
    )
    assert [check.subject for check in judge_host(facts, Engine()) if check.id == "disk"] == ["scratch"]
