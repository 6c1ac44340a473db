"""The driver's end of all connections: one ROUTER socket, frames in, messages out, and the reverse.

Used by one thread. What arrives from anybody is decoded strictly and must come from the executor that it names; what
does not is counted, logged now and then, and dropped. Peers are named by their executor id. Over TCP only owners of
the executors' keys get as far as that; on one host a private directory keeps others out.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import math
import os

import zmq

from rddlite.base.clock import SystemClock
from rddlite.base.log import is_milestone, logger
from rddlite.errors import ProviderError, RemoteProtocolError
from rddlite.net.address import ipc_path, is_tcp, parse_tcp, require_private, to_advertise, to_bind
from rddlite.net.auth import Doorman, DriverKeys, secure_server
from rddlite.net.frames import LONGEST_ON_THE_WIRE, cut, join
from rddlite.net.inbox import Inbox
from rddlite.net.messages import (
    Adopted,
    BlocksChanged,
    Draining,
    ExecutorAlive,
    FromExecutor,
    Leaving,
    Meet,
    Message,
    Register,
    TasksEnded,
    WorkerOutput,
)
from rddlite.net.monitor import FAILED_HANDSHAKE, Monitor, watch_connections, why_not_admitted
from rddlite.net.wire import MAX_TO_DRIVER, decode, encode

_QUEUED_MESSAGES = 20_000
"""Of one peer, in each direction: a peer that lets more pile up has stopped reading."""
_WAITING_TO_CONNECT = 1_024
_MESSAGES_PER_WAIT = 2_000
_LAST_WORDS = 2.0
"""Seconds that executors of other hosts have for hanging up when the driver ends. One that still has something to read
when its connection ends never reads it (libzmq drops it, as it does not queue without a connection either)."""
_SETTLING = 0.05
"""Seconds between the news that a connection ended and its being passed on: by then the socket knows which it was, and
others that ended with it are one piece of news."""
_SELDOM = 0.5
"""Seconds between such news: they cost a message to every executor, and strangers can cause them."""
_EVENTS = (
    zmq.EVENT_ACCEPTED
    | zmq.EVENT_HANDSHAKE_SUCCEEDED
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
    | FAILED_HANDSHAKE
    | zmq.EVENT_DISCONNECTED
)
_REASONS = {
    errno.EADDRINUSE: "the port is in use: name another one, or 0 for any that is free",
    errno.EADDRNOTAVAIL: "that address belongs to no interface of this host: name one of its own, or * for all of them",
    errno.ENODEV: "that address belongs to no interface of this host: name one of its own, or * for all of them",
    errno.EACCES: "ports below 1024 need root: name a higher one",
}
_log = logger("net")


class Hub:
    """Where executors connect to. `endpoint` is what they are told.

    Raises:
        ProviderError: if the endpoint is neither a socket in a private directory nor a free address of this host, or
            is one over TCP, and there are no keys.
    """

    def __init__(self, endpoint: str, inbox: Inbox, keys: DriverKeys | None = None) -> None:
        self.endpoint = endpoint
        self._inbox_fd = inbox.fileno()
        self._clock = SystemClock()
        self._path: str | None = None
        self._doorman: Doorman | None = None  # over TCP only
        self._frames_refused = self._strangers = self._doomed = 0
        self._open: set[int] = set()
        self._n_admitted = self._disconnects = 0
        self._settled_at, self._told_at = math.inf, -math.inf
        self._context = zmq.Context(io_threads=1)
        self._socket = self._context.socket(zmq.ROUTER)
        self._socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
        self._socket.setsockopt(zmq.SNDHWM, _QUEUED_MESSAGES)
        self._socket.setsockopt(zmq.RCVHWM, _QUEUED_MESSAGES)
        self._socket.setsockopt(zmq.MAXMSGSIZE, LONGEST_ON_THE_WIRE)
        self._socket.setsockopt(zmq.BACKLOG, _WAITING_TO_CONNECT)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._monitor = Monitor(self._socket, _EVENTS)
        try:
            self._listen(keys)
        except BaseException:
            self.close()
            raise
        self._poller = zmq.Poller()
        for source in (self._socket, self._inbox_fd, self._monitor.socket, *self._questions()):
            self._poller.register(source, zmq.POLLIN)

    def _listen(self, keys: DriverKeys | None) -> None:
        if is_tcp(self.endpoint):
            self._listen_to_hosts(keys)
        else:
            self._listen_to_processes()

    def _listen_to_processes(self) -> None:
        path = ipc_path(self.endpoint)
        require_private(os.path.dirname(path))
        self._bind(self.endpoint)
        self._path = path

    def _listen_to_hosts(self, keys: DriverKeys | None) -> None:
        if keys is None:
            raise ProviderError(f"{self.endpoint} can be reached by others: a driver listens there only with keys")
        place = to_bind(self.endpoint)
        self._doorman = secure_server(self._socket, keys.driver, [keys.executors.public])
        self._socket.setsockopt(zmq.IPV6, int(":" in place.host))
        # A connection that died unnoticed must not keep its executor from coming back on a new one.
        self._socket.setsockopt(zmq.ROUTER_HANDOVER, 1)
        watch_connections(self._socket)
        self._bind(place.endpoint)
        bound = parse_tcp(self._socket.getsockopt_string(zmq.LAST_ENDPOINT))
        self.endpoint = to_advertise(self.endpoint, bound.port)

    def _bind(self, endpoint: str) -> None:
        try:
            self._socket.bind(endpoint)
        except zmq.ZMQError as error:
            why = _REASONS.get(error.errno or 0, error.strerror)
            raise ProviderError(f"the driver cannot listen on {self.endpoint}: {why}") from error

    def _questions(self) -> list[zmq.Socket[bytes]]:
        return [] if self._doorman is None else [self._doorman.socket]

    @property
    def refused(self) -> int:
        """Frames that were no message of their sender, and connections that did not get through their handshake, as far
        as libzmq tells: of what does not even look like its protocol it only says that the connection ended.
        """
        return self._frames_refused + self._strangers + (self._doorman.refused if self._doorman is not None else 0)

    def wait(self, timeout: float | None) -> list[tuple[str, Message]]:
        """Messages that arrived, with their sender. Returns early, perhaps with none, when the inbox was posted to, or
        a connection came or went.
        """
        if self._settled_at < math.inf:
            rest = max(0.0, self._settled_at - self._clock.now())
            timeout = rest if timeout is None else min(timeout, rest)
        # Rounded up: a caller that waits for its deadline must not come back just before it.
        ready = dict(self._poller.poll(None if timeout is None else math.ceil(timeout * 1000)))
        if self._doorman is not None and self._doorman.socket in ready:
            self._doorman.answer()
        if self._monitor.socket in ready:
            self._note_endings()
        return self._receive() if self._socket in ready else []

    def send(self, peer: str, message: Message) -> bool:
        """Hand a message over to the connection; False if the peer is not connected or does not read.

        Raises:
            LocalProtocolError: if it is no valid message.
        """
        frames = cut(encode(message))
        try:
            self._socket.send_multipart((peer.encode(), *frames), zmq.DONTWAIT)
        except zmq.ZMQError as error:
            if error.errno in (zmq.EHOSTUNREACH, zmq.EAGAIN):
                return False
            raise
        return True

    def take_disconnects(self) -> int:
        """How many connections ended since this was asked last, whosever they were: those of executors that are gone
        can be found by sending. A moment late; `wait` returns in time.
        """
        now = self._clock.now()
        if now < self._settled_at:
            return 0
        taken, self._disconnects, self._settled_at, self._told_at = self._disconnects, 0, math.inf, now
        return taken

    def close(self) -> None:
        """Close all connections and remove the socket's file. May be called twice.

        Executors of other hosts get a moment to hang up: nobody else waits until they have read their last message.
        """
        if not self._socket.closed:
            if self._doorman is not None:
                self._wait_for_hanging_up()
            self._monitor.close()
            self._socket.close()
            if self._doorman is not None:
                self._doorman.close()
            self._context.term()
            if self._path is not None:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(self._path)  # libzmq leaves it behind

    def _wait_for_hanging_up(self) -> None:
        end = self._clock.now() + _LAST_WORDS
        self._note_endings()
        while self._n_admitted and self._open and (rest := end - self._clock.now()) > 0:
            self._monitor.socket.poll(math.ceil(rest * 1000))
            self._note_endings()

    def _note_endings(self) -> None:
        for event, value in self._monitor.take():
            if event == zmq.EVENT_ACCEPTED:
                self._open.add(value)
            elif event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
                self._n_admitted += 1
            elif event == zmq.EVENT_HANDSHAKE_FAILED_AUTH:
                self._doomed += 1  # the doorman counts and tells
            elif event & FAILED_HANDSHAKE:
                self._doomed += 1
                self._turned_away(event, why_not_admitted(event, value))
            else:
                self._open.discard(value)
                self._ended()

    def _turned_away(self, event: int, why: str) -> None:
        self._strangers += 1
        if is_milestone(self._strangers):
            # An executor that was ended while it started looks like this as well: no reason to alarm anybody.
            level = logging.INFO if event == zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL else logging.WARNING
            _log.log(level, "a connection was not admitted: %s (%d so far)", why, self._strangers)

    def _ended(self) -> None:
        if self._doomed:
            self._doomed -= 1  # the end of one that never was a peer's
            return
        self._disconnects += 1
        if self._settled_at == math.inf:
            self._settled_at = max(self._clock.now() + _SETTLING, self._told_at + _SELDOM)

    def _receive(self) -> list[tuple[str, Message]]:
        received: list[tuple[str, Message]] = []
        for _ in range(_MESSAGES_PER_WAIT):
            try:
                frames = self._socket.recv_multipart(zmq.DONTWAIT)
            except zmq.Again:
                break
            try:
                received.append(_open(frames))
            except RemoteProtocolError as error:
                self._refuse(error)
        return received

    def _refuse(self, error: RemoteProtocolError) -> None:
        self._frames_refused += 1
        if is_milestone(self._frames_refused):
            n = self._frames_refused
            _log.warning("refused %d frames that were no message from an executor, the last: %s", n, error)


def _open(frames: list[bytes]) -> tuple[str, Message]:
    message = decode(join(frames[1:]), MAX_TO_DRIVER)
    match message:
        case (
            Register()
            | ExecutorAlive()
            | TasksEnded()
            | WorkerOutput()
            | Leaving()
            | Draining()
            | Adopted()
            | BlocksChanged()
            | Meet()
        ):
            return _sender(frames[0], message), message
        case _:
            raise RemoteProtocolError(f"a {type(message).__name__} is nothing that an executor says")


def _sender(identity: bytes, message: FromExecutor) -> str:
    if message.executor.encode("utf-8", "surrogatepass") != identity:
        raise RemoteProtocolError(f"{identity[:40]!r} speaks in the name of executor {message.executor[:40]!r}")
    return message.executor
