"""An executor's end of its connection: one DEALER socket whose identity is the executor's id.

Used by one thread. Messages are accepted for sending only while the connection is there; it comes back by itself, and
both its end and its return are told, so that the executor can register again. A second descriptor (the loop's own
epoll) wakes the same poll.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass

import zmq

from rddlite.base.log import logger
from rddlite.errors import RemoteProtocolError
from rddlite.net.messages import Message
from rddlite.net.wire import MAX_TO_EXECUTOR, decode, encode

_QUEUED_MESSAGES = 20_000
_MESSAGES_PER_WAIT = 500
_RECONNECT_MS, _LONGEST_RECONNECT_MS = 50, 1_000
_MONITOR_EVENT = struct.Struct("=HI")
_log = logger("net")


@dataclass(frozen=True, slots=True)
class LinkUp:
    """The connection to the driver is there (again)."""


@dataclass(frozen=True, slots=True)
class LinkDown:
    """The connection broke; it is being tried again."""


class Link:
    """A connection to the driver, and the poll that the executor's loop waits in."""

    def __init__(self, endpoint: str, executor: str, wake_fd: int) -> None:
        self._context = zmq.Context(io_threads=1)
        self._socket = self._context.socket(zmq.DEALER)
        self._socket.setsockopt(zmq.IDENTITY, executor.encode())
        # Without a connection nothing is queued: it would arrive late, or never, and nobody would know.
        self._socket.setsockopt(zmq.IMMEDIATE, 1)
        self._socket.setsockopt(zmq.SNDHWM, _QUEUED_MESSAGES)
        self._socket.setsockopt(zmq.RCVHWM, _QUEUED_MESSAGES)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.RECONNECT_IVL, _RECONNECT_MS)
        self._socket.setsockopt(zmq.RECONNECT_IVL_MAX, _LONGEST_RECONNECT_MS)
        self._monitor = self._socket.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED)
        self._monitor.setsockopt(zmq.LINGER, 0)
        self._poller = zmq.Poller()
        self._poller.register(self._socket, zmq.POLLIN)
        self._poller.register(self._monitor, zmq.POLLIN)
        self._poller.register(wake_fd, zmq.POLLIN)
        self._socket.connect(endpoint)

    def wait(self, timeout: float | None) -> list[Message | LinkUp | LinkDown]:
        """What arrived and what became of the connection. Returns early when the other descriptor is readable."""
        ready = dict(self._poller.poll(None if timeout is None else math.ceil(timeout * 1000)))
        found: list[Message | LinkUp | LinkDown] = []
        if self._monitor in ready:
            found += self._changes()
        if self._socket in ready:
            found += self._receive()
        return found

    def send(self, message: Message) -> bool:
        """Hand a message over to the connection; False if there is none.

        Raises:
            LocalProtocolError: if it is no valid message.
        """
        data = encode(message)
        try:
            self._socket.send(data, zmq.DONTWAIT)
        except zmq.Again:
            return False
        return True

    def close(self, linger: float = 0.0) -> None:
        """Close the connection; messages on their way out get `linger` seconds. May be called twice."""
        if not self._socket.closed:
            self._socket.disable_monitor()
            self._monitor.close()
            self._socket.setsockopt(zmq.LINGER, math.ceil(linger * 1000))
            self._socket.close()
            self._context.term()

    def _changes(self) -> list[Message | LinkUp | LinkDown]:
        changes: list[Message | LinkUp | LinkDown] = []
        while True:
            try:
                frame = self._monitor.recv_multipart(zmq.DONTWAIT)[0]
            except zmq.Again:
                return changes
            event, _ = _MONITOR_EVENT.unpack(frame)
            changes.append(LinkUp() if event == zmq.EVENT_HANDSHAKE_SUCCEEDED else LinkDown())

    def _receive(self) -> list[Message | LinkUp | LinkDown]:
        received: list[Message | LinkUp | LinkDown] = []
        for _ in range(_MESSAGES_PER_WAIT):
            try:
                data = self._socket.recv(zmq.DONTWAIT)
            except zmq.Again:
                break
            try:
                received.append(decode(data, MAX_TO_EXECUTOR))
            except RemoteProtocolError:
                _log.exception("the driver sent something that is no message")
        return received
