"""The lines of one fetcher: to each source a connection while there is one, what is to come by it, and how it is tried.

Everything happens in `wait` (and in `hear`, which does not): whoever waits for one line turns the wheel for all. What a
broken connection did not bring is asked for by the next one. Silence counts only while somebody waits, since nobody
listens otherwise. Used by one thread; knows nothing of who interrupts it: a `Lines` that was left in the middle of
something is closed, and another one made.
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

import zmq

from rddlite.errors import LocalProtocolError, ProviderError, RemoteProtocolError
from rddlite.net.auth import KeyPair
from rddlite.net.connection import Connection, Ended
from rddlite.net.transfer import (
    Answer,
    Arrival,
    Ask,
    Cancel,
    Chunk,
    Gone,
    ItemFailed,
    NoAnswer,
    Receiver,
    Source,
    ToReceiver,
    ToSender,
    Unreachable,
)
from rddlite.net.tries import Tries
from rddlite.net.window import Window

_MOST_LINES = 64
_MESSAGES_AT_ONCE = 32
_LONGEST_POLL = 60.0


@dataclass(slots=True, eq=False)
class Flow:
    """One list of parts from one source, and what of it has arrived."""

    line: Line
    receiver: Receiver
    arrivals: deque[Arrival | ItemFailed] = field(default_factory=deque)
    has_moved: bool = True


@dataclass(slots=True, eq=False)
class Question:
    """What a source is asked, and what it said."""

    topic: str
    body: bytes
    answer: Answer | NoAnswer | None = None


class Line:
    """What is to come from one source, by request, and the connection to it while there is one."""

    __slots__ = ("connection", "dead", "flows", "heard_at", "questions", "retry_at", "source", "tries")

    def __init__(self, source: Source, tries: Tries) -> None:
        self.source = source
        self.tries = tries
        self.connection: Connection | None = None
        self.flows: dict[int, Flow] = {}
        self.questions: dict[int, Question] = {}
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


class Lines:
    """All lines, and the window that they share."""

    def __init__(
        self,
        context: Callable[[], zmq.Context[zmq.Socket[bytes]]],
        own: KeyPair | None,
        window: int,
        timeout: float,
        retries: int,
    ) -> None:
        self._context = context
        self._own = own
        self._timeout = timeout
        self._retries = retries
        self._jitter = Random()
        self._by_source: OrderedDict[Source, Line] = OrderedDict()
        self._flows: dict[Flow, None] = {}
        self._window = Window(window)
        self._poller = zmq.Poller()
        self._last_request = 0

    @property
    def in_flight(self) -> int:
        """Bytes that sources may send by now, and those that came and were not taken."""
        return self._window.occupied

    def flows(self) -> list[Flow]:
        """All that are wanted."""
        return list(self._flows)

    def sources(self) -> list[Source]:
        """Those to which there is a line, the one used last at the end."""
        return list(self._by_source)

    def close(self) -> None:
        """Close all connections."""
        for line in self._by_source.values():
            if line.connection is not None:
                line.connection.close()

    # What is wanted

    def to(self, source: Source) -> Line:
        """The line to this source, opened if it is not."""
        line = self._by_source.get(source)
        if line is None:
            line = self._by_source[source] = Line(source, Tries(self._retries, self._jitter))
        self._by_source.move_to_end(source)
        if line.connection is not None and not line.is_needed:
            self._look_after(line)  # it may have ended meanwhile
        if line.connection is None and not line.is_needed:
            self._open(line)
        return line

    def add(self, flows: list[Flow]) -> None:
        """Ask for all that these bring, in shares of one window."""
        for flow in flows:
            self._flows[flow] = None
            self._window.enter(flow.receiver)
        for flow in flows:
            self._ask(flow)
        self._close_idle()

    def drop(self, flows: list[Flow]) -> None:
        """Nothing of these is wanted any more. Nothing happens for those that were dropped before."""
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
            self._forget_if_over(line)

    def put(self, line: Line, question: Question) -> None:
        """Ask a question."""
        number = self._number()
        line.questions[number] = question
        if line.connection is not None:
            self._send(line, Ask(number, question.topic, question.body))

    def withdraw(self, line: Line, question: Question) -> None:
        """The question was answered, or nobody wants to know any more."""
        line.questions = {number: other for number, other in line.questions.items() if other is not question}
        self._forget_if_over(line)
        self._close_idle()

    def next_arrival(self, flow: Flow) -> Arrival | ItemFailed:
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
                self.wait(line, lambda: bool(flow.arrivals))
        arrival = flow.arrivals.popleft()
        if isinstance(arrival, Arrival):
            flow.receiver.take(len(arrival.data))
        if line.connection is not None and not flow.receiver.is_finished:
            more = self._window.more(flow.receiver)
            if more:
                self._send(line, flow.receiver.grant(more))
        return arrival

    def wait(self, line: Line, is_there: Callable[[], bool]) -> None:
        """Wait until something is there that comes by this line.

        Raises:
            Unreachable: if it will not come.
        """
        started = time.monotonic()
        while not is_there():
            if line.dead is not None:
                raise Unreachable(line.source, line.dead)
            self._turn(started)

    # Connections

    def _open(self, line: Line) -> None:
        """Connect, and ask for everything that is still to come."""
        line.heard_at = time.monotonic()
        line.retry_at = 0.0
        try:
            connection = Connection(self._context(), line.source, self._own)
        except (zmq.ZMQError, ProviderError) as error:
            line.dead = f"cannot be connected to: {error}"
            return
        line.connection = connection
        self._poller.register(connection.socket, zmq.POLLIN)
        self._poller.register(connection.events, zmq.POLLIN)
        flows, line.flows = line.flows, {}
        for flow in flows.values():
            self._ask(flow)
        questions, line.questions = line.questions, {}
        for question in questions.values():
            self.put(line, question)

    def _hang_up(self, line: Line) -> None:
        connection, line.connection = line.connection, None
        if connection is not None:
            self._poller.unregister(connection.socket)
            self._poller.unregister(connection.events)
            connection.close()
        for flow in line.flows.values():
            flow.receiver.lost()

    def _close_idle(self) -> None:
        """Close the connections that were used longest ago, of those that nobody needs, beyond a number."""
        idle = [line for line in self._by_source.values() if not line.is_needed]
        for line in idle[: max(len(self._by_source) - _MOST_LINES, 0)]:
            self._hang_up(line)
            self._forget_if_over(line)

    def _forget_if_over(self, line: Line) -> None:
        """Forget a line without a connection from which nothing is to come, and what failed on it."""
        if not line.is_needed and line.connection is None and self._by_source.get(line.source) is line:
            del self._by_source[line.source]

    def _number(self) -> int:
        self._last_request += 1
        return self._last_request

    def _ask(self, flow: Flow) -> None:
        number = self._number()
        flow.line.flows[number] = flow
        if flow.line.connection is not None:
            flow.has_moved = False
            self._send(flow.line, flow.receiver.ask(number, self._window.first(flow.receiver)))

    def _send(self, line: Line, message: ToSender) -> None:
        assert line.connection is not None
        try:
            line.connection.send(message)
        except zmq.Again:
            self._over(line, Ended("it takes no messages"))

    # What comes

    def _turn(self, started: float) -> None:
        """Do what is due, or else wait until something happens on any line, and deal with it."""
        now = time.monotonic()
        until = now + _LONGEST_POLL
        is_late = False
        for line in list(self._by_source.values()):
            deadline = line.deadline(started, self._timeout)
            if deadline is not None and deadline <= now:
                self._too_late(line)
                is_late = True
            elif deadline is not None:
                until = min(until, deadline)
        if is_late:
            return
        ready = dict(self._poller.poll(math.ceil((until - now) * 1000)))
        for line in list(self._by_source.values()):
            if line.connection is not None and line.connection.events in ready:
                self._look_after(line)
            elif line.connection is not None and line.connection.socket in ready:
                self._hear(line)

    def _too_late(self, line: Line) -> None:
        if line.connection is None:
            self._open(line)
        else:
            self._over(line, Ended(f"nothing came for {self._timeout:g} s"))

    def _hear(self, line: Line) -> None:
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

    def _hear_all(self, line: Line) -> None:
        while (connection := line.connection) is not None and connection.has_message:
            self._hear(line)

    def _take_in(self, line: Line, message: ToReceiver, data: memoryview | None) -> None:
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

    def _look_after(self, line: Line) -> None:
        """See what became of a connection, after taking everything that came by it."""
        assert line.connection is not None
        ended = line.connection.ended()
        if ended is not None:
            self._hear_all(line)
            if line.connection is not None:
                self._over(line, ended)

    def _over(self, line: Line, ended: Ended) -> None:
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
