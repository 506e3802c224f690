"""Sessions made of invented numbers: clearly test data, and the same at every call.

``SessionBuilder`` collects cases, hosts and rounds and writes a session folder as
`harness run` does.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from factory import plain_record

from harness.values.case import Case, ModelSetting, invocation_identity
from harness.values.facts import DiskFacts, Facts, GpuFacts
from harness.values.record import CacheUse, Epoch, Finding, Memory, Record, SetSize

IMAGES = 400
FILE_BYTES = 160_000
HOST_BYTES = 21_400_000_000


def make_facts(
    name: str = "test-cpu", *, gpu: str | None = None, boot: str = "boot-1", ram: int = 33_000_000_000
) -> Facts:
    """Facts of an invented workstation."""
    return Facts(
        cpu_model=f"{name} (test data)",
        architecture="x86_64",
        logical_cpus=16,
        ram_bytes=ram,
        available_bytes=ram - 5_000_000_000,
        swap_bytes=0,
        os="Test Linux 1",
        kernel="6.0.0-test",
        cgroup_version=2,
        disks={
            "scratch": DiskFacts(
                path="/scratch", filesystem="ext4", kind="nvme", total_bytes=10**12, free_bytes=4 * 10**11
            )
        },
        gpus=(GpuFacts(name=gpu, memory_bytes=24_000_000_000, driver="570.1"),) if gpu else (),
        governor="performance",
        boot_id=boot,
        load_1m=0.12,
    )


def make_case(**changes: Any) -> Case:
    """A training case; ``changes`` as keyword arguments."""
    fields: dict[str, Any] = {
        "data": "coco-test",
        "loader": "tfdata",
        "mode": "train",
        "model": ModelSetting(alpha=0.25),
        "image_size": (128, 128),
        "memory_limit": 1_500_000_000,
        "epochs": 3,
    }
    fields.update(changes)
    if fields["mode"] == "load":
        fields["model"] = None
    return Case(**fields)


def wobble(*parts: object, size: float = 0.02) -> float:
    """A factor near 1, fixed by its name: noise without a random number."""
    seed = sum(ord(letter) * (place + 7) for place, letter in enumerate("|".join(map(str, parts))))
    return math.exp(size * math.sin(seed))


def make_record(
    case: Case, *, host: str = "ws01", facts: Facts | None = None, round: int = 1, **changes: Any
) -> Record:
    """An ``ok`` record of one epoch a second or so; ``rate`` and ``first_rate`` in images/s.

    ``whole`` is how many images the set has; ``served`` the share of an epoch's files that came from memory: then what
    had to be read stands beside it.
    """
    whole, served = changes.pop("whole", None), changes.pop("served", None)
    rate = changes.pop("rate", 100.0) * wobble(host, round, case.case_id)
    first_rate = changes.pop("first_rate", rate * 0.8)
    per_cpu = changes.pop("per_cpu", 40.0) * wobble(case.case_id, round, host, size=0.01)
    images = changes.pop("images", IMAGES)
    alias = changes.get("alias")
    facts = facts or make_facts()
    epochs = tuple(
        Epoch(
            index=index,
            images=images,
            seconds=images / (first_rate if index == 1 else rate),
            first_batch_s=0.4,
            bytes_read=int(images * FILE_BYTES * (1 - (served or 0) * (index > 1))),
            bytes_needed=None if served is None else images * FILE_BYTES * (case.cache != "memory" or index == 1),
            cpu_s=images / per_cpu,
            flush_s=0.5 if index == 1 and case.cache == "file" else None,
        )
        for index in range(1, case.epochs + 1)
    )
    limit = HOST_BYTES if case.memory_limit == "none" else int(case.memory_limit)
    predicted = images * case.image_size[0] * case.image_size[1] * 3 * 4
    fields: dict[str, Any] = {
        "session": "test-session",
        "experiment": "test",
        "invocation": invocation_identity(
            image_digest="i" * 64,
            payload_digest="p" * 64,
            data_fingerprint="d" * 64,
            case=case,
            alias=alias,
            host=host,
            round_number=round,
        ),
        "host": host,
        "hardware": facts.hardware,
        "engine": "docker",
        "set_size": None if whole is None else SetSize(images=whole, bytes=whole * FILE_BYTES),
        "round": round,
        "epochs": epochs,
        "memory": Memory(
            limit_asked=limit,
            limit_effective=limit,
            enforced_by="cgroup-v2",
            peak_anon=820_000_000,
            peak_total=limit,
            swap_used=0,
        ),
        "cache": None
        if case.cache == "none"
        else CacheUse(kind=case.cache, element=case.element, bytes=round_up(predicted), predicted_bytes=predicted),
        "environment": {"python": "3.11.2", "tensorflow": "2.21.0", "numpy": "2.0.0"},
        "started_at": "2026-01-01T00:00:00Z",
        "finished_at": "2026-01-01T00:01:00Z",
    }
    fields.update(changes)
    severity = {"degraded": "warning", "invalid": "error"}.get(fields.get("validity", "valid"))
    if severity is not None and "findings" not in changes:  # a report judges again: validity comes from findings
        fields["findings"] = (make_finding(f"test-{fields['validity']}", severity),)
    return plain_record(case, **fields)


def round_up(predicted: int) -> int:
    """Bytes that a cache file really holds: a little more than the formula."""
    return predicted + predicted // 500


def make_oom(case: Case, *, step: int = 21, **changes: Any) -> Record:
    """A record that was killed at its limit in its first epoch."""
    fields: dict[str, Any] = {
        "status": "oom",
        "cause": f"killed by the kernel at its memory limit; in epoch 1 after {step * 32} images",
        "evidence": {
            "engine_oom_killed": True,
            "oom_kills": 1,
            "oom_at_s": 12.0 + step / 10,
            "child_signal": 9,
            "last_epoch": 1,
            "last_step": step,
            "last_images": step * 32,
        },
        "epochs": (),
        "log_tail": "Epoch 1/3\n21/100 ━━━━ loss: 4.1\n",
        "log": "logs/ws01/abc-1.log",
        "memory": Memory(
            limit_asked=int(case.memory_limit),
            limit_effective=int(case.memory_limit),
            enforced_by="cgroup-v2",
            peak_anon=int(case.memory_limit) - 4_000_000,
            peak_total=int(case.memory_limit),
            oom_kills=1,
            swap_used=0,
        ),
    }
    return make_record(case, **{**fields, **changes})


def make_finding(
    identifier: str = "page-cache-unproven", severity: str = "info", message: str = "the state is unproven"
) -> Finding:
    """A finding with a hint."""
    return Finding(id=identifier, severity=severity, message=message, hint="keep data on a local disk")


class SessionBuilder:
    """Collects a session and writes its folder."""

    def __init__(self, name: str = "lab-test-12345678", *, rounds: int | str = 3, baseline: Any = "keras-idg") -> None:
        self.name = name
        self.records: list[Record] = []
        self.events: list[dict[str, Any]] = []
        self.facts: dict[str, Facts] = {}
        self.description: dict[str, Any] = {
            "format": 1,
            "name": name,
            "session": name,
            "experiment": {
                "name": "test",
                "description": "Invented numbers: test data",
                "baseline": baseline,
                "rounds": rounds,
            },
            "experiment_name": "test",
            "seed": 42,
            "inventory": {"name": "lab", "path": "inventory/lab.yaml", "hosts": []},
            "versions": {"harness": "0.0.0", "python": "3.11.2"},
            "payload_digest": "2" * 64,
            "data": {"coco-test": {"fingerprint": "3" * 64}},
            "created_at": "2026-01-01T00:00:00Z",
        }

    def add(self, *records: Record) -> SessionBuilder:
        """Append records in this order."""
        self.records += [record.model_copy(update={"session": self.name}) for record in records]
        return self

    def add_host(self, name: str, facts: Facts) -> SessionBuilder:
        """A host with its facts."""
        self.facts[name] = facts
        return self

    def add_event(self, kind: str, **fields: Any) -> SessionBuilder:
        """An event line."""
        self.events.append({"event": kind, "at": "2026-01-01T00:00:00Z", **fields})
        return self

    def write(self, folder: Path) -> Path:
        """Write the session folder."""
        (folder / "facts").mkdir(parents=True)
        (folder / "session.json").write_text(json.dumps(self.description), encoding="utf-8")
        for host, facts in self.facts.items():
            (folder / "facts" / f"{host}.json").write_text(facts.model_dump_json(), encoding="utf-8")
        lines = "".join(record.model_dump_json() + "\n" for record in self.records)
        (folder / "records.jsonl").write_text(lines, encoding="utf-8")
        events = "".join(json.dumps(event) + "\n" for event in self.events)
        (folder / "events.jsonl").write_text(events, encoding="utf-8")
        return folder


def build_lab(rounds: int = 3) -> SessionBuilder:
    """The sample: two kinds of workstation, the article's four rows, two limits, loading at other pixels."""
    builder = SessionBuilder(rounds=rounds)
    slow, fast = make_facts("Test Eight"), make_facts("Test Sixteen", gpu="Test GPU 24G", boot="boot-3", ram=64 * 10**9)
    hosts = {"ws01": slow, "ws02": slow.model_copy(update={"boot_id": "boot-2"}), "gpu01": fast}
    for name, facts in hosts.items():
        builder.add_host(name, facts)
        builder.add_event("EngineChosen", host=name, engine="docker", version="27.0", reason="auto")
    argv = ["harness", "run", "inventory/lab.yaml", "--experiment", "test", "--fresh"]
    builder.add_event("SessionStarted", session=builder.name, folder="x", resumed=False, done=0, planned=9, argv=argv)
    for name, facts in hosts.items():
        for number in range(1, rounds + 1):
            builder.add(*_training(name, facts, number, is_fast=name == "gpu01"), *_loading(name, facts, number))
    return builder


def _training(host: str, facts: Facts, number: int, *, is_fast: bool) -> list[Record]:
    at: dict[str, Any] = {"host": host, "facts": facts, "round": number}
    power = 3.0 if is_fast else 1.0
    found = []
    for limit in (1_500_000_000, 6_000_000_000):
        rows = (("keras-idg", "none", 34, 33, 30), ("tfdata", "none", 85, 80, 31), ("tfdata", "file", 140, 46, 88))
        for loader, cache, rate, first, per_cpu in rows:
            case = make_case(loader=loader, cache=cache, memory_limit=limit)
            found.append(make_record(case, rate=rate * power, first_rate=first * power, per_cpu=per_cpu, **at))
        memory = make_case(cache="memory", memory_limit=limit)
        if limit < 2_000_000_000:
            found.append(make_oom(memory, step=20 + number, **at))
        else:
            found.append(make_record(memory, rate=146 * power, first_rate=82 * power, per_cpu=90, **at))
    ceiling = make_case(loader="ceiling", memory_limit="none")
    found.append(make_record(ceiling, rate=148 * power, per_cpu=95, **at))
    return found


def _loading(host: str, facts: Facts, number: int) -> list[Record]:
    at: dict[str, Any] = {"host": host, "facts": facts, "round": number}
    common: dict[str, Any] = {
        "mode": "load",
        "image_size": (256, 256),
        "interpolation": "native",
        "memory_limit": "none",
    }
    idg = make_case(loader="keras-idg", **common)
    tfdata = make_case(loader="tfdata", **common)
    directory = make_case(loader="keras-directory", **common)
    memory = make_case(loader="tfdata", cache="memory", **common)
    skipped: dict[str, Any] = {"status": "skipped", "epochs": (), "cache": None}
    finding = make_finding()
    return [
        make_record(idg, rate=60, per_cpu=58, **at),
        make_record(tfdata, rate=62, per_cpu=57, findings=(finding,), **at),
        make_record(directory, rate=300, per_cpu=60, validity="degraded", **at)
        if number == 1
        else make_record(
            directory, status="error", epochs=(), cause="data: not an image: img_7.jpg", log_tail="Traceback\n", **at
        ),
        make_record(memory, cause="needs 40.0 GB, the host can give 21.4 GB", **skipped, **at),
    ]
