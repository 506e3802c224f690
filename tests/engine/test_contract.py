"""The contract of all engines, on each that has a file in ``harness/engine/kinds`` and answers on this machine."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import docker_support as support
import pytest
from contract import EngineContract

from harness.engine.interface import Engine, ImageEngine, JobHandle, JobRequest
from harness.engine.registry import load_engines
from harness.engine.spec import EngineSpec, Means
from harness.hosts.local import LocalConnection
from harness.values.engine_names import EngineFacts
from harness.values.errors import EngineUnavailable

_PROBED: dict[str, EngineFacts] = {}
"""What each engine said of itself the first time: some start a job to find out."""


def this_machine(scratch: Path) -> Means:
    """What this machine gives to its engines."""
    return Means(LocalConnection("here"), str(scratch), os.getuid(), os.getgid(), is_local=True)


def param(spec: EngineSpec) -> Any:
    """One engine for tests: those with images, and slurm, need what bears their name, the others to make cgroups."""
    is_named = spec.uses_images or spec.name == "slurm"
    return pytest.param(spec, id=spec.name, marks=getattr(pytest.mark, spec.name) if is_named else pytest.mark.cgroup)


class TestEveryEngine(EngineContract):
    @pytest.fixture(params=[param(spec) for spec in load_engines()])
    def spec(self, request: pytest.FixtureRequest) -> EngineSpec:
        return cast("EngineSpec", request.param)

    @pytest.fixture
    def means(self, spec: EngineSpec, tmp_path: Path, request: pytest.FixtureRequest) -> Means:
        means = this_machine(tmp_path / "scratch")
        if spec.name == "slurm":
            return replace(means, connection=request.getfixturevalue("cluster").connection())
        return means

    @pytest.fixture
    def engine(self, spec: EngineSpec, means: Means) -> Engine:
        """The engine as a command makes it; skips where it does not answer here, or cannot enforce limits."""
        engine = spec.make(means)
        try:
            facts = _PROBED.get(spec.name) or engine.probe("")
        except EngineUnavailable as error:
            pytest.skip(str(error))
        _PROBED[spec.name] = facts
        if not facts.can_limit_memory:
            pytest.skip("; ".join(facts.reasons))
        return engine

    @pytest.fixture
    def image(self, spec: EngineSpec, engine: Engine) -> str:
        return support.python_image(cast("ImageEngine", engine).client) if spec.uses_images else ""

    def assert_no_trace(self, engine: Engine, handles: list[JobHandle]) -> None:
        super().assert_no_trace(engine, handles)
        names = [handle.name for handle in handles]
        for folder, below, _ in os.walk("/sys/fs/cgroup"):
            left = [group for group in below for name in names if name in group]
            assert not left, f"{left} in {folder}"
        if hasattr(engine, "client"):
            identifiers = {handle.id for handle in handles}
            assert not [one for one in engine.client.containers(all=True) if one["Id"] in identifiers]

    def test_it_answers_by_its_own_name_with_what_it_can_prove(
        self, spec: EngineSpec, engine: Engine, image: str
    ) -> None:
        facts = engine.probe(image)
        assert (engine.name, facts.engine, engine.host) == (spec.name, spec.name, "here")
        assert facts.version and facts.cgroup_version in (1, 2) and facts.can_limit_cpus
        assert facts.image_digest is not None and len(facts.image_digest) == 64
        if spec.uses_images:
            assert engine.probe("harness-no-such:1").image_digest is None

    def test_where_its_jobs_may_be_is_known(self, spec: EngineSpec, engine: Engine, means: Means, make: Any) -> None:
        engine.submit(cast("JobRequest", make("end")))
        assert spec.may_have_jobs(spec.make(means), means)

    def test_its_scratch_is_left_as_it_was(self, engine: Engine, make: Any, means: Means) -> None:
        request = make("end")
        handle = engine.submit(request)
        self.wait(engine, handle)
        engine.cancel([handle])
        assert not [path for path in Path(means.scratch).rglob("*") if request.name in path.name]
