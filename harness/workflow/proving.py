"""Before a session's first measurement on a host: its loaders do the same work, or the session says which does not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from harness.bench.registry import LOADERS
from harness.session.setup import HostSetup, work_key
from harness.ship.samework import prove_work
from harness.values.case import Case
from harness.values.event import Progress, SessionFinding
from harness.workflow.reaching import Emit


def prove(setup: HostSetup, scratch: str, cases: Sequence[Case], emit: Emit) -> HostSetup:
    """The setup with what is known of its loaders' work; what was not proven on this host before is proven now."""
    variants = {
        work_key(case, data.kind): (case, data.kind)
        for case in cases
        if (data := setup.data.get(case.data)) is not None and not LOADERS[case.loader].is_automatic
    }
    if not variants:
        return setup
    found = prove_work(
        setup.engine,
        host=setup.host,
        connection=setup.connection,
        scratch=scratch,
        payload=setup.payload,
        image=setup.image,
        image_digest=setup.image_digest,
        cpus=setup.cpus,
        variants=variants,
        on_progress=lambda text, share: emit(Progress(setup.host, f"same work: {text}", share)),
    )
    for key, result in found.items():
        case, _ = variants[key]
        name = f"{case.loader}, cache {case.cache}, {case.interpolation}"
        if result.get("problems"):
            words = f"{name} does not do the same work: {'; '.join(result['problems'])}"
            hint = "its records are invalid until it does; the others are not concerned"
            emit(SessionFinding("work-differs", "error", words, hint, setup.host))
        elif not result.get("is_proven"):
            words = f"{name}: whether it does the same work was not proven: {result.get('reason')}"
            emit(SessionFinding("work-unproven", "warning", words, "see the host, and run again", setup.host))
    return replace(setup, samework=found)
