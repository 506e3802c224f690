"""Whether the hosts of a session were what they were said to be, before and after. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol

from harness.analysis.findings import find
from harness.values.facts import Facts
from harness.values.record import Finding, Record

MOST_OFFSET_S = 5.0
VERSIONS = {
    "engine": "engine",
    "engine_version": "version of the engine",
    "python": "Python",
    "tensorflow": "TensorFlow",
    "keras": "Keras",
    "numpy": "NumPy",
    "pillow": "Pillow",
    "kernel": "kernel",
}
"""What a record's environment must share with the others of its host, and what it is called."""


def compare_facts(before: Facts, after: Facts) -> Iterator[Finding]:
    """What changed on a host while a session ran on it."""
    changes = []
    lost = [gpu.name for gpu in before.gpus if gpu.uuid not in {other.uuid for other in after.gpus}]
    if lost:
        changes.append(f"{', '.join(lost)} is gone")
    for name, words in (("kernel", "kernel"), ("governor", "governor"), ("turbo", "turbo"), ("cpu_model", "CPU")):
        old, new = getattr(before, name), getattr(after, name)
        if old != new and old is not None and new is not None:
            changes.append(f"its {words} was {old} and is {new}")
    if before.boot_id != after.boot_id and before.boot_id is not None and after.boot_id is not None:
        changes.append("it was restarted")
    if changes:
        hint = "measure again what ran on it since: `--rerun-failed` does what failed, `--fresh` all"
        yield find("host-changed", f"the host changed while the session ran: {'; '.join(changes)}", hint)
    yield from check_clock(after)


def compare_environments(records: Iterable[Record]) -> Iterator[Finding]:
    """Versions that changed between the records of one host in one session: what a resumed session may have met.

    What a record does not know (a skipped one knows nothing) is no change.
    """
    seen: dict[str, dict[str, int]] = {}
    for record in records:
        for name, value in _versions(record):
            counts = seen.setdefault(name, {})
            counts[value] = counts.get(value, 0) + 1
    changes = [
        f"{name} {' and '.join(f'{value} ({number})' for value, number in counts.items())}"
        for name, counts in seen.items()
        if len(counts) > 1
    ]
    if changes:
        message = f"its invocations were not made in one environment: {'; '.join(changes)}"
        yield find("environment-changed", message, "start anew with `--fresh` if the change may matter")


def _versions(record: Record) -> Iterator[tuple[str, str]]:
    """Yield what must be equal in all records of a host, with the name that it has in a message."""
    for key, name in VERSIONS.items():
        if (value := record.environment.get(key)) is not None:
            yield name, str(value)
    weights = record.environment.get("weights")
    if isinstance(weights, Mapping) and "sha256" in weights:
        yield f"weights {weights.get('file')}", str(weights["sha256"])[:12]


def check_clock(facts: Facts) -> Iterator[Finding]:
    """A clock that is off the controller's."""
    offset = facts.clock_offset_s
    if offset is not None and abs(offset) > MOST_OFFSET_S:
        hint = "`sudo timedatectl set-ntp true` there; durations come from monotonic clocks and are not concerned"
        yield find("clock-offset", f"its clock is {offset:+.0f} s off the controller's", hint)


class PreparedHost(Protocol):
    """What a session's file says of a host (``records.content``); ``image`` is the reference of its definition."""

    @property
    def engine(self) -> str: ...
    @property
    def image(self) -> str: ...
    @property
    def image_digest(self) -> str: ...
    @property
    def payload_digest(self) -> str: ...


def compare_hosts(hosts: Mapping[str, PreparedHost]) -> Iterator[Finding]:
    """Hosts that run one image definition must have the same image, and the same payload."""
    by_image: dict[tuple[str, str], dict[str, list[str]]] = {}
    for name, host in hosts.items():
        if host.image_digest and host.image:  # without an image each host has packages of its own
            by_image.setdefault((host.engine, host.image), {}).setdefault(host.image_digest, []).append(name)
    for (_, image), digests in sorted(by_image.items()):
        if len(digests) > 1:
            listed = "; ".join(
                f"{digest[:12]} on {', '.join(sorted(names))}" for digest, names in sorted(digests.items())
            )
            message = f"the image {image} is not the same on all hosts: {listed}"
            yield find("image-differs", message, "their figures must not be laid side by side: ship one image to all")
    payloads = {host.payload_digest for host in hosts.values() if host.payload_digest}
    if len(payloads) > 1:
        message = f"{len(payloads)} versions of the benchmark's code measured in this session"
        yield find("payload-differs", message, "start anew with --fresh")
