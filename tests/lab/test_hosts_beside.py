"""Hosts beside each other, over real sshds: one machine with two names, one name for other files, a new name."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from lab_session import DATA, Controller
from workstations import Lab

pytestmark = pytest.mark.lab

Make = Callable[..., Controller]


def test_a_machine_with_two_names_is_measured_once(session: Make, lab: Lab) -> None:
    controller = session("ws1", "ws2", copies={"copy": "ws1"})
    checked = controller.command("check")
    assert checked.code == 1 and "copy: machine ws1: it is the same machine as ws1" in checked.stdout, checked.said
    ended = controller.run()
    assert ended.code == 1 and controller.states("copy") == ["not_ready"], ended.said
    controller.assert_complete("ws1", "ws2")
    assert not controller.records("copy")
    controller.assert_nothing_left()
    for name in ("ws1", "ws2"):
        assert not lab.hosts[name].shell("ls -d /tmp/harness.lock* 2>/dev/null || true").strip()


def test_other_files_of_one_name_stop_all_before_anything_is_measured(session: Make, lab: Lab) -> None:
    controller = session("ws1", "ws2")
    lab.hosts["ws1"].write(f"{DATA}/fingerprint", "4" * 64)
    try:
        refused = controller.run()
        assert refused.code == 2 and not controller.records(), refused.said
        for words in ("fingerprint 444444444444", "fingerprint 222222222222", "contents differ", "--own-data"):
            assert words in refused.stderr, refused.said
        controller.assert_nothing_left()
        apart = controller.run("--own-data")
        assert apart.code == 0, apart.said
        controller.assert_complete()
        page = controller.session().report_file.read_text()
        assert "files 444444444444" in page or len({r.hardware for r in controller.records()}) > 1
    finally:
        lab.hosts["ws1"].exec("rm", "-f", f"{DATA}/fingerprint")


def test_a_renamed_host_keeps_its_records(session: Make) -> None:
    controller = session("ws1", "ws2")
    assert controller.run().code == 0
    before = controller.records()
    controller.new_names = {"ws1": "lab-1"}
    ended = controller.run("--rename", "ws1=lab-1")
    assert ended.code == 0, ended.said
    assert {record.host for record in controller.records()} == {"lab-1", "ws2"}
    assert len(controller.records()) == len(before)
