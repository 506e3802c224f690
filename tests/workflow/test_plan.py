"""What `harness plan` says before anything was measured: sizes of sets that were never read, twins, unknown times."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from machine import keep_facts
from PIL import Image

from harness.cli import app as program

PAIR: dict[str, list[object]] = {"images": [], "annotations": [], "categories": []}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A COCO pair of seven pictures and two other files, and an inventory of this machine."""
    keep_facts(monkeypatch)
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for number in range(7):
        Image.new("RGB", (40, 30), (number, 0, 0)).save(pictures / f"{number}.jpg")
    (pictures / "README.txt").write_text("no picture")
    (tmp_path / "pair.json").write_text(json.dumps(PAIR))
    data = f"{{pair: {{images: {pictures}, annotations: {tmp_path / 'pair.json'}}}}}"
    variables = f"{{engine: process, allow_busy: true, scratch: {tmp_path / 'scratch'}, data: {data}}}"
    inventory = f"all: {{hosts: {{here: {{ansible_connection: local, harness: {variables}}}}}}}\n"
    (tmp_path / "inventory.yaml").write_text(inventory)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def plan(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], experiment: str, *words: str, code: int = 0
) -> str:
    """What the command prints for an experiment, and ends with this exit code."""
    Path("experiment.yaml").write_text(experiment)
    argv = ["harness", "plan", "inventory.yaml", "--experiment", "experiment.yaml", *words]
    monkeypatch.setattr(sys, "argv", argv)
    monkeypatch.setattr("harness.cli.app.signal.signal", lambda *_: None)
    with pytest.raises(SystemExit) as ended:
        program.main()
    assert (ended.value.code or 0) == code
    return capsys.readouterr().out


def planned_host(text: str) -> dict[str, Any]:
    (host,) = json.loads(text)["hosts"]
    return dict(host)


def test_a_set_that_was_never_read_is_counted(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    experiment = "{name: e, rounds: 2, parameters: {data: pair, loader: tfdata, cache: [none, file], image_size: 64}}"
    host = planned_host(plan(monkeypatch, capsys, experiment, "--json"))
    size = host["data"]["pair"]
    assert (size["images"], size["is_bound"]) == (7, True)
    assert size["bytes"] == sum(path.stat().st_size for path in (folder / "pictures").glob("*.jpg"))
    cached = [line for line in host["lines"] if line["cache_on_disk"]]
    assert [line["cache_bytes"] for line in cached] == [pytest.approx(7 * 64 * 64 * 3 * 4, rel=0.01)]
    assert host["planned"] == 2 * (2 + 1), "two cases and the twin of one of them"
    assert host["twin"] in {line["case_id"] for line in host["lines"]}
    assert host["seconds"] > 0
    assert not (folder / "scratch").exists() and not (folder / "reports").exists(), "a plan changes nothing"


def test_what_nobody_can_know_is_not_called_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    experiment = "{name: e, rounds: 1, parameters: {data: pair, loader: tfdata, cache: file}}"
    host = planned_host(plan(monkeypatch, capsys, experiment, "--offline", "--json"))
    assert host["seconds"] is None and host["data"]["pair"]["images"] is None
    said = plan(monkeypatch, capsys, experiment, "--offline")
    assert "not known until the host is contacted" in said and "caches need an unknown amount" in said
    assert "0 B" not in said and "0.0 s" not in said and "  fits" not in said


def test_stall_rounds_are_counted_where_the_files_fit(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    parameters = "{data: pair, loader: tfdata, mode: train, image_size: 64, model: {alpha: 0.25, weights: none}}"
    experiment = f"{{name: e, rounds: 3, stall_rounds: 2, parameters: {parameters}}}"
    host = planned_host(plan(monkeypatch, capsys, experiment, "--json"))
    assert [label for label in host["warm"] if "warm" in label] == host["warm"] != []
    assert host["planned"] == 3 * (2 + 1) + 2 * len(host["warm"]), "the case, its ceiling and its twin; and warm runs"


def test_an_experiment_that_is_not_there_is_a_mistake_where_it_is_asked_for(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "group_vars").mkdir()
    (folder / "group_vars" / "all.yaml").write_text("# of all\nharness:\n  experiment: absent.yaml\n")
    monkeypatch.setattr(sys, "argv", ["harness", "plan", "inventory.yaml"])
    monkeypatch.setattr("harness.cli.app.signal.signal", lambda *_: None)
    with pytest.raises(SystemExit) as ended:
        program.main()
    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert "group_vars/all.yaml:3: there is no preset or file" in said and "absent.yaml, which is asked" in said


def test_hosts_of_which_the_same_is_planned_have_their_cases_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    inventory = folder / "inventory.yaml"
    one = inventory.read_text().partition("here: ")[2].rpartition("}}")[0]
    hosts = ", ".join(f"ws{number}: {one}" for number in range(1, 5))
    inventory.write_text(
        f"all: {{hosts: {{{hosts}, ws5: {one.replace('allow_busy', 'disk_reserve: 0GB, allow_busy')}}}}}\n"
    )
    experiment = "{name: e, rounds: 2, parameters: {data: pair, loader: tfdata, cache: [none, file], image_size: 64}}"
    said = plan(monkeypatch, capsys, experiment, code=1)  # one machine by five names
    assert said.count("does it fit") == 1 and said.count("tfdata, file cache") == 1
    for number in range(1, 6):
        assert said.count(f"ws{number} (") == 1
    assert said.count("0 of 6 runs done") == 1
    assert re.search(r"^ws1, ws2, ws3, ws4: disk scratch: .*\nws5: disk scratch: ", said, re.MULTILINE)
    assert "order of round" not in said and len(said.splitlines()) < 30
    orders = re.findall(r"order of round 1 .*: (\w+) (\w+)", plan(monkeypatch, capsys, experiment, "--verbose", code=1))
    assert orders and all(len(set(order)) == 2 for order in orders)
