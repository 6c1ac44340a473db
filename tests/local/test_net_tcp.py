"""Hub and link over TCP: who is let in, where one listens, and how a dead connection is noticed."""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest

from rddlite.errors import AuthRefused, ProviderError
from rddlite.net import link as link_module
from rddlite.net import monitor
from rddlite.net.address import LOOPBACK, parse_tcp
from rddlite.net.auth import DriverKeys, create_keys
from rddlite.net.frames import MAX_FRAME
from rddlite.net.hub import Hub
from rddlite.net.inbox import Inbox
from rddlite.net.link import Link, LinkDown, LinkRefused, LinkUp
from rddlite.net.messages import (
    AttemptReport,
    Blob,
    ExecutorAlive,
    KillTask,
    Leaving,
    RunTasks,
    Shutdown,
    TasksEnded,
)
from tests.helpers.proxy import DOWN, UP, Proxy
from tests.helpers.sockets import has_ipv6, turning, until, until_true
from tests.helpers.strangers import command, greeting, hello, is_ended, raw

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.local
KEYS = create_keys()
ALIVE = ExecutorAlive("7", 1, [2], [], 0)


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    inbox = Inbox()
    yield inbox
    inbox.close()


@pytest.fixture
def make_hub(inbox: Inbox) -> Iterator[Callable[..., Hub]]:
    hubs: list[Hub] = []

    def make(endpoint: str = LOOPBACK, keys: Any = KEYS) -> Hub:
        hubs.append(Hub(endpoint, inbox, keys))
        return hubs[-1]

    yield make
    for hub in hubs:
        hub.close()


@pytest.fixture
def make_link() -> Iterator[Callable[..., Link]]:
    links: list[tuple[Link, int]] = []

    def make(endpoint: str, executor: str = "7", keys: Any = KEYS) -> Link:
        wake = os.eventfd(0, os.EFD_NONBLOCK)
        try:
            link = Link(endpoint, executor, wake, keys and keys.for_executors())
        except BaseException:
            os.close(wake)
            raise
        links.append((link, wake))
        return link

    yield make
    for link, wake in links:
        link.close()
        os.close(wake)


@pytest.fixture
def hub(make_hub: Callable[..., Hub]) -> Hub:
    return make_hub()


@pytest.fixture
def quick_heartbeats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(monitor, "_PING_MS", 100)
    monkeypatch.setattr(monitor, "_SILENCE_MS", 3_000)


def introduce(hub: Hub, link: Link, executor: str = "7") -> None:
    """Wait until both know each other."""
    until(turning(hub, link.wait), LinkUp())
    alive = ExecutorAlive(executor, 1, [2], [], 0)
    assert link.send(alive)
    until(hub.wait, (executor, alive))


def address_of(hub: Hub) -> tuple[str, int]:
    return tuple(parse_tcp(hub.endpoint))


def test_messages_pass_both_ways_in_order(hub, make_link):
    link = make_link(hub.endpoint)
    until(turning(hub, link.wait), LinkUp())
    assert link.send(ALIVE)
    assert link.send(Leaving("7", "done"))
    assert until(hub.wait, ("7", Leaving("7", "done"))) == [("7", ALIVE), ("7", Leaving("7", "done"))]
    assert hub.send("7", KillTask(1, "a"))
    assert hub.send("7", KillTask(2, "b"))
    assert until(link.wait, KillTask(2, "b")) == [KillTask(1, "a"), KillTask(2, "b")]
    assert hub.refused == 0
    assert link.trouble == ""


@pytest.mark.parametrize("size", [MAX_FRAME - 100, MAX_FRAME, 3 * MAX_FRAME + 5])
def test_messages_of_several_frames_arrive_whole(hub, make_link, size):
    link = make_link(hub.endpoint)
    introduce(hub, link)
    down = RunTasks([Blob("d", os.urandom(size))], [])
    assert hub.send("7", down)
    assert hub.send("7", KillTask(2, "b"))
    assert until(link.wait, KillTask(2, "b")) == [down, KillTask(2, "b")]
    up = TasksEnded("7", 1, [AttemptReport(1, os.urandom(size))])
    assert link.send(up)
    assert link.send(ALIVE)
    assert until(hub.wait, ("7", ALIVE)) == [("7", up), ("7", ALIVE)]


# Where one listens


@pytest.mark.parametrize(
    ("given", "host"),
    [
        ("tcp://127.0.0.1:0", "127.0.0.1"),
        ("tcp://127.0.0.1:*", "127.0.0.1"),
        ("tcp://localhost:0", "localhost"),
        pytest.param("tcp://[::1]:0", "::1", marks=pytest.mark.skipif(not has_ipv6(), reason="no IPv6 here")),
    ],
)
def test_a_free_port_is_found_and_told(make_hub, make_link, given, host):
    hub = make_hub(given)
    assert parse_tcp(hub.endpoint).host == host
    assert parse_tcp(hub.endpoint).port > 0
    introduce(hub, make_link(hub.endpoint))


@pytest.mark.parametrize("everywhere", ["*", "0.0.0.0", "[::]"])
def test_who_listens_everywhere_tells_an_address_that_others_can_use(make_hub, make_link, everywhere):
    if everywhere == "[::]" and not has_ipv6():
        pytest.skip("no IPv6 here")
    hub = make_hub(f"tcp://{everywhere}:0")
    assert parse_tcp(hub.endpoint).host not in ("*", "0.0.0.0", "::")
    introduce(hub, make_link(hub.endpoint))
    introduce(hub, make_link(f"tcp://127.0.0.1:{parse_tcp(hub.endpoint).port}", "8"), "8")


def test_a_named_port_is_used_again_at_once(make_hub, make_link):
    first = make_hub()
    introduce(first, make_link(first.endpoint))
    first.close()
    assert make_hub(first.endpoint).endpoint == first.endpoint


def test_a_port_in_use_is_told(make_hub, hub):
    with pytest.raises(ProviderError, match=r"in use: name another one, or 0 for any that is free"):
        make_hub(hub.endpoint)


@pytest.mark.parametrize(
    ("endpoint", "complaint"),
    [
        ("tcp://192.0.2.1:0", "belongs to no interface of this host"),
        ("tcp://no-such-host.invalid:0", "has no address"),
        ("tcp://127.0.0.1", "not an endpoint"),
        ("tcp://:5", "not an endpoint"),
        ("tcp://127.0.0.1:x", "not an endpoint"),
        ("tcp://127.0.0.1:65536", "not an endpoint"),
        ("tcp://::1:5", "not an endpoint"),
        ("udp://127.0.0.1:5", "not an endpoint"),
    ],
)
def test_where_nobody_can_listen_is_told_and_leaves_nothing(make_hub, endpoint, complaint):
    before = sorted(os.listdir("/proc/self/fd"))
    with pytest.raises(ProviderError, match=complaint):
        make_hub(endpoint)
    assert sorted(os.listdir("/proc/self/fd")) == before


def test_nobody_speaks_over_tcp_without_keys(make_hub, make_link, hub):
    with pytest.raises(ProviderError, match="only with keys"):
        make_hub(LOOPBACK, None)
    with pytest.raises(AuthRefused, match="takes nobody without the keys"):
        make_link(hub.endpoint, keys=None)


# Who is let in


def test_drivers_of_one_process_do_not_mix_their_executors(make_hub, make_link):
    other_keys = create_keys()
    hub, other = make_hub(), make_hub(keys=other_keys)
    link, other_link = make_link(hub.endpoint), make_link(other.endpoint, keys=other_keys)
    introduce(hub, link)
    introduce(other, other_link)
    hub.send("7", KillTask(1, "a"))
    other.send("7", KillTask(2, "b"))
    assert until(link.wait, KillTask(1, "a")) == [KillTask(1, "a")]
    assert until(other_link.wait, KillTask(2, "b")) == [KillTask(2, "b")]


def test_an_executor_with_keys_of_another_driver_is_told_so(hub, make_link, caplog):
    link = make_link(hub.endpoint, keys=create_keys())
    until_true(turning(hub, link.wait), lambda: "ended the handshake" in link.trouble)
    until_true(hub.wait, lambda: hub.refused)
    assert not link.send(ALIVE)
    assert hub.take_disconnects() == 0
    assert any("ended the handshake" in record.message for record in caplog.records)


def test_who_has_the_drivers_key_and_not_its_executors_is_refused_for_good(hub, make_link, caplog):
    link = make_link(hub.endpoint, keys=DriverKeys(KEYS.driver, create_keys().executors))
    why = f"the driver at {hub.endpoint} does not admit the executors' keys in the key file: copy the file that it has "
    assert until(turning(hub, link.wait), LinkRefused(why + "written anew")) == [LinkRefused(why + "written anew")]
    until_true(hub.wait, lambda: hub.refused)
    assert link.trouble == ""
    assert hub.take_disconnects() == 0
    assert not any("ended the handshake" in record.message for record in caplog.records)


STRANGERS = {
    "was silent for too long": b"",
    "was silent for too long ": greeting(b"CURVE"),
    "made without keys": greeting(b"NULL"),
    "made with other keys": greeting(b"CURVE") + hello(),
    "not what an executor says first": greeting(b"CURVE") + command(b"READY", b""),
}


@pytest.mark.parametrize(("why", "data"), STRANGERS.items(), ids=STRANGERS)
def test_it_is_told_what_is_known_of_a_connection_that_was_not_admitted(hub, caplog, why, data):
    caplog.set_level(logging.INFO)
    host, port = parse_tcp(hub.endpoint)
    stranger = raw((host, port), data)
    if "silent" in why:
        stranger.close()
    with caplog.at_level(logging.INFO, "rddlite"):
        until_true(hub.wait, lambda: hub.refused)
    stranger.close()
    (told,) = [record.message for record in caplog.records if "connection was not admitted" in record.message]
    assert why.strip() in told


def test_strangers_do_not_count_as_executors_that_hang_up(hub, make_link):
    """The driver's last word is waited for as long as anybody may still read it."""
    link = make_link(hub.endpoint)
    introduce(hub, link)
    host, port = parse_tcp(hub.endpoint)
    for data in [b"GET / HTTP/1.1\r\n\r\n", b"\1\0" + b"\1x" * 100] * 3:
        with raw((host, port), data) as stranger:
            until_true(hub.wait, lambda stranger=stranger: is_ended(stranger))
    assert hub.send("7", KillTask(1, "last"))
    closing = threading.Thread(target=hub.close)
    closing.start()
    assert until(link.wait, KillTask(1, "last")) == [KillTask(1, "last")]
    link.close()
    closing.join(120)
    assert not closing.is_alive()


def test_where_nobody_listens_is_told(hub, make_link):
    link = make_link(hub.endpoint)
    introduce(hub, link)
    hub.close()
    until(link.wait, LinkDown())
    until_true(link.wait, lambda: link.trouble == f"nobody listens at {hub.endpoint}")


def test_who_listens_and_says_nothing_is_told_from_who_has_other_keys(make_link, monkeypatch):
    monkeypatch.setattr(monitor, "_HANDSHAKE_MS", 300)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        endpoint = f"tcp://127.0.0.1:{mute.getsockname()[1]}"
        link = make_link(endpoint)
        until_true(link.wait, lambda: link.trouble == f"who listens at {endpoint} says nothing: is it a driver?")


def test_who_takes_no_connection_is_told_from_where_nobody_listens(make_link, monkeypatch):
    monkeypatch.setattr(link_module, "_CONNECT_MS", 300)
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, contextlib.ExitStack() as stack:
        address = full.getsockname()
        for _ in range(3):  # more than it keeps waiting: others get no answer at all
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(address)
        endpoint = f"tcp://127.0.0.1:{address[1]}"
        link = make_link(endpoint)
        until_true(link.wait, lambda: link.trouble == f"{endpoint} does not answer")


def test_a_link_comes_back_to_a_new_hub_with_the_same_keys(hub, make_hub, make_link):
    link = make_link(hub.endpoint)
    introduce(hub, link)
    hub.close()
    until(link.wait, LinkDown())
    until_true(link.wait, lambda: not link.send(ALIVE))  # the way there is taken away a moment later
    introduce(make_hub(hub.endpoint), link)


POSED = {
    "nothing": b"",
    "text": b"220 mail.example ESMTP\r\n",
    "no security": greeting(b"NULL") + command(b"READY", b""),
    "a welcome of nobody": greeting(b"CURVE") + command(b"WELCOME", os.urandom(160)),
    "a frame without an end": greeting(b"CURVE") + b"\6\x7f\xff\xff\xff\xff\xff\xff\xff" + bytes(1 << 20),
}


@pytest.mark.parametrize("data", POSED.values(), ids=POSED)
def test_who_poses_as_the_driver_is_not_believed(make_hub, make_link, data):
    with socket.create_server(("127.0.0.1", 0)) as impostor:
        endpoint = f"tcp://127.0.0.1:{impostor.getsockname()[1]}"
        link = make_link(endpoint)
        connection, _ = impostor.accept()
        with connection:
            assert connection.recv(1) == b"\xff"
            with contextlib.suppress(ConnectionError):  # the link has heard enough
                connection.sendall(data)
            assert not link.send(ALIVE)
    assert link.wait(0) == []
    introduce(make_hub(endpoint), link)


# The end of connections


def test_the_end_of_a_connection_is_told_and_sending_shows_whose_it_was(hub, make_link):
    gone, stays = make_link(hub.endpoint, "7"), make_link(hub.endpoint, "8")
    introduce(hub, gone, "7")
    introduce(hub, stays, "8")
    assert hub.take_disconnects() == 0
    gone.close()
    taken: list[int] = []
    until_true(lambda timeout: hub.wait(60), lambda: taken.append(hub.take_disconnects()) or taken[-1])
    assert taken[-1] == 1
    assert not hub.send("7", Shutdown("x"))
    assert hub.send("8", Shutdown("x"))
    assert hub.take_disconnects() == 0


@pytest.mark.usefixtures("quick_heartbeats")
@pytest.mark.parametrize("held", [[UP], [DOWN], [UP, DOWN]], ids=["up", "down", "both"])
def test_a_connection_that_carries_nothing_ends_on_both_sides(make_hub, make_link, held):
    hub = make_hub()
    with Proxy(address_of(hub)) as proxy:
        link = make_link(f"tcp://{proxy.address}")
        introduce(hub, link)
        for direction in held:
            proxy.hold(direction)
        until(turning(hub, link.wait), LinkDown())
        until_true(lambda timeout: hub.wait(0.05) + link.wait(0.05), hub.take_disconnects)
        assert not hub.send("7", Shutdown("x"))
        proxy.restore()
        introduce(hub, link)
        assert hub.send("7", Shutdown("x"))


@pytest.mark.usefixtures("quick_heartbeats")
def test_who_is_held_up_by_c_code_keeps_its_connection(make_hub, make_link):
    hub = make_hub()
    link = make_link(hub.endpoint)
    introduce(hub, link)
    ctypes.PyDLL(None).usleep(
        5_000_000
    )  # longer than the silence limit, in which no thread of this process runs Python
    assert link.wait(0) == []
    hub.wait(0)
    assert hub.take_disconnects() == 0
    assert link.send(Leaving("7", "done"))
    until(hub.wait, ("7", Leaving("7", "done")))


def test_a_connection_that_died_unnoticed_does_not_keep_its_executor_out(hub, make_link):
    with Proxy(address_of(hub)) as proxy:
        old = make_link(f"tcp://{proxy.address}")
        introduce(hub, old)
        proxy.hold(UP)
        proxy.hold(DOWN)
        new = make_link(hub.endpoint)
        introduce(hub, new)
        assert hub.send("7", KillTask(1, "x"))
        until(new.wait, KillTask(1, "x"))
        assert LinkDown() not in old.wait(0)


def test_the_socket_closed_at_last_leaves_no_descriptor(inbox):
    before = sorted(os.listdir("/proc/self/fd"))
    hub = Hub(LOOPBACK, inbox, KEYS)
    with socket.create_connection(address_of(hub)):
        hub.wait(0)
        hub.close()
    hub.close()
    assert sorted(os.listdir("/proc/self/fd")) == before
