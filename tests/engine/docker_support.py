"""For tests of the docker engine: a fake daemon on a real socket, an image with Python in it, and job requests."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from harness.engine.interface import JobRequest, Payload
from harness.ship.payload_archive import build_payload

INFO: dict[str, Any] = {
    "ServerVersion": "27.0.1",
    "Driver": "overlay2",
    "DriverStatus": [["Backing Filesystem", "extfs"]],
    "CgroupVersion": "2",
    "MemoryLimit": True,
    "SwapLimit": True,
    "CPUSet": True,
    "Runtimes": {"runc": {"path": "runc"}},
    "SecurityOptions": ["name=seccomp,profile=builtin"],
}
VERSION = {"Version": "27.0.1", "ApiVersion": "1.46", "MinAPIVersion": "1.24"}


@dataclass
class FakeDaemon:
    """What the daemon says of itself, what it warns of, and what it was asked for."""

    address: str
    info: dict[str, Any] = field(default_factory=lambda: dict(INFO))
    warnings: list[str] = field(default_factory=list)
    containers: dict[str, Any] = field(default_factory=dict)
    seen: list[tuple[str, str]] = field(default_factory=list)
    created: list[dict[str, Any]] = field(default_factory=list)
    die_at: str | None = None

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, Any] | None:
        self.seen.append((method, path))
        if self.die_at is not None and self.die_at in path:
            return None
        if path.endswith("/version"):
            return 200, VERSION
        if path.endswith("/info"):
            return 200, self.info
        if "/containers/create" in path:
            return self._create(path, json.loads(body))
        if method == "GET" and path.endswith("/json") and "/containers/" in path:
            wanted = path.split("/containers/")[1].removesuffix("/json")
            for identifier, one in self.containers.items():
                if wanted in (identifier, one["Name"]):
                    return 200, one
        if method == "DELETE":
            self.containers.pop(path.split("/containers/")[1].split("?", maxsplit=1)[0], None)
            return 204, None
        if path.endswith("/start"):
            self.containers[path.split("/containers/")[1].split("/", maxsplit=1)[0]]["State"]["Status"] = "running"
            return 204, None
        if "/archive" in path:
            return 200, None
        return 404, {"message": f"no such thing: {path}"}

    def _create(self, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        self.created.append(body)
        identifier = f"{len(self.created):064x}"
        name = path.split("name=")[1].split("&", maxsplit=1)[0]
        state = {"Status": "created"}
        self.containers[identifier] = {
            "Id": identifier, "Name": name, "State": state, "Config": {"Labels": body["Labels"]},
            "HostConfig": body["HostConfig"],
        }  # fmt: skip
        return 201, {"Id": identifier, "Warnings": self.warnings}


class _Server(ThreadingHTTPServer):
    address_family = socket.AF_UNIX
    daemon_threads = True

    def server_bind(self) -> None:
        self.socket.bind(self.server_address)
        self.server_name, self.server_port = "fake", 0


@contextmanager
def fake_daemon(tmp_path: Path) -> Iterator[FakeDaemon]:
    path = tmp_path / "fake.sock"
    fake = FakeDaemon(f"unix://{path}")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _do(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            answer = fake.answer(self.command, self.path, body)
            if answer is None:
                self.connection.shutdown(socket.SHUT_RDWR)
                self.close_connection = True
                return
            content = b"" if answer[1] is None else json.dumps(answer[1]).encode()
            self.send_response(answer[0])
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_DELETE = _do  # noqa: N815

        def address_string(self) -> str:
            return "fake"

        def log_message(self, *_: object) -> None:
            return

    server = _Server(str(path), Handler)  # type: ignore[arg-type]  # the address of a Unix socket
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()


def real_client() -> Any:
    """A client of this machine's engine; skips where there is none."""
    from harness.engine.daemon import open_client
    from harness.values.errors import EngineUnavailable

    try:
        return open_client()
    except EngineUnavailable as error:
        pytest.skip(f"no Docker Engine here: {error.message}")


def python_image(client: Any) -> str:
    """An image with python3 in it: one of ours that is there, else a base made of Debian packages."""
    import os

    from harness.ship.base import make_base
    from harness.ship.definition import image_definition, image_reference
    from harness.ship.image import find_image
    from harness.values.errors import ImageUnavailable

    names = [tag.rpartition("/")[2] for one in client.images() for tag in one.get("RepoTags") or ()]
    bases = [name for name in names if name.startswith("harness-base:")]
    for reference in (*bases, image_reference(image_definition("cpu"))):
        if find_image(client, reference) is not None:
            return str(reference)
    if os.geteuid() != 0:
        pytest.skip("no image with Python in it, and making one needs root")
    try:
        return make_base(client)
    except ImageUnavailable as error:
        pytest.skip(f"no image with Python in it: {error.message}")


def stub_payload(supervisor: str) -> Payload:
    """The payload with another supervisor: what PID 1 does is then the test's own."""
    return build_payload({"bench/supervisor/supervisor.py": supervisor.encode()})


def request_of(name: str, image: str, payload: Payload, **changes: Any) -> JobRequest:
    fields: dict[str, Any] = {
        "name": name,
        "labels": {"harness.session": "test-session", "harness.task": "probe"},
        "payload": payload,
        "request": {"format": 1, "task": "probe"},
        "image": image,
        "memory_bytes": 200 * 2**20,
    }
    return JobRequest(**{**fields, **changes})


def wait_for(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    import time

    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.1)
