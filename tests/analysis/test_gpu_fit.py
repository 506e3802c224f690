"""Which GPUs TensorFlow can use: from the oldest that labs still have to the newest, each in a sentence with a cure."""

from __future__ import annotations

from typing import Any

import pytest

from harness.analysis.checks import judge_host
from harness.analysis.gpu_fit import Fit, check_gpus, find_fit, find_obstacle
from harness.analysis.host_check import Check, GpuProbe
from harness.values.cuda import LOCKED_BUILD, CudaBuild, capability_of, parse_capability, read_build
from harness.values.engine_names import EngineFacts
from harness.values.facts import Facts, GpuFacts

NEWER = CudaBuild(cuda="12.8", architectures=("sm_80", "sm_90", "compute_100", "compute_120"))
NO_CUDA = CudaBuild()
GPUS: list[tuple[str, str, Fit, Fit]] = [
    ("Tesla K80", "3.7", "none", "none"),
    ("NVIDIA GeForce GTX 980 Ti", "5.2", "none", "none"),
    ("NVIDIA GeForce GTX 1080 Ti", "6.1", "exact", "none"),
    ("NVIDIA GeForce GTX 1060 6GB", "6.1", "exact", "none"),
    ("Tesla P100-PCIE-16GB", "6.0", "exact", "none"),
    ("Tesla V100-SXM2-32GB", "7.0", "exact", "none"),
    ("NVIDIA TITAN V", "7.0", "exact", "none"),
    ("Tesla T4", "7.5", "exact", "none"),
    ("NVIDIA GeForce GTX 1660 Ti", "7.5", "exact", "none"),
    ("NVIDIA GeForce RTX 2080 Ti", "7.5", "exact", "none"),
    ("Quadro RTX 6000", "7.5", "exact", "none"),
    ("NVIDIA A100-SXM4-80GB", "8.0", "exact", "exact"),
    ("NVIDIA A30", "8.0", "exact", "exact"),
    ("NVIDIA GeForce RTX 3090", "8.6", "exact", "exact"),
    ("NVIDIA RTX A6000", "8.6", "exact", "exact"),
    ("NVIDIA A10", "8.6", "exact", "exact"),
    ("NVIDIA L4", "8.9", "exact", "exact"),
    ("NVIDIA L40S", "8.9", "exact", "exact"),
    ("NVIDIA RTX 6000 Ada Generation", "8.9", "exact", "exact"),
    ("NVIDIA GeForce RTX 4090", "8.9", "exact", "exact"),
    ("NVIDIA H100 80GB HBM3", "9.0", "exact", "exact"),
    ("NVIDIA GH200 480GB", "9.0", "exact", "exact"),
    ("NVIDIA B200", "10.0", "ptx", "exact"),
    ("NVIDIA GeForce RTX 5090", "12.0", "ptx", "exact"),
    ("NVIDIA RTX PRO 6000 Blackwell Workstation Edition", "12.0", "ptx", "exact"),
    ("NVIDIA GB10", "12.1", "ptx", "exact"),
]
"""A name as nvidia-smi has it, its compute capability, and how the locked TensorFlow and a newer one run on it."""


@pytest.mark.parametrize(("name", "capability", "fit", "newer"), GPUS, ids=[name for name, *_ in GPUS])
def test_every_gpu_that_a_lab_may_have(name: str, capability: str, fit: Fit, newer: Fit) -> None:
    assert capability_of(name) == capability
    assert find_fit(parse_capability(capability), LOCKED_BUILD) == fit
    assert find_fit(parse_capability(capability), NEWER) == newer
    assert find_fit(parse_capability(capability), NO_CUDA) == "none"
    assert find_fit(parse_capability(capability), None) == "unknown"
    check = code_of(name, capability)
    assert check.outcome == {"exact": "ok", "ptx": "warning", "none": "failure"}[fit]
    assert capability in check.message
    if fit != "exact":
        assert "`gpus: 0`" in str(check.cure) and "`image:`" in str(check.cure)


@pytest.mark.parametrize(
    "name", ["", "NVIDIA", "NVIDIA Graphics Device", "AMD Instinct MI300X", "NVIDIA GeForce RTX 6090"]
)
def test_a_name_that_is_not_known_has_no_capability(name: str) -> None:
    assert capability_of(name) is None


def code_of(name: str, capability: str | None, **engine: Any) -> Check:
    return next(one for one in checks_of([gpu_of(name, capability)], **engine) if one.id == "gpu-code")


def gpu_of(name: str, capability: str | None, driver: str = "580.65.06", uuid: str = "GPU-1") -> GpuFacts:
    return GpuFacts(name=name, capability=capability, driver=driver, uuid=uuid)


def engine_of(**changes: Any) -> EngineFacts:
    return EngineFacts("docker", "28", **{"gpu_support": "nvidia", "cuda": LOCKED_BUILD, **changes})


def checks_of(
    gpus: list[GpuFacts], used: tuple[str, ...] | None = None, probe: GpuProbe | None = None, **engine: Any
) -> list[Check]:
    return list(check_gpus(Facts(gpus=tuple(gpus), architecture="x86_64"), engine_of(**engine), used, probe))


def test_a_gpu_newer_than_its_cuda_is_told_what_others_saw() -> None:
    blackwell = code_of("NVIDIA GeForce RTX 5090", "12.0")
    assert "CUDA_ERROR_INVALID_PTX" in blackwell.message and "12.8" in blackwell.message
    assert "kept in the scratch" in blackwell.message
    knows = code_of("NVIDIA New", "12.0", cuda=CudaBuild(cuda="12.9", architectures=("sm_90", "compute_100")))
    assert knows.outcome == "warning" and "INVALID_PTX" not in knows.message


def test_a_tensorflow_without_cuda_is_named_by_its_architecture() -> None:
    facts = Facts(gpus=(gpu_of("NVIDIA GH200 480GB", "9.0"),), architecture="aarch64")
    arm = next(one for one in check_gpus(facts, engine_of(cuda=NO_CUDA)) if one.id == "gpu-code")
    assert (arm.outcome, arm.message) == ("failure", "TensorFlow's packages for aarch64 are built without CUDA")
    unasked = next(one for one in check_gpus(facts, None) if one.id == "gpu-code")
    assert unasked.message == arm.message, "before any engine answers"
    intel = code_of("NVIDIA L4", "8.9", cuda=NO_CUDA, uses_images=False)
    assert intel.message == "this TensorFlow was built without CUDA" and "image" not in str(intel.cure)


def test_what_is_not_known_is_unproven_and_keeps_nobody_away() -> None:
    for capability, cuda in (("8.9", None), (None, LOCKED_BUILD), ("8.9", CudaBuild(cuda="12.5"))):
        assert code_of("NVIDIA L4", capability, cuda=cuda).outcome == "unproven"
    facts = Facts(gpus=(gpu_of("NVIDIA L4", "8.9"),))
    assert find_obstacle(facts, engine_of(cuda=None), ("GPU-1",)) is None


def test_code_for_one_capability_alone_runs_on_no_other() -> None:
    alone = CudaBuild(cuda="12.8", architectures=("sm_90a",))
    assert [find_fit(parse_capability(one), alone) for one in ("9.0", "10.0", "8.9")] == ["exact", "none", "none"]


def test_only_the_gpus_that_jobs_may_use_are_judged() -> None:
    old, new = gpu_of("NVIDIA GeForce GTX 980", "5.2", uuid="GPU-a"), gpu_of("NVIDIA L4", "8.9", uuid="GPU-b")
    assert {one.subject for one in checks_of([old, new], ("GPU-b",)) if one.id == "gpu-code"} == {"NVIDIA L4"}
    assert {one.subject for one in checks_of([old, new], ("1",)) if one.id == "gpu-code"} == {"NVIDIA L4"}
    facts = Facts(gpus=(old, new))
    assert find_obstacle(facts, engine_of(), ("GPU-b",)) is None and find_obstacle(facts, engine_of(), ()) is None
    assert "no code for compute capability 5.2" in str(find_obstacle(facts, engine_of(), ("GPU-a", "GPU-b")))
    none = checks_of([old, new], ())
    assert [one.outcome for one in none] == ["ok", "ok"] and "not used" in none[0].message


def test_a_gpu_that_is_named_and_not_there_is_refused() -> None:
    facts = Facts(gpus=(gpu_of("NVIDIA L4", "8.9"),))
    assert "names GPU 1, but the host has 1 GPU" in str(find_obstacle(facts, engine_of(), ("1",)))
    assert "names GPU 1, but the host has 0 GPUs" in str(find_obstacle(Facts(), engine_of(), ("1",)))


def test_a_driver_that_is_too_old_keeps_the_gpus_from_jobs() -> None:
    facts = Facts(gpus=(gpu_of("NVIDIA L4", "8.9", driver="470.57.02"),))
    assert "470.57.02 is too old for the image's CUDA 12.5.1" in str(find_obstacle(facts, engine_of(), ("GPU-1",)))


@pytest.mark.parametrize(
    ("probe", "outcome", "words"),
    [
        (None, "ok", "containers get GPUs by nvidia"),
        (GpuProbe(1, 1), "ok", "a job that requested them got 1"),
        (GpuProbe(1, None), "ok", "containers get GPUs by nvidia"),
        (GpuProbe(2, 1), "failure", "a job that requested 2 GPUs got 1"),
        (
            GpuProbe(1, 0, "the driver's library was not found"),
            "failure",
            "got none: the driver's library was not found",
        ),
        (GpuProbe(1, None, "nvidia-container-cli: failed"), "failure", "got none: nvidia-container-cli: failed"),
    ],
)
def test_a_runtime_that_is_named_is_proven_by_a_job(probe: GpuProbe | None, outcome: str, words: str) -> None:
    check = checks_of([gpu_of("NVIDIA L4", "8.9")], probe=probe)[-1]
    assert (check.id, check.outcome, words in check.message) == ("nvidia-runtime", outcome, True), check


def test_a_process_that_gets_no_gpu_is_told_where_to_look() -> None:
    check = checks_of([gpu_of("NVIDIA L4", "8.9")], probe=GpuProbe(1, 0, "error 100"), gpu_support="direct")[-1]
    assert check.outcome == "failure" and "/dev/nvidia" in str(check.cure)


def test_what_get_build_info_says_is_read_and_nothing_else() -> None:
    said = {
        "is_cuda_build": True,
        "cuda_version": "12.5.1",
        "cudnn_version": "9",
        "cuda_compute_capabilities": ["sm_60", "sm_70", "sm_80", "sm_89", "compute_90"],
        "cpu_compiler": "/usr/lib/llvm-18/bin/clang",
    }
    assert read_build(said) == LOCKED_BUILD
    assert read_build({"is_cuda_build": False}) == NO_CUDA
    refused: list[object] = [None, [], {}]
    for wrong in (*refused, {"is_cuda_build": "yes"}, {**said, "cuda_version": 5}, {**said, "cuda_version": None}):
        assert read_build(wrong) is None
    many = read_build({**said, "cuda_compute_capabilities": ["sm_80"] * 101})
    assert many is None
    odd = read_build({**said, "cuda_compute_capabilities": ["8.6", "words", "sm_9"]})
    assert odd is not None and [str(one.capability) for one in odd.code] == ["8.6"]


def test_no_engine_and_a_gpu_are_judged_by_our_own_image() -> None:
    facts = Facts(gpus=(gpu_of("NVIDIA GeForce GTX 980", "5.2"),))
    check = next(one for one in judge_host(facts) if one.id == "gpu-code")
    assert check.outcome == "failure"
