# mypy: disable-error-code="union-attr"

from __future__ import annotations

from typing import Any

import pytest
from factory import plain_record

from harness.analysis.comparison import Measurement, compare
from harness.analysis.payback import NeverPays, PaybackUnknown, PaysFrom
from harness.analysis.summary import is_model_bound, payback_of, reduce_record, summarise_case
from harness.values.case import Case
from harness.values.record import CacheUse, Epoch, Memory, Record


def record(
    seconds: Any = (10.0, 4.0, 5.0),
    *,
    number: int = 1,
    cpu: Any = (20.0, 8.0, 10.0),
    images: int = 100,
    flush: Any = None,
    cache: str = "none",
    **changes: Any,
) -> Record:
    case = Case(data="d", loader="tfdata", cache=cache, epochs=max(len(seconds), 1), memory_limit=10**9)
    epochs = tuple(
        Epoch(index=place, images=images, seconds=s, cpu_s=c, flush_s=flush if place == 1 else None)
        for place, (s, c) in enumerate(zip(seconds, cpu, strict=False), start=1)
    )
    return plain_record(case, **{"invocation": f"i{number}", "round": number, "epochs": epochs, **changes})


def test_the_fill_epoch_is_never_mixed_with_steady_ones() -> None:
    found = reduce_record(record(flush=2.0))
    assert found.first_epoch_s == 10.0
    assert found.first_images_per_s == 10.0
    assert found.fill_s == 12.0
    assert found.steady_epoch_s == pytest.approx(4.5)
    assert found.steady_images_per_s == pytest.approx(200 / 9.0)
    assert found.images_per_cpu_s == pytest.approx(200 / 18.0)
    assert found.parallelism == pytest.approx(2.0)


def test_one_epoch_has_no_steady_state() -> None:
    found = reduce_record(record(seconds=(10.0,)))
    assert found.steady_images_per_s is None and found.steady_epoch_s is None
    assert found.images_per_cpu_s == pytest.approx(5.0)


def test_what_was_not_measured_is_none() -> None:
    assert reduce_record(record(cpu=(None, None, None))).images_per_cpu_s is None
    assert reduce_record(record(cpu=(20.0, 8.0, None))).images_per_cpu_s is None
    assert reduce_record(record(seconds=())).first_epoch_s is None
    assert reduce_record(record(seconds=(0.0, 0.0))).steady_images_per_s is None


def test_invalid_is_never_averaged_and_disturbed_where_too_few_others_are_there() -> None:
    good = record(number=1)
    odd = record(seconds=(1.0, 1.0, 1.0), number=2, validity="degraded")
    bad = record(seconds=(9.0, 9.0, 9.0), number=3, validity="invalid")
    found = summarise_case([good, odd, bad])
    assert found.used == (good, odd) and found.disturbance.count == 1
    assert (found.left_out, found.invalid) == (0, 1)
    assert found.first_epoch_s.n == 2
    enough = [good, record(number=4), record(number=5)]
    found = summarise_case([*enough, odd, bad])
    assert found.used == tuple(enough) and found.disturbance.count == 0
    assert (found.left_out, found.invalid) == (1, 1)
    assert found.first_epoch_s.value == pytest.approx(10.0)
    assert summarise_case([bad]).used == () and summarise_case([bad]).invalid == 1
    assert summarise_case([bad]).steady_images_per_s is None


def test_epochs_of_what_did_not_end_well_are_not_averaged() -> None:
    dead = record(number=2, status="oom", epochs=(Epoch(index=1, images=100, seconds=1.0),))
    found = summarise_case([record(number=1), dead])
    assert found.first_epoch_s.n == 1
    assert found.statuses == {"ok": 1, "oom": 1}


def test_peaks_are_the_highest_and_the_limit_the_lowest() -> None:
    memories = [Memory(limit_effective=10**9, peak_anon=7), Memory(limit_effective=9 * 10**8, peak_anon=9), Memory()]
    found = summarise_case([record(number=n, memory=memory) for n, memory in enumerate(memories, start=1)])
    assert found.peak_anon_bytes == 9
    assert found.limit_bytes == 9 * 10**8
    assert found.cache_bytes is None


def test_cache_bytes_predicted_and_measured() -> None:
    use = CacheUse(kind="file", element="float32", bytes=101, predicted_bytes=100)
    assert summarise_case([record(cache="file")]).cache_bytes is None
    with_use = summarise_case([record().model_copy(update={"cache": use})])
    assert (with_use.cache_bytes, with_use.cache_predicted_bytes) == (101, 100)


def test_measurements_keep_host_and_round() -> None:
    found = summarise_case([record(number=1), record(number=2, seconds=(10.0, 5.0, 5.0))])
    assert found.measurements("first")[0] == Measurement("s", "h", 1, 10.0)
    assert [m.round for m in found.measurements("steady")] == [1, 2]
    assert found.measurements("steady")[1].value == pytest.approx(20.0)


def test_payback_of_summaries_counts_the_flush() -> None:
    uncached = summarise_case([record(seconds=(10.0, 10.0))])
    cached = summarise_case([record(seconds=(14.0, 5.0), flush=4.0, cache="memory")])
    assert payback_of(cached, uncached) == PaysFrom(3)


def test_without_an_uncached_row_payback_is_not_known_and_not_never() -> None:
    cached = summarise_case([record(seconds=(14.0, 1.0), cache="memory")])
    assert payback_of(cached, None) == PaybackUnknown("tfdata was not measured without a cache")
    dead = summarise_case([record(status="oom", seconds=())])
    assert payback_of(cached, dead) == PaybackUnknown("tfdata without a cache has no result")
    uncached = summarise_case([record(seconds=(10.0, 10.0))])
    once = summarise_case([record(seconds=(14.0,), cache="memory")])
    assert payback_of(once, uncached) == PaybackUnknown("the case itself was measured in one epoch only")
    case = cached.case.model_copy(update={"cache": "file", "cache_reuse": "reused"})
    reused = summarise_case([record(seconds=(5.0, 5.0), case=case, case_id=case.case_id)])
    assert payback_of(reused, uncached) == PaybackUnknown("the cache was made before the run")
    slower = summarise_case([record(seconds=(14.0, 12.0), cache="memory")])
    assert payback_of(slower, uncached) == NeverPays(12.0, 10.0)


@pytest.mark.parametrize(
    ("rates", "answer"),
    [
        ([98, 99, 97], True),
        ([103, 102, 101], True),
        ([50, 51, 49], False),
        ([80, 95, 99], None),
        ([60], None),
        ([], None),
    ],
)
def test_model_bound_is_within_noise_of_the_ceiling(rates: Any, answer: bool | None) -> None:
    case = [Measurement("s", "h", number, rate) for number, rate in enumerate(rates)]
    ceiling = [Measurement("s", "h", number, 100.0) for number in range(3)]
    assert is_model_bound(compare(case, ceiling)) is answer
