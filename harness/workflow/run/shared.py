"""What all hosts of a session share: its folder, its journal, the content of ``session.json``, and the report."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

from harness.analysis.findings import find
from harness.engine.interface import Payload
from harness.records.content import SessionContent, SessionDataSet, SessionHost
from harness.records.folder import SessionFolder
from harness.records.journal import Journal
from harness.session.invocations import HostDigests
from harness.session.setup import HostSetup
from harness.values.event import Event, SessionFinding
from harness.workflow.found_session import refuse_changed, session_key
from harness.workflow.side_by_side import DataAgreement

_REPORT_SHARE = 0.005
"""The share of a session's time that reports may take, beyond one report per round."""


@dataclass
class Pace:
    """Decides when to write the report again. Times are seconds of the monotonic clock.

    With one host, the report is written after each round. With many hosts, it is written after as many rounds as hosts
    are at work, or after a time that is long compared with the cost of the last report. The cost grows with the number
    of records: a report after each round of each of a thousand hosts would keep the controller busy.
    """

    rounds: int = 0
    cost_s: float | None = None
    written_at: float = 0.0

    def is_due(self, hosts: int, now: float) -> bool:
        """Whether to write the report now, with this number of hosts at work."""
        if self.cost_s is None or self.rounds >= hosts:
            return True
        return now - self.written_at >= self.cost_s / _REPORT_SHARE


def _one_thread() -> ThreadPoolExecutor:
    """Return an executor whose single thread draws all reports.

    malloc keeps an arena per thread, and each thread that has drawn a report keeps its memory (300 hosts: 560 MB
    instead of 330 MB).
    """
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="report")


@dataclass
class Shared:
    """The state that all hosts of a session share. ``content`` (of session.json) is replaced only under ``mutex``.

    ``agreement`` is the barrier at which hosts compare data; None if they do not.
    """

    folder: SessionFolder
    content: SessionContent
    journal: Journal
    payload: Payload
    emit: Callable[[Event], None]
    agreement: DataAgreement | None = None
    mutex: threading.Lock = field(default_factory=threading.Lock)
    _pace: Pace = field(default_factory=Pace)
    _hosts_at_work: int = 0
    _writing: threading.Lock = field(default_factory=threading.Lock)
    _writer: ThreadPoolExecutor = field(default_factory=_one_thread)

    @property
    def key(self) -> str:
        """The key that marks this session's jobs and locks on hosts."""
        return session_key(self.folder, self.content)

    def note_host(self, setup: HostSetup, digests: HostDigests) -> None:
        """Store what a host was prepared with. Raises SessionError if its image or data differ from the session's."""
        refuse_changed(self.folder, self.content, digests)
        with self.mutex:
            self.content = self.content.with_host(setup.host, _describe_host(setup), _describe_data(setup))
            self.folder.write(self.content)
            self.folder.write_facts(setup.host, setup.facts)

    def note_copies(self, copies: Mapping[str, str]) -> None:
        """Store which names belong to a machine that is measured under another name."""
        if copies:
            with self.mutex:
                self.content = self.content.model_copy(update={"machines": {**self.content.machines, **copies}})
                self.folder.write(self.content)

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Context manager: count this host as active when pacing reports."""
        with self.mutex:
            self._hosts_at_work += 1
        try:
            yield
        finally:
            with self.mutex:
                self._hosts_at_work -= 1

    def note_round(self) -> None:
        """Count a finished round, and write the report if it is due and not being written."""
        with self.mutex:
            self._pace.rounds += 1
            is_due = self._pace.is_due(self._hosts_at_work, time.monotonic())
        if not is_due or not self._writing.acquire(blocking=False):
            return
        try:
            self._pace.rounds, begun = 0, time.perf_counter()
            self.write_report_safely()
            self._pace.cost_s, self._pace.written_at = time.perf_counter() - begun, time.monotonic()
        finally:
            self._writing.release()

    def write_report_safely(self) -> None:
        """Write the report. An error becomes a finding and does not stop the measurement."""
        try:
            self.write_report()
        except Exception as error:  # the records are on disk: `harness report` can try again
            hint = f"records are safe; try `harness report {self.folder.path}` later"
            self.emit(SessionFinding.of(find("report-failed", f"the report could not be made: {error}", hint)))

    def write_report(self) -> None:
        """Write the report and wait until it is written."""
        from harness.report.page import write_report

        self._writer.submit(write_report, [self.folder.path], self.folder.report_file).result()


def _describe_host(setup: HostSetup) -> SessionHost:
    """Return the entry of a host for the session's file."""
    return SessionHost(
        hardware=setup.facts.hardware,
        engine=setup.engine.name,
        engine_version=setup.engine_facts.version,
        image=setup.image,
        image_digest=setup.image_digest,
        payload_digest=setup.payload.digest,
        memory_available=setup.memory_available,
        data={name: data.place for name, data in setup.data.items() if data.place is not None},
        sets=_describe_data(setup),
    )


def _describe_data(setup: HostSetup) -> dict[str, SessionDataSet]:
    """Return the entries of a host's data sets for the session's file."""
    return {
        name: SessionDataSet(
            fingerprint=data.fingerprint,
            kind=data.kind,
            images=data.images,
            classes=data.classes,
            bytes=data.bytes,
            skipped=data.skipped_count,
            coding=data.coding,
        )
        for name, data in setup.data.items()
    }
