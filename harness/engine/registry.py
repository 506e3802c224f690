"""The engines that there are, found by their files, and those of one host."""

from __future__ import annotations

from harness.bench.protocol.found import load_constant
from harness.engine.interface import Engine
from harness.engine.spec import EngineSpec, Means
from harness.values.engines import AUTO, KINDS, engine_names


def load_engine(name: str) -> EngineSpec:
    """Return what the file of an engine says of it."""
    spec = load_constant(f"{KINDS}.{name}", "SPEC", EngineSpec)
    if spec.name != name:
        raise TypeError(f"{KINDS}.{name} must hold an EngineSpec named {name!r}")
    return spec


def load_engines(requested: str = AUTO) -> tuple[EngineSpec, ...]:
    """Return the engines that may be used where ``requested`` is asked for, in the order in which they are tried."""
    names = engine_names() if requested == AUTO else (requested,)
    return tuple(sorted(map(load_engine, names), key=lambda spec: (spec.rank, spec.name)))


class HostEngines:
    """The engines of one host, each made when it is first asked for. One thread uses them."""

    def __init__(self, means: Means) -> None:
        self.means = means
        self._made: dict[str, Engine] = {}

    def get(self, spec: EngineSpec) -> Engine:
        """Return the host's engine of this kind, which may not have been asked anything yet."""
        if spec.name not in self._made:
            self._made[spec.name] = spec.make(self.means)
        return self._made[spec.name]

    def may_have_jobs(self, spec: EngineSpec) -> bool:
        """Whether earlier sessions may have left jobs of this kind. Raises EngineUnavailable where it cannot tell."""
        return spec.may_have_jobs(self.get(spec), self.means)
