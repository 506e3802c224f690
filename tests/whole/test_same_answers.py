"""`plan`, `check`, `data describe`, `run` and `status` say the same about one inventory and its experiments."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pytest
from PIL import Image
from user import User, assert_plain

from harness.bench.launcher.confine import try_limit
from harness.hosts.local import LocalConnection
from harness.hosts.lock import acquire, make_owner

NO_IMAGES = "has no images: zero files ending in .jpg, .jpeg or .png"
EXPERIMENT = """\
name: all
rounds: 1
parameters:
  {data: pets, loader: [keras-idg, tfdata], memory_limit: 700MB, image_size: 32, batch_size: 8, epochs: 1}
include:
  - {loader: tfdata, memory_limit: 900TB}
  - {loader: tfdata, cpus: 640}
  - {loader: tfdata, memory_limit: search}
"""


class Lab(User):
    """A user whose data lies below home, with one set that is well and some that are not."""

    @cached_property
    def described(self) -> dict[str, Any]:
        """What ``data describe`` says of the set that is well."""
        return dict(json.loads(self.say("data", "describe", str(self.folder / "pets"), "--json").stdout))

    def prepare(self) -> Lab:
        self.control.mkdir(parents=True)
        (self.folder / "hollow" / "cat").mkdir(parents=True)
        for name in ("pets/cat/0.jpg", "pets/cat/1.jpg", "pets/dog/0.jpg", "pets/dog/1.jpg"):
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (40, 30), (len(name), int(path.stem), 7)).save(path)
        self.write_inventory(
            "inventory.yaml", "{pets: {folder: ~/pets}, hollow: {folder: ~/hollow}, gone: {folder: ~/gone}}"
        )
        for name in ("hollow", "gone"):
            self.write_inventory(f"{name}.yaml", f"{{{name}: {{folder: ~/{name}}}}}")
        (self.folder / "all.yaml").write_text(EXPERIMENT)
        return self

    def write_inventory(self, name: str, data: str) -> None:
        variables = f"{{engine: process, allow_busy: true, scratch: {self.scratch}, data: {data}}}"
        text = f"all: {{hosts: {{here: {{ansible_connection: local, harness: {variables}}}}}}}\n"
        (self.folder / name).write_text(text)

    def say(self, *words: str) -> Any:
        done = self.give(*words, HOME=str(self.folder), XDG_CACHE_HOME=str(self.folder / "cache"))
        assert_plain(done)
        return done

    def plan(self, *words: str, inventory: str = "inventory.yaml", code: int = 0) -> dict[str, Any]:
        done = self.say("plan", inventory, "--experiment", "all.yaml", "--json", *words)
        assert done.returncode == code, done.stderr
        (host,) = json.loads(done.stdout)["hosts"]
        return dict(host)

    def measure(self, *words: str, inventory: str = "inventory.yaml", code: int = 0) -> str:
        done = self.say("run", inventory, "--experiment", "all.yaml", *words)
        assert done.returncode == code, done.stderr
        return str(done.stderr)

    def status(self) -> tuple[int, int]:
        (host,) = json.loads(self.say("status", "--json").stdout)["hosts"]
        return host["done"], host["planned"]


@pytest.fixture(scope="module", autouse=True)
def checked(lab: Lab) -> str:
    """What ``check`` says of the inventory, after a set in it was described and before any session ran."""
    assert lab.described["images"] == 4
    done = lab.say("check", "inventory.yaml")
    assert done.returncode == 0
    return str(done.stdout)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    if not try_limit()["can_limit"]:
        pytest.skip("no memory limit can be enforced here")
    folder = tmp_path_factory.mktemp("lab")
    yield Lab(folder, tmp_path_factory.mktemp("scratch")).prepare()


def begun(said: str) -> tuple[int, int]:
    """What ``run`` says at its start."""
    found = re.search(r"(\d+) of (\d+) runs done", said)
    assert found is not None, said
    return int(found[1]), int(found[2])


def counts(host: dict[str, Any]) -> tuple[int, int]:
    return host["done"], host["planned"]


pytestmark = [pytest.mark.whole, pytest.mark.cgroup]


@dataclass(frozen=True)
class Session:
    """One session: what ``plan`` said before it and after it, what ``run`` said, and its records."""

    before: dict[str, Any]
    said: str
    records: list[dict[str, Any]]
    after: dict[str, Any]


@pytest.fixture(scope="module")
def session(lab: Lab, checked: str) -> Session:
    before, said = lab.plan(), lab.measure()
    return Session(before, said, lab.records(), lab.plan())


def test_one_session(lab: Lab, session: Session) -> None:
    """Counts, orders, limits and reasons of a session with rounds, a repeat check, skipped cases and a search."""
    before, records, after = session.before, session.records, session.after
    trials = next(line["planned"] for line in before["lines"] if line["memory_limit"] == "search")
    assert (before["state"], counts(before)) == ("ready", (0, 4 + 1 + trials)) and trials >= 7
    assert begun(session.said) == counts(before)
    in_round = [each["case_id"] + (":b" if each["alias"] == "b" else "") for each in records if each["alias"] != "s"]
    assert in_round[:5] == before["orders"]["1"] == after["orders"]["1"]
    assert counts(after) == lab.status() == (len(records), len(records))
    assert after["seconds"] == 0

    reasons = {line["case_id"]: line["refused"] for line in after["lines"] if line["refused"]}
    skipped = {each["case_id"]: each["cause"] for each in records if each["status"] == "skipped"}
    assert skipped == reasons and len(skipped) == 2
    words = " and ".join(sorted(skipped.values()))
    assert "a limit of 900 TB is more than this host can give: " in words
    assert "the case asks for 640 CPUs, the host offers " in words
    assert all(each["case"]["cpus"] is None for each in records if each["status"] == "ok"), "none ran as 640"
    limits = {line["case_id"]: line["memory_limit"] for line in after["lines"]}
    asked = {each["case_id"]: each["memory"]["limit_asked"] for each in records if each["case_id"] in limits}
    assert asked == {case_id: limits[case_id] for case_id in asked} and len(asked) == 4

    # More rounds are kept in the session: whoever asks later, with or without them.
    whole = len(records)
    assert begun(lab.measure("--rounds", "2")) == (whole, whole + 5)
    assert counts(lab.plan()) == lab.status() == (whole + 5, whole + 5)
    assert counts(lab.plan("--rounds", "1")) == (whole, whole), f"not {whole + 5} of {whole}"


@pytest.mark.parametrize(("name", "words"), [("hollow", NO_IMAGES), ("gone", "there is no folder")])
def test_data_that_is_wrong(lab: Lab, checked: str, name: str, words: str) -> None:
    place, own = str(lab.folder / name), f"{name}.yaml"
    described = lab.say("data", "describe", place)
    sentence, hint = described.stderr.removeprefix("error: ").strip().split("\n  → ")
    assert words in sentence and place in sentence and described.returncode == 2
    lab.experiment("all.yaml", data=name)
    try:
        assert f"here: not ready: {sentence}\n  → {hint}" in lab.measure(inventory=own, code=2)
        planned = lab.plan(inventory=own, code=2)
        assert (planned["state"], planned["error"]) == ("not_ready", {"message": sentence, "hint": hint})
        assert {line["refused"] for line in planned["lines"]} == {f"{sentence} → {hint}"}
    finally:
        (lab.folder / "all.yaml").write_text(EXPERIMENT)
    if name == "gone":
        alone = lab.say("check", own)
        assert f"✗ data {name}: {sentence}\n      → {hint}" in alone.stdout and alone.returncode == 2
    # Beside a set that is well it costs nobody else.
    assert f"! data {name}: {sentence}\n      → {hint}" in checked and "here: ready" in checked


def test_a_data_set_that_nobody_names(lab: Lab) -> None:
    words = ("hollow.yaml", "--experiment", "all.yaml")
    planned = lab.say("plan", *words)
    assert "error: hollow.yaml: no host of this session has a data set named 'pets' (known: hollow)" in planned.stderr
    assert planned.returncode == 2  # as `run`: tests/cli/test_usage.py


def test_one_fingerprint(lab: Lab, checked: str, session: Session) -> None:
    path, found = lab.folder / "pets", lab.described
    known = f"{path}, 4 images, {found['bytes'] / 1000:.3g} kB, fingerprint {found['fingerprint'][:12]}"
    assert f"✓ data pets: {known} (as last checked)" in checked
    planned = session.after["data"]["pets"]
    assert (planned["images"], planned["bytes"], planned["fingerprint"]) == (4, found["bytes"], found["fingerprint"])
    assert {each["data_fingerprint"] for each in session.records} == {found["fingerprint"]}


def test_a_machine_that_another_session_holds(lab: Lab) -> None:
    held = acquire(LocalConnection("here"), make_owner("other"), is_alive=lambda _session: True, path=str(lab.lock))
    try:
        planned = lab.plan("--fresh", code=3)
        assert planned["state"] == "locked" and "another session measures" in planned["error"]["message"]
        assert "here: locked: another session measures" in lab.measure("--fresh", code=3)
        told = lab.say("check", "inventory.yaml")
        assert "here: locked" in told.stdout and told.returncode == 3
    finally:
        held.release()
