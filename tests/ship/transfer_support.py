"""For tests of shipping: images made of bytes alone, a second engine, a registry, and a link that is cut."""

from __future__ import annotations

import contextlib
import hashlib
import io
import itertools
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import tarfile
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from harness.engine.daemon import connect_local
from harness.engine.daemon_words import DOCKER

_engines = itertools.count(1)


def noise(size: int, seed: int) -> bytes:
    return random.Random(seed).randbytes(size)


def layer_of(name: str, content: bytes) -> bytes:
    """A layer with one file."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        entry = tarfile.TarInfo(name)
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def config_of(layers: list[bytes], labels: dict[str, str] | None = None) -> bytes:
    said = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Env": ["PATH=/bin"], "Cmd": ["/true"], "Labels": labels or {}},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{sha(layer)}" for layer in layers]},
        "history": [{"created_by": "test"} for _ in layers],
    }
    return json.dumps(said).encode()


def tar_of(files: list[tuple[str, bytes]]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files:
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def docker_archive(reference: str, layers: list[bytes], labels: dict[str, str] | None = None) -> bytes:
    """What ``docker save`` makes: layers first, as 20.10 does."""
    config = config_of(layers, labels)
    names = [f"{sha(layer)}/layer.tar" for layer in layers]
    manifest = [{"Config": f"{sha(config)}.json", "RepoTags": [reference], "Layers": names}]
    files = list(zip(names, layers, strict=True))
    return tar_of([*files, (f"{sha(config)}.json", config), ("manifest.json", json.dumps(manifest).encode())])


def add_image(client: Any, reference: str, layers: list[bytes], labels: dict[str, str] | None = None) -> None:
    said = list(client.load_image(io.BytesIO(docker_archive(reference, layers, labels))))
    assert not [one for one in said if one.get("error")], said


@contextmanager
def second_engine(folder: Path, *, data: Path | None = None) -> Iterator[str]:
    """Another Docker Engine on this machine, with its own images; its address. Skips where none can be started."""
    number = next(_engines)
    program = shutil.which("dockerd") or shutil.which("dockerd", path="/usr/sbin:/usr/local/sbin")
    if program is None or os.geteuid() != 0:
        pytest.skip("a second engine needs root and dockerd")
    folder.mkdir(parents=True, exist_ok=True)
    short = Path(tempfile.mkdtemp(prefix="hx-"))  # the names of sockets may have 107 bytes, no more
    sock = short / "sock"
    command = [program, "--data-root", str(data or folder / "data"), "--exec-root", str(short / "exec")]
    command += ["-H", f"unix://{sock}", "--pidfile", str(folder / "pid")]
    bridge = f"hx{os.getpid()}-{number}"
    # Its own bridge: with --bridge=none an engine takes the first one's away.
    for words in (["link", "add", bridge, "type", "bridge"], ["addr", "add", f"198.18.{number}.1/24", "dev", bridge]):
        if subprocess.run(["ip", *words], capture_output=True, check=False).returncode:
            subprocess.run(["ip", "link", "del", bridge], capture_output=True, check=False)
            pytest.skip("no network bridge can be made for a second engine")
    command += [f"--bridge={bridge}", "--iptables=false", "--ip-masq=false", "--ip-forward=false"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    try:
        address = f"unix://{sock}"
        for _ in range(300):
            with contextlib.suppress(Exception):
                connect_local(2, address).close()
                break
            if process.poll() is not None:
                pytest.skip(f"a second engine cannot run here: {(folder / 'log').read_text()[-300:]}")
            time.sleep(0.1)
        yield address
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        subprocess.run(["ip", "link", "del", bridge], capture_output=True, check=False)
        shutil.rmtree(short, ignore_errors=True)


class EngineTarget:
    """An engine to ship to, as ``DockerEngine`` is one."""

    spoken = DOCKER

    def __init__(self, address: str) -> None:
        self.host = "two"
        self._address = address
        self._client: Any = None

    @property
    def client(self) -> Any:
        if self._client is None:
            self._client = connect_local(60, self._address)
        return self._client

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
        self._client = None


class CuttingLink:
    """A socket before an engine's socket that breaks after so many bytes, as often as it is told."""

    def __init__(self, folder: Path, target: str, limits: list[int]) -> None:
        self.address = f"unix://{folder / 'link'}"
        self._target = target.removeprefix("unix://")
        self._limits = limits
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(folder / "link"))
        self._server.listen(20)
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._server.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._server.accept()
                far = socket.socket(socket.AF_UNIX)
                far.connect(self._target)
                threading.Thread(target=self._pump, args=(near, far, True), daemon=True).start()
                threading.Thread(target=self._pump, args=(far, near, False), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, is_upload: bool) -> None:
        count = 0
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                count += len(data)
                if is_upload and self._limits and count > self._limits[0]:
                    self._limits.pop(0)
                    for one in (source, sink):
                        one.shutdown(socket.SHUT_RDWR)
                    return
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)


@dataclass
class Registry:
    """A registry that only reads, over plain HTTP on loopback; ``asked`` are the paths that were."""

    blobs: dict[str, bytes] = field(default_factory=dict)
    manifests: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    address: str = ""

    def add(self, name: str, tag: str, layers: list[bytes], labels: dict[str, str] | None = None) -> None:
        import gzip

        config = config_of(layers, labels)
        packed = [gzip.compress(layer, mtime=0) for layer in layers]
        kind = "application/vnd.docker.distribution.manifest.v2+json"
        manifest = {
            "schemaVersion": 2,
            "mediaType": kind,
            "config": self._put("application/vnd.docker.container.image.v1+json", config),
            "layers": [self._put("application/vnd.docker.image.rootfs.diff.tar.gzip", one) for one in packed],
        }
        self.manifests[f"{name}:{tag}"] = self._put(kind, json.dumps(manifest).encode())["digest"]

    def _put(self, kind: str, content: bytes) -> dict[str, Any]:
        digest = f"sha256:{sha(content)}"
        self.blobs[digest] = content
        return {"mediaType": kind, "size": len(content), "digest": digest}


@contextmanager
def registry() -> Iterator[Registry]:
    held = Registry()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self._answer(with_body=False)

        def do_GET(self) -> None:
            self._answer(with_body=True)

        def _answer(self, *, with_body: bool) -> None:
            held.asked.append(self.path)
            parts = self.path.strip("/").split("/")
            code, kind, body = 404, "application/json", b'{"errors":[{"code":"NOT_FOUND","message":"none"}]}'
            if parts == ["v2"]:
                code, body = 200, b"{}"
            elif len(parts) > 3 and parts[-2] == "manifests":
                name = "/".join(parts[1:-2])
                digest = parts[-1] if parts[-1].startswith("sha256:") else held.manifests.get(f"{name}:{parts[-1]}", "")
                if digest in held.blobs:
                    code, body = 200, held.blobs[digest]
                    kind = "application/vnd.docker.distribution.manifest.v2+json"
            elif len(parts) > 3 and parts[-2] == "blobs" and parts[-1] in held.blobs:
                code, kind, body = 200, "application/octet-stream", held.blobs[parts[-1]]
            self.send_response(code)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Docker-Content-Digest", f"sha256:{sha(body)}")
            self.end_headers()
            if with_body:
                self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    held.address = f"127.0.0.1:{server.server_port}"
    try:
        yield held
    finally:
        server.shutdown()
        server.server_close()
