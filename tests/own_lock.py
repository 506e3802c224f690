"""Tests use a lock of their own, so that they neither wait for a session of the user nor stand in its way."""

from __future__ import annotations

from harness.hosts import lock


def use_lock(path: str) -> None:
    """Let this process use ``path`` as the machine's lock. The product has no such option."""
    functions = (lock.acquire, lock.read_lock, lock.break_lock, lock.take_lock, lock.find_holder, lock.refuse_held)
    for function in functions:
        defaults = function.__kwdefaults__
        assert defaults is not None and "path" in defaults
        defaults["path"] = path
