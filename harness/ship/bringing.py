"""Bring a host what its cases need and it lacks: weights, the engine's image, data sets. Events report each step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from harness.analysis.check_engine import check_logout
from harness.analysis.findings import find
from harness.engine.jobs import JobHost
from harness.engine.reached import Reached
from harness.ship.dataset_check import DataSpec
from harness.ship.engine_choice import ChosenEngine, find_engine
from harness.ship.needs import Needs
from harness.ship.transfers import Transfers, ship_data
from harness.ship.weights import hash_weights, ship_weights
from harness.values.engine_names import AUTO, engine_names
from harness.values.errors import ConfigurationError, DataError, HostNotReady
from harness.values.event import Emit, EngineChosen, ImageReady, SessionFinding, progress_of
from harness.values.weights import WeightsFile


@dataclass(frozen=True)
class Brought:
    """All that a host has for its cases: an engine with its image, data sets by name, weights by ``weights_key``.

    ``missing_data`` and ``missing_weights`` have the errors of those that it does not have.
    """

    engine: ChosenEngine
    weights: Mapping[str, WeightsFile]
    missing_weights: Mapping[str, ConfigurationError]
    sets: Mapping[str, DataSpec]
    missing_data: Mapping[str, DataError]


def bring(
    reached: Reached, needs: Needs, requested: str, transfers: Transfers, emit: Emit, *, used_before: str = ""
) -> Brought:
    """Bring a host what is missing, the engine with its image before data sets. Raises HostError.

    A data set that cannot be brought affects only the cases that need it. ``used_before`` is the engine with which the
    session has measured this host before; for ``requested`` ``auto`` it is used again.
    """
    weights = bring_weights(reached, needs, transfers, emit)
    is_kept = requested == AUTO and used_before in engine_names()
    engine = _bring_engine(reached, used_before if is_kept else requested, transfers, emit, is_kept=is_kept)
    return Brought(engine, weights, needs.missing_weights, *bring_sets(reached, needs, transfers, emit))


def bring_weights(reached: Reached, needs: Needs, transfers: Transfers, emit: Emit) -> dict[str, WeightsFile]:
    """Return the files of weights on the host by ``weights_key``, after sending those that are on this machine."""
    files = {}
    for key, found in needs.weights.items():
        if found.here is not None:
            show = progress_of(reached.name, emit, f"weights {found.here.name}")
            files[key] = ship_weights(reached.connection, reached.scratch, found.here, transfers.slots, show)
        elif found.problem is None:
            files[key] = hash_weights(reached.connection, found.path)
    return files


def bring_image_again(on: JobHost, reached: Reached, transfers: Transfers, emit: Emit) -> None:
    """Bring a host the image of its jobs again after it was removed. Raises HostError."""
    hint = "nothing to do; commands such as `docker system prune` remove images that no container uses"
    emit(SessionFinding.of(find("image-removed", f"the image {on.image} was removed from this host", hint), on.host))
    chosen = find_engine(reached, on.engine.name, transfers, emit).take()
    digest = chosen.facts.image_digest
    if digest is None or (chosen.image, digest) != (on.image, on.image_digest):
        message = f"the image {on.image} was removed, and the image that replaced it has another content"
        hint = "restore the image with which the session has measured, or start a new session with --fresh"
        raise HostNotReady(message, where=on.host, hint=hint)
    emit(ImageReady(reached.name, digest, chosen.how, chosen.seconds))


def _bring_engine(reached: Reached, requested: str, transfers: Transfers, emit: Emit, *, is_kept: bool) -> ChosenEngine:
    """Find the host's engine, bring its image, and report both. Raises EngineUnavailable, ImageUnavailable."""
    search = find_engine(reached, requested, transfers, emit)
    chosen = search.take()
    facts, choice = chosen.facts, chosen.choice
    if choice.warning:
        lacking = f"`harness check` shows what {search.refused[0].spec.name} lacks"
        hint = "; ".join(part for part in (facts.words.caution, lacking) if part)
        emit(SessionFinding.of(find("engine-fallback", choice.warning, hint, severity=choice.severity), reached.name))
    where = f", image {chosen.image}" if chosen.image else ""
    reason = "as before in this session" if is_kept else choice.reason
    emit(EngineChosen(reached.name, facts.engine, facts.version, reason + where))
    if chosen.image and facts.image_digest is not None:
        emit(ImageReady(reached.name, facts.image_digest, chosen.how, chosen.seconds))
    for check in () if reached.is_local else check_logout(reached.facts, facts):
        if check.outcome == "warning":
            emit(SessionFinding.of(find("logout-ends-jobs", check.message, check.cure or ""), reached.name))
    return chosen


def bring_sets(
    reached: Reached, needs: Needs, transfers: Transfers, emit: Emit
) -> tuple[dict[str, DataSpec], dict[str, DataError]]:
    """Send missing data sets; return what a session reads of each usable one, and the errors of the others."""
    sets: dict[str, DataSpec] = {}
    missing = needs.missing_data
    for name, source in needs.sources.items():
        if name not in missing:
            try:
                sets[name] = ship_data(reached, name, transfers, emit) if source is None else source
            except DataError as error:
                missing[name] = error
    return sets, missing
