"""Hosts over SSH: one transport per host, shared by commands, files and the Docker API."""

import importlib
import sys
import types


class _LoadedWhenUsed(types.ModuleType):
    """A stand-in for a module that is imported when one of its attributes is first read."""

    def __getattr__(self, name: str) -> object:
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(importlib.import_module(self.__name__), name)


# paramiko needs it only for `Match exec` in ~/.ssh/config, but spends two fifths of its own import time on it.
sys.modules.setdefault("invoke", _LoadedWhenUsed("invoke"))

from harness.hosts.ssh.identities import KeyRing  # noqa: E402
from harness.hosts.ssh.route import Route, Target, read_config, resolve_route  # noqa: E402
from harness.hosts.ssh.ssh_connection import SSHConnection  # noqa: E402  # after the line above
from harness.hosts.ssh.stream import Stream  # noqa: E402

__all__ = ["KeyRing", "Route", "SSHConnection", "Stream", "Target", "read_config", "resolve_route"]
