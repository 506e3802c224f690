"""What the page says of groups of nearly equal hardware, of a machine with two names, and of other files."""

from __future__ import annotations

from pathlib import Path

from builder import SessionBuilder, make_case, make_facts, make_record

from harness.analysis.matrix import build_matrix
from harness.records.session_data import read_session
from harness.report.page import render_page
from harness.report.terminal import view_terminal

IDG, TFDATA = make_case(loader="keras-idg"), make_case(loader="tfdata")


def session_of(folder: Path, rams: dict[str, int], **content: object) -> SessionBuilder:
    builder = SessionBuilder()
    for name, ram in rams.items():
        cpus = tuple(range(2 if name.startswith("s") else 4))
        facts = make_facts(ram=ram, boot=name).model_copy(update={"usable_cpus": cpus})
        builder.add_host(name, facts)
        for number in range(1, 4):
            for case, rate in ((IDG, 40.0), (TFDATA, 80.0)):
                found = make_record(case, rate=rate, host=name, round=number, hardware=facts.hardware)
                builder.add(found)
    builder.description |= content
    builder.write(folder)
    return builder


def test_groups_of_nearly_one_hardware_carry_the_inventorys_names_and_what_differs(tmp_path: Path) -> None:
    groups = {"small": ["s1", "s2"], "large": ["l1"], "lab": ["s1", "s2", "l1"]}
    inventory = {"name": "lab", "path": "lab.yaml", "hosts": ["s1", "s2", "l1"], "groups": groups}
    rams = {"s1": 4 * 10**9, "s2": 4 * 10**9, "l1": 5 * 10**9}
    session_of(tmp_path / "one", rams, inventory=inventory)
    session = read_session(tmp_path / "one")
    headings = [view.heading for view in view_terminal([session])]
    assert [heading.partition(" · ")[2] for heading in headings] == ["small (2 CPUs usable)", "large (4 CPUs usable)"]
    page = render_page([session])
    assert all(heading in page for heading in headings)


def test_other_hardware_needs_no_more_than_its_name(tmp_path: Path) -> None:
    session_of(tmp_path / "one", {"s1": 4 * 10**9}, inventory={"groups": {"small": ["s1"]}})
    (view,) = view_terminal([read_session(tmp_path / "one")])
    assert "small" not in view.heading and "usable" not in view.heading


def test_hosts_that_agree_are_machines_not_names(tmp_path: Path) -> None:
    rams = {"s1": 4 * 10**9, "s2": 4 * 10**9, "scopy": 4 * 10**9}
    session_of(tmp_path / "three", rams)
    assert "3 of 3 hosts agree, 9 pairs" in render_page([read_session(tmp_path / "three")])
    session_of(tmp_path / "two", rams, machines={"scopy": "s1"})
    assert "2 of 2 hosts agree, 9 pairs" in render_page([read_session(tmp_path / "two")])


def test_other_files_are_other_settings_and_what_is_absent_stands_with_the_first() -> None:
    records = [
        make_record(case, rate=rate, host=host, round=1, data_fingerprint=files)
        for host, files in (("ws1", "3" * 64), ("ws2", "4" * 64), ("ws3", "absent"))
        for case, rate in ((IDG, 40.0), (TFDATA, 80.0))
    ]
    (group,) = build_matrix(records)
    assert [setting.files for setting in group.settings] == ["3" * 64, "4" * 64]
    hosts = [{r.host for row in setting.rows for r in row.summary.records} for setting in group.settings]
    assert hosts == [{"ws1", "ws3"}, {"ws2"}]
