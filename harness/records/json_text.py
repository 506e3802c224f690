"""JSON that is too large to be a value as a whole: walked through as text, of which each part is taken alone."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from gzip import GzipFile
from typing import IO

from harness.bench.protocol import bounded_json
from harness.records.reading import MOST_LINE_BYTES, MOST_SESSION_VALUES

_PIECE_BYTES = 256 * 1024
_SPACE = re.compile(rb"[ \t\r\n]*")
_SCALAR = re.compile(rb"[^ \t\r\n,\]}]+")
_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[\[\]{}"]', re.DOTALL)


class JsonText:
    """Walks through one JSON text, forwards. Raises ValueError where it is none, or longer than ``most_bytes``.

    ``walk_object`` and ``walk_list`` go through the object or list that comes next; at each the value has to be taken,
    or gone through in turn.
    """

    def __init__(self, stream: IO[bytes] | GzipFile, most_bytes: int) -> None:
        self._stream = stream
        self._left = most_bytes
        self._buffer = b""
        self._at = 0

    def walk_object(self) -> Iterator[str]:
        """Go through the keys of an object."""
        for _ in self._members(b"{", b"}"):
            key = json.loads(self.take())
            self._expect(b":")
            if not isinstance(key, str):
                raise ValueError("a key of its JSON is no text")
            yield key

    def walk_list(self) -> Iterator[None]:
        """Go through the items of a list."""
        yield from self._members(b"[", b"]")

    def take(self, most_bytes: int = MOST_LINE_BYTES) -> bytes:
        """Take the value that comes next, whatever it is, as text."""
        end: int | None
        if self._peek() not in (b"{", b"[", b'"'):
            self._need(64)
            found = _SCALAR.match(self._buffer, self._at)
            end = found.end() if found else self._at
        else:
            while (end := self._find_end()) is None:
                if len(self._buffer) - self._at > most_bytes or not self._fill():
                    raise ValueError("a part of its JSON is too long, or cut")
                bounded_json.check_size(self._buffer, most_bytes=2 * most_bytes, most_values=MOST_SESSION_VALUES)
        text = self._buffer[self._at : end]
        self._at = end
        return text

    def _members(self, begin: bytes, end: bytes) -> Iterator[None]:
        self._expect(begin)
        if self._peek() != end:
            yield
            while self._peek() == b",":
                self._at += 1
                yield
        self._expect(end)

    def _find_end(self) -> int | None:
        """Where the value ends that begins here; None where its end is not there yet."""
        depth = 0
        for token in _TOKEN.finditer(self._buffer, self._at):
            sign = token[0]
            if sign == b'"':  # a text whose end is not there yet
                return None
            depth += (sign in (b"{", b"[")) - (sign in (b"}", b"]"))
            if depth <= 0:
                return token.end()
        return None

    def _expect(self, sign: bytes) -> None:
        if self._peek() != sign:
            raise ValueError(f"its JSON has no {sign.decode()} where one has to be")
        self._at += 1

    def _peek(self) -> bytes:
        """The first sign of what comes next; empty at the end."""
        while True:
            found = _SPACE.match(self._buffer, self._at)
            self._at = found.end() if found else self._at
            if self._at < len(self._buffer):
                return self._buffer[self._at : self._at + 1]
            if not self._fill():
                return b""

    def _need(self, count: int) -> None:
        while len(self._buffer) - self._at < count and self._fill():
            pass

    def _fill(self) -> bool:
        """Read on, as much again as is there: what is looked through once more is at most half."""
        piece = self._stream.read(max(_PIECE_BYTES, len(self._buffer) - self._at))
        self._left -= len(piece)
        if self._left < 0:
            raise ValueError("it unpacks to more than is read of a page")
        self._buffer = self._buffer[self._at :] + piece
        self._at = 0
        return bool(piece)
