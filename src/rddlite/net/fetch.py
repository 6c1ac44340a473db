"""Bytes from block servers: several sources at once, within one window, for as long as it makes sense to try.

A `Fetcher` belongs to one process and is used by one thread at a time. Nothing happens while nobody waits in it, but
that libzmq's thread receives what was allowed; so silence only counts against a source while somebody waits. What a
broken connection did not bring is asked for by the next one.

An exception that breaks in from outside (a task that is killed, at any bytecode) leaves the fetcher in no known state:
it notices at its next use, drops all connections, and starts afresh. The context is made with the first connection, so
that a process may be forked from one that never fetched.
"""

from __future__ import annotations

import math
import os
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from types import TracebackType
from typing import BinaryIO

import zmq

from rddlite.errors import InternalError, LocalProtocolError, RddliteError, RemoteProtocolError
from rddlite.net.auth import KeyPair
from rddlite.net.connection import Connection, Ended, new_socket
from rddlite.net.transfer import (
    Answer,
    Arrival,
    Ask,
    BlockMissing,
    Cancel,
    Chunk,
    FetchError,
    Gone,
    ItemFailed,
    NoAnswer,
    NotAnswered,
    Receiver,
    Source,
    ToReceiver,
    ToSender,
    Unreachable,
    Wanted,
)
from rddlite.net.tries import Tries
from rddlite.net.window import Window

_MOST_LINES = 64
_MESSAGES_AT_ONCE = 32
_LONGEST_POLL = 60.0


@dataclass(slots=True, eq=False)
class _Flow:
    """One list of parts from one source, and what of it has arrived."""

    line: _Line
    receiver: Receiver
    arrivals: deque[Arrival | ItemFailed] = field(default_factory=deque)
    has_moved: bool = True


@dataclass(slots=True, eq=False)
class _Question:
    topic: str
    body: bytes
    answer: Answer | NoAnswer | None = None


class _Line:
    """What is to come from one source, by request, and the connection to it while there is one."""

    __slots__ = ("connection", "dead", "flows", "heard_at", "questions", "retry_at", "source", "tries")

    def __init__(self, source: Source, tries: Tries) -> None:
        self.source = source
        self.tries = tries
        self.connection: Connection | None = None
        self.flows: dict[int, _Flow] = {}
        self.questions: dict[int, _Question] = {}
        self.heard_at = self.retry_at = 0.0
        self.dead: str | None = None

    @property
    def is_needed(self) -> bool:
        """Whether anything is still to come."""
        return bool(self.flows or self.questions)

    @property
    def owes(self) -> bool:
        """Whether something should come: it was asked for, and what came before was taken or leaves room for it."""
        return bool(self.questions) or any(flow.receiver.due or not flow.arrivals for flow in self.flows.values())

    def deadline(self, waiting_since: float, timeout: float) -> float | None:
        """When something has to be done about it, if it stays silent."""
        if self.dead is not None or not self.is_needed:
            return None
        if self.connection is None:
            return self.retry_at
        return max(self.heard_at, waiting_since) + timeout if self.owes else None


class Fetcher:
    """Fetches from the owners of `Source.public_key`, as the owner of `own`. `window` bytes are in flight at most.

    A source that sends nothing for `timeout` seconds of waiting, breaks off, or talks nonsense, is tried `retries` more
    times; one that refuses the connection, for about a second.
    """

    def __init__(
        self, own: KeyPair | None = None, window: int = 48 << 20, timeout: float = 10.0, retries: int = 3
    ) -> None:
        self._own = own
        self._size = window
        self._timeout = timeout
        self._retries = retries
        self._jitter = Random()
        self.seconds_waited = 0.0
        """How long callers have waited for bytes, in all."""
        self.age = 0
        """How often everything was dropped: streams from before cannot go on."""
        self._is_in_use = False
        self._abandoned: deque[Sequence[_Flow]] = deque()
        self._context: zmq.Context[zmq.Socket[bytes]] | None = None
        self._start_afresh()

    @property
    def in_flight(self) -> int:
        """Bytes that sources may send by now, and those that came and were not taken."""
        return self._window.occupied

    # What callers do

    def start(self) -> None:
        """Start libzmq's threads now rather than with the first connection."""
        with self:
            new_socket(self._own_context()).close(linger=0)

    def stream(self, lists: Sequence[tuple[Source, Sequence[Wanted]]], offset: int = 0) -> Stream:
        """Ask several sources for parts, all at once, each for its own in their order; the first of each from byte
        `offset` on.
        """
        with self:
            flows = [_Flow(self._line(source), Receiver(wanted, offset)) for source, wanted in lists]
            for flow in flows:
                self._flows[flow] = None
                self._window.enter(flow.receiver)
            for flow in flows:
                self._ask(flow)
            self._close_idle()
            return Stream(self, flows)

    def fetch_to(self, source: Source, wanted: Wanted, file: BinaryIO) -> int:
        """Write one part to a file, and say how many records it has.

        Raises:
            Unreachable, BlockMissing: as `Stream.take`.
        """
        stream = self.stream([(source, [wanted])])
        try:
            while True:
                arrival = stream.take(0)
                file.write(arrival.data)
                if arrival.is_last:
                    return arrival.count
        finally:
            stream.close()

    def ask(self, source: Source, topic: str, body: bytes = b"") -> bytes:
        """The answer to a question. It may be asked more than once, should the connection break.

        Raises:
            Unreachable: as `Stream.take`.
            NotAnswered: if the source has no answer.
        """
        question = _Question(topic, body)
        with self:
            line = self._line(source)
            self._put(line, question)
            self._close_idle()
            try:
                self._wait(line, lambda: question.answer is not None)
            finally:
                line.questions = {n: other for n, other in line.questions.items() if other is not question}
                self._rest(line)
        if not isinstance(question.answer, Answer):
            assert question.answer is not None
            raise NotAnswered(source, question.answer.why)
        return question.answer.body

    def settle(self) -> None:
        """Nothing that was asked for is wanted any more: streams end. Connections stay."""
        with self:
            self.age += 1
            self._drop(list(self._flows))

    def close(self) -> None:
        """Close everything. May be called twice; the fetcher may be used again."""
        self._drop_everything()
        if self._context is not None:
            self._context.destroy(linger=0)
            self._context = None
        self._is_in_use = False

    def __enter__(self) -> None:
        """Whoever was here last has left in order, in this very process; or everything that was here goes."""
        if self._is_in_use or self._pid != os.getpid():
            self._drop_everything()
        self._is_in_use = True
        while self._abandoned:
            self._drop(self._abandoned.popleft())

    def __exit__(self, kind: type[BaseException] | None, error: object, traceback: TracebackType | None) -> None:
        self._is_in_use = kind is not None and not issubclass(kind, RddliteError | FetchError)

    def _drop_everything(self) -> None:
        self.age += 1
        if self._pid == os.getpid():
            for line in self._lines.values():
                if line.connection is not None:
                    line.connection.close()
        else:
            self._context = None  # it is the parent's, with all its sockets
        self._start_afresh()

    def _start_afresh(self) -> None:
        self._pid = os.getpid()
        self._lines: OrderedDict[Source, _Line] = OrderedDict()
        self._flows: dict[_Flow, None] = {}
        self._window = Window(self._size)
        self._poller = zmq.Poller()
        self._last_request = 0
        self._abandoned.clear()

    # For streams

    def next_arrival(self, flow: _Flow) -> Arrival | ItemFailed:
        """What comes next in a flow, when it is there.

        Raises:
            Unreachable: if it will not come.
        """
        line = flow.line
        if not flow.arrivals:
            if flow.receiver.is_finished:
                raise LocalProtocolError("everything that was asked for has been taken")
            self._hear(line)
            if not flow.arrivals:
                self._wait(line, lambda: bool(flow.arrivals))
        arrival = flow.arrivals.popleft()
        if isinstance(arrival, Arrival):
            flow.receiver.take(len(arrival.data))
        if line.connection is not None and not flow.receiver.is_finished:
            more = self._window.more(flow.receiver)
            if more:
                self._send(line, flow.receiver.grant(more))
        return arrival

    def abandon(self, flows: Sequence[_Flow]) -> None:
        """These are not wanted any more. Safe at any moment, also while memory is collected."""
        self._abandoned.append(flows)

    def _drop(self, flows: Sequence[_Flow]) -> None:
        for flow in flows:
            if flow not in self._flows:
                continue
            line = flow.line
            for number in [number for number, other in line.flows.items() if other is flow]:
                del line.flows[number]
                if line.connection is not None:
                    self._send(line, Cancel(number))
            flow.arrivals.clear()
            self._window.leave(flow.receiver)
            del self._flows[flow]
            self._rest(line)

    # Lines

    def _line(self, source: Source) -> _Line:
        line = self._lines.get(source)
        if line is None:
            line = self._lines[source] = _Line(source, Tries(self._retries, self._jitter))
        self._lines.move_to_end(source)  # the one that was used last comes last
        if line.connection is not None and not line.is_needed:
            self._look_after(line)  # it may have ended meanwhile
        if line.connection is None and not line.is_needed:
            self._open(line)
        return line

    def _close_idle(self) -> None:
        """Close the connections that were used longest ago, of those that nobody needs, beyond a number."""
        idle = [line for line in self._lines.values() if not line.is_needed]
        for line in idle[: max(len(self._lines) - _MOST_LINES, 0)]:
            self._hang_up(line)
            self._rest(line)

    def _own_context(self) -> zmq.Context[zmq.Socket[bytes]]:
        if self._context is None:
            self._context = zmq.Context(io_threads=1)
        return self._context

    def _open(self, line: _Line) -> None:
        """Connect, and ask for everything that is still to come."""
        line.heard_at = time.monotonic()
        line.retry_at = 0.0
        try:
            connection = Connection(self._own_context(), line.source, self._own)
        except zmq.ZMQError as error:
            line.dead = f"not an address to connect to: {error.strerror}"
            return
        line.connection = connection
        self._poller.register(connection.socket, zmq.POLLIN)
        self._poller.register(connection.events, zmq.POLLIN)
        flows, line.flows = line.flows, {}
        for flow in flows.values():
            self._ask(flow)
        questions, line.questions = line.questions, {}
        for question in questions.values():
            self._put(line, question)

    def _hang_up(self, line: _Line) -> None:
        connection, line.connection = line.connection, None
        if connection is not None:
            self._poller.unregister(connection.socket)
            self._poller.unregister(connection.events)
            connection.close()
        for flow in line.flows.values():
            flow.receiver.lost()

    def _rest(self, line: _Line) -> None:
        """Forget a line without a connection from which nothing is to come, and what failed on it."""
        if not line.is_needed and line.connection is None and self._lines.get(line.source) is line:
            del self._lines[line.source]

    def _number(self) -> int:
        self._last_request += 1
        return self._last_request

    def _ask(self, flow: _Flow) -> None:
        number = self._number()
        flow.line.flows[number] = flow
        if flow.line.connection is not None:
            flow.has_moved = False
            self._send(flow.line, flow.receiver.ask(number, self._window.first(flow.receiver)))

    def _put(self, line: _Line, question: _Question) -> None:
        number = self._number()
        line.questions[number] = question
        if line.connection is not None:
            self._send(line, Ask(number, question.topic, question.body))

    def _send(self, line: _Line, message: ToSender) -> None:
        assert line.connection is not None
        try:
            line.connection.send(message)
        except zmq.Again:
            self._over(line, Ended("it takes no messages"))

    # Waiting

    def _wait(self, line: _Line, is_there: Callable[[], bool]) -> None:
        started = time.monotonic()
        try:
            while not is_there():
                if line.dead is not None:
                    raise Unreachable(line.source, line.dead)
                self._turn(started)
        finally:
            self.seconds_waited += time.monotonic() - started

    def _turn(self, started: float) -> None:
        """Do what is due, or else wait until something happens on any line, and deal with it."""
        now = time.monotonic()
        until = now + _LONGEST_POLL
        is_late = False
        for line in list(self._lines.values()):
            deadline = line.deadline(started, self._timeout)
            if deadline is not None and deadline <= now:
                self._too_late(line)
                is_late = True
            elif deadline is not None:
                until = min(until, deadline)
        if is_late:
            return
        ready = dict(self._poller.poll(math.ceil((until - now) * 1000)))
        for line in list(self._lines.values()):
            if line.connection is not None and line.connection.events in ready:
                self._look_after(line)
            elif line.connection is not None and line.connection.socket in ready:
                self._hear(line)

    def _too_late(self, line: _Line) -> None:
        if line.connection is None:
            self._open(line)
        else:
            self._over(line, Ended(f"nothing came for {self._timeout:g} s"))

    def _hear(self, line: _Line) -> None:
        """Take what has come, some of it."""
        for _ in range(_MESSAGES_AT_ONCE):
            if line.connection is None:
                return
            try:
                received = line.connection.receive()
                if received is None:
                    return
                line.heard_at = time.monotonic()
                self._take_in(line, *received)
            except RemoteProtocolError as error:
                self._over(line, Ended(f"what it says makes no sense: {error}"))

    def _hear_all(self, line: _Line) -> None:
        while (connection := line.connection) is not None and connection.has_message:
            self._hear(line)

    def _take_in(self, line: _Line, message: ToReceiver, data: memoryview | None) -> None:
        if isinstance(message, Answer | NoAnswer):
            question = line.questions.pop(message.request, None)
            if question is not None:
                question.answer = message
                line.tries.progressed()
            return
        flow = line.flows.get(message.request)
        if flow is None:
            return  # of a request that is not wanted any more
        if isinstance(message, Chunk):
            if data is None:
                raise RemoteProtocolError("a chunk without a frame of data")
            flow.arrivals += flow.receiver.receive(message, data)
            flow.has_moved = True
            line.tries.progressed()
            if flow.receiver.is_finished:
                del line.flows[message.request]
        elif flow.has_moved:
            assert isinstance(message, Gone)
            del line.flows[message.request]
            flow.receiver.lost()
            self._ask(flow)
        else:
            raise RemoteProtocolError("it forgets what it is asked for")

    def _look_after(self, line: _Line) -> None:
        """See what became of a connection, after taking everything that came by it."""
        assert line.connection is not None
        ended = line.connection.ended()
        if ended is not None:
            self._hear_all(line)
            if line.connection is not None:
                self._over(line, ended)

    def _over(self, line: _Line, ended: Ended) -> None:
        """A try is over. A line that nobody needs opens again when it is used."""
        self._hang_up(line)
        if not line.is_needed:
            return
        now = time.monotonic()
        told = line.tries.refused if ended.is_refusal else line.tries.failed
        again = told(ended.why, line.heard_at, now)
        if again is None or ended.is_final:
            line.dead = line.tries.story(now)
        else:
            line.retry_at = again


class Stream:
    """Parts on their way from several sources. Taken in any order, but in their own from each source."""

    def __init__(self, fetcher: Fetcher, flows: Sequence[_Flow]) -> None:
        self._fetcher = fetcher
        self._age = fetcher.age
        self._flows = flows
        self._is_open = True

    def take(self, index: int) -> Arrival:
        """What comes next from the `index`th source: waits for it.

        Raises:
            Unreachable: if the source is, after all tries; nothing more will come from it in this stream.
            BlockMissing: if the part at hand cannot be had; the next call goes on with the one after it.
        """
        flow = self._flows[index]
        with self._fetcher:
            if self._age != self._fetcher.age or not self._is_open:
                raise InternalError("this stream has ended: its fetcher was interrupted, settled or closed")
            arrival = self._fetcher.next_arrival(flow)
        if isinstance(arrival, ItemFailed):
            raise BlockMissing(flow.line.source, arrival.item, arrival.why)
        return arrival

    def close(self) -> None:
        """Nothing more is wanted. Safe at any moment, in any thread."""
        if self._is_open:
            self._is_open = False
            if self._age == self._fetcher.age:
                self._fetcher.abandon(self._flows)
