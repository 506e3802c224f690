"""Incremental parsing of JSON that is too large to load at once: each part is parsed alone."""

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
    """A forward reader of one JSON text. Raises ValueError if it is not JSON or longer than ``most_bytes``.

    ``walk_object`` and ``walk_list`` iterate over the next object or list. At each key or item, the caller must take
    the value or walk through it.
    """

    def __init__(self, stream: IO[bytes] | GzipFile, most_bytes: int) -> None:
        self._stream = stream
        self._left = most_bytes
        self._buffer = b""
        self._at = 0

    def walk_object(self) -> Iterator[str]:
        """Iterate over the keys of the next object."""
        for _ in self._members(b"{", b"}"):
            key = json.loads(self.take())
            self._expect(b":")
            if not isinstance(key, str):
                raise ValueError("a key of its JSON is not text")
            yield key

    def walk_list(self) -> Iterator[None]:
        """Iterate over the items of the next list."""
        yield from self._members(b"[", b"]")

    def take(self, most_bytes: int = MOST_LINE_BYTES) -> bytes:
        """Return the next value, of any type, as text."""
        end: int | None
        if self._peek() not in (b"{", b"[", b'"'):
            self._need(64)
            found = _SCALAR.match(self._buffer, self._at)
            end = found.end() if found else self._at
        else:
            while (end := self._find_end()) is None:
                if len(self._buffer) - self._at > most_bytes or not self._fill():
                    raise ValueError("a part of its JSON is too long or incomplete")
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
        """Return the end of the value that begins here; None if its end is not in the buffer yet."""
        depth = 0
        for token in _TOKEN.finditer(self._buffer, self._at):
            sign = token[0]
            if sign == b'"':  # a string whose end is not in the buffer yet
                return None
            depth += (sign in (b"{", b"[")) - (sign in (b"}", b"]"))
            if depth <= 0:
                return token.end()
        return None

    def _expect(self, sign: bytes) -> None:
        if self._peek() != sign:
            raise ValueError(f"its JSON lacks a {sign.decode()}")
        self._at += 1

    def _peek(self) -> bytes:
        """Return the next character that is not white space; empty at the end."""
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
        """Read at least as much as the buffer holds, so that little text is scanned twice. Returns False at the end."""
        piece = self._stream.read(max(_PIECE_BYTES, len(self._buffer) - self._at))
        self._left -= len(piece)
        if self._left < 0:
            raise ValueError("it is larger than the limit for a page")
        self._buffer = self._buffer[self._at :] + piece
        self._at = 0
        return bool(piece)
