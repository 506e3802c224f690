"""``memory_limit: search`` on the page: two limits in a sentence, a chart of what was tried, no matrix of trials."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from builder import HOST_BYTES, SessionBuilder, make_case, make_oom, make_record

from harness.analysis.limit_search import Found, find_limits
from harness.analysis.matrix import build_matrix
from harness.report.page import render_page
from harness.report.source import read_source
from harness.values.record import TRIAL, TWIN, WARM_RUN, Epoch, Record, SetSize

MB = 10**6
LIVES, FAST = 900 * MB, 4000 * MB


def trial(
    limit: Any, *, number: int = 1, host: str = "ws01", rate: float = 100.0, seconds: float = 4.0, **changes: Any
) -> Record:
    case = make_case(cache="memory", memory_limit=limit, epochs=2)
    epochs = tuple(
        Epoch(index=i, images=int(rate * seconds), seconds=seconds, first_batch_s=0.1, bytes_read=0, cpu_s=seconds)
        for i in (1, 2)
    )
    return make_record(case, host=host, round=number, alias=changes.pop("alias", TRIAL), epochs=epochs, **changes)


def dead(limit: Any, host: str = "ws01") -> Any:
    return make_oom(make_case(cache="memory", memory_limit=limit, epochs=2), host=host, alias=TRIAL)


def searched(host: str = "ws01") -> list[Any]:
    most = HOST_BYTES
    alive = [trial(limit, host=host, rate=50.0, number=n) for limit in (LIVES, 3900 * MB) for n in (1, 2)]
    alive += [trial(limit, host=host) for limit in (FAST, 9000 * MB, most)]
    return [*alive, trial(most, host=host, alias=TWIN), dead(860 * MB, host), dead(128 * MB, host)]


def write(builder: Any, tmp_path: Path) -> Any:
    return render_page(read_source(builder.write(tmp_path / "s")))


def test_both_limits_stand_on_the_page_with_what_was_tried(tmp_path: Path) -> None:
    page = write(SessionBuilder().add(*searched()), tmp_path)
    words = re.sub(r"<[^>]+>", " ", page)
    assert "runs from a memory limit of 900 MB on, and at full speed from 4 GB on (both within 5 %)" in words
    assert "Images/s by memory limit" in page and "860 MB out of memory" in page and "3.9 GB 50.0 images/s" in page
    assert "ratio to the baseline at the same limit" not in page  # no matrix: a trial has no equal
    assert "trial of the limit search" in page


def test_trials_stay_out_of_the_comparison_of_what_was_asked(tmp_path: Path) -> None:
    asked = [
        make_record(make_case(loader=loader, epochs=2), round=n, rate=rate)
        for loader, rate in (("keras-idg", 40), ("tfdata", 80))
        for n in (1, 2, 3)
    ]
    (group,) = build_matrix([*asked, *searched()])
    (setting,) = group.settings
    assert setting.limits == [1_500_000_000] and len(setting.trials) == 8
    (answer,) = find_limits(setting)
    assert answer.found == Found(LIVES, FAST) and not answer.is_open


def test_each_host_has_its_own_answer(tmp_path: Path) -> None:
    page = write(SessionBuilder().add(*searched("ws01"), dead(HOST_BYTES, "ws02")), tmp_path)
    assert "on ws01, and at full speed from 4 GB" in page
    assert "runs under no memory limit that was tried on ws02" in page


def test_a_search_that_was_stopped_says_so(tmp_path: Path) -> None:
    page = write(SessionBuilder().add(trial(HOST_BYTES), dead(900 * MB)), tmp_path)
    assert "the search is not finished" in page


def test_speeds_of_short_epochs_are_not_judged(tmp_path: Path) -> None:
    records = [trial(HOST_BYTES, seconds=0.08), trial(HOST_BYTES, seconds=0.08, alias=TWIN), dead(HOST_BYTES - 10**8)]
    page = write(SessionBuilder().add(*records), tmp_path)
    assert "its speed cannot be judged: an epoch takes less than" in page


def test_a_trial_that_died_is_done_again_by_a_command_that_there_is(tmp_path: Path) -> None:
    page = write(SessionBuilder().add(*searched()), tmp_path)
    asked = make_case(cache="memory", memory_limit="search", epochs=2)
    assert set(re.findall(r"--only (\w+) --fresh", page)) == {asked.case_id}


def test_an_extra_warm_run_that_failed_is_done_again_by_the_whole_session(tmp_path: Path) -> None:
    failed = make_record(make_case(page_cache="warm"), alias=WARM_RUN, status="error", epochs=(), cause="no room")
    page = write(SessionBuilder().add(make_record(make_case()), failed), tmp_path)
    assert "--rerun-failed" in page and failed.case_id not in re.findall(r"--only (\w+)", page)


def test_a_search_alone_is_not_called_one_round_without_a_verdict(tmp_path: Path) -> None:
    page = write(SessionBuilder(rounds=1).add(*searched()), tmp_path)
    assert "no interval and so no verdict" not in re.sub(r"<[^>]+>", "", page)
    asked = make_record(make_case(epochs=2))
    (tmp_path / "more").mkdir()
    page = write(SessionBuilder(rounds=1).add(*searched(), asked), tmp_path / "more")
    assert "only one round: there is no interval and so no verdict" in re.sub(r"<[^>]+>", "", page)


def test_a_search_on_part_of_a_set_says_so_and_what_the_whole_set_needs(tmp_path: Path) -> None:
    def part(limit: Any, **changes: Any) -> Any:
        record = trial(limit, **changes)
        case = record.case.model_copy(update={"max_images": 400})
        size = SetSize(images=1400, bytes=1400 * 160_000)
        return record.model_copy(update={"case": case, "case_id": case.case_id, "set_size": size})

    records = [part(LIVES), part(HOST_BYTES, number=2), part(HOST_BYTES, alias=TWIN)]
    page = write(SessionBuilder().add(*records), tmp_path)
    words = re.sub(r"<[^>]+>", " ", page)
    assert re.search(
        r"runs from a memory limit of 900 MB on \(with 400 of 1,400 images, all of them need about 1\.\d+ GB\)", words
    )


def test_a_trial_that_was_not_done_in_time_is_not_called_dead(tmp_path: Path) -> None:
    late = trial(600 * MB, status="timeout").model_copy(update={"epochs": ()})
    page = write(SessionBuilder().add(*searched(), late), tmp_path)
    assert "600 MB not done in time" in page and "860 MB out of memory" in page
