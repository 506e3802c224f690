"""Find out which data sets and weights the cases need on a host, before anything is built or sent; for plan and run."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass

from harness.bench.protocol.image_formats import SOME_READ
from harness.bench.protocol.loader_registry import LOADERS
from harness.engine.reached import Reached
from harness.ship.data_inspection import inspect_data
from harness.ship.dataset_check import DataSpec
from harness.ship.weights import FoundWeights, inspect_weights
from harness.values.case import Case
from harness.values.data import DataState
from harness.values.errors import ConfigurationError, DataError


@dataclass(frozen=True)
class Needs:
    """The needs of cases on a host: data sets by name, weights by ``weights_key``, each with its state.

    ``sources`` are what a session would read; a data set that will be sent has no source yet, and no problem.
    """

    host: str
    sources: Mapping[str, DataSpec | None]
    states: Mapping[str, DataState]
    weights: Mapping[str, FoundWeights]

    @property
    def foreign_data(self) -> frozenset[str]:
        """Return the data sets that the inventory does not name for the host, and that were not sent there."""
        return frozenset(name for name, state in self.states.items() if state.problem and not state.is_named)

    @property
    def missing_data(self) -> dict[str, DataError]:
        """Return the errors of data sets that cannot be used, by name."""
        return {name: state.as_error(self.host) for name, state in self.states.items() if state.problem}

    @property
    def missing_weights(self) -> dict[str, ConfigurationError]:
        """Return the errors of missing weights, by ``weights_key``."""
        return {key: found.problem for key, found in self.weights.items() if found.problem is not None}


_WHOLE = ("exact", "fast-dct", "plain-upscaling")
"""Ways of decoding with which other formats are decoded as with ``exact``; the other ways support only JPEG."""


def formats_of(cases: Iterable[Case]) -> tuple[str, ...]:
    """Return the formats besides JPEG and PNG that the loaders of all these cases read with equal pixels."""
    offered = [set(LOADERS[case.loader].formats if case.decoding in _WHOLE else ()) for case in cases]
    return tuple(name for name in SOME_READ if all(name in each for each in offered)) if offered else ()


def inspect_needs(reached: Reached, cases: Sequence[Case], *, sendable: Container[str], is_counted: bool) -> Needs:
    """Inspect the data sets and weights that the cases need on a host.

    ``sendable`` are data sets that would be sent; ``is_counted``: files are counted. Weights on this machine are sent
    to other hosts.
    """
    sources: dict[str, DataSpec | None] = {}
    states: dict[str, DataState] = {}
    for name in dict.fromkeys(case.data for case in cases):
        formats = formats_of(case for case in cases if case.data == name)
        sources[name], states[name] = inspect_data(reached, name, formats=formats, is_counted=is_counted)
        if sources[name] is None and name in sendable:
            states[name] = DataState(
                name, states[name].place, source="not there yet: `harness run --ship-data` sends it"
            )
    weights = inspect_weights(reached.connection, cases, may_send=not reached.is_local)
    return Needs(reached.name, sources, states, weights)
