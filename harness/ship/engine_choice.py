"""Choose the engine of a host and its image, for every command that needs an engine."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import cast

from harness.engine.interface import Engine, ImageEngine, PythonEngine
from harness.engine.reached import Reached
from harness.engine.registry import Choice, Refusal, explain_choice, explain_none, load_engines
from harness.engine.spec import EngineSpec
from harness.ship.environment import BY_WHEELS
from harness.ship.transfer.image_sources import WantedImage
from harness.ship.transfers import Transfers, bring_environment, bring_image, wanted_image
from harness.values.cuda import LOCKED_BUILD, CudaBuild
from harness.values.engine_names import AUTO, EngineFacts
from harness.values.errors import EngineAbsent, EngineUnavailable, ImageUnavailable
from harness.values.event import Emit


@dataclass(frozen=True)
class ChosenEngine:
    """The engine for a host's jobs. ``image`` is empty for an engine without images.

    ``facts`` are those of the engine with that image; ``how`` and ``seconds`` tell how the image came to the host.
    """

    engine: Engine
    facts: EngineFacts
    image: str
    choice: Choice
    how: str = "present"
    seconds: float = 0.0


@dataclass(frozen=True)
class EngineSearch:
    """The result of the search for a host's engine: the chosen one or None, and those that were refused before."""

    chosen: ChosenEngine | None
    refused: tuple[Refusal, ...] = ()

    def take(self) -> ChosenEngine:
        """Return the chosen engine. Raises EngineUnavailable or ImageUnavailable where there is none."""
        if self.chosen is None:
            raise explain_none(self.refused) from self.refused[-1].error
        return self.chosen


def find_engine(reached: Reached, requested: str, transfers: Transfers | None, emit: Emit) -> EngineSearch:
    """Find the engine of a host: the requested one, or for ``auto`` the first that answers and has its image.

    ``transfers`` build or send a missing image. Without them nothing is changed, and an engine counts as found even if
    its image is missing (``facts.image_digest`` is then None). An engine that does not answer, or whose image is not
    available, is a refusal (with ``auto`` not if nothing of it is installed). Other failures raise HostError.
    """
    refused: list[Refusal] = []
    for spec in load_engines(requested):
        if requested == AUTO and not spec.is_automatic:
            continue
        engine = reached.engines.get(spec)
        try:
            chosen = _try(reached, spec, engine, transfers, emit)
        except (EngineUnavailable, ImageUnavailable) as error:
            if requested != AUTO or not isinstance(error, EngineAbsent):
                refused.append(Refusal(spec, error))
            continue
        return EngineSearch(replace(chosen, choice=explain_choice(requested, spec, refused)), tuple(refused))
    return EngineSearch(None, tuple(refused))


def _try(reached: Reached, spec: EngineSpec, engine: Engine, transfers: Transfers | None, emit: Emit) -> ChosenEngine:
    begun = time.monotonic()
    if not spec.uses_images:
        try:
            return ChosenEngine(engine, _facts_of(spec, engine, ""), "", Choice(""))
        except EngineUnavailable:
            if not spec.uses_python:
                raise
        promised = bring_environment(reached, cast("PythonEngine", engine), transfers, emit)
        facts = _facts_of(spec, engine, "") if promised is None else _worded(spec, promised)
        how = "present" if promised is not None or transfers is None else BY_WHEELS
        return ChosenEngine(engine, facts, "", Choice(""), how, time.monotonic() - begun)
    if transfers is None:
        wanted = wanted_image(reached)
        facts = _with_build(_facts_of(spec, engine, wanted.reference), wanted)
        return ChosenEngine(engine, facts, wanted.reference, Choice(""))
    engine.probe("")  # an engine that does not answer is reported before an image is made for it
    image, how = bring_image(reached, cast("ImageEngine", engine), transfers, emit)
    facts = _with_build(_facts_of(spec, engine, image), wanted_image(reached))
    if facts.image_digest is None:
        hint = "build it with `harness image build`, or remove `image:` from the inventory"
        raise ImageUnavailable(f"the engine has no image {image!r}", where=reached.name, hint=hint)
    return ChosenEngine(engine, facts, image, Choice(""), how, time.monotonic() - begun)


def _facts_of(spec: EngineSpec, engine: Engine, image: str) -> EngineFacts:
    """Return an engine's facts with the texts of its module."""
    return _worded(spec, engine.probe(image))


def _worded(spec: EngineSpec, facts: EngineFacts) -> EngineFacts:
    return replace(facts, uses_images=spec.uses_images, words=spec.words)


def _with_build(facts: EngineFacts, wanted: WantedImage) -> EngineFacts:
    """Return facts with the TensorFlow of the image, which is known for our own images before they are on the host."""
    if facts.cuda is not None or wanted.named is not None:
        return facts
    return replace(facts, cuda=LOCKED_BUILD if wanted.kind == "gpu" else CudaBuild())
