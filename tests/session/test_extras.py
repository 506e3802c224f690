"""The A/A pair and the warm runs in a plan."""

from __future__ import annotations

from harness.analysis.predictions import predict
from harness.experiment import parse_experiment
from harness.session.extras import choose_twin, choose_warm
from harness.session.invocations import HostDigests, plan_host
from harness.values.case import Case
from harness.values.prediction import Prediction
from harness.values.record import TWIN, WARM_RUN, SetSize

IDG, PLAIN = Case(data="d", loader="keras-idg"), Case(data="d", loader="tfdata")
TRAIN = Case(data="d", loader="tfdata", mode="train", memory_limit=10**9)
EXPERIMENT = parse_experiment("parameters: {data: d, loader: [keras-idg, tfdata]}", "test.yaml")


def predicted(case: Case, limit: int) -> Prediction:
    found = predict(case, SetSize(images=100), limit=limit)
    assert found is not None
    return found


def test_every_round_runs_one_case_twice_somewhere() -> None:
    digests = HostDigests("here", "i", "p", {"d": "f"})
    planned = plan_host(
        digests,
        [IDG, PLAIN],
        rounds=12,
        order=lambda cases, _round: cases,
        limits={},
        predictions={},
        twin=IDG,
        extras=[TRAIN],
        extra_rounds=2,
    )
    twins = [each for each in planned if each.alias == TWIN]
    assert [each.round for each in twins] == list(range(1, 13))
    assert {each.case for each in twins} == {IDG}
    assert len({each.order for each in twins}) > 1  # not always first or last: it must not profit from its place
    assert len({each.identity for each in planned}) == len(planned)
    assert [(each.round, each.alias) for each in planned if each.case == TRAIN] == [(1, WARM_RUN), (2, WARM_RUN)]
    for number in (1, 5):
        orders = [each.order for each in planned if each.round == number]
        assert orders == list(range(1, len(orders) + 1))


def test_the_baseline_is_run_twice_or_the_first_that_can_live() -> None:
    predictions = {PLAIN.case_id: predicted(PLAIN, 10**9), IDG.case_id: predicted(IDG, 10**9)}
    cases = [PLAIN, IDG]
    assert choose_twin(cases, EXPERIMENT, refused=frozenset(), predictions=predictions) == IDG
    assert choose_twin(cases, EXPERIMENT, refused=frozenset({IDG.case_id}), predictions=predictions) == PLAIN
    predictions[PLAIN.case_id] = predicted(PLAIN, 10**8)
    assert choose_twin(cases, EXPERIMENT, refused=frozenset({IDG.case_id}), predictions=predictions) is None


def test_warm_runs_are_for_training_that_reads_and_has_room() -> None:
    cases = [PLAIN, TRAIN]
    sizes = {case.case_id: 10**8 for case in cases}
    limits = {case.case_id: 10**9 for case in cases}
    (warm,) = choose_warm(cases, refused=frozenset(), predictions={}, data_bytes=sizes, limits=limits)
    assert warm == TRAIN.model_copy(update={"page_cache": "warm"})
    large = dict.fromkeys(sizes, 10**10)
    assert choose_warm(cases, refused=frozenset(), predictions={}, data_bytes=large, limits=limits) == []
