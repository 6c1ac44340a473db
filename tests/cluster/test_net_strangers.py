"""Strangers at a driver that listens on TCP: whatever they send, its executors notice nothing, and nothing stays.

Each test ends with `peace`: the executor that was there from the start is still connected, hears and is heard; every
descriptor is given back, and no memory was taken to speak of.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest
import zmq
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from rddlite.net import monitor
from rddlite.net.address import LOOPBACK, parse_tcp
from rddlite.net.auth import create_keys
from rddlite.net.frames import MAX_FRAME
from rddlite.net.hub import Hub
from rddlite.net.inbox import Inbox
from rddlite.net.link import Link, LinkDown, LinkUp
from rddlite.net.messages import ExecutorAlive, KillTask, Leaving, RunTasks, Shutdown
from rddlite.net.wire import encode
from tests.helpers.proxy import DOWN, UP, Proxy
from tests.helpers.sockets import turning, until, until_true
from tests.helpers.strangers import (
    Recorder,
    command,
    dealer,
    greeting,
    hello,
    is_ended,
    n_descriptors,
    raw,
    resident,
)

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.local
KEYS, OTHERS = create_keys(), create_keys()
MOST_MEMORY = 64 << 20
fixed = settings(
    max_examples=150, derandomize=True, database=None, deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip


class Scene:
    """A hub, and executor 7 at it."""

    def __init__(self) -> None:
        self.open()

    def open(self) -> None:
        self.inbox = Inbox()
        self.hub = Hub(LOOPBACK, self.inbox, KEYS)
        self.address = tuple(parse_tcp(self.hub.endpoint))
        self.link = Link(self.hub.endpoint, "7", self.inbox.fileno(), KEYS.for_executors())
        self.context = zmq.Context()
        self.context.socket(zmq.DEALER).close()  # starts its threads, which have descriptors too
        self._n = 0
        until(turning(self.hub, self.link.wait), LinkUp())
        self.exchange()
        self._before = n_descriptors(), resident()

    def exchange(self) -> None:
        """Executor 7 says something and is answered; nothing else comes in."""
        self._n += 1
        alive = ExecutorAlive("7", self._n, [2], [], 0)
        assert self.link.send(alive)
        assert until(self.hub.wait, ("7", alive)) == [("7", alive)]
        assert self.hub.send("7", KillTask(self._n, "x"))
        assert until(self.link.wait, KillTask(self._n, "x")) == [KillTask(self._n, "x")]

    def until(self, condition: Callable[[], Any]) -> None:
        """Let the hub work until then; nothing comes in meanwhile."""
        assert until_true(self.hub.wait, condition) == []

    def refuses(self, n: int = 1) -> Callable[[], bool]:
        """A condition: so many more were refused than now."""
        expected = self.hub.refused + n
        return lambda: self.hub.refused >= expected

    def peace(self) -> None:
        """Nothing has changed for executor 7, and nothing is left of others."""
        self.exchange()
        descriptors, memory = self._before
        self.until(lambda: n_descriptors() <= descriptors)
        assert resident() - memory < MOST_MEMORY

    def close(self) -> None:
        self.link.close()
        self.hub.close()
        self.inbox.close()
        self.context.term()


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    monkeypatch.setattr(monitor, "_HANDSHAKE_MS", 500)  # how long a stranger may hold a connection
    scene = Scene()
    yield scene
    scene.close()


# Who has no keys

HELLO = hello()
UNLIKE = {
    "a web browser": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "zeros": bytes(1000),
    "an old ZMTP": b"\1\0" + b"\1x" * 100,
    "a frame of four gigabytes": greeting(b"CURVE") + b"\6" + (1 << 32).to_bytes(8, "big") + bytes(1 << 20),
    "a frame without an end": greeting(b"CURVE") + b"\6\xff\xff\xff\xff\xff\xff\xff\xff" + bytes(1 << 20),
}
WRONG = {
    "a greeting of megabytes": b"\xff" * (16 << 20),
    "another mechanism": greeting(b"NULL") + command(b"READY", b""),
    "an unknown mechanism": greeting(b"TRUST-ME") + bytes(200),
    "a password": greeting(b"PLAIN") + command(b"HELLO", b"\4root\4root"),
    "a mechanism without its end": greeting(b"C" * 20),
    "a hello of nobody": greeting(b"CURVE") + HELLO,
    "a hello of the wrong length": greeting(b"CURVE") + command(b"HELLO", b"x" * 500),
    "a message before the handshake": greeting(b"CURVE") + b"\0\5hello" * 10,
    "a ready before the hello": greeting(b"CURVE") + command(b"READY", b"") * 10,
    "a ping before the hello": greeting(b"CURVE") + command(b"PING", b"\0\1x") * 10,
}


@pytest.mark.parametrize("data", WRONG.values(), ids=WRONG)
def test_bytes_of_strangers(scene, data):
    is_refused = scene.refuses()
    with raw(scene.address, data) as stranger:
        scene.until(is_refused)
        scene.until(lambda: is_ended(stranger))
    assert scene.hub.take_disconnects() == 0
    scene.peace()


@pytest.mark.parametrize("data", UNLIKE.values(), ids=UNLIKE)
def test_bytes_that_are_unlike_the_protocol(scene, data):
    with raw(scene.address, data) as stranger:
        scene.until(lambda: is_ended(stranger))
    scene.peace()


SILENT = {
    "nothing": b"",
    "half a greeting": greeting(b"CURVE")[:30],
    "a greeting": greeting(b"CURVE"),
    "half a hello": greeting(b"CURVE") + HELLO[:100],
}


@pytest.mark.parametrize("data", SILENT.values(), ids=SILENT)
def test_those_who_begin_and_say_no_more_are_turned_away_in_time(scene, data):
    is_refused = scene.refuses(50)
    with contextlib.ExitStack() as stack:
        strangers: list[socket.socket] = [stack.enter_context(raw(scene.address, data)) for _ in range(50)]
        scene.exchange()
        scene.until(is_refused)
        scene.until(lambda: all(map(is_ended, strangers)))
    assert scene.hub.take_disconnects() == 0
    scene.peace()


def test_those_who_come_and_go_at_once(scene):
    for data in [b"", greeting(b"CURVE"), greeting(b"CURVE") + HELLO] * 30:
        raw(scene.address, data).close()
    scene.peace()


@pytest.mark.parametrize(
    ("own", "server_public"),
    [
        (None, ""),
        (OTHERS.executors, KEYS.driver.public),
        (OTHERS.executors, OTHERS.driver.public),
        (KEYS.executors, OTHERS.driver.public),
        (OTHERS.driver, KEYS.driver.public),
    ],
    ids=["no keys", "unknown keys", "keys of another", "another driver's key", "keys of another driver"],
)
def test_zmq_without_the_keys(scene, own, server_public):
    is_refused = scene.refuses()
    peer = dealer(scene.context, scene.hub.endpoint, b"7", own, server_public)
    for message in [encode(Leaving("7", "lies")), b"garbage"]:
        peer.send(message)
    scene.until(is_refused)
    peer.close()
    scene.peace()


def test_a_session_that_is_played_again(scene):
    with Recorder(scene.address).running() as recorder:
        peer = dealer(scene.context, recorder.endpoint, b"9", KEYS.executors, KEYS.driver.public)
        peer.send(encode(Leaving("9", "once")))
        assert until(scene.hub.wait, ("9", Leaving("9", "once"))) == [("9", Leaving("9", "once"))]
        peer.close()
    assert len(recorder.said) > 500
    is_refused = scene.refuses()
    with raw(scene.address, recorder.said) as stranger:
        scene.until(is_refused)
        scene.until(lambda: is_ended(stranger))
    assert not scene.hub.send("9", Shutdown("x"))
    scene.peace()


class Friend:
    """An executor whose connection goes through a proxy of its own, which changes one bit of it."""

    def __init__(self, scene: Scene, name: str, stack: contextlib.ExitStack) -> None:
        self.name = name
        self.proxy = stack.enter_context(Proxy(scene.address))
        self.news: list[Any] = []
        self._scene, self._stack = scene, stack

    def connect(self) -> None:
        endpoint = f"tcp://{self.proxy.address}"
        self.link = Link(endpoint, self.name, self._scene.inbox.fileno(), KEYS.for_executors())
        self._stack.callback(self.link.close)

    def times_up(self, n: int) -> bool:
        """Whether it was connected so often by now."""
        self.news += self.link.wait(0)
        return self.news.count(LinkUp()) >= n

    def says(self, why: str) -> tuple[str, Leaving]:
        """Say something; what the hub is to hear."""
        assert self.link.send(Leaving(self.name, why))
        return self.name, Leaving(self.name, why)


def all_up(friends: list[Friend], n: int) -> bool:
    """Whether each was connected so often; all of them get on meanwhile."""
    return False not in [friend.times_up(n) for friend in friends]


@pytest.fixture
def friends(monkeypatch: pytest.MonkeyPatch, scene: Scene) -> Iterator[list[Friend]]:
    """Eight executors more; who is silent for three seconds is missed."""
    scene.close()
    monkeypatch.setattr(monitor, "_PING_MS", 200)
    monkeypatch.setattr(monitor, "_SILENCE_MS", 3_000)
    scene.open()
    with contextlib.ExitStack() as stack:
        yield [Friend(scene, str(number), stack) for number in range(10, 18)]
    scene.peace()


# In a frame of an open connection, behind its flags: its length, the command's name, the nonce, and what is sealed.
IN_A_MESSAGE = [1, 4, 10, 16, 18, 25, 34, 38]


@pytest.mark.parametrize("direction", [UP, DOWN])
def test_a_bit_that_changes_on_the_way_ends_its_connection_and_is_not_heard(scene, friends, direction):
    for friend in friends:
        friend.connect()
    scene.until(lambda: all_up(friends, 1))
    for friend, at in zip(friends, IN_A_MESSAGE, strict=True):
        friend.proxy.spoil(direction, at)
        if direction == UP:
            friend.says("changed")
        else:
            scene.hub.send(friend.name, KillTask(1, "changed"))
    scene.until(lambda: all_up(friends, 2))  # and nothing was heard
    for friend in friends:
        assert friend.proxy.n_spoiled == 1
        assert friend.news == [LinkUp(), LinkDown(), LinkUp()], "who is told that it is back says what may be lost"
        said = friend.says("after")
        assert until(scene.hub.wait, said) == [said]


@pytest.mark.parametrize("direction", [UP, DOWN])
def test_a_bit_that_changes_in_a_handshake_costs_a_try(scene, friends, direction):
    for number, friend in enumerate(friends):
        friend.proxy.spoil(direction, 11 + 31 * number)
        friend.connect()
    scene.until(lambda: all_up(friends, 1))
    for friend in friends:
        assert friend.proxy.n_spoiled == 1
        said = friend.says("here")
        assert until(scene.hub.wait, said) == [said]


@fixed
@example(b"", b"")
@given(
    st.sampled_from([b"", greeting(b"CURVE"), greeting(b"CURVE") + HELLO, greeting(b"NULL")]) | st.binary(max_size=70),
    st.binary(max_size=400) | st.builds(command, st.sampled_from([b"INITIATE", b"MESSAGE", b"ERROR"]), st.binary()),
)
def test_any_bytes(scene, start, rest):
    raw(scene.address, start + rest).close()
    scene.exchange()


# Who has the keys, and speaks nonsense


@pytest.fixture
def peer(scene: Scene) -> Iterator[Any]:
    peer = dealer(scene.context, scene.hub.endpoint, b"9", KEYS.executors, KEYS.driver.public)
    peer.send(encode(Leaving("9", "here")))
    until(scene.hub.wait, ("9", Leaving("9", "here")))
    yield peer
    peer.close(linger=0)


NONSENSE = {
    "nothing": [b""],
    "zeros": [bytes(10)],
    "no msgpack": [b"\xff" * 1000],
    "two messages in one": [encode(Leaving("9", "x")), encode(Leaving("9", "x"))],
    "an empty frame in front": [b"", encode(Leaving("9", "x"))],
    "a cut message": [encode(Leaving("9", "x"))[:-1]],
    "the name of another": [encode(Leaving("7", "lies"))],
    "the name of nobody": [encode(Leaving("", "lies"))],
    "what only a driver says": [encode(Shutdown("x"))],
    "tasks for the driver": [encode(RunTasks([], []))],
    "many frames": [b"x"] * 1000,
    "more than a message may have": [bytes(MAX_FRAME)] * 17,
}


@pytest.mark.parametrize("frames", NONSENSE.values(), ids=NONSENSE)
def test_nonsense_of_an_executor(scene, peer, frames):
    is_refused = scene.refuses()
    peer.send_multipart(frames)
    scene.until(is_refused)
    scene.exchange()
    assert scene.hub.send("9", KillTask(1, "x"))
    assert peer.recv() == encode(KillTask(1, "x"))


def test_a_frame_that_is_too_large_ends_its_connection_only(scene, peer):
    peer.setsockopt(zmq.RECONNECT_IVL, -1)
    peer.send(bytes(MAX_FRAME + 2000))
    scene.until(scene.hub.take_disconnects)
    assert not scene.hub.send("9", Shutdown("x"))
    scene.exchange()


def test_a_flood_of_nonsense_takes_no_memory(scene, peer):
    memory = resident()
    is_refused = scene.refuses(20_000)
    for _ in range(20_000):
        peer.send(b"\xff" * 10_000)
        if _ % 500 == 0:
            assert scene.hub.wait(0) == []
    scene.until(is_refused)
    scene.exchange()
    assert resident() - memory < MOST_MEMORY * 4


@fixed
@given(st.lists(st.binary(max_size=40), min_size=1, max_size=3))
def test_any_frames_of_an_executor(scene, frames):
    with contextlib.closing(
        dealer(scene.context, scene.hub.endpoint, b"9", KEYS.executors, KEYS.driver.public)
    ) as peer:
        is_refused = scene.refuses()
        peer.send_multipart(frames)
        scene.until(is_refused)
        scene.exchange()
