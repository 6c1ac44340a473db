"""What the workers of an executor ask for at barriers, from the question to its answer. Pure.

A worker waits for one answer at a time. A question is repeated whenever the driver has taken the executor in again: it,
or its answer, may be lost with a connection. Owned by the executor's loop.
"""

from __future__ import annotations

from collections.abc import Iterator

from rddlite.base.meeting import ASK
from rddlite.net.messages import Meet, Met


class Meetings:
    """Questions without an answer, by worker."""

    def __init__(self, executor: str) -> None:
        self._executor = executor
        self._asked: dict[int, Meet] = {}
        self._unsent: dict[int, None] = {}

    def asks(self, worker: int, body: bytes) -> None:
        """A worker asks, in a frame that is long enough."""
        attempt, number, wish = ASK.unpack_from(body)
        self._asked[worker] = Meet(self._executor, attempt, number, wish, body[ASK.size :])
        self._unsent[worker] = None

    def ended(self, worker: int) -> None:
        """Its attempt has ended, or it has."""
        if self._asked:
            self._asked.pop(worker, None)
            self._unsent.pop(worker, None)

    def answered(self, met: Met) -> list[int]:
        """The driver answers: the workers that wait for this."""
        found = [
            worker for worker, meet in self._asked.items() if meet.attempt in met.attempts and meet.number == met.number
        ]
        for worker in found:
            self.ended(worker)
        return found

    def say_again(self) -> None:
        """What was asked may never have arrived."""
        self._unsent.update(dict.fromkeys(self._asked))

    def unsent(self) -> Iterator[Meet]:
        """What the driver has to be told, once."""
        while self._unsent:
            worker, _ = self._unsent.popitem()
            yield self._asked[worker]
