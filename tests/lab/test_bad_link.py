"""The bad link does what it says: else the faults that tests make with it would be none."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest
from bad_link import BadLink


@pytest.fixture
def echo() -> Iterator[int]:
    """A server that sends back what it gets; its port."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve(connection: socket.socket) -> None:
        with connection:
            try:
                while data := connection.recv(65536):
                    connection.sendall(data)
            except OSError:
                return

    def accept() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    yield server.getsockname()[1]
    server.close()


@pytest.fixture
def link(echo: int) -> Iterator[BadLink]:
    with BadLink(echo) as link:
        yield link


def connect(link: BadLink, timeout_s: float = 5.0) -> socket.socket:
    return socket.create_connection(("127.0.0.1", link.port), timeout=timeout_s)


def send_and_get(connection: socket.socket, data: bytes) -> bytes:
    sender = threading.Thread(target=connection.sendall, args=(data,), daemon=True)
    sender.start()
    got = bytearray()
    while len(got) < len(data):
        if not (chunk := connection.recv(65536)):
            break
        got += chunk
    return bytes(got)


def test_all_bytes_pass_in_order_and_are_counted(link: BadLink) -> None:
    data = bytes(range(256)) * 20_000
    with connect(link) as connection:
        assert send_and_get(connection, data) == data
    assert link.passed == {"up": len(data), "down": len(data)}


def test_a_closed_direction_lets_the_other_finish(link: BadLink) -> None:
    with connect(link) as connection:
        connection.sendall(b"last words")
        connection.shutdown(socket.SHUT_WR)
        got = b""
        while chunk := connection.recv(100):
            got += chunk
    assert got == b"last words"


def test_delay_and_rate_slow_it_down_at_least_so_much(link: BadLink) -> None:
    link.set_quality(delay_s=0.15)
    with connect(link) as connection:
        begun = time.monotonic()
        assert send_and_get(connection, b"x") == b"x"
        assert time.monotonic() - begun >= 0.3
        link.set_quality(delay_s=0.0, rate=1e6)
        begun = time.monotonic()
        assert len(send_and_get(connection, b"x" * 400_000)) == 400_000
        assert time.monotonic() - begun >= 0.3


def test_loss_stalls_but_loses_nothing(link: BadLink) -> None:
    link.set_quality(loss=1.0, stall_s=0.1)
    with connect(link) as connection:
        begun = time.monotonic()
        assert send_and_get(connection, b"abc") == b"abc"
        assert time.monotonic() - begun >= 0.2


def test_silence_holds_bytes_and_new_connections_until_it_heals(link: BadLink) -> None:
    with connect(link, 0.3) as connection:
        assert send_and_get(connection, b"1") == b"1"
        link.silence()
        connection.sendall(b"2")
        with pytest.raises(TimeoutError):
            connection.recv(1)
        with connect(link, 0.3) as late:  # the kernel greets, but nobody speaks
            late.sendall(b"3")
            with pytest.raises(TimeoutError):
                late.recv(1)
            link.heal()
            for one, expected in ((connection, b"2"), (late, b"3")):
                one.settimeout(5)
                assert one.recv(1) == expected


def test_a_cut_resets_and_the_next_connection_is_taken(link: BadLink) -> None:
    with connect(link) as connection:
        assert send_and_get(connection, b"1") == b"1"
        link.cut()
        with pytest.raises(ConnectionResetError):
            connection.recv(1)
    with connect(link) as connection:
        assert send_and_get(connection, b"2") == b"2"


def test_a_close_is_a_clean_end(link: BadLink) -> None:
    with connect(link) as connection:
        assert send_and_get(connection, b"1") == b"1"
        link.cut("close")
        assert connection.recv(1) == b""


def test_refused_until_it_heals(link: BadLink) -> None:
    link.refuse()
    with pytest.raises(ConnectionRefusedError):
        connect(link)
    link.heal()
    with connect(link) as connection:
        assert send_and_get(connection, b"1") == b"1"


@pytest.mark.parametrize("direction", ["up", "down"])
def test_it_breaks_after_so_many_bytes(link: BadLink, direction: str) -> None:
    link.break_after(100_000, direction=direction, how="reset")  # type: ignore[arg-type]
    with connect(link) as connection, pytest.raises((ConnectionResetError, BrokenPipeError)):
        for _ in range(1000):
            connection.sendall(b"x" * 1000)
            connection.recv(1000)
    assert link.broke.wait(5)
    assert 100_000 <= link.passed[direction] < 300_000  # type: ignore[index]


def test_garbage_instead_of_a_host(link: BadLink) -> None:
    link.answer_with(b"HTTP/1.0 400 no\r\n\r\n")
    with connect(link) as connection:
        assert connection.recv(4) == b"HTTP"
    link.answer_with(None)
    with connect(link) as connection:
        assert send_and_get(connection, b"1") == b"1"


def test_nothing_listens_afterwards(echo: int) -> None:
    with BadLink(echo) as link:
        port = link.port
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=1)
