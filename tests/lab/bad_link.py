"""A link that can be bad: a TCP relay on loopback with delay, rate, loss, cuts and silence, for kernels without netem.

A relay sees no packets. What loses packets shows as what TCP makes of it: a stall of the time that a
retransmission takes, and then all bytes in their order.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

_T = TypeVar("_T")
_CHUNK = 1 << 16
_QUEUE = 64  # chunks under way in each direction, so that a slow reader slows the writer down

Direction = Literal["up", "down"]
"""``up`` is from the controller to the host."""
Break = Literal["reset", "close", "silence", "refuse"]
"""``reset`` and ``close`` end what is connected, ``refuse`` also keeps new ones out; ``silence`` tells nobody."""


@dataclass
class Quality:
    """How good a link is: ``delay_s`` one way, ``rate`` bytes a second in each direction (0: no bound), ``loss`` the
    share of chunks that stall for ``stall_s``."""

    delay_s: float = 0.0
    rate: float = 0.0
    loss: float = 0.0
    stall_s: float = 0.2


@dataclass
class _Fuse:
    """Breaks the link once so many more bytes have gone in a direction."""

    direction: Direction
    left: int
    how: Break


class BadLink:
    """A relay from ``port`` on 127.0.0.1 to another; a context manager. All methods may be called from any thread."""

    def __init__(self, target_port: int, *, seed: int = 1) -> None:
        self.port = 0
        self.passed: dict[Direction, int] = {"up": 0, "down": 0}
        self.broke = threading.Event()
        self.accepted = 0
        self._target = target_port
        self._quality = Quality()
        self._random = random.Random(seed)
        self._fuse: _Fuse | None = None
        self._greeting: bytes | None = None
        self._is_refusing = False
        self._pairs: set[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="bad-link", daemon=True)

    def __enter__(self) -> BadLink:
        self._thread.start()
        self._call(self._open)
        return self

    def __exit__(self, *_: object) -> None:
        self._call(self._close)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def set_quality(self, **changes: float) -> None:
        """Change delay, rate or loss, also of what is connected."""
        self._quality = Quality(**{**vars(self._quality), **changes})

    def silence(self) -> None:
        """Nothing passes, and nobody is told: a pulled plug, a firewall that drops."""
        self._call(lambda: self._break("silence"))

    def heal(self) -> None:
        """All is well again: what was held goes on its way, new connections are taken."""
        self._call(self._heal)

    def cut(self, how: Break = "reset") -> None:
        """End every connection, by a reset or a plain close; new ones are taken."""
        self._call(lambda: self._break(how))

    def refuse(self) -> None:
        """End every connection, and take no new one until it heals."""
        self._call(lambda: self._break("refuse"))

    def break_after(self, count: int, *, direction: Direction = "up", how: Break = "reset") -> None:
        """Break the link when ``count`` more bytes have passed; ``broke`` is set then."""
        self.broke.clear()
        self._fuse = _Fuse(direction, count, how)

    def answer_with(self, greeting: bytes | None) -> None:
        """Answer each new connection with these bytes and nothing else; None: relay again."""
        self._greeting = greeting

    def _call(self, work: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
        future: Future[_T] = asyncio.run_coroutine_threadsafe(work(), self._loop)
        return future.result(30)

    async def _open(self) -> None:
        self._flowing = asyncio.Event()
        self._flowing.set()
        await self._listen()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port, limit=_CHUNK)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        self._server.close()
        self._flowing.set()
        await self._break("reset")
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _heal(self) -> None:
        self._flowing.set()
        self._fuse = None
        if self._is_refusing:
            self._is_refusing = False
            await self._listen()

    async def _break(self, how: Break) -> None:
        if how == "silence":
            self._flowing.clear()
            return
        if how == "refuse":
            self._is_refusing = True
            self._server.close()
        for pair in list(self._pairs):
            for writer in pair:
                _end(writer, how)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        await self._flowing.wait()
        if self._greeting is not None:
            with contextlib.suppress(OSError):
                writer.write(self._greeting)
                await writer.drain()
                while await reader.read(_CHUNK):
                    pass
            writer.close()
            return
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target, limit=_CHUNK)
        except OSError:
            _end(writer, "reset")
            return
        pair = (writer, far_writer)
        self._pairs.add(pair)
        try:
            await asyncio.gather(self._relay(reader, far_writer, "up"), self._relay(far_reader, writer, "down"))
        finally:
            self._pairs.discard(pair)
            for one in pair:
                one.close()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, direction: Direction) -> None:
        queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_QUEUE)
        sender = asyncio.create_task(self._send(queue, writer))
        try:
            while chunk := await reader.read(_CHUNK):
                await self._burn(len(chunk), direction)
                await queue.put((time.monotonic(), chunk))
        except OSError:
            _end(writer, "reset")
        await queue.put((time.monotonic(), b""))
        with contextlib.suppress(OSError):
            await sender

    async def _burn(self, count: int, direction: Direction) -> None:
        self.passed[direction] += count
        fuse = self._fuse
        if fuse is None or fuse.direction != direction:
            return
        fuse.left -= count
        if fuse.left <= 0:
            self._fuse = None
            await self._break(fuse.how)
            self.broke.set()

    async def _send(self, queue: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter) -> None:
        free_at = 0.0
        is_broken = False
        while True:
            read_at, chunk = await queue.get()
            quality = self._quality
            wait_s = read_at + quality.delay_s - time.monotonic()
            if quality.loss and self._random.random() < quality.loss:
                wait_s = max(wait_s, 0) + quality.stall_s
            if quality.rate:
                free_at = max(free_at, time.monotonic()) + len(chunk) / quality.rate
                wait_s = max(wait_s, free_at - time.monotonic())
            if wait_s > 0:
                await asyncio.sleep(wait_s)
            await self._flowing.wait()
            if not chunk:
                break
            if is_broken:
                continue  # the queue is emptied, so that the reading side can end
            try:
                writer.write(chunk)
                await writer.drain()
            except OSError:
                is_broken = True
        with contextlib.suppress(OSError, RuntimeError):
            writer.write_eof()


def _end(writer: asyncio.StreamWriter, how: Break) -> None:
    """End a connection: by a reset, or so that what was written still goes out."""
    if how == "close":
        writer.close()
        return
    with contextlib.suppress(OSError):
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
