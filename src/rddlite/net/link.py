"""An executor's end of its connection: one DEALER socket whose identity is the executor's id.

Used by one thread. Messages are accepted for sending only while the connection is there; it comes back by itself, and
both its end and its return are told, so that the executor can register again. A second descriptor (the loop's own
epoll) wakes the same poll.
"""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass

import zmq

from rddlite.base.clock import SystemClock
from rddlite.base.log import logger
from rddlite.errors import AuthRefused, RemoteProtocolError
from rddlite.net.address import is_tcp, needs_ipv6, parse_tcp
from rddlite.net.auth import ExecutorKeys, secure_client
from rddlite.net.frames import LONGEST_ON_THE_WIRE, cut, join
from rddlite.net.messages import Message
from rddlite.net.monitor import FAILED_HANDSHAKE, Monitor, handshake_limit, watch_connections
from rddlite.net.wire import MAX_TO_EXECUTOR, decode, encode

_QUEUED_MESSAGES = 20_000
_MESSAGES_PER_WAIT = 500
_RECONNECT_MS, _LONGEST_RECONNECT_MS = 50, 1_000
_CONNECT_MS = 5_000
_PAUSE = 0.5
"""Seconds in which libzmq says that it tries again, if it does."""
_PATIENCE = 0.9
"""Of a limit: what took so long to fail was given up for it."""
_EVENTS = (
    zmq.EVENT_CONNECT_DELAYED
    | zmq.EVENT_CONNECTED
    | zmq.EVENT_HANDSHAKE_SUCCEEDED
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
    | FAILED_HANDSHAKE
    | zmq.EVENT_DISCONNECTED
    | zmq.EVENT_CLOSED
    | zmq.EVENT_CONNECT_RETRIED
)
_NOT_ADMITTED = 400
"""As the driver's doorman says it to who has not the executors' keys, but its own public key."""
_REFUSAL = "the driver at {} does not admit the executors' keys in the key file: copy the file that it has written anew"
_log = logger("net")


@dataclass(frozen=True, slots=True)
class LinkUp:
    """The connection to the driver is there (again)."""


@dataclass(frozen=True, slots=True)
class LinkDown:
    """The connection broke, or the other end was silent for too long; it is being tried again."""


@dataclass(frozen=True, slots=True)
class LinkRefused:
    """The driver has said that it does not admit owners of these keys: trying again would change nothing."""

    why: str


News = LinkUp | LinkDown | LinkRefused
"""What becomes of the connection."""


class Link:
    """A connection to the driver, and the poll that the executor's loop waits in. `trouble` is what is known of why
    there is no connection; empty if there is one.

    Raises:
        ProviderError: if the endpoint cannot be read or its host has no address.
        AuthRefused: if it is one over TCP, and there are no keys.
    """

    def __init__(self, endpoint: str, executor: str, wake_fd: int, keys: ExecutorKeys | None = None) -> None:
        is_ipv6 = is_tcp(endpoint) and needs_ipv6(parse_tcp(endpoint).host)
        if is_tcp(endpoint) and keys is None:
            raise AuthRefused(f"the driver at {endpoint} takes nobody without the keys of its application")
        self._endpoint = endpoint
        self._clock = SystemClock()
        self._is_up = self._was_up = self._is_refused = False
        self._again_at = math.inf
        self._begun_at = self._clock.now()
        self.trouble = f"{endpoint} has not answered"
        self._context = zmq.Context(io_threads=1)
        self._socket = self._context.socket(zmq.DEALER)
        self._socket.setsockopt(zmq.IDENTITY, executor.encode())
        # Without a connection nothing is queued: it would arrive late, or never, and nobody would know.
        self._socket.setsockopt(zmq.IMMEDIATE, 1)
        self._socket.setsockopt(zmq.SNDHWM, _QUEUED_MESSAGES)
        self._socket.setsockopt(zmq.RCVHWM, _QUEUED_MESSAGES)
        self._socket.setsockopt(zmq.MAXMSGSIZE, LONGEST_ON_THE_WIRE)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.RECONNECT_IVL, _RECONNECT_MS)
        self._socket.setsockopt(zmq.RECONNECT_IVL_MAX, _LONGEST_RECONNECT_MS)
        if is_tcp(endpoint) and keys is not None:
            secure_client(self._socket, keys.executors, keys.driver_public)
            self._socket.setsockopt(zmq.IPV6, int(is_ipv6))
            self._socket.setsockopt(zmq.CONNECT_TIMEOUT, _CONNECT_MS)
            watch_connections(self._socket)
        self._monitor = Monitor(self._socket, _EVENTS)
        self._poller = zmq.Poller()
        self._poller.register(self._socket, zmq.POLLIN)
        self._poller.register(self._monitor.socket, zmq.POLLIN)
        self._poller.register(wake_fd, zmq.POLLIN)
        self._undisturbed = zmq.Poller()
        self._undisturbed.register(self._socket, zmq.POLLIN)
        self._socket.connect(endpoint)

    def wait(self, timeout: float | None) -> list[Message | News]:
        """What arrived and what became of the connection. Returns early when the other descriptor is readable."""
        if self._again_at < math.inf:
            rest = max(0.0, self._again_at - self._clock.now())
            timeout = rest if timeout is None else min(timeout, rest)
        ready = dict(self._poller.poll(None if timeout is None else math.ceil(timeout * 1000)))
        found: list[Message | News] = []
        if self._monitor.socket in ready:
            found += self._changes()
        if self._socket in ready:
            found += self._receive()
        if self._clock.now() >= self._again_at:
            self._connect_anew()
        return found

    def pause(self, seconds: float) -> None:
        """Let the other descriptor wait so long (milliseconds, rounded up), unless the driver speaks."""
        self._undisturbed.poll(math.ceil(seconds * 1000))

    def send(self, message: Message) -> bool:
        """Hand a message over to the connection; False if there is none.

        Raises:
            LocalProtocolError: if it is no valid message.
        """
        frames = cut(encode(message))
        is_sent = True
        for i, frame in enumerate(frames):
            try:
                self._socket.send(frame, zmq.DONTWAIT | (zmq.SNDMORE if i < len(frames) - 1 else 0))
            except zmq.Again:
                if i == 0:
                    return False
                # The connection ended between two frames. libzmq drops everything up to the last one, so they must all
                # be handed over, or the next message is dropped as well.
                is_sent = False
        return is_sent

    def close(self, linger: float = 0.0) -> None:
        """Close the connection; messages on their way out get `linger` seconds. May be called twice."""
        if not self._socket.closed:
            self._monitor.close()
            self._socket.setsockopt(zmq.LINGER, math.ceil(linger * 1000))
            self._socket.close()
            self._context.term()

    def _changes(self) -> list[Message | News]:
        changes: list[Message | News] = []
        for event, value in self._monitor.take():
            if event in (zmq.EVENT_CONNECT_DELAYED, zmq.EVENT_CONNECTED):
                self._begun_at = self._clock.now()
            elif event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
                self._is_up = self._was_up = True
                self.trouble, self._again_at = "", math.inf
                changes.append(LinkUp())
            elif event == zmq.EVENT_HANDSHAKE_FAILED_AUTH and value == _NOT_ADMITTED and not self._was_up:
                # Said without proof: not believed against a driver that has admitted this executor before.
                self.trouble, self._is_refused = "", True
                changes.append(LinkRefused(_REFUSAL.format(self._endpoint)))
            elif event == zmq.EVENT_CLOSED:
                is_mute = self._took(_CONNECT_MS / 1000)
                self.trouble = f"{self._endpoint} does not answer" if is_mute else f"nobody listens at {self._endpoint}"
            elif event == zmq.EVENT_CONNECT_RETRIED:
                self._again_at = math.inf
            elif self._is_up:
                # It ended, or what came cannot be decrypted: libzmq reads no further then, and may say nothing more.
                self._is_up, self.trouble = False, f"the connection to {self._endpoint} broke"
                changes.append(LinkDown())
                self._again_at = self._clock.now() + _PAUSE
            elif not self._is_refused and self._again_at == math.inf:
                self._not_admitted()
                self._again_at = self._clock.now() + _PAUSE
        return changes

    def _connect_anew(self) -> None:
        """Do what libzmq does not after the other end broke the protocol, or had other keys: try again."""
        self._again_at = math.inf
        with contextlib.suppress(zmq.ZMQError):  # it has forgotten the endpoint already
            self._socket.disconnect(self._endpoint)
        self._socket.connect(self._endpoint)

    def _not_admitted(self) -> None:
        if self._took(handshake_limit()):
            trouble = f"who listens at {self._endpoint} says nothing: is it a driver?"
        else:
            trouble = (
                f"who listens at {self._endpoint} ended the handshake: does this executor have the keys of that driver?"
            )
        if self.trouble != trouble and is_tcp(self._endpoint):
            self.trouble = trouble
            _log.warning("%s", trouble)

    def _took(self, limit: float) -> bool:
        return self._clock.now() >= self._begun_at + limit * _PATIENCE

    def _receive(self) -> list[Message | News]:
        received: list[Message | News] = []
        for _ in range(_MESSAGES_PER_WAIT):
            try:
                frames = self._socket.recv_multipart(zmq.DONTWAIT)
            except zmq.Again:
                break
            try:
                received.append(decode(join(frames), MAX_TO_EXECUTOR))
            except RemoteProtocolError:
                _log.exception("the driver sent something that is no message")
        return received
