"""Hosts over SSH: one transport per host, shared by commands, files and the Docker API."""

from harness.hosts.ssh.connection import SSHConnection
from harness.hosts.ssh.identities import KeyRing
from harness.hosts.ssh.route import Route, Target, read_config, resolve_route
from harness.hosts.ssh.stream import Stream

__all__ = ["KeyRing", "Route", "SSHConnection", "Stream", "Target", "read_config", "resolve_route"]
