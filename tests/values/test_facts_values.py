"""The hardware key: what makes two hosts the same kind of machine."""

from __future__ import annotations

import json
from typing import Any

import pytest

from harness.values.facts import DiskFacts, Facts, GpuFacts, hardware_label

GPU = GpuFacts(name="NVIDIA GeForce RTX 3090", memory_bytes=24576 * 2**20, driver="535.104.05", uuid="GPU-1")
FACTS = Facts(
    cpu_model="AMD Ryzen 9 5950X 16-Core Processor",
    architecture="x86_64",
    logical_cpus=32,
    usable_cpus=tuple(range(32)),
    ram_bytes=67_300_000_000,
    available_bytes=60_000_000_000,
    swap_bytes=0,
    os="Debian GNU/Linux 12 (bookworm)",
    kernel="6.1.0-18-amd64",
    cgroup_version=2,
    disks={"scratch": DiskFacts(path="/s", kind="nvme", free_bytes=10**12), "d": DiskFacts(path="/d", kind="hdd")},
    gpus=(GPU,),
    boot_id="b",
    load_1m=0.1,
)


def changed(**values: object) -> Facts:
    return FACTS.model_copy(update=values)


@pytest.mark.parametrize(
    "values",
    [
        {"kernel": "6.12.0"},
        {"os": "Debian GNU/Linux 13 (trixie)"},
        {"gpus": (GPU.model_copy(update={"driver": "580.65.06", "uuid": "GPU-2"}),)},
        {"available_bytes": 1},
        {"swap_bytes": 10**9},
        {"load_1m": 30.0},
        {"boot_id": "other"},
        {"cgroup_version": 1},
        {"usable_cpus": (0,)},
        {"governor": "powersave"},
        {"nvidia_runtime": "cdi"},
        {"uid": 1000, "read_at": "2026-01-01T00:00:00+00:00", "clock_offset_s": 1.0},
        {"ram_bytes": 67_299_000_000},
        {"disks": {"scratch": DiskFacts(path="/elsewhere", kind="nvme", free_bytes=1)}},
    ],
    ids=lambda values: next(iter(values)),
)
def test_what_comes_and_goes_does_not_change_the_hardware(values: Any) -> None:
    assert changed(**values).hardware == FACTS.hardware


@pytest.mark.parametrize(
    "values",
    [
        {"cpu_model": "Intel"},
        {"logical_cpus": 16},
        {"ram_bytes": 33_000_000_000},
        {"gpus": ()},
        {"gpus": (GPU, GPU)},
        {"gpus": (GPU.model_copy(update={"memory_bytes": 12 * 2**30}),)},
        {"gpus": (GPU.model_copy(update={"name": "NVIDIA L40S"}),)},
        {"disks": {"scratch": DiskFacts(path="/s", kind="hdd")}},
        {"disks": {}},
    ],
    ids=lambda values: next(iter(values)),
)
def test_what_a_machine_is_made_of_changes_it(values: Any) -> None:
    assert changed(**values).hardware != FACTS.hardware


def test_the_key_is_what_it_was() -> None:
    # Golden: where it changes, sessions of earlier versions no longer group with new ones.
    assert (
        FACTS.hardware
        == "AMD Ryzen 9 5950X 16-Core Processor, 32 CPUs, 67 GB RAM, NVIDIA GeForce RTX 3090, nvme disk #c64470"
    )


def test_the_label_is_in_words() -> None:
    assert hardware_label(FACTS) == (
        "AMD Ryzen 9 5950X 16-Core Processor, 32 CPUs, 67 GB RAM, NVIDIA GeForce RTX 3090, nvme disk"
    )
    assert hardware_label(Facts()) == "unknown CPU, ? CPUs, ? GB RAM, no GPU, unknown disk"


def test_facts_survive_the_disk() -> None:
    assert Facts.model_validate(json.loads(FACTS.model_dump_json())) == FACTS
