"""``memory_limit: search`` over a real engine: ordinary invocations, and what is known is not tried again."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest
from stub import stub_setup

from harness.bench.launcher.confine import try_limit
from harness.engine.kinds.process import ProcessEngine
from harness.experiment import expand, parse_experiment
from harness.hosts.local import LocalConnection
from harness.records.content import SessionContent
from harness.records.folder import SessionFolder
from harness.records.journal import Journal
from harness.records.reading import read_records
from harness.session.collect import SessionIdentity
from harness.session.invocations import HostDigests
from harness.session.run_options import RunOptions
from harness.session.runner import HostRunner, RunSettings
from harness.values.event import Event, InvocationFinished, SessionFinding
from harness.values.record import TRIAL, TWIN
from harness.workflow.resolve import Resolved
from harness.workflow.run.rounds import HostRounds
from harness.workflow.run.searching import search_limits


@pytest.mark.cgroup
def test_limits_are_searched_by_ordinary_trials(tmp_path: Path) -> None:
    if not try_limit()["can_limit"]:
        pytest.skip("no memory limit can be enforced here")
    for name in ("scratch", "data"):
        (tmp_path / name).mkdir()
    connection = LocalConnection("here")
    engine = ProcessEngine(connection, scratch=str(tmp_path / "scratch"))
    setup = stub_setup(engine, connection, tmp_path / "scratch", tmp_path / "data")
    setup = replace(setup, memory_available=200 * 2**20)
    folder = SessionFolder(tmp_path / "session")
    journal = Journal(folder)
    folder.write(SessionContent(name="search"))
    text = "{parameters: {data: tiny, loader: tfdata, batch_size: 8, memory_limit: search}}"
    experiment = parse_experiment(text, "search.yaml")
    matrix = expand(experiment)
    (case,) = matrix.cases
    resolved = Resolved(None, (), experiment, "", matrix, matrix.cases, is_part=False)  # type: ignore[arg-type]
    events: list[Event] = []
    settings = RunSettings(SessionIdentity("search", "test", "search-key"), folder, seed=1, timeout_s=60.0)

    def search(*, is_over: bool = False) -> set[str]:
        timed = replace(settings, deadline=0.0) if is_over else settings
        on = HostRounds(
            resolved=resolved,
            setup=setup,
            digests=HostDigests("here", setup.image_digest, setup.payload.digest, {"tiny": "2" * 64}),
            folder=folder,
            journal=journal,
            runner=HostRunner(timed, setup, journal, events.append, threading.Event()),
            emit=events.append,
            options=RunOptions(Path("lab.yaml")),
        )
        return search_limits([case], on)

    search(is_over=True)
    assert [event.id for event in events if isinstance(event, SessionFinding)] == ["search-open"]
    assert read_records(folder) == []
    events.clear()
    identities = search()
    records = read_records(folder)
    assert {record.invocation for record in records} == identities
    limits = [record.memory.limit_asked for record in records]
    assert limits[0] == setup.memory_available
    assert len(set(limits)) == len(limits) - 1 > 2  # the largest twice: an A/A pair
    assert [record.alias for record in records].count(TWIN) == 1
    assert {record.alias for record in records} == {TRIAL, TWIN}
    progress = [(event.done, event.planned) for event in events if isinstance(event, InvocationFinished)]
    assert [done for done, _ in progress] == list(range(1, len(records) + 1))
    assert all(done <= planned for done, planned in progress)
    assert all(record.case.memory_limit == record.memory.limit_asked for record in records)
    (found,) = [event for event in events if isinstance(event, SessionFinding)]
    assert found.id == "limit-found"
    assert "runs from a memory limit of 1" in found.message
    events.clear()
    assert search() == set()
    assert [event.id for event in events if isinstance(event, SessionFinding)] == ["limit-found"]
    assert len(read_records(folder)) == len(records)
    journal.close()
