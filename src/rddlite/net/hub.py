"""The driver's end of all connections: one ROUTER socket, frames in, messages out, and the reverse.

Used by one thread. What arrives from anybody is decoded strictly and must come from the executor that it names; what
does not is counted, logged now and then, and dropped. Peers are named by their executor id.
"""

from __future__ import annotations

import contextlib
import math
import os

import zmq

from rddlite.base.log import is_milestone, logger
from rddlite.errors import RemoteProtocolError
from rddlite.net.address import ipc_path, require_private
from rddlite.net.inbox import Inbox
from rddlite.net.messages import (
    Adopted,
    Draining,
    ExecutorAlive,
    FromExecutor,
    Leaving,
    Message,
    Register,
    TasksEnded,
    WorkerOutput,
)
from rddlite.net.wire import MAX_TO_DRIVER, decode, encode

_QUEUED_MESSAGES = 20_000
"""Of one peer, in each direction: a peer that lets more pile up has stopped reading."""
_MESSAGES_PER_WAIT = 2_000
_log = logger("net")


class Hub:
    """Where executors connect to.

    Raises:
        ProviderError: if the endpoint is not a socket in a private directory.
    """

    def __init__(self, endpoint: str, inbox: Inbox) -> None:
        self._path = ipc_path(endpoint)
        require_private(os.path.dirname(self._path))
        self._inbox_fd = inbox.fileno()
        self._context = zmq.Context(io_threads=1)
        self._socket = self._context.socket(zmq.ROUTER)
        self._socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
        self._socket.setsockopt(zmq.SNDHWM, _QUEUED_MESSAGES)
        self._socket.setsockopt(zmq.RCVHWM, _QUEUED_MESSAGES)
        self._socket.setsockopt(zmq.MAXMSGSIZE, MAX_TO_DRIVER)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.bind(endpoint)
        self._poller = zmq.Poller()
        self._poller.register(self._socket, zmq.POLLIN)
        self._poller.register(self._inbox_fd, zmq.POLLIN)
        self.refused = 0
        """Frames that were no message of their sender."""

    def wait(self, timeout: float | None) -> list[tuple[str, Message]]:
        """Messages that arrived, with their sender. Returns early, perhaps with none, when the inbox was posted to."""
        # Rounded up: a caller that waits for its deadline must not come back just before it.
        ready = dict(self._poller.poll(None if timeout is None else math.ceil(timeout * 1000)))
        return self._receive() if self._socket in ready else []

    def send(self, peer: str, message: Message) -> bool:
        """Hand a message over to the connection; False if the peer is not connected or does not read.

        Raises:
            LocalProtocolError: if it is no valid message.
        """
        data = encode(message)
        try:
            self._socket.send_multipart((peer.encode(), data), zmq.DONTWAIT)
        except zmq.ZMQError as error:
            if error.errno in (zmq.EHOSTUNREACH, zmq.EAGAIN):
                return False
            raise
        return True

    def take_disconnects(self) -> int:
        """How many connections ended since this was asked last, whosever they were."""
        return 0

    def close(self) -> None:
        """Close all connections and remove the socket's file. May be called twice."""
        if not self._socket.closed:
            self._socket.close()
            self._context.term()
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._path)  # libzmq leaves it behind

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
        self.refused += 1
        if is_milestone(self.refused):
            _log.warning("refused %d frames that were no message from an executor, the last: %s", self.refused, error)


def _open(frames: list[bytes]) -> tuple[str, Message]:
    if len(frames) != 2:
        raise RemoteProtocolError(f"a message has 1 frame, not {len(frames) - 1}")
    message = decode(frames[1])
    match message:
        case Register() | ExecutorAlive() | TasksEnded() | WorkerOutput() | Leaving() | Draining() | Adopted():
            return _sender(frames[0], message), message
        case _:
            raise RemoteProtocolError(f"a {type(message).__name__} is nothing that an executor says")


def _sender(identity: bytes, message: FromExecutor) -> str:
    if message.executor.encode("utf-8", "surrogatepass") != identity:
        raise RemoteProtocolError(f"{identity[:40]!r} speaks in the name of executor {message.executor[:40]!r}")
    return message.executor
