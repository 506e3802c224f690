"""A page that was made anonymous holds no name of the lab, in sight or packed; facts, digests and figures stay."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from builder import SessionBuilder, make_case, make_facts, make_finding, make_oom, make_record

from harness.report.anonymous import anonymise
from harness.report.embed import unpack_sessions
from harness.report.page import render_page, write_report
from harness.report.source import read_source

NAMES: tuple[str, ...] = (
    "vega-ws7",
    "altair.astro.example.edu",
    "mjaurens",
    "orionlab",
    "/srv/secretproject",
    "10.20.30.44",
)
NAMES += ("secretproject", "patients-2024", "grove", "hunter2", "fastraid", "fe80::1ff:fe23:4567:890a", "beef12")


@pytest.fixture
def session(tmp_path: Path) -> Any:
    builder = SessionBuilder("orionlab-grove-1234abcd", rounds=1)
    for host, boot in (("vega-ws7", "b1"), ("altair.astro.example.edu", "b2"), ("beef12", "b3")):
        facts = make_facts("Test CPU", gpu="Test GPU 24G", boot=f"boot-{host}-{boot}")
        builder.add_host(host, facts)
        case = make_case(data="patients-2024", cache="file", cache_disk="fastraid")
        cause = f"mjaurens@{host} at 10.20.30.44: /srv/secretproject/data/x.jpg is broken; VEGA-WS7 said no"
        finding = make_finding(
            "page-cache-unproven", "warning", f"/srv/secretproject on {host} (fe80::1ff:fe23:4567:890a)"
        )
        builder.add(make_record(case, host=host, facts=facts, findings=(finding,)))
        builder.add(
            make_record(
                make_case(data="patients-2024", loader="keras-idg"),
                host=host,
                facts=facts,
                status="error",
                cause=cause,
                epochs=(),
                log_tail=f"root@{host} /srv/secretproject hunter2",
                log=f"logs/{host}/1.log",
                evidence={"engine_error": cause},
            )
        )
        builder.add(
            make_oom(make_case(data="patients-2024", cache="memory"), host=host, facts=facts, log=f"logs/{host}/2.log")
        )
        builder.add_event(
            "HostStateChanged", host=host, state="unreachable", message=f"no route to {host}:22 as mjaurens"
        )
        builder.add_event(
            "DataReady",
            host=host,
            data="patients-2024",
            images=9,
            bytes=9,
            how="from /srv/secretproject",
            fingerprint="3" * 64,
        )
    argv = ["harness", "run", "inventory/orionlab.yaml", "--output", "/srv/secretproject"]
    place, counted = "/srv/secretproject/x", {"resumed": False, "done": 0, "planned": 9}
    builder.add_event("SessionStarted", session=builder.name, folder=place, argv=argv, **counted)
    builder.description |= {"experiment_name": "grove", "host_user": "mjaurens"}
    builder.description["experiment"] |= {"name": "grove", "description": "for orionlab", "notes": ["ask mjaurens"]}
    builder.description["inventory"] = {
        "name": "orionlab", "path": "/srv/secretproject/orionlab.yaml", "hosts": ["vega-ws7", "beef12"],
        "vars": {"ansible_user": "mjaurens", "ansible_password": "hunter2"},
    }  # fmt: skip
    return builder.write(tmp_path / "orionlab-grove-1234abcd")


def everything(page: Any) -> Any:
    """All that a page says, its packed records too."""
    return page + json.dumps(unpack_sessions(page), ensure_ascii=False)


def test_no_name_is_left_anywhere(session: Any, tmp_path: Path) -> None:
    page = write_report([session], tmp_path / "open.html").read_text()
    for name in NAMES:
        assert name == "hunter2" or name in everything(page), f"the test is blind for {name}"
    page = write_report([session], tmp_path / "shared.html", is_anonymous=True).read_text()
    said = everything(page).lower()
    assert [name for name in NAMES if name.lower() in said] == []
    assert "boot-" not in said.replace("boot-1", "").replace("boot-2", "").replace("boot-3", "")


def test_facts_digests_and_figures_stay(session: Any) -> None:
    before, after = read_source(session)[0], anonymise(read_source(session))[0]
    assert len(after.records) == len(before.records) == 9
    for one, other in zip(before.records, after.records, strict=True):
        for field in ("hardware", "image_digest", "payload_digest", "data_fingerprint", "case_id", "epochs", "memory"):
            assert getattr(one, field) == getattr(other, field)
        assert other.host.startswith("host-") and other.log_tail is None
    assert {f.cpu_model for f in after.facts.values()} == {"Test CPU (test data)"}
    assert {f.gpus[0].driver for f in after.facts.values()} == {"570.1"}
    assert len({f.boot_id for f in after.facts.values()}) == 3


def test_equal_names_stay_equal_across_sessions(session: Any, tmp_path: Path) -> None:
    other = (
        SessionBuilder("orionlab-grove-2")
        .add_host("vega-ws7", make_facts())
        .add(make_record(make_case(), host="vega-ws7"))
    )
    sessions = anonymise([*read_source(session), *read_source(other.write(tmp_path / "two"))])
    first = {r.host for r in sessions[0].records}
    assert {r.host for r in sessions[1].records} < first


def test_what_is_no_name_is_left_as_it_is(session: Any) -> None:
    words = re.sub(r"<[^>]+>", " ", render_page(anonymise(read_source(session))))
    assert "keras-idg" in words and "page-cache-unproven" in words and "out of memory" in words
    assert "Test GPU 24G" in words and "Test CPU" in words


def test_the_same_session_gives_the_same_names(session: Any, tmp_path: Path) -> None:
    first = write_report([session], tmp_path / "a.html", is_anonymous=True).read_bytes()
    assert write_report([session], tmp_path / "b.html", is_anonymous=True).read_bytes() == first


@pytest.mark.parametrize("host", ["alpha", "round", "quick", "data"])
def test_a_host_whose_name_is_a_word_of_the_format_is_renamed_everywhere(host: str, tmp_path: Path) -> None:
    builder = SessionBuilder("lab-1234abcd", rounds=1).add_host(host, make_facts())
    finding = make_finding("page-cache-unproven", "warning", f"something reads on {host}")
    builder.add(make_record(make_case(), host=host, findings=(finding,)))
    builder.add_event("HostStateChanged", host=host, state="unreachable", message=f"no route to {host}:22")
    builder.description["inventory"] = {
        "name": "lab", "hosts": [host], "groups": {"gpu": [host]}, "vars": {"ansible_user": "list"},
    }  # fmt: skip
    folder = builder.write(tmp_path / "lab-1234abcd")
    before = read_source(folder)[0]
    (session,) = anonymise([before])
    (record,) = session.records
    assert (record.host, record.case.model) == ("host-1", before.records[0].case.model)
    assert record.findings[0].message == "something reads on host-1"
    assert list(session.facts) == ["host-1"]
    assert session.content.inventory.hosts == ("host-1",)
    assert list(session.content.inventory.groups.values()) == [("host-1",)]
    assert session.content.inventory.plain()["vars"] == {"ansible_user": "user-1"}
    assert list(session.content.inventory.groups) == ["gpu"]
    assert [getattr(logged.event, "host", None) for logged in session.events] == [
        None if getattr(logged.event, "host", None) is None else "host-1" for logged in before.events
    ]
    page = write_report([folder], tmp_path / "shared.html", is_anonymous=True).read_text()
    page = re.sub(r'<a class="term"[^>]*>([^<]*)</a>', r"\1", page)  # terms of the glossary are no names
    assert "no route to host-1" in page and f"to {host}" not in page and f">{host}<" not in page
