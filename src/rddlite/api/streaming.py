"""Partitions one after another, for `toLocalIterator`; with prefetching, the next one is computed meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")


Partition = Callable[[int], list[T]]


def stream(partition: Partition[T], indices: Sequence[int]) -> Iterator[T]:
    """The records of `partition(index)` for each index."""
    for index in indices:
        yield from partition(index)


def stream_ahead(partition: Partition[T], in_thread: Partition[T], indices: Sequence[int]) -> Iterator[T]:
    """The same, but while one partition is consumed, a thread of its own makes the next one, by `in_thread`.

    An iterator that is dropped leaves at most one job behind, which ends by itself or with the context.
    """
    following: _Ahead[T] | None = None
    for position, index in enumerate(indices):
        records = partition(index) if following is None else following.result()
        is_last = position + 1 == len(indices)
        following = None if is_last else _Ahead(in_thread, indices[position + 1])
        yield from records


class _Ahead(Generic[T]):
    """One partition on its way. Started by the consumer's thread, which alone asks for the result."""

    def __init__(self, partition: Partition[T], index: int) -> None:
        self._partition = partition
        self._index = index
        self._records: list[T] = []
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="rddlite-prefetch", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._records = self._partition(self._index)
        except BaseException as error:  # handed to the consumer, whatever it is
            self._error = error

    def result(self) -> list[T]:
        """The records, when they are there; raises what computing them raised."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._records
