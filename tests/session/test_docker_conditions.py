"""The same command continues after anything: on a real engine, whose image, daemon or jobs go away or stand still."""

from __future__ import annotations

import os
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from docker_support import python_image, real_client
from stub import STUB, stub_cases, stub_payload, stub_setup

from harness.engine import daemon
from harness.engine.kinds.docker import DockerEngine
from harness.hosts.local import LocalConnection
from harness.records.content import SessionContent
from harness.records.folder import SessionFolder
from harness.records.journal import Journal
from harness.records.reading import read_records
from harness.session.collect import SessionIdentity
from harness.session.feasibility import limit_of
from harness.session.invocations import HostDigests, plan_host, remaining
from harness.session.runner import HostRunner, RunSettings
from harness.values.errors import HostUnreachable, ImageUnavailable
from harness.values.record import Record

pytestmark = pytest.mark.docker

BUSY_S = 3.0
BUSY = f"end = time.time() + {BUSY_S}\nwhile time.time() < end:\n    pass"


class Session:
    """One session of three invocations on this machine's engine, in an image that a test may remove."""

    def __init__(self, tmp_path: Path, client: Any, *, is_busy: bool = False) -> None:
        self.client, self.name = client, f"conditions-{uuid.uuid4().hex[:12]}"
        self.source = python_image(client)
        self.image = f"harness-conditions:{self.name}"
        self.bring()
        self.is_gone = False
        scratch, self.data = tmp_path / "scratch", tmp_path / "data"
        scratch.mkdir()
        self.data.mkdir()
        connection = LocalConnection("here")
        self.engine = DockerEngine("here", connection, uid=os.getuid(), gid=os.getgid(), connect=self._connect)
        setup = stub_setup(self.engine, connection, scratch, self.data)
        payload = stub_payload(STUB.replace("time.sleep(0.15)", BUSY) if is_busy else STUB)
        self.setup = replace(setup, image=self.image, payload=payload)
        self.folder = SessionFolder(tmp_path / "session")
        self.folder.write(SessionContent(name=self.name))
        cases = stub_cases(2)
        digests = HostDigests("here", setup.image_digest, payload.digest, {"tiny": "2" * 64})
        limits = {case.case_id: limit_of(case, None) for case in cases}
        self.planned = plan_host(
            digests, cases, rounds=1, order=lambda given, _round: given, limits=limits, predictions={}
        )

    def _connect(self, timeout_s: float) -> Any:
        if self.is_gone:
            raise FileNotFoundError(2, "No such file or directory", "/var/run/docker.sock")
        return daemon.connect_local(timeout_s)

    def bring(self) -> None:
        repository, tag = self.image.split(":")
        self.client.tag(self.source, repository, tag)

    def remove(self) -> None:
        self.client.remove_image(self.image, force=True)

    def lose_engine(self) -> None:
        self.is_gone = True
        self.engine.close()

    @property
    def records(self) -> list[Record]:
        return read_records(self.folder)

    def run(self, *, after_first: Callable[[], None] = lambda: None, bring: Callable[[], None] | None = None) -> None:
        """Give the command (once more); ``after_first`` happens when one invocation is recorded."""
        settings = RunSettings(
            SessionIdentity(self.name, "test", self.name), self.folder, seed=1, timeout_s=60.0, link_patience_s=1.0
        )
        records, journal = self.records, Journal(self.folder)
        write = journal.write_record

        def write_record(record: Record) -> None:
            write(record)
            if len(self.records) == 1:
                after_first()

        journal.write_record = write_record  # type: ignore[method-assign]
        try:
            runner = HostRunner(
                settings, self.setup, journal, journal.write_event, threading.Event(), bring_image=bring
            )
            todo = remaining(self.planned, records, rerun_failed=False)
            runner.run(todo, done=len(self.planned) - len(todo), planned=len(self.planned), known=records)
        finally:
            journal.close()

    def assert_whole(self, attempts: int = 3) -> None:
        """Each invocation has its result, nothing was done twice, and nothing is left."""
        newest = {record.invocation: record for record in self.records}
        assert [record.status for record in newest.values()] == ["ok"] * 3, newest
        assert "invalid" not in {record.validity for record in newest.values()}, newest
        assert len(self.records) == attempts and self.engine.list(self.name) == []

    def meet(self, act: Callable[[str], None]) -> threading.Thread:
        """Do something to the first container of this session, when its benchmark is well on its way."""

        def wait() -> None:
            while not (self.data / "executions.txt").exists():
                time.sleep(0.1)
            time.sleep(0.5)
            found = self.client.containers(filters={"label": f"harness.session={self.name}"})
            act(found[0]["Id"])

        thread = threading.Thread(target=wait)
        thread.start()
        return thread


@pytest.fixture
def session(tmp_path: Path, request: pytest.FixtureRequest) -> Any:
    client = real_client()
    session = Session(tmp_path, client, is_busy=getattr(request, "param", False))
    yield session
    session.is_gone = False
    session.engine.cancel(session.engine.list(session.name))
    session.bring()
    session.remove()


def test_an_image_that_is_removed_in_the_middle_is_brought_again(session: Session) -> None:
    session.run(after_first=session.remove, bring=session.bring)
    session.assert_whole()


def test_without_its_image_a_host_is_set_aside_and_goes_on_when_it_is_back(session: Session) -> None:
    with pytest.raises(ImageUnavailable, match="is not on this host"):
        session.run(after_first=session.remove)
    assert [record.status for record in session.records] == ["ok"]
    session.bring()
    session.run()
    session.assert_whole()


def test_a_host_whose_engine_is_gone_is_set_aside_and_goes_on_when_it_is_back(session: Session) -> None:
    with pytest.raises(HostUnreachable):
        session.run(after_first=session.lose_engine)
    assert [record.status for record in session.records] == ["ok"]
    session.is_gone = False
    session.run()
    session.assert_whole()


@pytest.mark.parametrize("session", [True], indirect=True)
def test_a_job_that_is_stopped_from_outside_is_lost_and_done_again(session: Session) -> None:
    thread = session.meet(lambda container: session.client.stop(container, timeout=20))
    session.run()
    thread.join()
    assert [record.status for record in session.records] == ["lost", "ok", "ok"]
    assert not [one for one in session.records[0].findings if one.severity == "error"]
    session.run()
    session.assert_whole(4)


@pytest.mark.parametrize("session", [True], indirect=True)
def test_a_container_that_is_frozen_is_found_out_and_done_again(session: Session) -> None:
    def freeze(container: str) -> None:
        session.client.pause(container)
        time.sleep(2.5)
        session.client.unpause(container)

    thread = session.meet(freeze)
    session.run()
    thread.join()
    first = session.records[0]
    assert (first.status, first.validity) == ("ok", "invalid")
    assert "host-paused" in {one.id for one in first.findings if one.severity == "error"}
    session.run()
    session.assert_whole(4)
