"""The engine of a host: which one, in which image, and what it can do. For every command that needs one."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import cast

from harness.analysis.protection import busy_reason
from harness.engine.interface import Engine, EngineFacts, ImageEngine, Payload
from harness.engine.jobs import JobHost
from harness.engine.registry import Choice, Refusal, explain_choice, explain_none, load_engines
from harness.engine.spec import EngineSpec
from harness.values.errors import EngineUnavailable, HostBusy, HostNotReady, ImageUnavailable
from harness.workflow.reaching import Emit, Reached
from harness.workflow.ship.transfers import Transfers, bring_image, wanted_image


@dataclass(frozen=True)
class ChosenEngine:
    """The engine that a host's jobs run on. ``image`` is empty for one that needs none.

    ``facts`` are of the engine with that image; ``how`` and ``seconds`` say how the image came to be there.
    """

    engine: Engine
    facts: EngineFacts
    image: str
    choice: Choice
    how: str = "present"
    seconds: float = 0.0


@dataclass(frozen=True)
class EngineSearch:
    """What came of looking for a host's engine: the one to use, None where there is none, and those before it."""

    chosen: ChosenEngine | None
    refused: tuple[Refusal, ...] = ()

    def take(self) -> ChosenEngine:
        """Return the engine. Raises EngineUnavailable or ImageUnavailable where there is none."""
        if self.chosen is None:
            raise explain_none(self.refused) from self.refused[-1].error
        return self.chosen


def find_engine(reached: Reached, requested: str, transfers: Transfers | None, emit: Emit) -> EngineSearch:
    """Find the engine of a host: the one that is asked for, or the first that answers and has its image.

    ``transfers`` build or send an image that is not there; without them nothing is changed, and an engine counts
    although its image is still to come (``facts.image_digest`` is None then). Raises HostError, but for engines that
    do not answer and images that cannot be had: those are refusals.
    """
    refused: list[Refusal] = []
    for spec in load_engines(requested):
        engine = reached.engines.get(spec)
        try:
            chosen = _try(reached, spec, engine, transfers, emit)
        except (EngineUnavailable, ImageUnavailable) as error:
            refused.append(Refusal(spec, error))
            continue
        return EngineSearch(replace(chosen, choice=explain_choice(requested, spec, refused)), tuple(refused))
    return EngineSearch(None, tuple(refused))


def job_host(reached: Reached, chosen: ChosenEngine, payload: Payload) -> JobHost:
    """Return a host as what jobs run on. Raises HostNotReady where its engine cannot say what would run."""
    if chosen.facts.image_digest is None:
        raise HostNotReady("the engine could not say what would run", where=reached.name, hint="see `harness check`")
    return JobHost(
        host=reached.name,
        connection=reached.connection,
        engine=chosen.engine,
        image=chosen.image,
        image_digest=chosen.facts.image_digest,
        payload=payload,
        disks=reached.disks,
        cpus=reached.cpus,
        gpus=reached.gpus,
    )


def _try(reached: Reached, spec: EngineSpec, engine: Engine, transfers: Transfers | None, emit: Emit) -> ChosenEngine:
    begun = time.monotonic()
    if not spec.uses_images:
        return ChosenEngine(engine, _facts_of(spec, engine, ""), "", Choice(""))
    if transfers is None:
        image = wanted_image(reached).reference
        return ChosenEngine(engine, _facts_of(spec, engine, image), image, Choice(""))
    engine.probe("")  # whether it answers is said before an image is made for it
    image, how = bring_image(reached, cast("ImageEngine", engine), transfers, emit)
    facts = _facts_of(spec, engine, image)
    if facts.image_digest is None:
        hint = "build it with `harness image build`, or take `image:` out of the inventory"
        raise ImageUnavailable(f"the engine has no image {image!r}", where=reached.name, hint=hint)
    return ChosenEngine(engine, facts, image, Choice(""), how, time.monotonic() - begun)


def _facts_of(spec: EngineSpec, engine: Engine, image: str) -> EngineFacts:
    """Return what an engine says of itself, in the words that its file has for it."""
    return replace(engine.probe(image), uses_images=spec.uses_images, words=spec.words)


def engines_with_jobs(reached: Reached) -> tuple[list[Engine], list[EngineSpec]]:
    """Return every engine on which earlier sessions may have left jobs, and the kinds that did not answer.

    A host that is pinned to one engine has none of those that ``auto`` would try before it.
    """
    engines: list[Engine] = []
    silent: list[EngineSpec] = []
    pinned = load_engines(reached.host.variables.engine)[0]
    for spec in load_engines():
        if spec.rank < pinned.rank:
            continue
        try:
            if reached.engines.may_have_jobs(spec):
                engines.append(reached.engines.get(spec))
        except EngineUnavailable:
            silent.append(spec)
    return engines, silent


def is_session_alive(reached: Reached) -> Callable[[str], bool]:
    """Whether a job of a session runs on the host, whatever engine: what keeps its lock."""

    def ask(session: str) -> bool:
        engines, _ = engines_with_jobs(reached)
        for engine in engines:
            handles = engine.list(session)
            if any(state.phase == "running" for state in engine.poll(handles)):
                return True
        return False

    return ask


def refuse_busy(reached: Reached, session: str | None, *, is_allowed: bool) -> None:
    """Raise HostBusy where somebody else computes on a host; what an earlier controller of the session left may."""
    reason = busy_reason(reached.facts, allow_busy=is_allowed or bool(reached.host.variables.allow_busy))
    if reason and not (session is not None and is_session_alive(reached)(session)):
        hint = "wait until it is idle, or measure all the same with `harness run --allow-busy` (figures are worth less)"
        raise HostBusy(reason, where=reached.name, hint=hint)
