"""What the advice says, word for word, on the page and in the terminal."""

# mypy: disable-error-code="operator"

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from builder import SessionBuilder, make_case, make_finding, make_oom, make_record

from harness.analysis.matrix import build_matrix
from harness.analysis.signs import VERDICTS
from harness.report.cases import view_cases
from harness.report.charts.cumulated import chart_cumulated
from harness.report.columns import tabulate_rows
from harness.report.labels import label_verdict
from harness.report.source import read_source
from harness.report.terminal import view_terminal
from harness.values.record import Memory, Record, SetSize

GB = 10**9


def rounds(loader: str, cache: str = "none", *, count: int = 3, **changes: Any) -> list[Record]:
    """Records of one case, a round each; parameters of the case under ``case``."""
    case = make_case(loader=loader, cache=cache, **changes.pop("case", {}))
    return [make_record(case, round=number, **changes) for number in range(1, count + 1)]


@pytest.fixture
def say(tmp_path: Path) -> Any:
    """The terminal's advice of records: the sentence and its notes."""

    def say(records: Sequence[Record], rounds: int = 3) -> str:
        folder = SessionBuilder(rounds=rounds).add(*records).write(tmp_path / str(len(list(tmp_path.iterdir()))))
        return "\n".join(said for view in view_terminal(read_source(folder)) for said in view.advice)

    return say


def test_a_cache_whose_loader_was_not_measured_without_one_is_not_called_useless(say: Any) -> None:
    words = say(rounds("keras-idg", rate=10) + rounds("tfdata", "memory", rate=125))
    assert re.search(r"tfdata with memory cache, 12\.\d×", words)
    assert (
        "Whether the memory cache pays for itself is not known: tfdata was not measured without a cache; "
        "it takes 78.8 MB of memory" in words
    )
    assert "does not pay" not in words


def test_a_loader_that_died_without_a_cache_leaves_payback_unknown(say: Any) -> None:
    records = rounds("keras-idg", rate=10) + rounds("tfdata", status="oom", epochs=())
    words = say(records + rounds("tfdata", "file", rate=70))
    assert "Whether the file cache pays for itself is not known: tfdata without a cache has no result" in words


def test_the_yardstick_is_measured_and_not_advised(say: Any) -> None:
    words = say(rounds("keras-idg", rate=10) + rounds("tfdata", rate=90) + rounds("decoder", rate=300))
    assert "tfdata, 8.9" in words and "decoder" not in words
    assert "no advice: only the yardstick was measured here" in say(rounds("decoder", rate=300))


def test_the_chart_of_paybacks_tells_never_from_not_known() -> None:
    known = rounds("tfdata", rate=100, first_rate=100)
    never = rounds("tfdata", "file", rate=60, first_rate=50)
    (group,) = build_matrix(rounds("keras-idg", rate=10) + known + never)
    chart = chart_cumulated(group, group.settings[0])
    assert chart is not None and "does not pay for itself: a later epoch takes" in chart.description
    (group,) = build_matrix(rounds("keras-idg", rate=10) + rounds("tfdata", "memory", rate=100))
    assert chart_cumulated(group, group.settings[0]) is None


BUSY = {"validity": "degraded", "findings": (make_finding("host-busy", "warning", "others used 1.0 of 2 CPUs"),)}


def test_three_measured_pairs_of_which_one_is_undisturbed_are_a_verdict_on_a_busy_host(say: Any) -> None:
    first, *others = rounds("keras-idg", rate=10)
    disturbed = [other.model_copy(update=BUSY) for other in others]
    words = say([first, *disturbed, *rounds("tfdata", rate=90)])
    assert re.search(
        r"tfdata, \d\.\d+× \(\d\.\d+–\d+\.\d+\) the images/s of keras-idg after the first epoch, 1 host, "
        r"3 pairs of runs, "
        r"2 of 3 on a busy host\.",
        words,
    )


def test_three_undisturbed_pairs_leave_the_others_out_and_say_so(say: Any) -> None:
    base = [*rounds("keras-idg", rate=10, count=5)]
    base[3:] = [other.model_copy(update=BUSY) for other in base[3:]]
    words = say([*base, *rounds("tfdata", rate=90, count=5)], rounds=5)
    assert "3 pairs of runs, 2 more disturbed pairs not counted." in words
    assert "busy" not in words


@pytest.mark.parametrize(
    ("case", "base", "said"),
    [
        ({1}, {1}, "one pair of runs gives no interval, at least 2 more rounds are needed."),
        ({1}, {1, 2, 3}, "one pair of runs gives no interval: 1 of 3 rounds has a result of both."),
        ({1, 2}, {3}, "no verdict: no round has results of both keras-idg and another pipeline."),
    ],
)
def test_why_there_is_no_interval_is_true(say: Any, case: Any, base: Any, said: str) -> None:
    records = [*rounds("keras-idg", rate=10), *rounds("tfdata", rate=90)]
    kept = [r for r in records if r.round in (base if r.case.loader == "keras-idg" else case)]
    assert said in say(kept)


def test_invalid_invocations_are_no_result_and_say_so(say: Any) -> None:
    bad: dict[str, Any] = {"validity": "invalid"}
    words = say([*rounds("keras-idg", rate=10, **bad), *rounds("tfdata", rate=90, **bad)])
    assert "no advice: no pipeline has a result here (invalid: test invalid)." in words
    words = say([*rounds("keras-idg", rate=10, **bad), *rounds("tfdata", rate=90)])
    assert "the baseline keras-idg has no result here (invalid: test invalid)" in words


PART: dict[str, Any] = {
    "images": 300,
    "whole": 1399,
    "served": 1.0,
    "case": {"max_images": 300, "image_size": (224, 224)},
}


def at(limit: int, **changes: Any) -> dict[str, Any]:
    """Part of a set under a limit; ``changes`` of the case."""
    return {**PART, "case": {**PART["case"], "memory_limit": limit, **changes}, "memory": memory(limit)}


def memory(limit: int, peak: int = 320_000_000) -> Memory:
    return Memory(limit_asked=limit, limit_effective=limit, peak_anon=peak, swap_used=0)


def cached(limit: int) -> dict[str, Any]:
    """The same with a memory cache of that part."""
    return {**at(limit), "memory": memory(limit, 320_000_000 + 300 * 602_116)}


def small(**changes: Any) -> dict[str, Any]:
    """The same under a limit that leaves 50 MB for files: the part has 48 MB, the whole set 224 MB."""
    return {**at(200_000_000, **changes), "memory": memory(200_000_000, 140_000_000)}


def test_advice_of_a_part_names_the_pipeline_for_the_whole_set(say: Any) -> None:
    words = say(
        rounds("keras-idg", rate=30, **at(GB))
        + rounds("tfdata", rate=90, **at(GB))
        + rounds("tfdata", "memory", rate=257, **cached(GB))
    )
    lead, answer, *_ = words.splitlines()
    assert "300 of 1,399 images" in lead
    assert re.search(
        r"With 1 GB for the container: tfdata, \d\.\d\d× \(.*\) the images/s of keras-idg after the first epoch, "
        r"1 host, "
        r"3 pairs of runs, measured on 300 of 1,399 images; tfdata with memory cache \(8\.\d\d× on the part that was "
        r"measured\) holds only up to about 1,1\d\d of 1,399 images under 1 GB, all 1,399 images need about 1\.1\d GB "
        r"\(predicted\)\.$",
        answer,
    ), answer


def test_a_memory_cache_that_holds_the_whole_set_says_what_it_needs(say: Any) -> None:
    words = say(rounds("keras-idg", rate=30, **at(2 * GB)) + rounds("tfdata", "memory", rate=257, **cached(2 * GB)))
    assert "tfdata with memory cache, 8." in words
    assert (
        "measured on 300 of 1,399 images (all of them need about 1.1" in words and "GB of memory, predicted)" in words
    )
    assert "of memory for all 1,399 images (predicted)" in words


def test_a_rate_with_the_files_in_memory_is_withdrawn_where_the_whole_set_exceeds_the_limit(say: Any) -> None:
    words = say(rounds("keras-idg", rate=30, **small()) + rounds("tfdata", rate=90, **small()))
    assert (
        "no advice: no result here holds on the whole set; no rate "
        "is given for tfdata and keras-idg: measured with the files in memory, 300 of 1,399 images; the whole set "
        "(224 MB) exceeds the limit of 200 MB: measure with `page_cache: cold`." in words
    )
    cold = {**small(page_cache="cold"), "served": 0.0}
    words = say(rounds("keras-idg", rate=30, **cold) + rounds("tfdata", rate=90, **cold))
    assert re.search(r"tfdata, \d\.\d\d× .* measured on 300 of 1,399 images\.", words) and "no rate" not in words


def test_the_part_stands_in_the_matrix_and_the_table_of_cases(tmp_path: Path) -> None:
    records = rounds("keras-idg", rate=30, **at(GB)) + rounds("tfdata", "memory", rate=257, **cached(GB))
    sessions = read_source(SessionBuilder().add(*records).write(tmp_path / "session"))
    (view,) = view_terminal(sessions)
    cells = [cell for row in view.tables[0].rows for cell in row[1:]]
    assert len(cells) == 2 and all("300 of 1,399 images" in cell for cell in cells)
    assert "whole set: does not fit (predicted, about 1,1" in cells[1]
    table = view_cases(build_matrix([record for session in sessions for record in session.records]))
    assert table is not None
    assert [row.tags[0] for row in table.rows] == ["300 of 1,399 images"] * 2
    assert any(tag.startswith("whole set: does not fit") for tag in table.rows[1].tags)


def test_the_part_stands_in_the_exports() -> None:
    (row,) = tabulate_rows(rounds("tfdata", "memory", rate=257, count=1, **cached(GB)))
    assert (row["images_per_epoch"], row["set_images"], row["whole_set_fit"]) == (300, 1399, "does not fit")
    assert 1100 < row["whole_set_images_held"] < 1120 and row["whole_set_memory_bytes"] > GB
    assert row["whole_set_rate"] == "holds"
    (row,) = tabulate_rows(rounds("tfdata", rate=90, count=1, **small()))
    assert (row["whole_set_fit"], row["whole_set_rate"]) == ("fits", "withdrawn")
    (row,) = tabulate_rows([make_record(make_case(), status="error", epochs=())])
    assert (row["set_images"], row["whole_set_fit"], row["whole_set_rate"]) == (None, None, None)


def test_how_busy_each_gpu_was_stands_in_the_exports() -> None:
    watched = {"gpus": [{"utilisation": {"mean": share}} for share in (0.934, None, 1)]}
    for gpu, said in ((watched, "93; –; 100"), ({"error": "x"}, None), (None, None)):
        (row,) = tabulate_rows([make_record(make_case(), io={"gpu": gpu})])
        assert row["gpu_utilisation"] == said


def test_the_size_of_a_set_comes_from_the_session_where_records_do_not_keep_it(tmp_path: Path) -> None:
    held = {name: value for name, value in at(GB).items() if name != "whole"}
    builder = SessionBuilder().add(*rounds("tfdata", rate=90, **held))
    builder.description["data"] = {"coco-test": {"fingerprint": "3" * 64, "images": 1399, "bytes": 224_000_000}}
    (session,) = read_source(builder.write(tmp_path / "session"))
    assert [record.set_size for record in session.records] == [SetSize(images=1399, bytes=224_000_000)] * 3
    builder.description["data"] = {"coco-test": {"fingerprint": "4" * 64, "images": 1399}}
    (session,) = read_source(builder.write(tmp_path / "other"))
    assert [record.set_size for record in session.records] == [None] * 3


def test_other_pixels_stand_in_the_sentence(say: Any) -> None:
    native = {"interpolation": "native"}
    records = rounds("keras-idg", rate=30, case=native, environment={"interpolation": "nearest"})
    words = say(records + rounds("tfdata", rate=90, case=native, environment={"interpolation": "bilinear"}))
    assert "with different pixels (tfdata: bilinear, keras-idg: nearest)." in words


def test_deaths_before_the_baseline_was_measured_say_nothing_of_the_rest(say: Any) -> None:
    words = say([make_oom(make_case(loader="tfdata", cache="memory", memory_limit=120 * 10**6))])
    assert "all that was measured here ran out of memory (tfdata with memory cache); the rest was not measured" in words
    assert "every case" not in words and "raise the memory limit" not in words


def test_a_death_speaks_for_smaller_limits_and_a_skipped_limit_for_itself_alone(say: Any) -> None:
    low, high = (
        [make_case(loader=loader, memory_limit=limit) for loader in ("keras-idg", "tfdata")]
        for limit in (120 * 10**6, 64 * 10**9)
    )
    died = [make_oom(case) for case in low]
    skipped = [make_record(case, status="skipped", epochs=()) for case in high]
    words = say([*died, *skipped, *rounds("keras-idg", rate=10), *rounds("tfdata", rate=90)])
    assert "p to 120 MB for the container: no advice: every case ran out of memory" in words
    assert "with 64 GB for the container: no advice" in words
    assert "less than" not in words


def test_a_baseline_whose_rate_does_not_hold_leaves_no_ratio_and_the_reason(say: Any) -> None:
    """It needs so much memory that the files of the whole set do not fit beside it; the cache of the other does."""
    limit = 700_000_000
    hungry = {**at(limit), "memory": memory(limit, 520_000_000)}
    small_cache = {**at(limit, element="uint8"), "memory": memory(limit, 365_000_000)}
    words = say(rounds("keras-idg", rate=30, **hungry) + rounds("tfdata", "memory", rate=257, **small_cache))
    assert "no ratio, because the result of the baseline keras-idg does not hold on the whole set, measured on" in words
    assert re.search(
        r"no rate is given for keras-idg: measured with the files in memory, 300 of 1,399 images; the whole set "
        r"\(224 MB\) exceeds the 170 MB that the limit of 700 MB leaves beside the program: measure with "
        r"`page_cache: cold`",
        words,
    )


def test_what_does_not_hold_at_one_limit_is_said_of_this_limit_alone(say: Any) -> None:
    tight, roomy = small(), {**at(GB), "memory": memory(GB, 140_000_000)}
    records = rounds("keras-idg", rate=30, **tight) + rounds("tfdata", rate=90, **tight)
    words = say(records + rounds("keras-idg", rate=30, **roomy) + rounds("tfdata", rate=90, **roomy))
    assert "With 200 MB for the container: no advice: no result here holds on the whole set" in words
    assert re.search(r"from 1 GB on: tfdata, \d\.\d\d× ", words)


def test_short_epochs_say_how_many_images_would_do(say: Any) -> None:
    words = say(rounds("keras-idg", rate=100) + rounds(loader="tfdata", cache="memory", rate=10_000))
    assert re.search(r"no advice: epochs of tfdata with memory cache took \d+ ms, and below 0.5 s their start", words)
    assert re.search(r"about \d,\d00 images in an epoch are enough", words) and "× the" not in words


def test_the_repeat_check_gets_no_advice_about_rounds() -> None:
    case, other = make_case(loader="keras-idg"), make_case(loader="tfdata")
    records = []
    for number, factor in ((1, 1.0), (2, 1.2), (3, 0.8)):
        records += [make_record(case, round=number, rate=100 * factor), make_record(other, round=number, rate=100)]
        records.append(make_record(case, alias="b", round=number, rate=100))
    (group,) = build_matrix(records)
    details = {row.summary.alias or row.case.loader: label_verdict(row) for row in group.settings[0].rows}
    assert details["b"].text == details["tfdata"].text == VERDICTS["unknown"].word
    assert "more round" in details["tfdata"].detail and details["b"].detail == ""


def test_uint8_delivered_is_compared_with_float32_in_training_alone(say: Any) -> None:
    both = [
        record
        for deliver, rate in (("float32", 100), ("uint8", 130))
        for record in rounds("keras-idg", rate=10, case={"deliver": deliver})
        + rounds("tfdata-tuned", "array", rate=rate, case={"deliver": deliver, "element": "uint8"})
    ]
    words = say(both)
    assert "· float32 delivered" in words and "· uint8 delivered" in words
    assert re.search(
        r"In training, scaling included: tfdata-tuned with uint8 array cache with uint8 batches delivers 1\.\d+×"
        r"( \([^)]*\))? the images/s of tfdata-tuned with uint8 array cache with float32 batches",
        words,
    ), words
    loading = {"mode": "load", "model": None}
    words = say(
        [
            record
            for deliver in ("float32", "uint8")
            for record in rounds("keras-idg", rate=10, case={"deliver": deliver, **loading})
            + rounds("tfdata-tuned", rate=100, case={"deliver": deliver, **loading})
        ]
    )
    assert "In training, scaling" not in words and "the rates cannot be compared with those of float32" in words
