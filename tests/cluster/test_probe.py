"""What proves that an executor is gone, and what does not."""

from __future__ import annotations

import queue
import socket
from collections.abc import Iterator

import pytest

from rddlite.base.ids import ExecutorId
from rddlite.deploy.probe import Prober
from rddlite.driver.provider import ExecutorEnded
from tests.helpers.sockets import closed_port

A, B = ExecutorId("a"), ExecutorId("b")


@pytest.fixture
def found() -> queue.SimpleQueue[ExecutorEnded]:
    return queue.SimpleQueue()


@pytest.fixture
def prober(found: queue.SimpleQueue[ExecutorEnded], closed_port: int) -> Iterator[Prober]:
    prober = Prober(found.put)
    yield prober
    prober.close()


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


@pytest.fixture(name="closed_port")
def a_closed_port() -> Iterator[int]:
    with closed_port() as port:
        yield port


def port_of(server: socket.socket) -> int:
    port: int = server.getsockname()[1]
    return port


def test_a_refused_connection_is_proof(
    prober: Prober, found: queue.SimpleQueue[ExecutorEnded], closed_port: int
) -> None:
    prober.suspect(A, f"tcp://127.0.0.1:{closed_port}")
    assert found.get(timeout=120) == ExecutorEnded(A, f"its host refuses connections to its port {closed_port}")


def test_an_open_port_is_none_until_it_closes(
    prober: Prober, found: queue.SimpleQueue[ExecutorEnded], listening: socket.socket, closed_port: int
) -> None:
    prober.suspect(A, f"tcp://127.0.0.1:{port_of(listening)}")
    listening.accept()[0].close()  # it was tried
    prober.suspect(B, f"tcp://127.0.0.1:{closed_port}")
    assert found.get(timeout=120).executor == B
    assert found.empty()
    listening.shutdown(socket.SHUT_RDWR)  # refuses from now on, and keeps the number
    assert found.get(timeout=120).executor == A


def test_who_is_back_is_left_alone(
    prober: Prober, found: queue.SimpleQueue[ExecutorEnded], listening: socket.socket, closed_port: int
) -> None:
    prober.suspect(A, f"tcp://127.0.0.1:{port_of(listening)}")
    listening.accept()[0].close()
    prober.unsuspect(A)
    listening.shutdown(socket.SHUT_RDWR)  # refuses from now on, and keeps the number
    prober.suspect(B, f"tcp://127.0.0.1:{closed_port}")
    assert found.get(timeout=120).executor == B
    assert found.empty()


@pytest.mark.parametrize(
    "address",
    ["", "ipc:///tmp/x", "tcp://127.0.0.1:0", "tcp://somewhere.invalid:80", "tcp://x", "tcp://a..b:80", "\ud800",
     f"tcp://{'a' * 70}:80", "tcp://127.0.0.1:99999"],
)  # fmt: skip
def test_what_is_no_address_proves_nothing(
    prober: Prober, found: queue.SimpleQueue[ExecutorEnded], closed_port: int, address: str
) -> None:
    prober.suspect(A, address)
    prober.suspect(B, f"tcp://127.0.0.1:{closed_port}")
    assert found.get(timeout=120).executor == B
    assert found.empty()


def test_a_host_that_does_not_answer_holds_nobody_up(
    prober: Prober, found: queue.SimpleQueue[ExecutorEnded], listening: socket.socket, closed_port: int
) -> None:
    with socket.socket() as full, socket.socket() as one, socket.socket() as two:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for waiting in (one, two):  # more than fit: whoever comes next is not answered at all
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        prober.suspect(A, f"tcp://127.0.0.1:{port_of(full)}")
        prober.suspect(B, f"tcp://127.0.0.1:{closed_port}")
        assert found.get(timeout=120).executor == B
        assert found.empty()
