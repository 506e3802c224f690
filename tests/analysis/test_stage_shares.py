"""Which cases share the costs of stages, what a report draws of them, and when one stage has most of the time."""

from __future__ import annotations

from typing import Any

import pytest
from factory import plain_record

from harness.analysis.matrix import Setting, build_matrix
from harness.analysis.stage_costs import find_dominant, list_bars
from harness.analysis.stage_settings import MOST_IMAGES, images_to_cost, stage_case, stage_key
from harness.report.stage_words import say_dominant
from harness.values.case import Case, ModelSetting
from harness.values.record import Epoch, Record, SetSize
from harness.values.stages import PassCosts, StageCosts

MS = 1e-3


def costs(*, first: dict[str, float] | None = None, whole: float | None = None, **steady: float) -> StageCosts:
    """In milliseconds."""

    def passed(stages: dict[str, float], cpu_ms: float) -> PassCosts:
        said = [{"name": name, "cpu_s": ms * MS} for name, ms in stages.items()]
        return PassCosts.model_validate({"cpu_s": cpu_ms * MS, "stages": said})

    return StageCosts(
        images=96,
        rounds=3,
        steady=passed(steady, sum(steady.values()) if whole is None else whole),
        first=None if first is None else passed(first, sum(first.values())),
    )


def record(found: StageCosts | None, *, busy: float = 2.0, host: str = "a", number: int = 1, **changes: Any) -> Record:
    """A case on two CPUs; ``busy`` of them are at work."""
    case = Case(**{"data": "d", "loader": "tfdata", **changes})
    epochs = tuple(Epoch(index=index, images=100, seconds=1.0, cpu_s=busy) for index in range(1, case.epochs + 1))
    more: dict[str, Any] = {"round": number, "order": number, "invocation": f"{host}-{case.case_id}-{number}"}
    return plain_record(
        case, host=host, stages=found, epochs=epochs, environment={"offered": {"cpus": 2, "gpus": 0}}, **more
    )


def setting_of(*records: Record) -> Setting:
    ((setting,),) = [group.settings for group in build_matrix(records)]
    return setting


def test_what_is_done_with_images_changes_no_stage_and_what_is_done_to_them_does() -> None:
    plain = Case(data="d", loader="tfdata")
    model = ModelSetting(alpha=0.25)
    same: list[dict[str, Any]] = [
        {"mode": "train", "model": model},
        {"epochs": 9},
        {"memory_limit": 10**9},
        {"max_images": 5},
        {"page_cache": "warm"},
        {"gpus": 0},
    ]
    other: list[dict[str, Any]] = [
        {"loader": "keras-idg"},
        {"cache": "memory"},
        {"image_size": (64, 64)},
        {"batch_size": 8},
        {"decoding": "scaled"},
        {"cpus": 1},
        {"data": "e"},
    ]
    assert {stage_key(plain.model_copy(update=changes)) for changes in same} == {stage_key(plain)}
    assert len({stage_key(plain.model_copy(update=changes)) for changes in other} | {stage_key(plain)}) == 8
    trained = Case(data="d", loader="tfdata", mode="train", model=model, memory_limit=10**9, max_images=7)
    found = stage_case(trained)
    assert (found.mode, found.model, found.memory_limit, found.max_images) == ("load", None, "none", None)
    assert stage_key(found) == stage_key(trained)


def test_few_images_are_enough_and_fewer_where_memory_is_short() -> None:
    case = Case(data="d", loader="tfdata", cache="memory")
    assert images_to_cost(case, SetSize(images=10_000), None) == MOST_IMAGES
    assert images_to_cost(case, SetSize(images=40), None) == 40
    assert images_to_cost(case.model_copy(update={"batch_size": 128}), SetSize(images=10_000), None) == 128
    assert images_to_cost(case, SetSize(images=10_000), 10**9) == 52
    assert images_to_cost(case, SetSize(images=10_000), 10**6) == case.batch_size


def test_a_bar_is_drawn_for_each_loader_and_for_the_epoch_that_fills_a_cache() -> None:
    plain = costs(read=0.2, decode=2.0, batch=0.3)
    kept = costs(cache=0.1, batch=0.1, first={"read": 0.2, "decode": 2.0, "cache": 0.4, "batch": 0.1})
    setting = setting_of(
        record(plain),
        record(plain, memory_limit=10**9),
        record(kept, cache="memory"),
        record(None, loader="keras-idg"),
    )
    bars = [(bar.row.case.cache, bar.which, round(bar.cpu_s / MS, 3)) for bar in list_bars(setting)]
    assert bars == [("none", "steady", 2.5), ("memory", "steady", 0.2), ("memory", "first", 2.7)]
    single = setting_of(record(plain, epochs=1), record(kept, cache="memory", epochs=1))
    assert [(bar.row.case.cache, bar.which) for bar in list_bars(single)] == [("none", "steady"), ("memory", "first")]
    (reused,) = list_bars(setting_of(record(kept, cache="file", cache_reuse="reused")))
    assert reused.which == "steady", "nothing is filled"


def test_of_several_hosts_the_middle_one_is_drawn() -> None:
    each = [record(costs(read=0.2, decode=ms), host=host) for host, ms in (("a", 3.0), ("b", 2.0), ("c", 9.0))]
    (bar,) = list_bars(setting_of(*each))
    assert bar.cpu_s == pytest.approx(3.2 * MS)


def dominant(found: StageCosts, **changes: Any) -> str | None:
    setting = setting_of(record(found, **changes))
    (row,) = setting.rows
    assert (find_dominant(row, setting) is None) == (not list(say_dominant([row], setting)))
    return next(iter(say_dominant([row], setting)), None)


def test_the_stage_that_has_most_of_the_time_is_said_with_what_helps() -> None:
    decoding = costs(read=0.3, decode=1.24, resize=0.3, batch=0.16)
    assert dominant(decoding) == (
        "tfdata spends 62 % of an image's CPU time on decoding: a cache helps, more readers do not."
    )
    assert dominant(decoding, busy=0.5) == "tfdata spends 62 % of an image's CPU time on decoding: a cache helps."
    alone = dominant(decoding, loader="keras-idg", busy=1.0)
    assert alone is not None and alone.endswith("a cache helps, and so does a loader that uses more than one thread.")
    handing = dominant(costs(read=0.3, decode=1.0, batch=3.0))
    assert handing is not None and "batching: uint8 images or fewer copies help" in handing


def test_nothing_is_said_where_no_stage_has_most_or_it_is_little() -> None:
    assert dominant(costs(read=1.0, decode=1.0, resize=1.0)) is None
    assert dominant(costs(read=0.01, decode=0.3)) is None, "thousands of images a CPU second"
    assert dominant(costs(read=1.0, decode=1.0, whole=9.0)) is None, "most of it is in no stage"
    assert dominant(costs(read=1.0, decode=9.0, whole=5.0)) is None, "they are not told apart"
