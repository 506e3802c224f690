"""Properties of the matrix: what its size is, what rules do to it, and that nothing is there twice."""

# mypy: disable-error-code="union-attr"

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.bench.protocol.loader_registry import LOADERS, is_automatic
from harness.experiment import PARAMETERS, Experiment, baseline_of, expand, select_cases
from harness.experiment.matrix import combinations, count_combinations
from harness.experiment.meaning import meaningless_because, normalise
from harness.experiment.parameters import Assignment
from harness.values.case import Case, ModelSetting
from harness.values.comparability import ceiling_key, comparable_key
from harness.values.errors import ConfigurationError
from harness.values.names import case_label, exact_size
from harness.values.units import parse_bytes

PIPELINES = sorted(name for name, spec in LOADERS.items() if not spec.is_automatic)

VALUES: dict[str, list[Any]] = {
    "data": ["coco", "dogs-and-cats"],
    "mode": ["load", "train"],
    "loader": PIPELINES,
    "cache": ["none", "memory", "file", True],
    "cache_reuse": ["fresh", "reused"],
    "cache_disk": ["scratch", "nvme"],
    "memory_limit": ["none", "1GB", "1.5GiB"],
    "image_size": [128, 256, "64x96"],
    "interpolation": ["nearest", "bilinear", "native"],
    "model": [{"alpha": 0.25}, "mobilenet"],
    "epochs": [1, 2],
    "deterministic": [True, False],
    "augment": ["none", "flip-crop"],
    "max_images": [None, 10],
    "workers": ["auto", 0, 1, 4],
    "shuffle_buffer": ["auto", "full", 100],
}


@st.composite
def assignments(draw: Any, *, required: Any = (), least: int = 0) -> dict[str, Any]:
    optional = st.lists(st.sampled_from(sorted(VALUES)), unique=True, min_size=least, max_size=5)
    names = sorted({*required, *draw(optional)})
    return {name: draw(st.lists(st.sampled_from(VALUES[name]), min_size=1, max_size=3)) for name in names}


experiments = st.builds(
    lambda parameters, exclude, include: {
        "name": "x", "parameters": parameters, "exclude": exclude, "include": include
    },
    assignments(required=("data", "loader")),
    st.lists(assignments(least=1), max_size=2),
    st.lists(assignments(least=1), max_size=2),
)  # fmt: skip


def expand_or_none(experiment: Any) -> Any:
    try:
        return expand(experiment, data_kinds={"coco": "coco"})
    except ConfigurationError as error:
        assert "the matrix is empty" in str(error)
        return None


@given(experiments)
@settings(max_examples=120, deadline=None)
def test_every_combination_is_a_case_or_is_told_why_not(value: Any) -> None:
    experiment = Experiment.model_validate(value)
    matrix = expand_or_none(experiment)
    if matrix is None:
        return
    pipelines = [case for case in matrix.cases if not is_automatic(case.loader)]
    excluded = [out for out in matrix.excluded if not is_automatic(out.case.loader)]
    first = {name: getattr(experiment.parameters, name)[:1] for name in PARAMETERS}
    added = sum(math.prod(len(v) for v in {**first, **rule.named()}.values()) for rule in experiment.include)
    assert len(pipelines) + len(matrix.left_out) + len(excluded) == count_combinations(experiment.parameters) + added
    assert len(set(matrix.cases)) == len(matrix.cases) == len({case.case_id for case in matrix.cases})
    assert all(out.reason and out.description for out in (*matrix.left_out, *matrix.excluded))


@given(assignments(required=("data", "loader")))
@settings(max_examples=60, deadline=None)
def test_the_size_of_the_product_is_the_product_of_the_sizes(parameters: Any) -> None:
    experiment = Experiment.model_validate({"name": "x", "parameters": parameters})
    everything = list(combinations(experiment.parameters))
    sizes = [len(getattr(experiment.parameters, name)) for name in PARAMETERS]
    assert len(everything) == len(set(everything)) == math.prod(sizes)


@given(experiments)
@settings(max_examples=80, deadline=None)
def test_excluded_cases_are_gone_and_the_rest_stays(value: Any) -> None:
    whole = expand_or_none(Experiment.model_validate({**value, "exclude": [], "include": []}))
    experiment = Experiment.model_validate({**value, "include": []})
    matrix = expand_or_none(experiment)
    if whole is None or matrix is None:
        return

    def is_out(case: Any) -> Any:
        return any(rule.matches(case) for rule in experiment.exclude)

    pipelines = [case for case in matrix.cases if not is_automatic(case.loader)]
    assert pipelines == [case for case in whole.cases if not is_automatic(case.loader) and not is_out(case)]


@given(experiments)
@settings(max_examples=80, deadline=None)
def test_includes_only_add_and_no_rule_takes_them_away(value: Any) -> None:
    without = expand_or_none(Experiment.model_validate({**value, "include": []}))
    experiment = Experiment.model_validate(value)
    matrix = expand_or_none(experiment)
    if matrix is None:
        assert without is None
        return
    before = set() if without is None else {case for case in without.cases if not is_automatic(case.loader)}
    after = {case for case in matrix.cases if not is_automatic(case.loader)}
    assert before <= after
    for case in after - before:
        assert any(rule.matches(case) or _matches_unnormalised(rule, case) for rule in experiment.include)


def _matches_unnormalised(rule: Any, case: Any) -> Any:
    """A rule may name what plays no part in the case that it adds (a model where nothing is trained)."""
    idle = {"model", "precision", "gpus"} if case.mode == "load" else set()
    idle |= {"cache_disk", "cache_reuse"} if case.cache != "file" else set()
    idle |= {"workers"} if not LOADERS[case.loader].workers or case.workers == 0 else set()
    idle |= {"shuffle_buffer"} if not LOADERS[case.loader].takes_buffer else set()
    relevant = {name: values for name, values in rule.named().items() if name not in idle}
    return Assignment(**relevant).matches(case)


@given(experiments)
@settings(max_examples=80, deadline=None)
def test_folding_is_idempotent(value: Any) -> None:
    matrix = expand_or_none(Experiment.model_validate(value))
    for case in matrix.cases if matrix else ():
        assert normalise(case) == (case, ()) or is_automatic(case.loader)
        assert meaningless_because(case) is None


def as_typed(case: Case, name: str) -> str:
    """A parameter's value as ``--only`` takes it."""
    value = getattr(case, name)
    if value is None:
        return {"max_images": "all", "cpus": "auto", "workers": "auto"}[name]
    return (
        f"{value[0]}x{value[1]}"
        if name == "image_size"
        else json.dumps(value)
        if isinstance(value, bool)
        else str(value)
    )


@given(experiments)
@settings(max_examples=60, deadline=None)
def test_labels_and_patterns_name_one_case_each(value: Any) -> None:
    matrix = expand_or_none(Experiment.model_validate(value))
    if matrix is None:
        return
    labels = [case_label(case, matrix.cases) for case in matrix.cases]
    assert len(set(labels)) == len(labels)
    for case in matrix.cases:
        only = ",".join(f"{name}={as_typed(case, name)}" for name in PARAMETERS if name != "model")
        assert case in select_cases(matrix.cases, [only])
        assert select_cases(matrix.cases, [case.case_id]) == (case,)


@given(experiments)
@settings(max_examples=60, deadline=None)
def test_each_training_case_has_one_ceiling_and_comparable_cases_share_their_baseline(value: Any) -> None:
    experiment = Experiment.model_validate({**value, "exclude": []})
    matrix = expand_or_none(experiment)
    if matrix is None:
        return
    ceilings = [case for case in matrix.cases if is_automatic(case.loader)]
    for case in matrix.cases:
        if case.mode == "train":
            (ceiling,) = [other for other in ceilings if ceiling_key(other) == ceiling_key(case)]
            assert (ceiling.loader, ceiling.cache, ceiling.memory_limit) == ("ceiling", "none", "none")
            assert (ceiling.model, ceiling.image_size, ceiling.data) == (case.model, case.image_size, case.data)
        baseline = baseline_of(case, matrix.cases, experiment)
        if baseline is not None:
            assert baseline.loader == "keras-idg"
            assert comparable_key(baseline) == comparable_key(case)
            assert baseline_of(baseline, matrix.cases, experiment) == baseline
    assert len(ceilings) == len({ceiling_key(case) for case in matrix.cases if case.mode == "train"})


def make(parameters: Any, **rest: Any) -> Any:
    return Experiment.model_validate({"name": "x", "parameters": {"data": "coco", **parameters}, **rest})


def test_parameters_that_play_no_part_fold_cases_together() -> None:
    matrix = expand(make({"loader": "tfdata", "cache": ["none", "file"], "cache_disk": ["scratch", "nvme"]}))
    assert [(case.cache, case.cache_disk) for case in matrix.cases] == [
        ("none", "scratch"), ("file", "scratch"), ("file", "nvme")
    ]  # fmt: skip
    assert [out.reason for out in matrix.left_out] == [
        "the same as another case: cache_disk has no effect with cache none"
    ]


def test_numbers_of_workers_and_buffers_belong_to_loaders_that_have_them() -> None:
    loaders = ["keras-idg", "keras-pydataset", "tfdata"]
    matrix = expand(make({"loader": loaders, "workers": [0, 1, 2], "shuffle_buffer": ["full", 1000]}))
    assert [(case.loader, case.workers, case.shuffle_buffer) for case in matrix.cases] == [
        ("keras-idg", None, "auto"),
        ("keras-pydataset", 0, "auto"), ("keras-pydataset", 2, "auto"),
        *(("tfdata", workers, size) for workers in (0, 1, 2) for size in ("full", 1000)),
    ]  # fmt: skip
    reasons = {out.reason for out in matrix.left_out}
    assert "the same as another case: workers, shuffle_buffer have no effect with loader keras-idg" in reasons
    assert [case.shuffle_buffer for case in expand(make({"loader": "tfdata", "shuffle": False,
            "shuffle_buffer": [10, "full"]})).cases] == ["auto"]  # fmt: skip


def test_loading_has_no_model_and_asks_for_no_gpu_and_training_has_a_model() -> None:
    load, train, ceiling = expand(make({"loader": "tfdata", "mode": ["load", "train"], "gpus": "auto"})).cases
    assert (load.model, load.gpus) == (None, 0)
    assert train.model == ceiling.model == ModelSetting()
    assert train.gpus == ceiling.gpus == "auto"


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        ({"loader": "keras-idg", "cache": "memory"}, "keras-idg does not cache"),
        ({"loader": "keras-idg", "interpolation": "bilinear"}, "keras-idg does not support interpolation bilinear"),
        ({"loader": "tfdata", "cache": "tfrecord-resized"}, "cache tfrecord-resized does not support element float32"),
        ({"loader": "keras-idg", "augment": "flip-crop"}, "keras-idg does not support augment flip-crop: it has no"),
        ({"loader": "keras-idg", "decoding": "scaled"}, "keras-idg does not support decoding scaled"),
        ({"loader": "keras-directory", "augment": "flip-crop"}, "keras-directory does not support augment flip-crop"),
        ({"loader": "keras-idg", "deterministic": False}, "deterministic false has no effect"),
        ({"loader": "keras-directory", "workers": 0}, "keras-directory needs at least 1 worker, not 0"),
        ({"loader": "tfdata", "cache": "array", "element": "encoded"}, "cache array does not support element encoded"),
        ({"loader": "tfdata", "cache": "file", "deliver": "uint8"}, "it cannot deliver uint8"),
    ],
)
def test_what_no_loader_makes_is_an_empty_matrix_that_says_why(parameters: Any, reason: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        expand(make(parameters))
    assert "none of 1 combination is left" in str(caught.value)
    assert reason in str(caught.value)


def test_an_empty_matrix_counts_each_reason() -> None:
    experiment = make({"loader": ["keras-idg", "tfdata"], "cache": ["memory", "none"]}, exclude=[{"cache": "none"},
                      {"loader": "tfdata"}])  # fmt: skip
    with pytest.raises(ConfigurationError) as caught:
        expand(experiment)
    text = str(caught.value)
    assert "1 × keras-idg does not cache" in text
    assert "2 × exclude rule 1" in text
    assert "1 × exclude rule 2" in text


def test_an_absurd_product_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="combinations, more than"):
        expand(make({"loader": "tfdata", "batch_size": list(range(1, 300)), "epochs": list(range(1, 300))}))


def test_what_is_delivered_is_a_setting_with_a_baseline_and_a_ceiling_of_its_own() -> None:
    parameters = {"loader": ["keras-idg", "tfdata"], "mode": "train", "deliver": ["float32", "uint8"]}
    experiment = make(parameters, baseline={"loader": "keras-idg"})
    matrix = expand(experiment)
    ceilings = [case for case in matrix.cases if is_automatic(case.loader)]
    assert sorted(case.deliver for case in ceilings) == ["float32", "uint8"]
    for case in matrix.cases:
        baseline = baseline_of(case, matrix.cases, experiment)
        assert is_automatic(case.loader) or (baseline is not None and baseline.deliver == case.deliver)


def test_an_include_rule_takes_the_first_value_of_what_it_does_not_name() -> None:
    experiment = make(
        {"loader": ["keras-idg", "tfdata"], "memory_limit": ["1GB", "2GB"], "batch_size": [8, 16]},
        exclude=[{"batch_size": 8}],
        include=[{"loader": "tfdata", "cache": ["memory", "file"], "image_size": 64}],
    )
    added = [case for case in expand(experiment).cases if case.image_size == (64, 64)]
    assert [(case.cache, case.memory_limit, case.batch_size) for case in added] == [
        ("memory", 10**9, 8), ("file", 10**9, 8)
    ]  # fmt: skip


def test_only_a_rule_that_names_the_ceiling_turns_it_off() -> None:
    parameters = {"loader": "tfdata", "mode": "train", "memory_limit": ["none", "1GB"]}
    kept = expand(make(parameters, exclude=[{"memory_limit": "none"}])).cases
    assert [case.loader for case in kept] == ["tfdata", "ceiling"]
    off = expand(make(parameters, exclude=[{"loader": "ceiling"}]))
    assert [case.loader for case in off.cases] == ["tfdata", "tfdata"]
    assert [out.reason for out in off.excluded] == ["exclude rule 1"]


def test_the_ceiling_runs_the_longest_and_smallest_of_what_it_stands_for() -> None:
    parameters = {"loader": "tfdata", "mode": "train", "epochs": [1, 3], "max_images": ["all", 100, 50]}
    ceilings = [case for case in expand(make(parameters)).cases if is_automatic(case.loader)]
    assert [(case.epochs, case.max_images) for case in ceilings] == [(3, 50)]


def test_exclude_matches_a_model_by_the_fields_that_the_rule_names() -> None:
    parameters = {"loader": "tfdata", "mode": "train", "model": [{"alpha": 0.25}, {"alpha": 1.0}]}
    matrix = expand(make(parameters, exclude=[{"model": {"alpha": 0.25}}]))
    assert [case.model.alpha for case in matrix.cases] == [1.0, 1.0]
    assert {case.loader for case in matrix.cases} == {"tfdata", "ceiling"}


def test_notes_tell_of_rules_and_baselines_that_match_nothing() -> None:
    matrix = expand(make({"loader": "tfdata"}, exclude=[{"cache": "file"}], notes=["mind this"]))
    assert matrix.notes == (
        "mind this",
        "exclude rule 1 matches no case",
        "no case matches the baseline (loader: keras-idg): the results have no ratios",
    )


def test_a_loader_that_cannot_read_a_data_set_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    import dataclasses

    from harness.bench.protocol import loader_registry

    narrow = dataclasses.replace(loader_registry.LOADERS["keras-directory"], kinds=("folder",))
    monkeypatch.setitem(loader_registry.LOADERS, "keras-directory", narrow)
    experiment = make({"loader": ["keras-directory", "tfdata"]})
    assert len(expand(experiment).cases) == 2
    matrix = expand(experiment, data_kinds={"coco": "coco"})
    assert [case.loader for case in matrix.cases] == ["tfdata"]
    assert matrix.left_out[0].reason == "keras-directory cannot read coco, which is of kind coco (it reads: folder)"


def test_records_are_for_loaders_that_read_them() -> None:
    experiment = make({"loader": ["keras-idg", "keras-directory", "tfdata", "grain", "decoder"]})
    matrix = expand(experiment, data_kinds={"coco": "tfrecord"})
    assert [case.loader for case in matrix.cases] == ["tfdata", "grain", "decoder"]
    assert [out.reason for out in matrix.left_out] == [
        f"{name} cannot read coco, which is of kind tfrecord (it reads: folder, coco)"
        for name in ("keras-idg", "keras-directory")
    ]


def test_labels_show_loader_cache_limit_and_what_tells_cases_apart() -> None:
    experiment = make({"loader": ["keras-idg", "tfdata"], "cache": ["none", "file"], "memory_limit": ["none", "1GB"]})
    cases = expand(experiment).cases
    assert [case_label(case, cases) for case in cases] == [
        "keras-idg, no limit", "keras-idg, limit 1 GB",
        "tfdata, no cache, no limit", "tfdata, no cache, limit 1 GB",
        "tfdata, file cache, no limit", "tfdata, file cache, limit 1 GB",
    ]  # fmt: skip
    assert case_label(cases[0]) == "keras-idg"
    assert case_label(cases[3], alias="b") == "tfdata, no cache, limit 1 GB, repeat check (A/A)"


def test_a_case_alone_still_names_loader_cache_and_limit() -> None:
    case = Case(data="d", loader="/home/somebody/mine.py:make", cache="memory", memory_limit=1_500_000_000)
    assert case_label(case) == "mine.py:make, memory cache, limit 1.5 GB"
    assert case_label(Case(data="d", loader="tfdata", memory_limit="none")) == "tfdata, no cache"
    said = [case_label(Case(data="d", loader="grain", memory_limit=size)) for size in (7 * 10**8, 2**34, 1234567891)]
    assert said == ["grain, limit 700 MB", "grain, limit 16 GiB", "grain, limit 1.23 GB"]


def test_only_takes_pairs_alternatives_and_ids_and_refuses_the_rest() -> None:
    varied = {"cache": ["none", "memory", "file"], "mode": ["load", "train"], "memory_limit": ["none", "1GB"]}
    experiment = make({"loader": ["keras-idg", "tfdata"], "model": {"alpha": 0.5}, **varied})
    cases = expand(experiment).cases
    assert select_cases(cases, []) == cases
    assert {c.cache for c in select_cases(cases, ["loader=tfdata, cache=memory|file"])} == {"memory", "file"}
    assert {c.memory_limit for c in select_cases(cases, ["memory_limit=1000MB"])} == {10**9}
    assert {c.cache for c in select_cases(cases, ["cache=true"])} == {"memory"}
    assert {c.mode for c in select_cases(cases, ["alpha=0.5"])} == {"train"}
    both = select_cases(cases, ["cache=file", cases[0].case_id[:6]])
    assert {c.cache for c in both} == {"none", "file"}
    assert list(both) == [c for c in cases if c in both]
    for pattern, text in {
        "loadr=tfdata": "did you mean loader",
        "loader=tfdat": "did you mean tfdata",
        "cache=": "is not parameter=value",
        "tfdata": "neither parameter=value",
        "memory_limit=16G": "is not a size",
        "epochs=7": "no case matches",
        "cache=[": "cannot be read",
    }.items():
        with pytest.raises(ConfigurationError, match=text.replace("(", r"\(")):
            select_cases(cases, [pattern])


@given(st.integers(1, 2**53))
def test_sizes_in_labels_read_back_exactly(count: Any) -> None:
    assert parse_bytes(exact_size(count)) == count


def test_parameters_are_those_of_a_case_and_take_its_values() -> None:
    assert set(PARAMETERS) == set(Case.model_fields)
    experiment = make({"loader": "tfdata"})
    assert expand(experiment).cases[0] == normalise(Case(data="coco", loader="tfdata"))[0]
    for name in ("cache_reuse", "budgets", "augment", "precision", "element", "interpolation", "page_cache", "mode"):
        import typing

        of_file = typing.get_args(Assignment.model_fields[name].annotation)[0]
        assert of_file == Case.model_fields[name].annotation, name
