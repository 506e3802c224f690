"""`plan`, `check`, `data describe`, `run` and `status` say the same about one inventory and its experiments."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from PIL import Image
from user import User, assert_plain

from harness.bench.confine import try_limit
from harness.hosts.local import LocalConnection
from harness.hosts.lock import acquire, make_owner

NO_CLASSES = "has no class folders: zero classes"


class Lab(User):
    """A user whose data lies below home, with one set that is well and some that are not."""

    def prepare(self) -> Lab:
        self.control.mkdir(parents=True)
        for name in ("pets/cat/0.jpg", "pets/cat/1.jpg", "pets/dog/0.jpg", "pets/dog/1.jpg", "flat/0.jpg"):
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (40, 30), (len(name), int(path.stem), 7)).save(path)
        data = "{pets: {folder: ~/pets}, flat: {folder: ~/flat}, gone: {folder: ~/gone}}"
        self.write_inventory("inventory.yaml", data)
        for name in ("flat", "gone"):
            self.write_inventory(f"{name}.yaml", f"{{{name}: {{folder: ~/{name}}}}}")
            self.experiment(f"of_{name}.yaml", data=name)
        self.experiment("plain.yaml", data="pets", loader=["keras-idg", "tfdata"])
        self.experiment("search.yaml", data="pets", memory_limit="search")
        self.experiment("large.yaml", data="pets", cpus=["auto", 640], memory_limit=["700MB", "900TB"])
        return self

    def write_inventory(self, name: str, data: str) -> None:
        variables = f"{{engine: process, allow_busy: true, scratch: {self.scratch}, data: {data}}}"
        text = f"all: {{hosts: {{here: {{ansible_connection: local, harness: {variables}}}}}}}\n"
        (self.folder / name).write_text(text)

    def say(self, *words: str) -> Any:
        done = self.give(*words, HOME=str(self.folder), XDG_CACHE_HOME=str(self.folder / "cache"))
        assert_plain(done)
        return done

    def plan(self, experiment: str, *words: str, inventory: str = "inventory.yaml", code: int = 0) -> dict[str, Any]:
        done = self.say("plan", inventory, "--experiment", experiment, "--json", *words)
        assert done.returncode == code, done.stderr
        (host,) = json.loads(done.stdout)["hosts"]
        return dict(host)

    def measure(self, experiment: str, *words: str, inventory: str = "inventory.yaml", code: int = 0) -> str:
        done = self.say("run", inventory, "--experiment", experiment, *words)
        assert done.returncode == code, done.stderr
        return str(done.stderr)

    def status(self) -> tuple[int, int]:
        (host,) = json.loads(self.say("status", "--json").stdout)["hosts"]
        return host["done"], host["planned"]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    if not try_limit()["can_limit"]:
        pytest.skip("no memory limit can be enforced here")
    folder = tmp_path_factory.mktemp("lab")
    yield Lab(folder, tmp_path_factory.mktemp("scratch")).prepare()


def begun(said: str) -> tuple[int, int]:
    """What ``run`` says at its start."""
    found = re.search(r"(\d+) of (\d+) invocations done", said)
    assert found is not None, said
    return int(found[1]), int(found[2])


def counts(host: dict[str, Any]) -> tuple[int, int]:
    return host["done"], host["planned"]


pytestmark = pytest.mark.cgroup


def test_counts_orders_and_times(lab: Lab) -> None:
    planned = lab.plan("plain.yaml")
    assert (planned["state"], counts(planned)) == ("ready", (0, 3))
    assert begun(lab.measure("plain.yaml")) == (0, 3)
    records = [record for record in lab.records() if record["experiment"] == "plain"]
    ran = [record["case_id"] + (f":{record['alias']}" if record["alias"] else "") for record in records]
    assert ran == planned["orders"]["1"]
    limits = {line["case_id"]: line["memory_limit"] for line in planned["lines"]}
    assert {record["case_id"]: record["memory"]["limit_asked"] for record in records} == limits
    assert counts(lab.plan("plain.yaml")) == lab.status() == (3, 3)
    # More rounds are kept: whoever asks later, with or without them.
    assert counts(lab.plan("plain.yaml", "--rounds", "2")) == (3, 6)
    assert begun(lab.measure("plain.yaml", "--rounds", "2")) == (3, 6)
    again = lab.plan("plain.yaml")
    assert counts(again) == lab.status() == begun(lab.measure("plain.yaml")) == (6, 6)
    assert again["seconds"] == 0
    assert counts(lab.plan("plain.yaml", "--rounds", "1")) == (3, 3), "not 6 of 3"
    assert counts(lab.plan("plain.yaml", "--only", "loader=tfdata")) == (2, 2)
    assert counts(lab.plan("plain.yaml", "--fresh")) == (0, 3)


def test_searches_are_counted_as_their_trials(lab: Lab) -> None:
    planned = lab.plan("search.yaml")
    (line,) = planned["lines"]
    assert (line["memory_limit"], line["planned"], planned["orders"]) == ("search", planned["planned"], {})
    assert begun(lab.measure("search.yaml")) == counts(planned)
    records = [record for record in lab.records() if record["experiment"] == "search"]
    assert counts(lab.plan("search.yaml")) == lab.status() == (len(records), len(records))


def test_what_is_skipped_and_why(lab: Lab) -> None:
    planned = lab.plan("large.yaml")
    reasons = {line["case_id"]: line["refused"] for line in planned["lines"]}
    lab.measure("large.yaml")
    records = [record for record in lab.records() if record["experiment"] == "large"]
    skipped = {record["case_id"]: record["cause"] for record in records if record["status"] == "skipped"}
    assert skipped == {case_id: reason for case_id, reason in reasons.items() if reason}
    assert sum("asks for 640 CPUs, the host offers" in reason for reason in skipped.values()) == 2
    assert sum("900 TB is more than this host can give" in reason for reason in skipped.values()) == 1
    assert {record["case"]["cpus"] for record in records if record["status"] == "ok"} == {None}
    assert counts(lab.plan("large.yaml")) == lab.status()


@pytest.mark.parametrize(("name", "words"), [("flat", NO_CLASSES), ("gone", "there is no folder")])
def test_data_that_is_wrong(lab: Lab, name: str, words: str) -> None:
    place, experiment, own = str(lab.folder / name), f"of_{name}.yaml", f"{name}.yaml"
    described = lab.say("data", "describe", place)
    sentence, hint = described.stderr.removeprefix("error: ").strip().split("\n  → ")
    assert words in sentence and place in sentence and described.returncode == 2
    assert f"here: not ready: {sentence}\n  → {hint}" in lab.measure(experiment, inventory=own, code=2)
    planned = lab.plan(experiment, inventory=own, code=2)
    assert (planned["state"], planned["error"]) == ("not_ready", {"message": sentence, "hint": hint})
    assert {line["refused"] for line in planned["lines"]} == {sentence}
    checked = lab.say("check", own)
    assert f"✗ data {name}: {sentence}\n      → {hint}" in checked.stdout and checked.returncode == 2
    # Beside a set that is well it costs nobody else.
    checked = lab.say("check", "inventory.yaml")
    assert "here: ready" in checked.stdout and f"! data {name}: {sentence}" in checked.stdout
    assert checked.returncode == 0


def test_a_data_set_that_nobody_names(lab: Lab) -> None:
    lab.experiment("nowhere.yaml", data="nowhere")
    told = lab.say("run", "inventory.yaml", "--experiment", "nowhere.yaml")
    planned = lab.say("plan", "inventory.yaml", "--experiment", "nowhere.yaml")
    error = "error: inventory.yaml: no host of this session has a data set named 'nowhere'"
    assert error in told.stderr and error in planned.stderr
    assert told.returncode == planned.returncode == 2


def test_one_fingerprint(lab: Lab) -> None:
    path = lab.folder / "pets"
    found = json.loads(lab.say("data", "describe", str(path), "--json").stdout)
    known = f"{path}, 4 images, {found['bytes'] / 1000:.3g} kB, fingerprint {found['fingerprint'][:12]}"
    assert f"✓ data pets: {known} (as last checked)" in lab.say("check", "inventory.yaml").stdout
    planned = lab.plan("plain.yaml")["data"]["pets"]
    assert (planned["images"], planned["bytes"], planned["fingerprint"]) == (4, found["bytes"], found["fingerprint"])
    assert {record["data_fingerprint"] for record in lab.records() if record["experiment"] == "plain"} == {
        found["fingerprint"]
    }


def test_a_machine_that_another_session_holds(lab: Lab) -> None:
    held = acquire(LocalConnection("here"), make_owner("other"), is_alive=lambda _session: True, path=str(lab.lock))
    try:
        planned = lab.plan("plain.yaml", "--fresh", code=3)
        assert planned["state"] == "locked" and "another session measures" in planned["error"]["message"]
        assert "here: locked: another session measures" in lab.measure("plain.yaml", "--fresh", code=3)
        checked = lab.say("check", "inventory.yaml")
        assert "here: locked" in checked.stdout and checked.returncode == 3
    finally:
        held.release()
