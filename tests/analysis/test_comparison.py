# mypy: disable-error-code="union-attr"

from __future__ import annotations

from typing import Any

import pytest

from harness.analysis.comparison import Measurement, compare


def measure(values: Any, host: str = "ws01", session: str = "s") -> list[Any]:
    return [Measurement(session, host, number, value) for number, value in values.items()]


def test_only_rounds_that_have_both_are_paired() -> None:
    found = compare(measure({1: 200, 2: 210, 3: 190}), measure({1: 100, 3: 100, 4: 100}))
    assert found.ratio is not None
    assert found.ratio.n == 2
    assert found.ratio.value == pytest.approx((2.0 * 1.9) ** 0.5)
    assert found.unpaired == 1


def test_rounds_of_other_hosts_and_sessions_are_no_partners() -> None:
    case = [*measure({1: 200}, host="a"), *measure({1: 300}, host="b"), *measure({1: 400}, host="a", session="t")]
    found = compare(case, measure({1: 100}, host="a"))
    assert found.ratio is not None and found.ratio.n == 1
    assert found.ratio.value == pytest.approx(2.0)
    assert found.unpaired == 2


def test_nothing_to_pair_is_no_ratio_and_no_verdict() -> None:
    found = compare(measure({1: 200}), measure({2: 100}))
    assert found.ratio is None
    assert found.verdict.kind == "unknown"
    assert found.hosts == () and found.agreeing == 0


def test_order_of_the_records_does_not_matter() -> None:
    case, baseline = measure({1: 200, 2: 210, 3: 190}), measure({1: 99, 2: 101, 3: 100})
    assert compare(case[::-1], baseline).ratio.value == pytest.approx(compare(case, baseline[::-1]).ratio.value)


def test_a_host_that_goes_its_own_way_does_not_agree() -> None:
    case, baseline = [], []
    for host, factor in (("a", 2.0), ("b", 2.1), ("c", 0.8)):
        case += measure({1: 100 * factor, 2: 101 * factor}, host=host)
        baseline += measure({1: 100, 2: 100}, host=host)
    found = compare(case, baseline)
    assert [host.host for host in found.hosts] == ["a", "b", "c"]
    assert found.agreeing == 2
    assert found.verdict.kind == "unknown"


def test_hosts_agree_on_no_difference_within_the_threshold() -> None:
    case, baseline = [], []
    for host, factor in (("a", 1.01), ("b", 0.99)):
        case += measure({1: 100 * factor, 2: 100.5 * factor}, host=host)
        baseline += measure({1: 100, 2: 100}, host=host)
    found = compare(case, baseline)
    assert found.verdict.kind == "same"
    assert found.agreeing == 2


def test_drift_of_the_host_is_no_difference_of_loaders() -> None:
    drift = {number: 1 - 0.06 * number for number in range(1, 6)}
    found = compare(
        measure({n: 100 * d * (1.001 if n % 2 else 0.999) for n, d in drift.items()}),
        measure({n: 100 * d for n, d in drift.items()}),
    )
    assert found.verdict.kind == "same"
