"""What answers in a Docker Engine's place may say anything, and as much as it likes."""

from __future__ import annotations

import contextlib
import http.server
import json
import threading
import tracemalloc
from collections.abc import Iterator

import pytest

from harness.engine.bounded_client import BoundedClient
from harness.values.errors import EngineUnavailable

ANSWERS = {
    "/_ping": [b"OK"],
    "/info": [b'{"ServerVersion": "28.1", "Driver": "overlay2"}'],
    "/containers/json": [b"[]"],
    "/images/json": [b"[" + b"[]," * 2_000_000 + b"1]"],
    "/volumes": [b"x" * 10**6] * 400,
}


class _Engine(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        path = next(key for key in ANSWERS if self.path.partition("?")[0].endswith(key))
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        with contextlib.suppress(ConnectionError):  # nobody listens any more
            for piece in ANSWERS[path]:
                self.wfile.write(piece)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def client() -> Iterator[BoundedClient]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Engine)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    made = BoundedClient(f"tcp://127.0.0.1:{server.server_address[1]}", version="1.45", timeout=20)
    yield made
    made.close()
    server.shutdown()
    server.server_close()


def test_what_an_engine_says_is_taken_as_ever(client: BoundedClient) -> None:
    assert client.info() == json.loads(ANSWERS["/info"][0])
    assert client.containers(all=True) == []
    assert client.ping() is True


@pytest.mark.parametrize("ask", [BoundedClient.images, BoundedClient.volumes])
def test_an_answer_without_end_is_no_engines(client: BoundedClient, ask: object) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(EngineUnavailable, match=r"larger than|more than") as raised:
            ask(client)  # type: ignore[operator]
        assert tracemalloc.get_traced_memory()[1] < 100 * 2**20
    finally:
        tracemalloc.stop()
    assert raised.value.hint
