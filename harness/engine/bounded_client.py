"""A client of Docker's API that limits the size of each answer."""

from __future__ import annotations

import io
from typing import Any

from docker.api.client import APIClient
from requests import PreparedRequest, Response

from harness.bench.protocol import bounded_json
from harness.engine.daemon_words import DOCKER, DaemonWords
from harness.values.errors import EngineUnavailable

MOST_BYTES = 16 * 2**20
"""The most bytes of an answer: enough to list ten thousand containers. Streams have limits where they are read."""

MOST_VALUES = 500_000
"""The most JSON values in an answer; each takes up to 250 bytes of memory."""

_PIECE_BYTES = 64 * 1024


class BoundedClient(APIClient):
    """An ``APIClient`` that raises EngineUnavailable for an answer above the limits: no engine sends one.

    ``words`` are the texts about its engine.
    """

    words: DaemonWords = DOCKER

    def send(self, request: PreparedRequest, **options: Any) -> Response:
        """Send a request and read the whole answer, unless it is a stream; see ``requests.Session.send``."""
        if options.get("stream"):
            return super().send(request, **options)
        answer = super().send(request, **{**options, "stream": True})
        try:
            body = _take(answer)
            bounded_json.check_size(body, most_bytes=MOST_BYTES, most_values=MOST_VALUES)
        except bounded_json.Unreadable as error:
            answer.close()
            message = f"the answer of the {self.words.title} engine cannot be used: {error}"
            raise EngineUnavailable(message, hint=self.words.another) from None
        whole = Response()
        whole.status_code, whole.reason, whole.headers = answer.status_code, answer.reason, answer.headers
        whole.request, whole.url, whole.encoding = answer.request, answer.url, answer.encoding
        whole.raw = io.BytesIO(body)
        return whole


def _take(answer: Response) -> bytes:
    body = bytearray()
    for piece in answer.iter_content(_PIECE_BYTES):
        body += piece
        if len(body) > MOST_BYTES:
            break
    return bytes(body)
