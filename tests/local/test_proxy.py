"""The tests' own TCP proxy does the harm that it says, and no other."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

import pytest

from tests.helpers.proxy import DOWN, UP, Proxy

pytestmark = pytest.mark.local


def serve_echo(listener: socket.socket) -> None:
    def echo(connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            while data := connection.recv(1 << 16):
                connection.sendall(data)

    with contextlib.suppress(OSError):
        while True:
            threading.Thread(target=echo, args=(listener.accept()[0],), daemon=True).start()


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    """Before a server that sends back what it gets."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve_echo, args=(listener,))
        thread.start()
        with Proxy(listener.getsockname()) as running:
            yield running
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def connect(proxy: Proxy) -> socket.socket:
    host, _, port = proxy.address.partition(":")
    connection = socket.create_connection((host, int(port)))
    connection.settimeout(120)
    return connection


def receive(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size and (more := connection.recv(1 << 16)):
        data += more
    return data


def test_bytes_pass_in_both_directions(proxy: Proxy) -> None:
    data = bytes(range(256)) * 10_000
    with connect(proxy) as connection:
        sender = threading.Thread(target=lambda: (connection.sendall(data), connection.shutdown(socket.SHUT_WR)))
        sender.start()
        assert receive(connection, len(data)) == data
        sender.join()
        assert connection.recv(1) == b""
    assert proxy.passed == {UP: len(data), DOWN: len(data)}


def test_one_bit_is_changed_where_it_was_said(proxy: Proxy) -> None:
    proxy.spoil(UP, 5)
    proxy.spoil(DOWN, 6)
    with connect(proxy) as connection:
        for part in (b"abcd", b"efgh"):
            connection.sendall(part)
        assert receive(connection, 8) == b"abcdegfh"
        connection.sendall(b"abcdefgh")
        assert receive(connection, 8) == b"abcdefgh"
    assert proxy.n_spoiled == 2


def test_cut_connections_end_with_an_error_and_new_ones_pass(proxy: Proxy) -> None:
    with connect(proxy) as old, connect(proxy) as new:
        old.sendall(b"x")
        assert receive(old, 1) == b"x"
        new.sendall(b"x")
        assert receive(new, 1) == b"x"
        proxy.cut()
        for connection in (old, new):
            with pytest.raises(ConnectionResetError):
                connection.recv(1)
    with connect(proxy) as connection:
        connection.sendall(b"y")
        assert receive(connection, 1) == b"y"
    assert proxy.n_accepted == 3


def test_refused_until_accepted_again(proxy: Proxy) -> None:
    proxy.refuse()
    with pytest.raises(ConnectionRefusedError):
        connect(proxy)
    proxy.accept()
    with connect(proxy) as connection:
        connection.sendall(b"x")
        assert receive(connection, 1) == b"x"


@pytest.mark.parametrize("direction", [UP, DOWN])
def test_what_is_held_one_way_arrives_later(proxy: Proxy, direction: str) -> None:
    with connect(proxy) as connection:
        connection.sendall(b"a")
        assert receive(connection, 1) == b"a"
        proxy.hold(UP if direction == "up" else DOWN)
        connection.sendall(b"b")
        connection.settimeout(0.05)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        assert proxy.passed[DOWN] == 1
        connection.settimeout(120)
        proxy.restore()
        assert receive(connection, 1) == b"b"


def test_a_target_that_is_gone_is_noticed() -> None:
    with socket.socket() as held:  # so that nobody else gets its port; but it does not listen
        held.bind(("127.0.0.1", 0))
        with Proxy(held.getsockname()) as proxy, connect(proxy) as connection, pytest.raises(ConnectionResetError):
            connection.recv(1)
