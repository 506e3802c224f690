"""A Docker Engine that is not there: its HTTP API over a stream, its containers jobs of the simulated fleet."""

from __future__ import annotations

import io
import json
import re
import tarfile
import urllib.parse
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from harness.engine.interface import JobHandle, JobRequest, Payload
from harness.values.errors import EngineError

if TYPE_CHECKING:
    from fake_lab import PackingEngine

IMAGE: dict[str, Any] = {
    "Id": "sha256:" + "1" * 64,
    "RepoTags": ["lab-image:1"],
    "Architecture": "amd64",
    "Size": 1_500_000_000,
    "Config": {"Env": ["PATH=/bin"], "Cmd": ["python3"], "User": "", "Labels": {}},
    "RootFS": {"Type": "layers", "Layers": ["sha256:" + "2" * 64]},
}
INFO = {
    "ServerVersion": "27.5.1", "CgroupVersion": "2", "MemoryLimit": True, "SwapLimit": True, "CPUSet": True,
    "Driver": "overlay2", "DriverStatus": [["Backing Filesystem", "extfs"]], "DockerRootDir": "/var/lib/docker",
    "Runtimes": {"runc": {"path": "runc"}}, "SecurityOptions": ["name=seccomp,profile=builtin"],
}  # fmt: skip
VERSION = {"Version": "27.5.1", "ApiVersion": "1.47", "MinAPIVersion": "1.24", "Os": "linux"}

Reply = tuple[int, str, bytes]
"""Status, content type and body."""


class FakeDaemon:
    """The engine of one host. Containers are created here and run by the fleet's engine once they are started."""

    def __init__(self, engine: Callable[[], PackingEngine]) -> None:
        self._engine = engine
        self._created: dict[str, dict[str, Any]] = {}
        self._requests: dict[str, dict[str, Any]] = {}

    def answer(self, method: str, path: str, body: bytes) -> Reply:
        """Answer one request of the API."""
        try:
            return self._answer(method, path, body)
        except KeyError as error:
            return _json({"message": f"No such container: {error}"}, 404)
        except EngineError as error:
            return _json({"message": error.message}, 500)

    def _answer(self, method: str, path: str, body: bytes) -> Reply:
        parsed = urllib.parse.urlsplit(path)
        place = re.sub(r"^/v[\d.]+", "", parsed.path)
        query = dict(urllib.parse.parse_qsl(parsed.query))
        match method, place.strip("/").split("/"):
            case "GET", ["version"]:
                return _json(VERSION)
            case "GET", ["info"]:
                return _json(INFO)
            case "GET", ["images", "json"]:
                return _json([{"Id": IMAGE["Id"]}])
            case "GET", ["images", *_, "json"]:
                return _json(IMAGE)
            case "GET", ["containers", "json"]:
                return _json(self._list(json.loads(query.get("filters", "{}"))))
            case "POST", ["containers", "create"]:
                self._created[query["name"]] = json.loads(body)
                return _json({"Id": query["name"], "Warnings": []}, 201)
            case "PUT", ["containers", name, "archive"]:
                with tarfile.open(fileobj=io.BytesIO(body)) as tar:
                    found = tar.extractfile("request.json")
                    assert found is not None
                    self._requests[name] = json.load(found)
                return _json({})
            case "POST", ["containers", name, "start"]:
                self._engine().submit(self._request(name))
                return 204, "text/plain", b""
            case "GET", ["containers", name, "json"]:
                return self._inspect(name)
            case "GET", ["containers", name, "archive"]:
                return 200, "application/x-tar", self._engine().pack(JobHandle("", name, name))
            case "POST", ["containers", name, "kill"]:
                return 204, "text/plain", b""
            case "POST", ["containers", name, "wait"]:
                return _json({"StatusCode": 0})
            case "DELETE", ["containers", name]:
                self._created.pop(name, None)
                self._engine().cancel([JobHandle("", name, name)])
                return 204, "text/plain", b""
        raise AssertionError(f"a simulated engine does not know {method} {path}")

    def _request(self, name: str) -> JobRequest:
        body = self._created[name]
        limit = body["HostConfig"].get("Memory")
        return JobRequest(name, body["Labels"], Payload("0" * 64, b""), self._requests[name], "", memory_bytes=limit)

    def _list(self, filters: dict[str, list[str]]) -> list[dict[str, Any]]:
        wanted = [word.partition("=")[::2] for word in filters.get("label", [])]
        found = []
        for name, body in self._created.items():
            labels = body.get("Labels") or {}
            if all(label in labels and value in ("", labels[label]) for label, value in wanted):
                found.append({"Id": name, "Labels": labels})
        return found

    def _inspect(self, name: str) -> Reply:
        if name not in self._created:
            return _json({"message": f"No such container: {name}"}, 404)
        body = self._created[name]
        try:
            (state,) = self._engine().poll([JobHandle("", name, name)])
        except EngineError:
            return _json({"message": f"No such container: {name}"}, 404)
        status = {"gone": "created"}.get(state.phase, state.phase)
        return _json({
            "Id": name,
            "Config": {"Labels": body.get("Labels")},
            "HostConfig": {"Memory": (body.get("HostConfig") or {}).get("Memory", 0)},
            "State": {
                "Status": status, "ExitCode": state.exit_code or 0, "OOMKilled": bool(state.oom_killed), "Error": "",
                "StartedAt": "2026-01-05T06:00:00Z", "FinishedAt": "2026-01-05T07:00:00Z",
            },
        })  # fmt: skip


def _json(value: object, status: int = 200) -> Reply:
    return status, "application/json", json.dumps(value).encode()


class FakeStream:
    """``docker system dial-stdio``: HTTP requests in, answers out, each body through ``hear``."""

    def __init__(self, daemon: FakeDaemon, hear: Callable[[str, bytes], bytes]) -> None:
        self.timeout_s, self.is_open, self.errors = 60.0, True, b""
        self._daemon, self._hear = daemon, hear
        self._came, self._goes = b"", b""

    def send(self, data: bytes | bytearray | memoryview) -> None:
        self._came += bytes(data)
        while (request := _split_request(self._came)) is not None:
            method, path, body, self._came = request
            status, kind, answer = self._daemon.answer(method, path, body)
            answer = self._hear(f"{method} {urllib.parse.urlsplit(path).path}", answer)
            head = f"HTTP/1.1 {status} Whatever\r\nContent-Type: {kind}\r\nContent-Length: {len(answer)}\r\n"
            archive = "X-Docker-Container-Path-Stat: e30=\r\n" if kind == "application/x-tar" else ""
            self._goes += f"{head}{archive}\r\n".encode() + answer

    def recv(self, most_bytes: int = 65536) -> bytes:
        part, self._goes = self._goes[:most_bytes], self._goes[most_bytes:]
        return part

    def finish(self) -> None:
        """Nothing more is to come."""

    def close(self) -> None:
        self.is_open = False


def _split_request(data: bytes) -> tuple[str, str, bytes, bytes] | None:
    """Return method, path and body of a request that is whole, and what comes after it."""
    head, found, rest = data.partition(b"\r\n\r\n")
    if not found:
        return None
    lines = head.decode().split("\r\n")
    method, path, _ = lines[0].split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
    if headers.get("transfer-encoding") == "chunked":
        body = b""
        while True:
            size, found, rest = rest.partition(b"\r\n")
            if not found:
                return None
            length = int(size, 16)
            if len(rest) < length + 2:
                return None
            body, rest = body + rest[:length], rest[length + 2 :]
            if not length:
                return method, path, body, rest
    length = int(headers.get("content-length", "0"))
    return None if len(rest) < length else (method, path, rest[:length], rest[length:])
