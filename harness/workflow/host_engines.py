"""Questions about the engines of a host: which jobs exist, and whether the host is busy."""

from __future__ import annotations

from collections.abc import Callable

from harness.analysis.protection import busy_reason
from harness.engine.interface import Engine
from harness.engine.reached import Reached
from harness.engine.registry import load_engines
from harness.engine.spec import EngineSpec
from harness.values.errors import EngineUnavailable, HostBusy


def engines_with_jobs(reached: Reached) -> tuple[list[Engine], list[EngineSpec]]:
    """Return every engine that may hold jobs of earlier sessions, and the kinds of engine that did not answer.

    On a host with a fixed engine, the engines that ``auto`` would try before it are left out.
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
    """Return a function that tells whether a job of a session runs on the host: such a job keeps the lock."""

    def ask(session: str) -> bool:
        engines, _ = engines_with_jobs(reached)
        for engine in engines:
            handles = engine.list(session)
            if any(state.phase in ("queued", "running") for state in engine.poll(handles)):
                return True
        return False

    return ask


def refuse_busy(reached: Reached, session: str | None, *, is_allowed: bool) -> None:
    """Raise HostBusy if other work runs on the host. Jobs of the session itself do not count."""
    reason = busy_reason(reached.facts, allow_busy=is_allowed or bool(reached.host.variables.allow_busy))
    if reason and not (session is not None and is_session_alive(reached)(session)):
        hint = "wait until it is idle, or measure anyway with `--allow-busy` (results are less certain)"
        raise HostBusy(reason, where=reached.name, hint=hint)
