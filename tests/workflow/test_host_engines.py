"""The engine of a host: tried by rank, its image brought or only looked for, and what sessions may have left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.engine.reached import Reached
from harness.engine.registry import load_engine
from harness.engine.spec import EngineSpec
from harness.hosts.local import LocalConnection
from harness.inventory import load_inventory
from harness.ship import engine_choice
from harness.ship.bringing import bring
from harness.ship.engine_choice import EngineSearch, find_engine
from harness.values.engine_names import EngineFacts
from harness.values.errors import EngineUnavailable, HostUnreachable, ImageUnavailable
from harness.values.event import Event, SessionFinding
from harness.values.facts import Facts
from harness.workflow import host_engines

IMAGELESS = ImageUnavailable("no base image could be had", where="here", hint="--base-image")
TRANSFERS: Any = SimpleNamespace()
"""Never looked into: what brings an image is replaced."""


class Fake:
    """An engine that answers with what a test says."""

    def __init__(self, name: str, answers: bool, images: Sequence[str]) -> None:
        self.name, self.host, self.answers, self.images = name, "here", answers, images
        self.probed: list[str] = []
        self.ends_with_user = False

    def probe(self, image: str) -> EngineFacts:
        self.probed.append(image)
        if not self.answers:
            raise EngineUnavailable(f"no {self.name}", where="here", hint=f"start {self.name}")
        digest = "d" * 64 if image in self.images else None
        return EngineFacts(self.name, "1", image_digest=digest, ends_with_user=self.ends_with_user)


class Lab:
    """Three engines on one host, as far as a test wants them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        self.brought: list[str] = []
        self.image: str | Exception = "ours:1"
        self.engines: dict[str, Fake] = {}
        self.specs: list[EngineSpec] = []
        self.events: list[Event] = []
        for module in (engine_choice, host_engines):
            monkeypatch.setattr(module, "load_engines", self._load)
        monkeypatch.setattr(engine_choice, "bring_image", self._bring)
        (tmp_path / "i.yaml").write_text(
            "all: {hosts: {here: {ansible_connection: local, harness: {image: 'ours:1'}}}}"
        )
        host = load_inventory(tmp_path / "i.yaml").host("here")
        self.reached = Reached(host, LocalConnection("here"), Facts(), str(tmp_path), {}, 10**9)

    def add(self, name: str, *, answers: bool = True, images: Sequence[str] | None = None) -> Fake:
        """One more engine; with ``images`` it is one that uses them, and has these."""
        engine = self.engines[name] = Fake(name, answers, ("",) if images is None else images)
        words = replace(load_engine("process").words, title=name.upper())

        def may_have_jobs(_engine: Any, _means: Any) -> bool:
            engine.probe("")
            return True

        self.specs.append(
            EngineSpec(name, 10 * len(self.specs), words, lambda _: engine, may_have_jobs, images is not None)  # type: ignore[arg-type,return-value]  # a probe is all that is asked
        )
        return engine

    def find(self, requested: str, *, bring: bool = True) -> EngineSearch:
        return find_engine(self.reached, requested, TRANSFERS if bring else None, self.events.append)

    def _load(self, requested: str = "auto") -> tuple[EngineSpec, ...]:
        return tuple(spec for spec in self.specs if requested in ("auto", spec.name))

    def _bring(self, _reached: Reached, engine: Any, _transfers: Any, _emit: Any) -> tuple[str, str]:
        self.brought.append(engine.name)
        if isinstance(self.image, Exception):
            raise self.image
        return self.image, "built"


@pytest.fixture
def lab(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Lab:
    return Lab(monkeypatch, tmp_path)


def test_the_first_that_answers_is_taken_and_no_other_is_asked(lab: Lab) -> None:
    lab.add("silent", answers=False, images=["ours:1"])
    lab.add("second", images=["ours:1"])
    third = lab.add("third")
    search = lab.find("auto")
    chosen = search.take()
    assert (chosen.engine.name, chosen.image, chosen.how) == ("second", "ours:1", "built")
    assert chosen.facts.uses_images and chosen.facts.words.title == "SECOND" and chosen.facts.image_digest == "d" * 64
    assert [(refusal.spec.name, refusal.error.message) for refusal in search.refused] == [("silent", "no silent")]
    assert chosen.choice.warning == "no SILENT answers; using `second`.\nhere: no silent\n  → start silent"
    assert lab.brought == ["second"] and third.probed == []


def test_an_image_that_cannot_be_had_leads_to_the_next_in_red(lab: Lab) -> None:
    lab.add("first", images=[])
    lab.add("second")
    lab.image = IMAGELESS
    chosen = lab.find("auto").take()
    assert (chosen.engine.name, chosen.image, chosen.choice.severity) == ("second", "", "error")
    assert str(chosen.choice.warning).startswith("a FIRST answers, but no image could be had; using `second`.")


def test_an_image_that_is_not_there_after_all_counts_as_none(lab: Lab) -> None:
    lab.add("first", images=[])
    with pytest.raises(ImageUnavailable, match="the engine has no image 'ours:1'"):
        lab.find("first").take()


def test_without_transfers_nothing_is_brought_and_the_image_may_still_come(lab: Lab) -> None:
    engine = lab.add("first", images=[])
    chosen = lab.find("auto", bring=False).take()
    assert (chosen.image, chosen.facts.image_digest, lab.brought) == ("ours:1", None, [])
    assert engine.probed == ["ours:1"]


def test_what_is_asked_for_is_taken_or_its_own_error_raised(lab: Lab) -> None:
    lab.add("first", images=["ours:1"])
    lab.add("second", answers=False)
    with pytest.raises(EngineUnavailable, match="here: no second") as caught:
        lab.find("second").take()
    assert caught.value.hint == "start second" and lab.find("second").chosen is None
    assert lab.find("first").take().choice.reason == "asked for by `engine: first`"


@pytest.mark.parametrize(
    ("connection", "lingers", "ends_with_user", "warnings"),
    [("ssh", False, True, 1), ("ssh", True, True, 0), ("ssh", False, False, 0), ("local", False, True, 0)],
)
def test_a_run_says_before_its_jobs_that_a_logout_would_end_them(
    lab: Lab, tmp_path: Path, connection: str, lingers: bool, ends_with_user: bool, warnings: int
) -> None:
    lab.add("first", images=["ours:1"]).ends_with_user = ends_with_user
    text = f"all: {{hosts: {{here: {{ansible_connection: {connection}, harness: {{image: 'ours:1'}}}}}}}}"
    (tmp_path / "j.yaml").write_text(text)
    host = load_inventory(tmp_path / "j.yaml").host("here")
    reached = replace(lab.reached, host=host, facts=Facts(lingers=lingers, kills_at_logout=False))
    nothing: Any = SimpleNamespace(weights={}, missing_weights={}, sources={}, missing_data={})
    bring(reached, nothing, "auto", TRANSFERS, lab.events.append)
    found = [event for event in lab.events if isinstance(event, SessionFinding)]
    assert [(one.id, one.severity) for one in found] == [("logout-ends-jobs", "warning")] * warnings
    assert all("`loginctl enable-linger`" in one.hint for one in found)


def test_a_host_that_is_lost_meanwhile_is_no_engine_that_is_silent(lab: Lab) -> None:
    lab.add("first", images=["ours:1"])
    lab.add("second")
    lab.image = HostUnreachable("gone", where="here")
    with pytest.raises(HostUnreachable):
        lab.find("auto")


def test_engines_on_which_jobs_may_be_and_those_that_are_silent(lab: Lab) -> None:
    lab.add("first", answers=False)
    lab.add("second")
    found, silent = host_engines.engines_with_jobs(lab.reached)
    assert [engine.name for engine in found] == ["second"]
    assert [spec.name for spec in silent] == ["first"]


def test_a_host_that_is_pinned_is_not_asked_for_better_engines(lab: Lab) -> None:
    first = lab.add("first")
    for name in ("process", "third"):
        lab.add(name)
    variables = lab.reached.host.variables.model_copy(update={"engine": "process"})
    pinned = replace(lab.reached, host=replace(lab.reached.host, variables=variables))
    found, silent = host_engines.engines_with_jobs(pinned)
    assert ([engine.name for engine in found], silent, first.probed) == (["process", "third"], [], [])
