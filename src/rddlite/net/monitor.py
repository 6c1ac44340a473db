"""Connections of a socket: how it is to notice that one is dead, and what its IO thread tells of them.

Heartbeats are ZMTP's own, answered by libzmq's IO thread: a process whose Python is held up by C code still answers,
one that is stopped or out of reach does not. Whichever side misses them closes the connection.

A `Monitor` is used by its socket's thread, which polls `socket` and takes events when it is readable. Events that
nobody takes are kept up to a bound, at which the IO thread waits: far more than come while a thread is held up.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import zmq

FAILED_HANDSHAKE = zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
"""The peer spoke another protocol, or said nothing, or had not the keys to be understood, or was cut off."""
_WRONG_KEYS, _NO_KEYS = 0x11000001, 0x11000002
"""As libzmq's `PROTOCOL_ERROR_ZMTP_CRYPTOGRAPHIC` and `PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH`."""
_PING_MS, _SILENCE_MS = 2_000, 8_000
"""Half of the default `executor.silence`: time to come back in before an executor counts as lost."""
_HANDSHAKE_MS = 10_000
_KEEPALIVE_AFTER, _KEEPALIVE_EVERY, _KEEPALIVE_TRIES = 60, 10, 6
_EVENT = struct.Struct("=HI")
_MOST_UNTAKEN = 100_000


def watch_connections(socket: zmq.Socket[bytes]) -> None:
    """Have this socket close TCP connections whose other end is silent. Called before it is bound or connected."""
    socket.setsockopt(zmq.HEARTBEAT_IVL, _PING_MS)
    socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, _SILENCE_MS)
    socket.setsockopt(zmq.HEARTBEAT_TTL, _SILENCE_MS)
    socket.setsockopt(zmq.HANDSHAKE_IVL, _HANDSHAKE_MS)


def watch_bulk_connections(socket: zmq.Socket[bytes]) -> None:
    """The same where many bytes may be on their way: heartbeats would wait behind them, and a slow network be taken
    for a dead one, so it is left to the kernel to find out. Called before the socket is bound.
    """
    socket.setsockopt(zmq.HANDSHAKE_IVL, _HANDSHAKE_MS)
    socket.setsockopt(zmq.TCP_KEEPALIVE, 1)
    socket.setsockopt(zmq.TCP_KEEPALIVE_IDLE, _KEEPALIVE_AFTER)
    socket.setsockopt(zmq.TCP_KEEPALIVE_INTVL, _KEEPALIVE_EVERY)
    socket.setsockopt(zmq.TCP_KEEPALIVE_CNT, _KEEPALIVE_TRIES)


def handshake_limit() -> float:
    """Seconds after which a connection ends over which nothing was said."""
    return _HANDSHAKE_MS / 1000


def why_not_admitted(event: int, value: int) -> str:
    """What a server can tell of a client whose handshake failed (one of `FAILED_HANDSHAKE`), and no more than that."""
    if event == zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL:
        return "it ended, or was silent for too long, before it had shown whose it is"
    if value == _WRONG_KEYS:
        return "it was made with other keys than those of this application, or changed on its way"
    if value == _NO_KEYS:
        return "it was made without keys"
    return "what came is not what an executor says first"


class Monitor:
    """Of one socket, and some events. Made before the socket is bound or connected, closed before it."""

    def __init__(self, watched: zmq.Socket[bytes], events: int) -> None:
        self._watched = watched
        endpoint = f"inproc://monitor-{watched.fileno()}"
        watched.monitor(endpoint, events)
        self.socket: zmq.Socket[bytes] = watched.context.socket(zmq.PAIR)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.setsockopt(zmq.RCVHWM, _MOST_UNTAKEN)
        self.socket.connect(endpoint)

    def take(self) -> Iterator[tuple[int, int]]:
        """The events that are there now, with their values: a descriptor, an error, or nothing."""
        while True:
            try:
                frame = self.socket.recv_multipart(zmq.DONTWAIT)[0]
            except zmq.Again:
                return
            event, value = _EVENT.unpack(frame)
            yield event, value

    def close(self) -> None:
        """No more events. May be called twice."""
        if not self.socket.closed:
            self._watched.monitor(None, 0)
            self.socket.close(linger=0)
