"""The page in a real browser: nothing leaves it, it works, it can be read by everyone, with and without its script."""

from __future__ import annotations

import csv
import json
import re
from typing import Any

import pytest
from browser_support import look
from builder import SessionBuilder, build_lab, make_case, make_facts, make_finding, make_oom, make_record

from harness.report.page import write_index, write_report

pytestmark = pytest.mark.browser

HOSTILE = "\"><script>document.title='taken'</script><img src=x onerror=alert(1)>{{7*7}} \u202eevil' &amp; </style>"


def build_hostile() -> Any:
    """A session whose names try to be markup, charts included."""
    facts = make_facts(HOSTILE, gpu=HOSTILE)
    builder = SessionBuilder("hostile-1", rounds=3).add_host("ws01", facts)
    for number in (1, 2, 3):
        at: dict[str, Any] = {"host": HOSTILE, "facts": facts, "round": number}
        builder.add(make_record(make_case(loader="keras-idg", data=HOSTILE), rate=30, **at))
        builder.add(
            make_record(
                make_case(loader=HOSTILE, data=HOSTILE),
                rate=90,
                findings=(make_finding(HOSTILE, "warning", HOSTILE),),
                **at,
            )
        )
        builder.add(make_oom(make_case(data=HOSTILE, cache="memory"), cause=HOSTILE, log_tail=HOSTILE * 9, **at))
    builder.add_event("ImageShipped", host=HOSTILE, method=HOSTILE, bytes_needed=1, bytes_sent=1, seconds=1.0)
    builder.description["experiment"] |= {"description": HOSTILE, "notes": [HOSTILE]}
    return builder


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("browser")
    lab = build_lab()
    lab.add_event("ImageShipped", host="ws01", method="layers", bytes_needed=10**9, bytes_sent=10**6, seconds=4.0)
    pages = {}
    for name, builder in (("lab", lab), ("hostile", build_hostile())):
        source = builder.write(folder / "reports" / builder.name)
        pages[name] = write_report([source], source / "report.html")
    pages["index"] = write_index(folder / "reports")
    return {**look(folder / "shots", pages), "folder": folder / "shots"}


PAGES = ("lab", "hostile", "index")
THEMES = ("light", "dark")


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("theme", THEMES)
def test_no_request_leaves_the_page_and_nothing_is_refused(seen: dict[str, Any], name: Any, theme: Any) -> None:
    requests = seen[name][theme]["requests"]
    assert len(requests) == 1 and requests[0].startswith("file://")
    assert seen[name][theme]["errors"] == []


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("theme", THEMES)
def test_axe_finds_no_violation(seen: dict[str, Any], name: Any, theme: Any) -> None:
    access = seen[name][theme]["access"]
    assert access["passes"] > 10
    assert access["violations"] == []


@pytest.mark.parametrize("name", PAGES)
def test_html_validate_finds_nothing(seen: dict[str, Any], name: Any) -> None:
    assert seen[name]["html"] == []


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("view", ["light", "narrow360", "narrow768"])
def test_no_page_is_wider_than_its_window(seen: dict[str, Any], name: Any, view: str) -> None:
    assert seen[name][view]["overflow"] <= 0


def test_both_themes_follow_the_system_and_the_charts_with_them(seen: dict[str, Any]) -> None:
    light, dark = seen["lab"]["light"]["ink"], seen["lab"]["dark"]["ink"]
    assert light[:2] == ["rgb(26, 32, 39)", "rgb(255, 255, 255)"]
    assert dark[:2] == ["rgb(228, 232, 236)", "rgb(20, 24, 29)"]
    assert light[2] != dark[2] and light[2].startswith("rgb(")


def test_the_page_is_complete_without_its_script(seen: dict[str, Any]) -> None:
    text = seen["lab"]["plain"]["text"]
    assert seen["lab"]["plain"]["shapes"] > 8
    for words in ("What to do", "tfdata with memory cache", "All cases", "out of memory", "The article, replayed"):
        assert words in text
    assert "Theme:" not in text and "Show all" not in text
    assert len(re.findall(r"keras-idg, no cache", text)) == 6


def test_on_paper_it_is_light_and_has_no_controls(seen: dict[str, Any]) -> None:
    printed = seen["lab"]["print"]
    assert printed["ink"][:2] == ["rgb(26, 32, 39)", "rgb(255, 255, 255)"]
    assert not printed["filters"] and not printed["nav"]
    assert printed["bytes"] > 20_000


def test_hostile_text_is_text_in_the_browser_too(seen: dict[str, Any]) -> None:
    text = seen["hostile"]["plain"]["text"]
    assert "<script>document.title='taken'</script>" in text
    assert "\u202e" not in text
    assert "{{7*7}}" in text


def test_a_column_sorts_down_and_then_up(seen: dict[str, Any]) -> None:
    deeds = seen["deeds"]
    known = [rate for rate in deeds["rates"] if rate]
    assert known == sorted(known, reverse=True) and len(known) > 10
    assert deeds["rates"][-1] == 0  # what has no number stands last either way
    up = [rate for rate in deeds["ratesUp"] if rate]
    assert up == sorted(known) and deeds["ratesUp"][-1] == 0
    assert deeds["sorted"] == [["rate", "descending"]]


def test_filters_narrow_and_a_link_shows_the_same_view_again(seen: dict[str, Any]) -> None:
    deeds = seen["deeds"]
    assert 0 < len(deeds["filtered"]) < len(deeds["all"])
    assert all(name.startswith("tfdata,") for name in deeds["filtered"])
    assert deeds["shown"] == f"{len(deeds['filtered'])} of {len(deeds['all'])} cases"
    assert deeds["hash"] == "#cases&host=gpu01&loader=tfdata&sort=rate"
    assert deeds["linked"] == deeds["filtered"] and deeds["linkedSort"] == ["rate"]
    assert len(deeds["back"]) > len(deeds["filtered"])
    assert deeds["cleared"] == len(deeds["all"])
    assert deeds["errors"] == []


def test_the_switch_goes_through_the_themes(seen: dict[str, Any]) -> None:
    themes = seen["deeds"]["themes"]
    assert [theme[0] for theme in themes] == ["Theme: light", "Theme: dark", "Theme: system"]
    assert themes[0][1:] == themes[2][1:] == seen["deeds"]["before"] != themes[1][1:]


def test_the_first_tab_skips_to_the_advice(seen: dict[str, Any]) -> None:
    assert seen["deeds"]["skip"] == "Skip to the advice"


def test_downloads_hold_what_the_page_shows(seen: dict[str, Any]) -> None:
    records = [json.loads(line) for line in (seen["folder"] / "records.jsonl").read_text().splitlines()]
    assert len(records) == 117 and {record["status"] for record in records} == {"ok", "oom", "error", "skipped"}
    with (seen["folder"] / "cases.csv").open(newline="") as stream:
        rows = list(csv.reader(stream))
    assert len(rows) == 1 + len(seen["deeds"]["filtered"])
    assert rows[0][0] == "Loader, cache" and "Ratio to the baseline" in rows[0]


@pytest.mark.parametrize(
    ("view", "answers"), [("desk-light", 2), ("desk-dark", 2), ("phone-light", 1), ("phone-dark", 1)]
)
def test_the_first_screen_shows_the_answers(seen: dict[str, Any], view: str, answers: int) -> None:
    first = seen["first"][view]
    assert first["answers"] >= answers and first["sideways"] <= 0
    assert (seen["folder"] / f"first-{view}.png").stat().st_size > 10_000


def test_the_first_screen_of_a_desk_reaches_the_first_chart(seen: dict[str, Any]) -> None:
    assert seen["first"]["desk-light"]["chart"] < 800


def test_a_badge_of_confidence_opens_its_reasons_without_a_script(seen: dict[str, Any]) -> None:
    assert any("6 pairs of runs on 2 hosts" in reason for reason in seen["first"]["reasons"])
