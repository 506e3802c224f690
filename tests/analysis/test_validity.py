"""Which runs are valid: the same rules for a live record and an old session."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import write_findings  # a script beside the page, not a package
from factory import plain_record

import harness
from harness.analysis.findings import catalogue, find
from harness.analysis.validity import judge_all, judge_record
from harness.values.case import Case
from harness.values.facts import Facts
from harness.values.record import CacheUse, Epoch, Memory, Record

PACKAGE = Path(harness.__file__).parent
QUIET = {
    "cpus": 4,
    "foreign_cpus": {"mean": 0.02, "max": 0.3},
    "steal_share": 0.0,
    "throttled": 0,
    "governor": "performance",
    "swapped_bytes": 0,
    "memory_pressure": 0.0,
    "clock_mhz": {"mean": 3000.0, "max": 3100.0},
    "disk": {"device": "sda", "reads": 500, "read_latency_s": 0.001},
}


PAUSED = {"count": 1, "seconds": 9.0, "longest_s": 9.0, "cpus": 0.04, "cpus_else": 2.0, "suspended_s": 0.0}


def make(**changes: Any) -> Record:
    """A sound record: cold first epoch, second one read again, host quiet."""
    epochs = (
        Epoch(index=1, images=1000, seconds=10.0, bytes_read=110, bytes_needed=100, cpu_s=20.0),
        Epoch(index=2, images=1000, seconds=10.0, bytes_read=110, bytes_needed=100, cpu_s=20.0),
    )
    fields: dict[str, Any] = {
        "host": "ws01",
        "engine": "docker",
        "case_id": "c",
        "evidence": {"engine_warnings": []},
        "epochs": epochs,
        "memory": Memory(
            limit_asked=10**9, limit_effective=10**9 // 4096 * 4096, swap_limit=10**9, swap_used=0, peak_anon=5 * 10**8
        ),
        "io": {"wall_s": 20.0, "page_cache": {"unproven": None}, "host": QUIET},
        "environment": {
            "supervisor": {"cpu_s": 0.05, "anon_bytes": 7 * 10**6},
            "samework": {"is_proven": True, "problems": []},
        },
        "started_at": "2026-01-01T00:00:00Z",
    }
    return plain_record(**{**fields, **changes})


def ids(record: Record, peers: tuple[Record, ...] = (), facts: Facts | None = None) -> tuple[str, list[str]]:
    validity, found = judge_record(record, facts, peers)
    assert all(one.id in catalogue() and one.message and one.hint for one in found)
    return validity, [one.id for one in found]


def io(**host: Any) -> dict[str, Any]:
    return {"wall_s": 20.0, "page_cache": {"unproven": None}, "host": {**QUIET, **host}}


def gpu(**watch: Any) -> dict[str, Any]:
    return {**io(), "gpu": {"cpu_s": 0.02, "gpus": [{"index": 0, "name": "T4", **watch}]}}


def memory(**changes: Any) -> Memory:
    return make().memory.model_copy(update=changes)


def epoch(index: int, **changes: Any) -> Epoch:
    return make().epochs[0].model_copy(update={"index": index, **changes})


def test_a_sound_one_is_valid() -> None:
    assert ids(make()) == ("valid", [])
    assert ids(make(cache=CacheUse(kind="file", element="float32", bytes=10_050, predicted_bytes=10_000))) == (
        "valid",
        [],
    )


@pytest.mark.parametrize(
    ("changes", "validity", "finding"),
    [
        ({"memory": memory(limit_effective=2 * 10**9)}, "invalid", "limit-not-enforced"),
        ({"memory": memory(limit_effective=None)}, "invalid", "limit-unproven"),
        (
            {"evidence": {"engine_warnings": ["kernel does not support memory limit … Limitation discarded."]}},
            "invalid",
            "limit-not-enforced",
        ),
        ({"evidence": {"engine_warnings": ["something else was not done"]}}, "degraded", "engine-warning"),
        ({"memory": memory(swap_used=4096)}, "degraded", "swap-used"),
        ({"memory": memory(swap_used=None, swap_limit=None)}, "degraded", "swap-unaccounted"),
        ({"environment": {"samework": {"problems": ["image 3 twice"]}}}, "invalid", "work-differs"),
        (
            {"environment": {"pixel_error": {"mean": 1.2, "largest": 9.0, "images": 16}}},
            "valid",
            "approximate-pixels",
        ),
        ({"environment": {"samework": {"is_proven": False, "reason": "x"}}}, "degraded", "work-unproven"),
        ({"epochs": (epoch(1, images=100, other_decoder={"png": 1}), epoch(2))}, "valid", "other-decoder"),
        (
            {"epochs": (epoch(1, images=100, other_decoder={"png": 1, "jpeg_faults": 1}), epoch(2))},
            "degraded",
            "other-decoder",
        ),
        ({"io": {**io(), "page_cache": {"unproven": "nfs"}}}, "valid", "page-cache-unproven"),
        (
            {
                "case": Case(data="d", loader="tfdata", epochs=6),
                "epochs": tuple(epoch(index, anon_bytes=4 * 10**8 + index * 10**7) for index in range(1, 7)),
            },
            "valid",
            "memory-grows",
        ),
        ({"epochs": (epoch(1, bytes_read=None), epoch(2, bytes_read=None))}, "valid", "reads-uncounted"),
        ({"epochs": (epoch(1, bytes_read=40), epoch(2))}, "degraded", "cold-epoch-warm"),
        ({"epochs": (epoch(1), epoch(2, bytes_read=0))}, "valid", "served-from-memory"),
        (
            {"epochs": (epoch(1, bytes_needed=2 * 10**9, bytes_read=2 * 10**9), epoch(2, bytes_needed=2 * 10**9))},
            "degraded",
            "served-from-memory",
        ),
        ({"case": Case(data="d", loader="tfdata", page_cache="warm")}, "degraded", "warm-epoch-cold"),
        ({"cache": CacheUse(kind="file", element="f", bytes=12, predicted_bytes=10)}, "degraded", "cache-size-off"),
        ({"cache": CacheUse(kind="file", element="f", bytes=0, predicted_bytes=10)}, "degraded", "cache-size-off"),
        (
            {
                "case": Case(data="d", loader="tfdata", budgets="default"),
                "environment": {"budgets": {"assumed_ram_bytes": 10**10}},
            },
            "valid",
            "budget-beyond-limit",
        ),
        ({"epochs": (epoch(1), epoch(2, seconds=0.4, cpu_s=0.8))}, "valid", "too-short"),
        ({"epochs": (epoch(1), epoch(2, seconds=0.05, cpu_s=0.1))}, "valid", "too-short"),  # a repeat is as short
        ({"environment": {"supervisor": {"cpu_s": 1.0, "anon_bytes": 10**6}}}, "degraded", "supervisor-heavy"),
        ({"environment": {"supervisor": {"cpu_s": 0.0, "anon_bytes": 10**8}}}, "degraded", "supervisor-heavy"),
        ({"io": {"wall_s": 20.0}}, "valid", "host-unwatched"),
        ({"io": io(foreign_cpus={"mean": 0.4, "max": 1.0})}, "degraded", "host-busy"),
        ({"io": io(pauses=PAUSED)}, "invalid", "host-paused"),
        ({"io": io(pauses={**PAUSED, "cpus": None, "cpus_else": None})}, "invalid", "host-paused"),
        ({"io": io(pauses={"seconds": 0.0, "suspended_s": 3600.0})}, "invalid", "host-paused"),
        ({"io": io(steal_share=0.03)}, "degraded", "cpu-stolen"),
        ({"io": io(throttled=3)}, "degraded", "cpu-throttled"),
        ({"io": io(clock_mhz={"mean": 2000.0, "max": 3000.0})}, "valid", "clock-dropped"),
        ({"io": io(governor="powersave")}, "valid", "governor-saves-power"),
        ({"io": io(swapped_bytes=10**7)}, "degraded", "host-swapping"),
        ({"io": io(memory_pressure=0.3)}, "valid", "memory-pressure"),
        ({"io": io(disk={"device": "sda", "reads": 500, "read_latency_s": 0.2})}, "valid", "disk-slow"),
        ({"io": gpu(is_lost=True, reason="GPU is lost")}, "invalid", "gpu-lost"),
        ({"io": gpu(foreign_processes=1)}, "degraded", "gpu-shared"),
        ({"io": gpu(throttled=["heat"])}, "degraded", "gpu-throttled"),
        ({"io": {**io(), "gpu": {"error": "no NVML"}}}, "valid", "gpu-unwatched"),
        ({"io": {**io(), "gpu": {"cpu_s": 1.0, "gpus": []}}}, "degraded", "sampler-heavy"),
    ],
)
def test_finding(changes: dict[str, Any], validity: str, finding: str) -> None:
    assert ids(make(**changes)) == (validity, [finding])


def test_a_job_of_which_nothing_came_back_says_nothing_of_its_limit() -> None:
    down = {"epochs": (), "io": {}, "memory": Memory(limit_asked=10**9), "environment": {}}
    assert ids(make(status="lost", **down)) == ("valid", [])
    assert ids(make(status="oom", **down)) == ("invalid", ["limit-unproven"])  # it died of a limit that nobody saw


@pytest.mark.parametrize(
    ("engine", "step", "missing", "found"),
    [
        ("slurm", 2**20, 2**20 - 1, []),
        ("slurm", 2**20, 2**20, ["limit-not-enforced"]),
        ("slurm", None, 2**20 - 1, ["limit-not-enforced"]),
        ("docker", 65536, 2**16 - 1, []),
        ("docker", 65536, 2**20 - 1, ["limit-not-enforced"]),
        ("docker", None, 2**20 - 1, ["limit-not-enforced"]),
        ("podman", 65536, 2**20 - 1, ["limit-not-enforced"]),
        ("process", 65536, 2**20 - 1, ["limit-not-enforced"]),
    ],
)
def test_a_limit_may_be_rounded_only_as_its_engine_counts(
    engine: str, step: int | None, missing: int, found: list[str]
) -> None:
    evidence = {**make().evidence, **({} if step is None else {"limit_step_bytes": step})}
    limited = memory(limit_effective=10**9 - missing, swap_limit=10**9 - missing)
    assert ids(make(engine=engine, evidence=evidence, memory=limited))[1] == found


def test_missing_swap_accounting_is_forgiven_where_no_swap_was_used() -> None:
    assert ids(make(memory=memory(swap_limit=None))) == ("valid", [])


def test_a_pass_with_idle_cores_stands_out_from_its_peers() -> None:
    peers = tuple(make(invocation=f"p{n}", round=n, started_at=f"2026-01-02T00:00:0{n}Z") for n in (2, 3))
    slow = make(epochs=(epoch(1), epoch(2, seconds=20.0, cpu_s=21.0)), started_at="2026-01-03T00:00:00Z")
    assert ids(slow, peers) == ("degraded", ["cores-idle"])
    assert ids(slow) == ("valid", [])  # without peers nobody can know
    frugal = make(epochs=(epoch(1), epoch(2, seconds=10.0, cpu_s=11.0)), started_at="2026-01-03T00:00:00Z")
    assert ids(frugal, peers) == ("valid", [])  # as fast with less CPU is no fault
    crowded = slow.model_copy(update={"io": io(foreign_cpus={"mean": 2.5, "max": 3.0})})
    assert ids(crowded, peers) == ("degraded", ["host-busy"])  # others had the cores: they were not idle


def test_a_late_supervisor_beside_a_benchmark_that_goes_on_or_waits_for_memory_is_no_pause() -> None:
    assert ids(make(io=io(pauses={**PAUSED, "cpus": 1.9}))) == ("valid", [])
    assert ids(make(io=io(pauses=PAUSED, memory_pressure=0.5, seconds=20.0))) == ("valid", ["memory-pressure"])
    assert ids(make(io=io(pauses={**PAUSED, "seconds": 0.0, "suspended_s": 0.2}))) == ("valid", [])
    died = make(status="oom", cause="x", io=io(pauses=PAUSED))
    assert ids(died) == ("valid", [])  # what it needed does not hang on time


def test_a_pause_is_no_idle_core_and_no_peer_of_one() -> None:
    peers = tuple(make(invocation=f"p{n}", round=n, started_at=f"2026-01-02T00:00:0{n}Z") for n in (2, 3))
    slow = make(epochs=(epoch(1), epoch(2, seconds=20.0, cpu_s=21.0)), started_at="2026-01-03T00:00:00Z")
    frozen = slow.model_copy(update={"io": io(pauses=PAUSED)})
    assert ids(frozen, peers) == ("invalid", ["host-paused"])
    assert ids(slow, tuple(peer.model_copy(update={"io": io(pauses=PAUSED)}) for peer in peers)) == ("valid", [])


def test_the_first_invocation_of_a_host_is_told_where_it_is_slower() -> None:
    peers = tuple(make(invocation=f"p{n}", round=n, started_at=f"2026-01-02T00:00:0{n}Z") for n in (2, 3))
    first = make(epochs=(epoch(1), epoch(2, seconds=12.0, cpu_s=24.0)))
    assert ids(first, peers) == ("degraded", ["first-slower"])
    later = first.model_copy(update={"started_at": "2026-01-03T00:00:00Z"})
    assert ids(later, peers) == ("valid", [])


def test_an_old_session_is_judged_by_the_same_rules_and_keeps_what_was_not_judged() -> None:
    busy = make(io=io(foreign_cpus={"mean": 2.0, "max": 3.0}), validity="valid")
    skipped = make(invocation="k", status="skipped", evidence={}, epochs=(), memory=Memory(limit_asked=5))
    judged = judge_all([busy, skipped], {})
    assert [record.validity for record in judged] == ["degraded", "valid"]
    assert [one.id for one in judged[0].findings] == ["host-busy"]
    assert judged[1] == skipped
    assert judge_all(judged, {}) == judged


def test_the_page_is_made_of_the_catalogue() -> None:
    page = write_findings.PAGE.read_text(encoding="utf-8")
    assert write_findings.update(page) == page, "run `make findings`"
    assert re.findall(r"^### `([a-z-]+)`", page, flags=re.M) == list(catalogue())
    for name, entry in catalogue().items():
        assert entry.cause.endswith((".", ".)")) and entry.cure.endswith("."), name
        assert entry.severity in (entry.grades or entry.severity), name


def test_every_finding_is_made_by_the_catalogue() -> None:
    with pytest.raises(KeyError, match="no-such-finding"):
        find("no-such-finding", "m", "h")
    made, past = set(), []
    for file in PACKAGE.rglob("*.py"):
        code = file.read_text(encoding="utf-8")
        made |= set(re.findall(r"""(?<![.\w])find\(\s*"([a-z-]+)\"""", code))
        if re.search(r"(?<!class )\b(?:Session)?Finding\((?!Event|_Frozen)", code) and file.name != "findings.py":
            past.append(file.name)
    assert past == []
    assert made - set(catalogue()) == set()


def test_every_finding_in_the_catalogue_is_one_that_the_code_can_make() -> None:
    code = "".join(file.read_text(encoding="utf-8") for file in PACKAGE.rglob("*.py"))
    code = re.sub(r'"[a-z-]+": Entry\(', "", code)
    assert [name for name in catalogue() if f'"{name}"' not in code] == []


def test_another_decoder_is_told_with_numbers_and_reasons() -> None:
    others = {"bytes_before_end": 12, "png": 3}
    epochs = (epoch(1, images=1399, other_decoder={}), epoch(2, images=1399, other_decoder=others))
    record = make(epochs=epochs, environment={"decoder": "simplejpeg 1.9.0"})
    (found,) = [one for one in judge_record(record)[1] if one.id == "other-decoder"]
    assert found.message == (
        "15 of 1399 images of an epoch were read by Pillow, not by simplejpeg 1.9.0: "
        "12 JPEGs with bytes before the end marker, 3 PNG files"
    )
    assert found.severity == "warning"  # more than 1 %
    assert "harness data describe" in found.hint
