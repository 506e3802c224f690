"""Changes of hosts during a session, and differences between them. Pure."""

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
"""Fields of a record's environment that must be equal in all records of a host, with their names in messages."""


def compare_facts(before: Facts, after: Facts) -> Iterator[Finding]:
    """Yield what changed on a host while a session ran on it."""
    changes = []
    lost = [gpu.name for gpu in before.gpus if gpu.uuid not in {other.uuid for other in after.gpus}]
    if lost:
        changes.append(f"{', '.join(lost)} is missing")
    for name, words in (("kernel", "kernel"), ("governor", "governor"), ("turbo", "turbo"), ("cpu_model", "CPU")):
        old, new = getattr(before, name), getattr(after, name)
        if old != new and old is not None and new is not None:
            changes.append(f"its {words} was {old} and is {new}")
    if before.boot_id != after.boot_id and before.boot_id is not None and after.boot_id is not None:
        changes.append("it was restarted")
    if changes:
        hint = "measure again what ran after the change: `--rerun-failed` repeats what failed, `--fresh` all"
        yield find("host-changed", f"the host changed while the session ran: {'; '.join(changes)}", hint)
    yield from check_clock(after)


def compare_environments(records: Iterable[Record]) -> Iterator[Finding]:
    """Yield the versions that changed between the records of a host, as may happen in a resumed session.

    A value that a record does not have (a skipped one has none) is not a change.
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
        message = f"its runs did not have the same environment: {'; '.join(changes)}"
        yield find("environment-changed", message, "start a new session with `--fresh` if the change may matter")


def _versions(record: Record) -> Iterator[tuple[str, str]]:
    """Yield what must be equal in all records of a host, with its name in messages."""
    for key, name in VERSIONS.items():
        if (value := record.environment.get(key)) is not None:
            yield name, str(value)
    weights = record.environment.get("weights")
    if isinstance(weights, Mapping) and "sha256" in weights:
        yield f"weights {weights.get('file')}", str(weights["sha256"])[:12]


def check_clock(facts: Facts) -> Iterator[Finding]:
    """Yield a finding if a host's clock differs from the controller's."""
    offset = facts.clock_offset_s
    if offset is not None and abs(offset) > MOST_OFFSET_S:
        hint = "run `sudo timedatectl set-ntp true` there; durations are not affected (they use monotonic clocks)"
        yield find("clock-offset", f"the host's clock differs from the controller's by {offset:+.0f} s", hint)


class PreparedHost(Protocol):
    """The entry of a host in a session's file (``records.content``); ``image`` is the reference of its definition."""

    @property
    def engine(self) -> str: ...
    @property
    def image(self) -> str: ...
    @property
    def image_digest(self) -> str: ...
    @property
    def payload_digest(self) -> str: ...


def compare_hosts(hosts: Mapping[str, PreparedHost]) -> Iterator[Finding]:
    """Yield findings where hosts of one image definition have different images, or different payloads."""
    by_image: dict[tuple[str, str], dict[str, list[str]]] = {}
    for name, host in hosts.items():
        if host.image_digest and host.image:  # without an image each host has different packages
            by_image.setdefault((host.engine, host.image), {}).setdefault(host.image_digest, []).append(name)
    for (_, image), digests in sorted(by_image.items()):
        if len(digests) > 1:
            listed = "; ".join(
                f"{digest[:12]} on {', '.join(sorted(names))}" for digest, names in sorted(digests.items())
            )
            message = f"the image {image} is not the same on all hosts: {listed}"
            yield find("image-differs", message, "their figures must not be compared: send one image to all hosts")
    payloads = {host.payload_digest for host in hosts.values() if host.payload_digest}
    if len(payloads) > 1:
        message = f"{len(payloads)} versions of the benchmark's code measured in this session"
        yield find("payload-differs", message, "start a new session with --fresh")
