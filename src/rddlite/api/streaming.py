"""Partitions one after another, for `toLocalIterator`; with prefetching, the next one is computed meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")


def stream(partition: Callable[[int], list[T]], indices: Sequence[int], ahead: bool) -> Iterator[T]:
    """The records of `partition(index)` for each index; with `ahead`, the next call runs while this one is consumed.

    An iterator that is dropped leaves at most one job behind, which ends by itself or with the context.
    """
    if not ahead:
        for index in indices:
            yield from partition(index)
        return
    following: _Ahead[T] | None = None
    for position, index in enumerate(indices):
        records = partition(index) if following is None else following.result()
        is_last = position + 1 == len(indices)
        following = None if is_last else _Ahead(partition, indices[position + 1])
        yield from records


class _Ahead(Generic[T]):
    """One partition on its way. Started by the consumer's thread, which alone asks for the result."""

    def __init__(self, partition: Callable[[int], list[T]], index: int) -> None:
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
