"""What sessions ask of a host's engines: which jobs are there, and whether somebody else computes."""

from __future__ import annotations

from collections.abc import Callable

from harness.analysis.protection import busy_reason
from harness.engine.interface import Engine
from harness.engine.reached import Reached
from harness.engine.registry import load_engines
from harness.engine.spec import EngineSpec
from harness.values.errors import EngineUnavailable, HostBusy


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
            if any(state.phase in ("queued", "running") for state in engine.poll(handles)):
                return True
        return False

    return ask


def refuse_busy(reached: Reached, session: str | None, *, is_allowed: bool) -> None:
    """Raise HostBusy where somebody else computes on a host; what an earlier controller of the session left may."""
    reason = busy_reason(reached.facts, allow_busy=is_allowed or bool(reached.host.variables.allow_busy))
    if reason and not (session is not None and is_session_alive(reached)(session)):
        hint = "wait until it is idle, or measure all the same with `--allow-busy` (figures are worth less)"
        raise HostBusy(reason, where=reached.name, hint=hint)
