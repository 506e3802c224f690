"""List the values of a host with the file and line of each, for ``harness plan --explain``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from harness.inventory.host import Host
from harness.inventory.layers import OWN
from harness.values.document import Opaque

REDACTED = "[redacted]"
DEFAULT = "default"
_SECRET = re.compile(r"pass(word|phrase|wd)?(_|\Z)|secret|token|credential|api_?key|vault", re.IGNORECASE)
_ACCESS = ("address", "port", "user", "connection", "private_key", "proxy_jump", "proxy_command")


class Explained(NamedTuple):
    """A value and its origin; ``file`` is ``default`` and ``line`` None where it is not set."""

    key: str
    value: object
    file: str
    line: int | None


def explain_host(host: Host) -> list[Explained]:
    """Return the values of a host with the file and line of each, secrets redacted."""
    explained = [_explain(host, key, getattr(host, key)) for key in _ACCESS]
    for name, value in host.variables.model_dump().items():
        for key, leaf in _leaves(f"{OWN}.{name}", value):
            explained.append(_explain(host, key, leaf))
    return explained + [_explain(host, f"foreign.{name}", value) for name, value in host.foreign.items()]


def write_value(host: Host, explained: Explained) -> str:
    """Return a value for a table: a size such as ``16GiB`` as it was written in the file, None as ``not set``."""
    origin, value = host.origins.get(explained.key), explained.value
    if value is None:
        return "not set"
    is_read = isinstance(value, int) and not isinstance(value, bool)
    return origin.text if is_read and origin is not None and origin.text is not None else str(value)


def _explain(host: Host, key: str, value: object) -> Explained:
    origin = host.origins.get(key)
    if origin is None:
        return Explained(key, redact(key, value), DEFAULT, None)
    return Explained(key, redact(key, value), origin.file, origin.line)


def _leaves(key: str, value: object) -> Iterator[tuple[str, object]]:
    if isinstance(value, Mapping) and value:
        for name, item in value.items():
            if item is not None:
                yield from _leaves(f"{key}.{name}", item)
    else:
        yield key, value


def redact(key: str, value: object) -> object:
    """Return the value, or ``[redacted]`` where its name or its tag marks it as a secret."""
    if isinstance(value, Opaque) or (value is not None and _SECRET.search(key.rpartition(".")[2])):
        return REDACTED
    if isinstance(value, Mapping):
        return {name: redact(str(name), item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [redact("", item) for item in value]
    return value
