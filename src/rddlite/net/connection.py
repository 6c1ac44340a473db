"""One connection to a block server: a DEALER socket that connects once and never again.

libzmq would try for ever and tell nobody why; here every try is an object, it is known at once what became of it, and
how often it is tried is decided by `net/tries.py`. Used by one thread.
"""

from __future__ import annotations

import socket as sockets
from typing import NamedTuple

import zmq

from rddlite.errors import RemoteProtocolError
from rddlite.net.address import Place, parse_tcp
from rddlite.net.auth import KeyPair, secure_client
from rddlite.net.monitor import Monitor
from rddlite.net.transfer import MAX_CHUNK, MAX_HEADER, Source, ToReceiver, ToSender
from rddlite.net.wire import decode_to_receiver, encode_to_sender

_QUEUED_MESSAGES = 100_000
_CURVE_OVERHEAD = 4096
_PROBE = 0.5
_EVENTS = (
    zmq.EVENT_CLOSED
    | zmq.EVENT_DISCONNECTED
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
)


class Ended(NamedTuple):
    """What became of a connection. A refusal is an answer: nobody serves there (now); a final one never changes."""

    why: str
    is_refusal: bool = False
    is_final: bool = False


def new_socket(context: zmq.Context[zmq.Socket[bytes]]) -> zmq.Socket[bytes]:
    """A socket for a connection, with its limits set."""
    socket = context.socket(zmq.DEALER)
    options = {
        zmq.LINGER: 0,
        zmq.RECONNECT_IVL: -1,
        zmq.SNDHWM: _QUEUED_MESSAGES,
        zmq.RCVHWM: _QUEUED_MESSAGES,
        zmq.MAXMSGSIZE: max(MAX_HEADER, MAX_CHUNK) + _CURVE_OVERHEAD,
    }
    for option, value in options.items():
        socket.setsockopt(option, value)
    return socket


class Connection:
    """From the moment at which it is asked for; what is sent before it is there waits.

    Raises:
        ProviderError, zmq.ZMQError: if the source's address is none: it was told by a peer, and may be anything.
    """

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], source: Source, own: KeyPair | None) -> None:
        self._place = parse_tcp(source.address)
        self.socket = new_socket(context)
        if source.public_key and own is not None:
            secure_client(self.socket, own, source.public_key)
        if ":" in self._place.host:
            self.socket.setsockopt(zmq.IPV6, 1)
        self._monitor = Monitor(self.socket, _EVENTS)
        self.events = self._monitor.socket
        """Readable when the connection has ended; `ended` tells how."""
        try:
            self.socket.connect(source.address)
        except zmq.ZMQError:
            self.close()
            raise

    def send(self, message: ToSender) -> None:
        """Hand a message over.

        Raises:
            zmq.Again: if too many are waiting.
        """
        self.socket.send(encode_to_sender(message), zmq.DONTWAIT)

    @property
    def has_message(self) -> bool:
        """Whether `receive` would give one."""
        return bool(int(self.socket.getsockopt(zmq.EVENTS)) & zmq.POLLIN)

    def receive(self) -> tuple[ToReceiver, memoryview | None] | None:
        """A message that is there now and the data that came with it. They live in memory of their own.

        Raises:
            RemoteProtocolError: if it is none.
        """
        try:
            frames = self.socket.recv_multipart(zmq.DONTWAIT, copy=False)
        except zmq.Again:
            return None
        if len(frames) > 2:
            raise RemoteProtocolError(f"a message has one or two frames, not {len(frames)}")
        return decode_to_receiver(frames[0].bytes), frames[1].buffer if len(frames) == 2 else None

    def ended(self) -> Ended | None:
        """How it ended, if it did."""
        event, _ = next(self._monitor.take(), (None, 0))
        if event is None:
            return None
        if event == zmq.EVENT_DISCONNECTED:
            return Ended("the connection broke")
        if event == zmq.EVENT_CLOSED:
            return Ended(_why_closed(self._place), is_refusal=True)
        if event == zmq.EVENT_HANDSHAKE_FAILED_AUTH:
            return Ended("it does not admit this process: their keys are not of one application", is_final=True)
        return Ended("what listens there is no block server of this application", is_refusal=True)

    def close(self) -> None:
        """Close it at once. May be called twice."""
        self._monitor.close()
        self.socket.close(linger=0)


def _why_closed(place: Place) -> str:
    """libzmq does not tell why a connection was not made: try it once more, and look."""
    try:
        sockets.create_connection(place, timeout=_PROBE).close()
    except (OSError, UnicodeError) as error:  # a UnicodeError: no host can be called that
        return (getattr(error, "strerror", None) or str(error)).lower()
    return "connection closed before it was made"
