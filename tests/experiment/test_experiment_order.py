"""Orders and digests: permutations that are the same everywhere, and names that change when what is measured does."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.experiment import Experiment, choose_experiment, experiment_digest, load_experiment, round_order
from harness.values.case import Case
from harness.values.errors import ConfigurationError

CASES = tuple(Case(data="coco", loader="tfdata", batch_size=size) for size in range(1, 9))

VALUE: dict[str, Any] = {
    "name": "x",
    "parameters": {"data": "coco", "loader": ["keras-idg", "tfdata"], "image_size": 128},
}


@given(st.sets(st.sampled_from(CASES)), st.integers(), st.text(max_size=8), st.integers(1, 50))
def test_an_order_is_a_permutation_that_depends_on_its_arguments_only(
    cases: Any, seed: Any, host: Any, number: Any
) -> None:
    once = round_order(sorted(cases, key=lambda c: c.batch_size), seed=seed, host=host, round_number=number)
    again = round_order(list(cases), seed=seed, host=host, round_number=number)
    assert once == again
    assert set(once) == cases
    assert len(once) == len(cases)


@given(st.sampled_from(CASES), st.integers())
def test_one_case_less_leaves_the_order_of_the_others(case: Any, seed: Any) -> None:
    whole = round_order(CASES, seed=seed, host="a", round_number=1)
    part = round_order([c for c in CASES if c != case], seed=seed, host="a", round_number=1)
    assert part == tuple(c for c in whole if c != case)


def test_rounds_hosts_and_seeds_differ() -> None:
    orders = {
        round_order(CASES, seed=seed, host=host, round_number=number)
        for seed in (1, 2) for host in ("a", "b") for number in (1, 2)
    }  # fmt: skip
    assert len(orders) == 8


def test_no_case_is_first_more_often_than_chance_allows() -> None:
    firsts = [round_order(CASES, seed=1, host="a", round_number=n)[0].batch_size for n in range(800)]
    assert all(60 < firsts.count(case.batch_size) < 140 for case in CASES)


def test_the_order_is_the_recorded_one() -> None:
    """A session that goes on under another Python or version must meet the same order."""
    order = round_order(CASES, seed=1, host="ws01", round_number=1)
    assert [case.batch_size for case in order] == RECORDED


RECORDED = [7, 4, 3, 6, 2, 1, 5, 8]


def digest(**changes: Any) -> Any:
    return experiment_digest(Experiment.model_validate({**VALUE, **changes}))


@pytest.mark.parametrize(
    "change", [{"rounds": 7}, {"budget": "2h"}, {"timeout": "1min"}, {"rounds": 1, "budget": 60}, {"notes": ["mind"]}]
)
def test_more_rounds_or_time_continue_the_same_session(change: Any) -> None:
    assert digest(**change) == digest()


@pytest.mark.parametrize(
    "change",
    [
        {"name": "y"},
        {"description": "d"},
        {"seed": 2},
        {"baseline": {"loader": "tfdata"}},
        {"exclude": [{"cache": "file"}]},
        {"include": [{"cache": "file"}]},
        {"parameters": {**VALUE["parameters"], "epochs": 3}},
        {"parameters": {**VALUE["parameters"], "memory_limit": "1GB"}},
        {"parameters": {**VALUE["parameters"], "model": {"weights": "imagenet"}}},
        {"parameters": {"data": "coco", "loader": ["keras-idg", "tfdata"]}},
    ],
)
def test_anything_else_is_another_session(change: Any) -> None:
    assert digest(**change) != digest()


def test_the_digest_is_of_what_is_meant_not_of_how_it_is_written() -> None:
    wordy = {"data": ["coco"], "loader": ["keras-idg", "tfdata", "tfdata"], "image_size": "128x128", "cache": False,
             "memory_limit": "none", "model": "mobilenet", "cpus": "auto"}  # fmt: skip
    assert digest(parameters=wordy) == digest()
    sizes = [digest(parameters={**VALUE["parameters"], "memory_limit": limit}) for limit in ("1GB", 10**9, "1000 MB")]
    assert len(set(sizes)) == 1


@pytest.mark.parametrize("name", ["quick", "article", "article-short", "loading"])
def test_a_session_reads_back_the_experiment_that_it_wrote(name: str) -> None:
    experiment = load_experiment(name)
    again = Experiment.model_validate_json(experiment.model_dump_json())
    assert again == experiment
    assert experiment_digest(again) == experiment_digest(experiment)


def test_which_experiment() -> None:
    assert choose_experiment("mine.yaml", ["article"], ["coco"])[0] == "mine.yaml"
    assert choose_experiment(None, [None, "loading", "loading"], ["coco"]) == ("loading", "named in the inventory")
    assert choose_experiment(None, [None], {"coco": 1})[0] == "article"
    assert choose_experiment(None, [], ["coco-mini"])[0] == "quick"
    with pytest.raises(ConfigurationError, match="different experiments: loading, quick"):
        choose_experiment(None, ["quick", "loading"], [])
