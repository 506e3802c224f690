"""Each model of a session gets the file of weights that is its own, and a record says which one that was."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.engine.interface import JobState, Mount, Payload
from harness.engine.jobs import HostData
from harness.engine.reached import Reached
from harness.hosts.local import LocalConnection
from harness.inventory import load_inventory
from harness.session.collect import Results, SessionIdentity, build_record
from harness.session.feasibility import refusals, refuse_hopeless
from harness.session.invocations import Invocation
from harness.session.request import build_measurement
from harness.session.setup import HostSetup
from harness.ship.bringing import bring_weights
from harness.ship.needs import Needs, inspect_needs
from harness.values.case import Case, ModelSetting
from harness.values.engine_names import EngineFacts
from harness.values.errors import ConfigurationError
from harness.values.facts import Facts
from harness.values.weights import WeightsFile, weights_key

SMALL, LARGE, RESNET = (
    Case(data="d", loader="tfdata", mode="train", image_size=(64, 64), model=ModelSetting(weights="imagenet", **model))
    for model in ({"alpha": 0.25}, {"alpha": 0.5}, {"name": "resnet50"})
)
NAMES = {
    SMALL: "mobilenet_2_5_224_tf_no_top.h5",
    LARGE: "mobilenet_5_0_224_tf_no_top.h5",
    RESNET: "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5",
}


@pytest.fixture
def reached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Reached:
    """This machine, with a home folder of its own in which Keras' files are, each with its name as content."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in NAMES.values():
        (tmp_path / ".keras/models").mkdir(parents=True, exist_ok=True)
        (tmp_path / ".keras/models" / name).write_text(name)
    (tmp_path / "inventory.yaml").write_text("all: {hosts: {here: {ansible_connection: local}}}\n")
    host = load_inventory(tmp_path / "inventory.yaml").host("here")
    return Reached(host, LocalConnection("here"), Facts(), str(tmp_path / "scratch"), {}, 10**9)


def needs_of(reached: Reached) -> Needs:
    return inspect_needs(reached, list(NAMES), sendable=(), is_counted=False)


def find_weights(reached: Reached) -> dict[str, WeightsFile]:
    nothing_to_send: Any = None
    return bring_weights(reached, needs_of(reached), nothing_to_send, lambda event: None)


def setup_with(weights: dict[str, WeightsFile]) -> HostSetup:
    engine: Any = SimpleNamespace(name="process")
    data = HostData("d", "folder", "f" * 64, 10, 2, 1000, (Mount("data", "/data"),))
    return HostSetup(
        host="here", connection=LocalConnection("here"), engine=engine, engine_facts=EngineFacts("process", "1"),
        facts=Facts(), image="", image_digest="1", payload=Payload("2", b""), data={"d": data}, missing_data={},
        disks={}, memory_available=10**9, cpus=(0,), weights=weights,
    )  # fmt: skip


def test_two_widths_and_two_models_have_a_file_each(reached: Reached, tmp_path: Path) -> None:
    setup = setup_with(find_weights(reached))
    for case, name in NAMES.items():
        invocation = Invocation("id", "here", case, None, 1, 1)
        mounts = {mount.name: mount.source for mount in build_measurement("s", 1, 60.0, setup, invocation).mounts}
        assert mounts["weights"] == f"{tmp_path}/.keras/models/{name}"
        state = JobState("exited", exit_code=0, oom_killed=False)
        record = build_record(
            SessionIdentity("s", "e", "k"), setup, invocation, state, Results(None, None, {}, (), ""),
            log=None, started_at="2026-01-01T00:00:00Z", finished_at="2026-01-01T00:00:01Z",
        )  # fmt: skip
        digest = hashlib.sha256(name.encode()).hexdigest()
        assert record.environment["weights"] == {"file": name, "sha256": digest}
    plain = LARGE.model_copy(update={"model": ModelSetting()})
    job = build_measurement("s", 1, 60.0, setup, Invocation("id", "here", plain, None, 1, 1))
    assert [mount.name for mount in job.mounts] == ["data"]


def test_a_missing_file_is_named_and_costs_the_cases_that_need_it(reached: Reached, tmp_path: Path) -> None:
    gone = tmp_path / ".keras/models" / NAMES[LARGE]
    gone.unlink()
    (lacking,) = needs_of(reached).missing_weights.items()
    assert lacking[0] == weights_key(LARGE)
    assert lacking[1].message == f"weights: imagenet: no file {gone} that can be read"
    assert set(find_weights(reached)) == {NAMES[SMALL], NAMES[RESNET]}
    found = refusals(
        list(NAMES), memory_available=10**9, disks={}, disk_reserve=None, cache_bytes={}, missing_data={},
        missing_weights={lacking[0]: str(lacking[1])}, engine_reasons=(), can_limit_memory=True,
        can_limit_cpus=True, disk_names=(), cpus=1, gpus=0,
    )  # fmt: skip
    assert [(one.case_id, str(gone) in one.reason) for one in found] == [(LARGE.case_id, True)]
    refuse_hopeless(list(NAMES), {}, dict([lacking]))
    with pytest.raises(ConfigurationError, match="mobilenet_5_0_224"):
        refuse_hopeless([LARGE], {}, dict([lacking]))


def test_a_file_of_this_machine_is_not_missing_on_another_that_it_can_be_sent_to(reached: Reached) -> None:
    far = replace(reached, host=replace(reached.host, connection="ssh"))
    (Path.home() / ".keras/models" / NAMES[RESNET]).unlink()
    assert list(needs_of(far).missing_weights) == [NAMES[RESNET]]
