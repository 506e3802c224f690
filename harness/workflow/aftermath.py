"""After a host's part of a session: was it quiet, was it the same machine throughout."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable

from harness.analysis.host_changes import compare_environments, compare_facts
from harness.analysis.noise import find_session_noise
from harness.records.reading import newest_records
from harness.values.errors import HostError
from harness.values.event import Event, SessionFinding
from harness.values.facts import Facts
from harness.values.names import case_labels
from harness.values.record import Finding, Record


def tell_aftermath(
    host: str,
    before: Facts,
    look_again: Callable[[], Facts],
    records: Iterable[Record],
    emit: Callable[[Event], None],
) -> None:
    """Emit what is to be said of one host when it has done its part; one that is away by now says nothing."""
    own = [record for record in newest_records(records).values() if record.host == host]
    labels = case_labels(record.case for record in own)
    found: list[Finding] = [finding for _, finding in find_session_noise(own, labels.__getitem__)]
    found += compare_environments(own)
    with contextlib.suppress(HostError):
        found += compare_facts(before, look_again())
    for one in found:
        emit(SessionFinding.of(one, host))
