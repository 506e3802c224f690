"""Noise of a session: twins, drift, spread; enough rounds; what a case lost to its input; hosts that change."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest
from factory import plain_record

from harness.analysis.host_changes import compare_environments, compare_facts, compare_hosts
from harness.analysis.noise import NoiseFloor, drifts, evidence_for, find_session_noise, noise_floors
from harness.analysis.stalls import find_stalls, judge_utilisation, wants_warm_twin
from harness.analysis.statistics import EVIDENCE, Estimate
from harness.records.content import SessionHost
from harness.values.case import Case
from harness.values.facts import Facts, GpuFacts
from harness.values.record import Epoch, Record


def name_case(case: Case) -> str:
    return f"the case of {case.loader}"


def make(case_id: str, number: int, rate: float, *, alias: str | None = None, **changes: Any) -> Record:
    fields: dict[str, Any] = {
        "invocation": f"{case_id}{number}{alias}",
        "host": "ws01",
        "engine": "docker",
        "case_id": case_id,
        "alias": alias,
        "round": number,
        "evidence": {"x": 1},
        "epochs": tuple(Epoch(index=index, images=1000, seconds=1000 / rate) for index in (1, 2)),
    }
    return plain_record(**{**fields, **changes})


def test_twins_give_the_noise_floor() -> None:
    records = [make("a", n, 100.0) for n in (1, 2, 3)]
    records += [make("a", n, rate, alias="b") for n, rate in ((1, 102.0), (2, 98.0), (3, 101.0))]
    (floor,) = noise_floors(records)
    assert floor.pairs == 3
    assert 1.01 < floor.typical < 1.02 < floor.largest < 1.021
    assert floor.ratio.low is not None and floor.ratio.low < 1 < (floor.ratio.high or 0)
    assert find_session_noise(records, name_case) == []
    assert noise_floors(records[:3]) == []


def test_a_noisy_host_and_a_case_that_differs_from_itself_are_told() -> None:
    pairs = ((1, 130.0), (2, 131.0), (3, 129.0))
    records = [make("a", n, 100.0) for n in (1, 2, 3)] + [make("a", n, rate, alias="b") for n, rate in pairs]
    noise = find_session_noise(records, name_case)
    found = [(host, one.id) for host, one in noise]
    assert found == [("ws01", "noise-floor"), ("ws01", "twins-differ"), ("ws01", "spread")]
    assert noise[2][1].message.startswith("the case of tfdata: ")
    invalid = [record.model_copy(update={"validity": "invalid"}) for record in records]
    assert find_session_noise(invalid, name_case) == []


def test_drift_is_seen_over_cases_and_not_taken_for_noise() -> None:
    numbers = random.Random(1)
    drifting = [
        make(case_id, n, base * 0.98**n * numbers.uniform(0.998, 1.002))
        for case_id, base in (("a", 100.0), ("b", 700.0))
        for n in range(1, 6)
    ]
    (drift,) = drifts(drifting)
    assert (drift.rounds, drift.is_sure) == (5, True)
    assert drift.factor == pytest.approx(0.98**4, rel=0.01)
    assert [one.id for _, one in find_session_noise(drifting, name_case)] == ["drift"]
    steady = [make("a", n, 100.0 * numbers.uniform(0.99, 1.01)) for n in range(1, 6)]
    assert find_session_noise(steady, name_case) == []


def floor_of(noise: float, pairs: int) -> NoiseFloor:
    typical = math.exp(noise * math.sqrt(2))
    return NoiseFloor("ws01", "a", pairs, typical, typical, Estimate(1.0, pairs))


@pytest.mark.parametrize(
    ("floors", "evidence"),
    [
        ([], EVIDENCE),
        ([floor_of(0.03, 3)], EVIDENCE),
        ([floor_of(0.10, 20)], EVIDENCE),
        ([floor_of(0.12, 3)], EVIDENCE),  # three pairs of a host at 10 % come to this in one session of four
        ([floor_of(0.20, 3)], 9 * EVIDENCE),
        ([floor_of(0.20, 20)], 9 * EVIDENCE),
        ([floor_of(0.03, 9), floor_of(0.20, 9)], 9 * EVIDENCE),
    ],
)
def test_on_a_noisy_host_as_much_more_evidence_is_asked_for_as_there_are_comparisons(
    floors: list[NoiseFloor], evidence: float
) -> None:
    assert evidence_for(floors, 9) == evidence


def test_a_repeated_twin_is_paired_with_what_was_measured_beside_it() -> None:
    first = [make("a", n, 100.0) for n in (1, 2, 3)]
    twins = [make("a", n, 100.0, alias="b") for n in (1, 2)]
    busy = make("a", 3, 50.0, alias="b", validity="degraded")
    again = [make("a", 3, 90.0, attempt=2), make("a", 3, 90.0, alias="b", attempt=2)]
    (floor,) = noise_floors([*first, *twins, busy, *again])
    assert floor.pairs == 3 and floor.largest == pytest.approx(1.0) and floor.disturbed == 0


@pytest.mark.parametrize(
    ("utilisation", "words"),
    [(1.0, "model-bound"), (0.96, "model-bound"), (0.9, "moderately input-bound"), (0.5, "input-bound"), (None, None)],
)
def test_what_a_model_waits_is_named_by_stated_thresholds(utilisation: float | None, words: str | None) -> None:
    assert judge_utilisation(utilisation) == words


def test_stalls_are_told_apart_by_the_differential() -> None:
    stalls = find_stalls(50.0, ceiling_images_s=100.0, warm_images_s=80.0)
    assert (stalls.utilisation, stalls.bound) == (0.5, "input-bound")
    assert stalls.preparation == pytest.approx((1 / 80 - 1 / 100) * 50)
    assert stalls.fetch == pytest.approx((1 / 50 - 1 / 80) * 50)
    assert find_stalls(120.0, ceiling_images_s=100.0).utilisation == 1.0
    assert find_stalls(50.0, ceiling_images_s=None).bound is None


@pytest.mark.parametrize("warm", [40.0, 50.0, 99.0, 100.0, 140.0])
def test_shares_of_time_add_up_whatever_noise_does(warm: float) -> None:
    stalls = find_stalls(50.0, ceiling_images_s=100.0, warm_images_s=warm)
    shares = (stalls.utilisation, stalls.preparation, stalls.fetch)
    assert all(share is not None and 0 <= share <= 1 for share in shares)
    assert sum(share or 0.0 for share in shares) == pytest.approx(1.0)


def test_a_warm_run_is_made_only_where_the_files_fit_beside_it() -> None:
    train = Case(data="d", loader="tfdata", mode="train")
    sizes = {"data_bytes": 500, "peak_bytes": 400}
    assert wants_warm_twin(train, limit_bytes=900, **sizes)
    assert not wants_warm_twin(train, limit_bytes=899, **sizes)
    for change in ({"mode": "load"}, {"cache": "memory"}, {"loader": "ceiling"}, {"page_cache": "warm"}):
        assert not wants_warm_twin(train.model_copy(update=change), limit_bytes=10**9, **sizes)


def test_a_host_that_changed_is_told() -> None:
    gpu = GpuFacts(name="T4", uuid="GPU-1")
    before = Facts(gpus=(gpu,), kernel="6.1", governor="performance", boot_id="x", clock_offset_s=0.1)
    assert list(compare_facts(before, before)) == []
    after = Facts(kernel="6.1", governor="powersave", boot_id="y", clock_offset_s=-30.0)
    changed, clock = compare_facts(before, after)
    assert (changed.id, clock.id) == ("host-changed", "clock-offset")
    assert all(words in changed.message for words in ("T4 is missing", "powersave", "restarted"))
    assert "-30 s" in clock.message


def test_one_image_definition_is_one_image_everywhere() -> None:
    def host(digest: str, image: str = "harness-cpu:1", payload: str = "p") -> SessionHost:
        return SessionHost(engine="docker", image=image, image_digest=digest, payload_digest=payload)

    assert list(compare_hosts({"a": host("1"), "b": host("1"), "c": host("2", image="harness-gpu:1")})) == []
    (found,) = compare_hosts({"a": host("1" * 20), "b": host("2" * 20)})
    assert (found.id, "on a" in found.message, "on b" in found.message) == ("image-differs", True, True)
    (other,) = compare_hosts({"a": host("1"), "b": host("1", payload="q")})
    assert other.id == "payload-differs"


def test_versions_that_changed_between_two_parts_of_a_session_are_told() -> None:
    one = {"python": "3.11.2", "tensorflow": "2.21.0", "kernel": "6.1", "decoder": "PIL"}
    same = [make("a", n, 100.0, environment=one) for n in (1, 2)]
    skipped = make("a", 3, 100.0, status="skipped", environment={})
    other_loader = make("b", 1, 100.0, environment={**one, "decoder": "tf.image"})
    assert list(compare_environments([*same, skipped, other_loader])) == []
    (found,) = compare_environments([*same, make("a", 3, 100.0, environment={**one, "kernel": "6.2"})])
    assert found.id == "environment-changed" and "kernel 6.1 (2) and 6.2 (1)" in found.message
    assert "TensorFlow" not in found.message
