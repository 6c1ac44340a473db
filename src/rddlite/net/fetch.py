"""Bytes from block servers: several sources at once, within one window, for as long as it makes sense to try.

A `Fetcher` belongs to one process and is used by one thread at a time. While nobody waits in it, libzmq's thread still
receives what was allowed, so that fetching overlaps with the use of what came (`net/lines.py` has the rest).

An exception that breaks in from outside (a task that is killed, at any bytecode) leaves it in no known state: it
notices at its next use, drops all connections, and starts afresh. The context is made with the first connection, so
that a process may be forked from one that never fetched; and a child of one that did makes its own.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Sequence
from types import TracebackType
from typing import BinaryIO

import zmq

from rddlite.errors import InternalError, RddliteError
from rddlite.net.auth import KeyPair
from rddlite.net.connection import new_socket
from rddlite.net.lines import Flow, Lines, Question
from rddlite.net.transfer import (
    Answer,
    Arrival,
    BlockMissing,
    FetchError,
    ItemFailed,
    NotAnswered,
    Receiver,
    Source,
    Wanted,
)


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
        self.seconds_waited = 0.0
        """How long callers have waited for bytes, in all."""
        self.age = 0
        """How often all streams were ended: those from before cannot go on."""
        self._is_in_use = False
        self._abandoned: deque[list[Flow]] = deque()
        self._context: zmq.Context[zmq.Socket[bytes]] | None = None
        self._pid = os.getpid()
        self._lines = self._new_lines()

    @property
    def in_flight(self) -> int:
        """Bytes that sources may send by now, and those that came and were not taken."""
        return self._lines.in_flight

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
            flows = [Flow(self._lines.to(source), Receiver(wanted, offset)) for source, wanted in lists]
            self._lines.add(flows)
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
        question = Question(topic, body)
        with self:
            line = self._lines.to(source)
            self._lines.put(line, question)
            try:
                self._lines.wait(line, lambda: question.answer is not None)
            finally:
                self._lines.withdraw(line, question)
        if not isinstance(question.answer, Answer):
            assert question.answer is not None
            raise NotAnswered(source, question.answer.why)
        return question.answer.body

    def settle(self) -> None:
        """Nothing that was asked for is wanted any more: streams end. Connections stay."""
        with self:
            self.age += 1
            self._lines.drop(self._lines.flows())

    def close(self) -> None:
        """Close everything. May be called twice; the fetcher may be used again."""
        self._drop_everything()
        if self._context is not None:
            self._context.destroy(linger=0)
            self._context = None
        self._is_in_use = False

    # For streams

    def next_arrival(self, flow: Flow, age: int) -> Arrival | ItemFailed:
        """What comes next in a flow that was begun at this age, when it is there.

        Raises:
            Unreachable: if it will not come.
        """
        with self:
            if age != self.age:
                raise InternalError("this stream has ended: its fetcher was interrupted, settled or closed")
            if flow.arrivals:
                return self._lines.next_arrival(flow)
            started = time.monotonic()
            try:
                return self._lines.next_arrival(flow)
            finally:
                self.seconds_waited += time.monotonic() - started

    def abandon(self, flows: list[Flow]) -> None:
        """These are not wanted any more. Safe at any moment, also while memory is collected."""
        self._abandoned.append(flows)

    # Who breaks in

    def __enter__(self) -> None:
        """Whoever was here last has left in order, in this very process; or everything that was here goes."""
        if self._is_in_use or self._pid != os.getpid():
            self._drop_everything()
        self._is_in_use = True
        while self._abandoned:
            self._lines.drop(self._abandoned.popleft())

    def __exit__(self, kind: type[BaseException] | None, error: object, traceback: TracebackType | None) -> None:
        self._is_in_use = kind is not None and not issubclass(kind, RddliteError | FetchError)

    def _drop_everything(self) -> None:
        self.age += 1
        if self._pid == os.getpid():
            self._lines.close()
        else:
            self._context = None  # it is the parent's, with all its sockets
            self._pid = os.getpid()
        self._lines = self._new_lines()
        self._abandoned.clear()

    def _new_lines(self) -> Lines:
        return Lines(self._own_context, self._own, self._size, self._timeout, self._retries)

    def _own_context(self) -> zmq.Context[zmq.Socket[bytes]]:
        if self._context is None:
            self._context = zmq.Context(io_threads=1)
        return self._context


class Stream:
    """Parts on their way from several sources. Taken in any order, but in their own from each source."""

    def __init__(self, fetcher: Fetcher, flows: list[Flow]) -> None:
        self._fetcher = fetcher
        self._age = fetcher.age
        self._flows = flows

    def take(self, index: int) -> Arrival:
        """What comes next from the `index`th source: waits for it.

        Raises:
            Unreachable: if the source is, after all tries; nothing more will come from it in this stream.
            BlockMissing: if the part at hand cannot be had; the next call goes on with the one after it.
        """
        flow = self._flows[index]
        arrival = self._fetcher.next_arrival(flow, self._age)
        if isinstance(arrival, ItemFailed):
            raise BlockMissing(flow.line.source, arrival.item, arrival.why)
        return arrival

    def close(self) -> None:
        """Nothing more is wanted, and nothing can be taken. Safe at any moment, in any thread."""
        if self._age == self._fetcher.age:
            self._fetcher.abandon(self._flows)
        self._age = -1
