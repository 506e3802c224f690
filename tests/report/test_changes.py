"""Two sessions beside each other: facts first, then each case with itself."""

# mypy: disable-error-code="union-attr"

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from builder import SessionBuilder, make_case, make_facts, make_finding, make_oom, make_record
from typer.testing import CliRunner

from harness.analysis.statistics import critical_t, estimate_unpaired_ratio
from harness.cli.app import app
from harness.cli.commands.compare import say_not_compared
from harness.report.changes import view_changes
from harness.report.source import read_source


def write(
    folder: Path,
    name: str,
    rate: Any,
    *,
    driver: str = "570.1",
    disk: str = "nvme",
    hosts: Any = ("ws01", "ws02"),
    rounds: int = 3,
    extra: Any = (),
    **changes: Any,
) -> Any:
    builder = SessionBuilder(name, rounds=rounds)
    for host in hosts:
        facts = make_facts("Test CPU", gpu="Test GPU")
        gpu = facts.gpus[0].model_copy(update={"driver": driver})
        scratch = facts.disks["scratch"].model_copy(update={"kind": disk})
        facts = facts.model_copy(update={"gpus": (gpu,), "disks": {"scratch": scratch}})
        builder.add_host(host, facts)
        for number in range(1, rounds + 1):
            at = {"host": host, "facts": facts, "round": number, **changes}
            builder.add(make_record(make_case(loader="keras-idg"), rate=30, **at))
            builder.add(
                make_record(make_case(), rate=rate, **at), *(make_record(case, rate=50, **at) for case in extra)
            )
    return builder.write(folder / name)


def compare(old: Any, new: Any, percent: Any = None) -> Any:
    return view_changes(read_source(old), read_source(new), percent)


def test_changed_facts_stand_first_and_each_case_has_its_ratio(tmp_path: Path) -> None:
    old = write(tmp_path, "old-1", 80)
    new = write(tmp_path, "new-1", 160, driver="580.2", environment={"tensorflow": "2.22.0"})
    view = compare(old, new)
    assert "GPU driver: 570.1 → 580.2 (ws01, ws02)" in view.facts
    assert "tensorflow: 2.21.0 → 2.22.0" in view.facts
    (group,) = view.groups
    rows = {row.case.split(",")[0]: row for row in group.rows}
    assert rows["tfdata"].verdict.text == "faster" and rows["tfdata"].ratio.startswith("2.0")
    assert rows["keras-idg"].verdict.text == "about the same"
    assert "each compared with itself" in group.note and view.failing == 0


def test_epochs_that_are_too_short_in_one_session_are_not_compared(tmp_path: Path) -> None:
    view = compare(write(tmp_path, "old-1", 80), write(tmp_path, "new-1", 10_000), 5.0)
    (row,) = [row for row in view.groups[0].rows if row.case.startswith("tfdata")]
    assert row.verdict.text == "not compared" and "too short: about" in row.verdict.detail and view.failing == 0


def test_cases_of_one_side_are_named(tmp_path: Path) -> None:
    old = write(tmp_path, "old-1", 80, extra=(make_case(cache="memory"),))
    new = write(tmp_path, "new-1", 80, extra=(make_case(cache="file"),))
    (group,) = compare(old, new).groups
    assert [row.data for row in group.rows] == ["coco-test"] * 2
    assert all("data set coco-test" in line for line in group.only)
    assert sorted(line.rpartition(": ")[2] for line in group.only) == [
        "in the new session only",
        "in the old session only",
    ]


def test_another_disk_is_matched_by_the_hosts(tmp_path: Path) -> None:
    (group,) = compare(write(tmp_path, "old-1", 80), write(tmp_path, "new-1", 40, disk="hdd")).groups
    assert "nvme disk; matched by 2 hosts in both" in group.note
    assert {row.verdict.text for row in group.rows} == {"about the same", "slower"}


def test_equal_hardware_of_other_hosts_is_compared_and_said(tmp_path: Path) -> None:
    (group,) = compare(write(tmp_path, "old-1", 80), write(tmp_path, "new-1", 40, hosts=("ws77",))).groups
    assert group.note == "no host is in both: different hosts of equal hardware are compared"
    assert {row.verdict.text for row in group.rows} == {"about the same", "slower"}


def test_only_sure_and_large_losses_fail(tmp_path: Path) -> None:
    old, slower = write(tmp_path, "old-1", 80), write(tmp_path, "new-1", 60)
    assert compare(old, slower, 10).failing == 1
    assert compare(old, slower, 40).failing == 0
    assert compare(old, slower).failing == 0
    one = write(tmp_path, "one-1", 40, rounds=1)
    assert compare(old, one, 10).failing == 0, "one round proves nothing"


def test_a_case_that_broke_fails(tmp_path: Path) -> None:
    old = write(tmp_path, "old-1", 80)
    builder = SessionBuilder("new-1").add_host("ws01", make_facts("Test CPU", gpu="Test GPU"))
    facts = builder.facts["ws01"]
    for number in (1, 2, 3):
        builder.add(make_oom(make_case(), host="ws01", facts=facts, round=number))
    view = compare(old, builder.write(tmp_path / "new-1"), 50)
    assert view.failing == 1 and view.groups[0].rows[0].verdict.text == "had a result, now has none"


def test_the_command_prints_writes_and_ends_as_it_should(tmp_path: Path) -> None:
    old, new = write(tmp_path, "old-1", 80), write(tmp_path, "new-1", 60)
    words = ["compare", str(old), str(new), "--fail-slower", "10", "--to", str(tmp_path / "changes.html")]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 1
    assert done.stdout.index("What changed:") < done.stdout.index("slower")
    page = (tmp_path / "changes.html").read_text()
    assert "default-src &#39;none&#39;" in page and "▼" in page
    assert CliRunner().invoke(app, words[:3]).exit_code == 0
    value = json.loads(CliRunner().invoke(app, [*words[:3], "--json"]).stdout)
    assert {row["verdict"]["text"] for group in value["groups"] for row in group["rows"]} == {
        "slower",
        "about the same",
    }


def test_a_ratio_of_unpaired_numbers_is_welchs() -> None:
    # Logs 0, 0.1, 0.2 and 1, 1.2, 1.4: difference 1.1, variance 0.01/3 + 0.04/3, 2.94 degrees of freedom, so 2 as of 3.
    from math import exp, log

    found = estimate_unpaired_ratio([([exp(x) for x in (1.0, 1.2, 1.4)], [exp(x) for x in (0.0, 0.1, 0.2)])])
    assert log(found.value) == pytest.approx(1.1)
    half = critical_t(3) * (0.05 / 3) ** 0.5
    assert found is not None and found.low is not None and found.high is not None
    assert (log(found.low), log(found.high)) == pytest.approx((1.1 - half, 1.1 + half), rel=1e-4)
    assert estimate_unpaired_ratio([]) is None
    alone = estimate_unpaired_ratio([([2.0], [1.0])])
    assert alone is not None and alone.low is None


def write_pets(folder: Path, name: str, images: Any, *, whole: int = 1_399, dies: Any = (), **parameters: Any) -> Any:
    """A session on so many images of a set: two loaders, one with a cache in memory, three rounds."""
    builder = SessionBuilder(name).add_host("ws01", make_facts("Test CPU"))
    parameters |= {} if images == whole else {"max_images": images}
    cases = [
        make_case(**{"loader": loader, "cache": cache, "data": "pets", "mode": "load", **parameters})
        for loader, cache in (("keras-idg", "none"), ("tfdata", "none"), ("tfdata", "memory"))
    ]
    for number in (1, 2, 3):
        at: dict[str, Any] = {"round": number, "facts": builder.facts["ws01"]}
        for case in cases:
            is_dead = case.cache in dies
            builder.add(make_oom(case, **at) if is_dead else make_record(case, images=images, **at))
    return builder.write(folder / name)


def test_a_part_is_not_compared_with_the_whole_set(tmp_path: Path) -> None:
    old, new = write_pets(tmp_path, "part-1", 300), write_pets(tmp_path, "whole-1", 1_399, dies=("memory",))
    view = compare(old, new, 10)
    assert view.facts == ("max images: 300 → all", "images per epoch of data set pets: 300 → 1,399")
    (group,) = view.groups
    part = ", max images 300 → all"
    assert group.only == ()
    assert [(row.case, row.verdict.text, row.verdict.detail) for row in group.rows] == [
        ("keras-idg, limit 1.5 GB" + part, "not compared", "300 images against 1,399"),
        ("tfdata, no cache, limit 1.5 GB" + part, "not compared", "300 images against 1,399"),
        ("tfdata, memory cache, limit 1.5 GB" + part, "not compared", "at most 300 images against all images"),
    ]
    assert group.rows[2].new == "out of memory" and group.rows[2].ratio == "–"
    assert (view.failing, view.not_compared) == (0, 3)


def test_page_and_terminal_say_the_same_of_a_part_and_the_whole(tmp_path: Path) -> None:
    old, new = write_pets(tmp_path, "part-1", 300), write_pets(tmp_path, "whole-1", 1_399)
    page = tmp_path / "changes.html"
    done = CliRunner().invoke(app, ["compare", str(old), str(new), "--to", str(page), "--fail-slower", "5"])
    assert done.exit_code == 0, done.output
    said, html = " ".join(done.stdout.split()), " ".join(re.sub(r"<[^>]+>", " ", page.read_text()).split())
    for words in (
        "max images: 300 → all",
        "images per epoch of data set pets: 300 → 1,399",
        "tfdata, memory cache, limit 1.5 GB, max images 300 → all",
        "≠ not compared 300 images against 1,399",
    ):
        assert words in said and words in html, words
    assert "no recorded property" not in said and "session only" not in said
    assert said.index("max images: 300 → all") < said.index("not compared")
    assert "3 cases are not compared" in done.stderr


def test_no_two_rows_have_one_name(tmp_path: Path) -> None:
    old, new = write_pets(tmp_path, "part-1", 300), write_pets(tmp_path, "whole-1", 1_399, page_cache="cold")
    both = [*read_source(old), *read_source(new)]
    for sides in ((read_source(old), read_source(new)), (both, read_source(new)), (read_source(old), both)):
        for group in view_changes(*sides).groups:
            names = [*(row.case for row in group.rows), *(line.partition(": ")[0] for line in group.only)]
            assert len(set(names)) == len(names) >= 3


def test_a_case_on_other_files_names_its_files_and_hosts_and_empty_tables_have_no_head(tmp_path: Path) -> None:
    old = SessionBuilder("old-1")
    new = SessionBuilder("new-1")
    for builder in (old, new):
        for host, files in (("ws01", "3" * 64), ("ws02", "5" * 64 if builder is old else "3" * 64)):
            facts = make_facts("Test CPU")
            builder.add_host(host, facts).add(make_record(make_case(), host=host, facts=facts, data_fingerprint=files))
    facts = make_facts("Other CPU")
    old.add_host("ws09", facts).add(make_record(make_case(), host="ws09", facts=facts))
    places = old.write(tmp_path / "old-1"), new.write(tmp_path / "new-1")
    group, gone = compare(*places).groups
    (row,), (line,) = group.rows, group.only
    assert row.case.endswith("files 333333333333")
    assert line.endswith("files 555555555555, data set coco-test, host ws02: these files in the old session only")
    (line,) = gone.only
    assert "files" not in line and line.endswith("data set coco-test, host ws09: in the old session only")
    done = CliRunner().invoke(app, ["compare", *map(str, places)])
    assert done.stdout.count("verdict") == 1 and "in the old session only)\n" in done.stdout


@pytest.mark.parametrize(
    ("count", "said"), [(1, "1 case is not compared: its line"), (2, "2 cases are not compared: th")]
)
def test_one_case_is_no_cases(count: int, said: str) -> None:
    assert say_not_compared(count).startswith(said)


def test_the_same_count_of_other_files_is_not_compared(tmp_path: Path) -> None:
    old, new = write(tmp_path, "old-1", 80), write(tmp_path, "new-1", 160, data_fingerprint="4" * 64)
    view = compare(old, new)
    assert view.facts == ("files of data set coco-test (fingerprint): 333333333333 → 444444444444",)
    assert {row.verdict.detail for row in view.groups[0].rows} == {"different files in data set coco-test"}


def test_a_condition_that_changed_for_all_is_compared_and_named(tmp_path: Path) -> None:
    old = write_pets(tmp_path, "old-1", 1_399, memory_limit=1_000_000_000)
    new = write_pets(tmp_path, "new-1", 1_399, memory_limit=2_000_000_000, page_cache="cold")
    view = compare(old, new)
    assert view.facts[:2] == ("page cache: cold-start → cold", "memory limit: 1 GB → 2 GB")
    (group,) = view.groups
    assert {row.verdict.text for row in group.rows} <= {"about the same", "can’t tell"}
    assert all(0.9 < float(row.ratio.rstrip("×")) < 1.1 for row in group.rows)
    assert group.rows[1].case == "tfdata, no cache, limit 2 GB, page cache cold-start → cold, memory limit 1 GB → 2 GB"


def test_other_work_is_not_compared(tmp_path: Path) -> None:
    old, new = write_pets(tmp_path, "old-1", 1_399), write_pets(tmp_path, "new-1", 1_399, image_size=(64, 64))
    view = compare(old, new)
    assert view.facts == ("image size: 128 × 128 px → 64 × 64 px",)
    assert {row.verdict.detail for row in view.groups[0].rows} == {"128 × 128 px against 64 × 64 px"}
    other = compare(old, write_pets(tmp_path, "cats-1", 1_399, data="cats"))
    assert {row.verdict.detail for row in other.groups[0].rows} == {"data set pets against data set cats"}
    once = compare(old, write_pets(tmp_path, "once-1", 1_399, epochs=1))
    assert {row.verdict.detail for row in once.groups[0].rows} == {"later epochs against the only epoch"}


def test_rules_and_programs_that_changed_are_said(tmp_path: Path) -> None:
    old, builder = write(tmp_path, "old-1", 80), SessionBuilder("new-1", rounds=5, baseline={"loader": "tfdata"})
    builder.description["versions"] = {"harness": "0.1.0"}
    builder.add(make_record(make_case(), image_digest="9" * 64))
    assert compare(old, builder.write(tmp_path / "new-1")).facts == (
        "loader: keras-idg, tfdata → tfdata",
        "rounds: 3 → 5",
        'baseline: keras-idg → {"loader":"tfdata"}',
        "image digest: 111111111111 → 999999999999",
        "harness: 0.0.0 → 0.1.0",
    )


def test_a_case_that_is_invalid_now_says_so(tmp_path: Path) -> None:
    old = write(tmp_path, "old-1", 80)
    builder = SessionBuilder("new-1").add_host("ws01", make_facts("Test CPU", gpu="Test GPU"))
    work = make_finding("work-differs", "error", "it drops the last batch")
    builder.add(make_record(make_case(), facts=builder.facts["ws01"], findings=(work,), validity="invalid"))
    view = compare(old, builder.write(tmp_path / "new-1"), 50)
    assert view.failing == 1
    assert (view.groups[0].rows[0].new, view.groups[0].rows[0].verdict.text) == (
        "invalid: does other work",
        "had a result, now has none",
    )
