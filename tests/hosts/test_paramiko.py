"""What the SSH code needs of paramiko: no private member, and of the undocumented ones those that are listed here."""

from __future__ import annotations

import ast
import inspect
import re
import socket
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import paramiko
import pytest
from packaging.requirements import Requirement
from paramiko.buffered_pipe import BufferedPipe
from paramiko.channel import Channel
from paramiko.packet import Packetizer

import harness.hosts.ssh.route
from harness.hosts.ssh import transport
from harness.hosts.ssh.transport import Patience, Transport, WatchedPacketizer

ROOT = Path(__file__).resolve().parents[2]
OURS = [
    (Transport, paramiko.Transport),
    (WatchedPacketizer, Packetizer),
    (harness.hosts.ssh.route._Config, paramiko.SSHConfig),  # noqa: SLF001 - the class that overrides parts of paramiko
]


@pytest.fixture
def link() -> Iterator[Transport]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield Transport(ours, Patience())


def test_the_version_that_is_tested_is_one_that_may_be_installed() -> None:
    (wanted,) = (
        Requirement(line)
        for line in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
        if line.startswith("paramiko")
    )
    assert wanted.specifier.contains(paramiko.__version__)
    assert not wanted.specifier.contains(f"{int(paramiko.__version__.split('.')[0]) + 1}.0")


@pytest.mark.parametrize(("ours", "base"), OURS)
def test_no_private_member_is_overridden_or_used(ours: Any, base: Any, link: Transport) -> None:
    """Else a release of paramiko may change what it is without a word."""
    theirs = set(dir(base))
    if base is not paramiko.SSHConfig:
        found = link if base is paramiko.Transport else link.packetizer
        ours_too = set(re.findall(r"self\.(_[a-z]\w*)\b[^=(]*=(?!=)", inspect.getsource(ours)))
        theirs |= set(vars(found)) - ours_too
    private = {name for name in theirs if name.startswith("_") and not name.startswith("__")}
    tree = ast.parse(inspect.getsource(ours))
    used = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    used |= {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    used |= {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    assert used & private == set()


UNDOCUMENTED = [
    (
        paramiko.Transport,
        "transport.py, link.py",
        ["saved_exception", "local_version", "packetizer", "channel_timeout"],
    ),
    (paramiko.Transport, "transport.py", ["banner_timeout", "handshake_timeout", "auth_timeout"]),
    (Packetizer, "transport.py", ["read_message", "send_message", "close"]),
    (Packetizer, "transport.py", ["start_handshake", "handshake_timed_out", "complete_handshake"]),
    (Channel, "stream.py", ["in_buffer", "in_stderr_buffer", "closed", "eof_received", "exit_status"]),
    (Channel, "stream.py", ["out_buffer_cv", "out_window_size", "out_max_packet_size"]),
    (Channel, "transport.py", ["event"]),
    (BufferedPipe, "stream.py", ["set_event"]),
]


@pytest.mark.parametrize(("kind", "where", "names"), UNDOCUMENTED)
def test_what_has_no_documentation_is_there_still(kind: Any, where: Any, names: Any, link: Transport) -> None:
    made = {paramiko.Transport: link, Packetizer: link.packetizer, Channel: Channel(1), BufferedPipe: BufferedPipe()}[
        kind
    ]
    missing = [name for name in names if not hasattr(made, name)]
    assert missing == [], (
        f"paramiko {paramiko.__version__}: {kind.__name__} has no {missing}; see harness/hosts/ssh/{where}"
    )


def test_paramiko_reads_and_writes_through_the_packetizers_methods() -> None:
    """These overridden methods are what notices a cut link: paramiko must go on to call them."""
    source = inspect.getsource(paramiko.Transport)
    for call in ("read_message()", "send_message(", "start_handshake(", "complete_handshake()"):
        assert f"self.packetizer.{call}" in source, call
    assert "self.handshake_timed_out()" in inspect.getsource(Packetizer)


def test_the_offer_is_ours(link: Transport) -> None:
    assert link.preferred_ciphers == transport.CIPHERS
    assert link.preferred_macs == transport.MACS
    assert link.local_version == "SSH-2.0-harness"
    link.prefer_key_types(["ssh-rsa", "unknown"], without=frozenset({"ecdsa-sha2-nistp256"}))
    assert link.preferred_keys[:2] == ("rsa-sha2-512", "rsa-sha2-256")
    assert "ssh-ed25519" in link.preferred_keys and "ecdsa-sha2-nistp256" not in link.preferred_keys
