"""Hub, link and inbox over real sockets: routing, return of a broken connection, strangers."""

from __future__ import annotations

import os
import select
import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest
import zmq

from rddlite.errors import ProviderError, RemoteProtocolError
from rddlite.net.frames import MAX_FRAME
from rddlite.net.hub import Hub
from rddlite.net.inbox import Inbox
from rddlite.net.link import Link, LinkDown, LinkUp
from rddlite.net.messages import Blob, ExecutorAlive, KillTask, Leaving, RunTasks, Shutdown
from rddlite.net.wire import encode
from tests.helpers.sockets import directory_for_sockets, until, until_true

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.local
ALIVE = ExecutorAlive("7", 1, [2], [], 0)


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    inbox = Inbox()
    yield inbox
    inbox.close()


@pytest.fixture
def endpoint() -> Iterator[str]:
    with directory_for_sockets() as directory:
        yield f"ipc://{directory}/driver"


@pytest.fixture
def hub(endpoint: str, inbox: Inbox) -> Iterator[Hub]:
    hub = Hub(endpoint, inbox)
    yield hub
    hub.close()


@pytest.fixture
def link(endpoint: str, inbox: Inbox) -> Iterator[Link]:
    link = Link(endpoint, "7", inbox.fileno())
    yield link
    link.close()


@pytest.fixture
def strangers(hub: Hub, endpoint: str) -> Iterator[Callable[..., Any]]:
    context = zmq.Context()
    peers = []

    def connect(identity: bytes | None = None, kind: int = zmq.DEALER) -> Any:
        peer = context.socket(kind)
        peer.setsockopt(zmq.LINGER, 0)
        if identity is not None:
            peer.setsockopt(zmq.IDENTITY, identity)
        peer.connect(endpoint)
        peers.append(peer)
        return peer

    yield connect
    for peer in peers:
        peer.close(linger=0)
    context.term()


def test_messages_reach_the_right_side_in_order(hub, link):
    assert LinkUp() in until(link.wait, LinkUp())
    assert link.send(ALIVE)
    assert link.send(Leaving("7", "done"))
    assert until(hub.wait, ("7", Leaving("7", "done"))) == [("7", ALIVE), ("7", Leaving("7", "done"))]
    assert hub.send("7", KillTask(1, "a"))
    assert hub.send("7", KillTask(2, "b"))
    assert until(link.wait, KillTask(2, "b")) == [KillTask(1, "a"), KillTask(2, "b")]


def test_what_cannot_be_routed_is_told(hub):
    assert not hub.send("nobody", Shutdown("x"))


def test_large_messages_pass_to_executors(hub, link):
    until(link.wait, LinkUp())
    link.send(ALIVE)
    until(hub.wait, ("7", ALIVE))
    message = RunTasks([Blob("d", bytes(5 * MAX_FRAME + 1000))], [])
    assert hub.send("7", message)
    assert until(link.wait, message) == [message]


def test_a_link_comes_back_to_a_new_hub(endpoint, inbox, link):
    first = Hub(endpoint, inbox)
    until(link.wait, LinkUp())
    first.close()
    until(link.wait, LinkDown())
    until_true(link.wait, lambda: not link.send(ALIVE))  # libzmq tells of the end before it takes the way there away
    second = Hub(endpoint, inbox)
    until(link.wait, LinkUp())
    assert link.send(ALIVE)
    until(second.wait, ("7", ALIVE))
    second.close()
    assert not os.path.exists(endpoint.removeprefix("ipc://"))


def test_a_post_wakes_the_hub_once(hub, inbox):
    for i in range(3):
        inbox.post(i)
    assert hub.wait(60) == []
    assert inbox.drain() == [0, 1, 2]
    assert hub.wait(0) == []
    assert not select.select([inbox], [], [], 0)[0]
    assert inbox.drain() == []


def test_no_post_is_lost_among_many_threads(hub, inbox):
    rounds, n_threads = 3_000, 4

    def post(name: int) -> None:
        for i in range(rounds):
            inbox.post((name, i))

    threads = [threading.Thread(target=post, args=(name,)) for name in range(n_threads)]
    for thread in threads:
        thread.start()
    found: list[tuple[int, int]] = []
    while len(found) < rounds * n_threads:
        readable = select.select([inbox], [], [], 60)[0]
        assert readable, f"{len(found)} items came, and then no wake"
        found += inbox.drain()
    for thread in threads:
        thread.join()
    for name in range(n_threads):
        assert [i for who, i in found if who == name] == list(range(rounds))


def test_a_closed_inbox_takes_posts_and_does_nothing(inbox):
    inbox.close()
    inbox.post(1)


def garbage() -> list[list[bytes]]:
    return [
        [b""],
        [b"\x00" * 10],
        [b"\xff" * 1000],
        [encode(ALIVE), encode(ALIVE)],
        [b"", encode(ALIVE)],
        [encode(ALIVE), b""],
        [bytes(MAX_FRAME), b""],
        [bytes(MAX_FRAME), bytes(5)],
        [encode(ALIVE)[:-1]],
        [encode(Leaving("1", "x"))],
        [encode(RunTasks([], []))],
        [encode(Shutdown("x"))],
    ]


@pytest.mark.parametrize("identity", [None, b"7\xff", b"stranger"])
def test_garbage_is_counted_and_dropped(hub, link, strangers, identity):
    until(link.wait, LinkUp())
    peer = strangers(identity)
    for frames in garbage():
        peer.send_multipart(frames)
    peer.send_multipart([encode(ALIVE)])  # speaks in the name of executor 7
    while hub.refused < len(garbage()) + 1:
        assert hub.wait(60) == []
    link.send(ALIVE)
    assert until(hub.wait, ("7", ALIVE)) == [("7", ALIVE)]


def test_an_identity_in_use_cannot_be_taken_over(hub, link, strangers):
    until(link.wait, LinkUp())
    link.send(ALIVE)
    until(hub.wait, ("7", ALIVE))
    thief = strangers(b"7")
    thief.send(encode(Leaving("7", "lies")))
    link.send(Leaving("7", "truth"))
    assert until(hub.wait, ("7", Leaving("7", "truth"))) == [("7", Leaving("7", "truth"))]
    hub.wait(0.2)
    assert hub.send("7", KillTask(1, "x"))
    assert until(link.wait, KillTask(1, "x")) == [KillTask(1, "x")]


@pytest.mark.parametrize("kind", [zmq.SUB, zmq.PAIR])
def test_other_kinds_of_sockets_are_turned_away(hub, link, strangers, kind):
    strangers(kind=kind)
    until(link.wait, LinkUp())
    link.send(ALIVE)
    assert until(hub.wait, ("7", ALIVE)) == [("7", ALIVE)]


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 4096, b"\xff\0\0\0\0\0\0\0\1\x7f\3\0NULL", b""])
def test_bytes_that_are_no_zmq_are_turned_away(hub, link, endpoint, data):
    with socket.socket(socket.AF_UNIX) as raw:
        raw.connect(endpoint.removeprefix("ipc://"))
        raw.sendall(data)
        until(link.wait, LinkUp())
        link.send(ALIVE)
        assert until(hub.wait, ("7", ALIVE)) == [("7", ALIVE)]


def test_a_message_above_the_limit_ends_its_connection_only(hub, link, strangers):
    until(link.wait, LinkUp())
    peer = strangers(b"big")
    peer.send(bytes(MAX_FRAME + 2000))
    peer.send(b"after")
    link.send(ALIVE)
    assert ("7", ALIVE) in until(hub.wait, ("7", ALIVE))


def test_a_directory_open_to_others_is_refused(endpoint, inbox):
    os.chmod(os.path.dirname(endpoint.removeprefix("ipc://")), 0o755)
    with pytest.raises(ProviderError, match="mode 0700"):
        Hub(endpoint, inbox)


def test_a_path_too_long_for_a_socket_is_refused(tmp_path, inbox):
    with pytest.raises(ProviderError, match="107 bytes"):
        Hub(f"ipc://{tmp_path}/{'x' * 107}", inbox)


@pytest.mark.parametrize("endpoint", ["ipc://relative/path", "ipc://", "udp://127.0.0.1:1", ""])
def test_other_endpoints_are_refused(inbox, endpoint):
    with pytest.raises(ProviderError, match="not an endpoint of this host"):
        Hub(endpoint, inbox)


def test_messages_of_the_driver_that_cannot_be_read_are_dropped(endpoint, link, inbox, caplog):
    context = zmq.Context()
    router = context.socket(zmq.ROUTER)
    router.setsockopt(zmq.LINGER, 0)
    router.setsockopt(zmq.ROUTER_MANDATORY, 1)
    router.bind(endpoint)
    until(link.wait, LinkUp())
    link.send(ALIVE)
    router.recv_multipart()
    router.send_multipart([b"7", b"\x00"])
    router.send_multipart([b"7", encode(KillTask(3, "x"))])
    assert until(link.wait, KillTask(3, "x")) == [KillTask(3, "x")]
    assert any(record.exc_info[0] is RemoteProtocolError for record in caplog.records)
    router.close(linger=0)
    context.term()
