"""Samples of partitions, the same for the same seed on every process and host."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from random import Random
from typing import Any

_DRAWS_THROWN_AWAY = 10


def generator(seed: int, index: int) -> Random:
    """The stream of one partition, as PySpark seeds it: neighbouring seeds need a few draws to part."""
    stream = Random(seed ^ index)
    for _ in range(_DRAWS_THROWN_AWAY):
        stream.randint(0, 1)
    return stream


class SpreadSample:
    """A sample of items that come in batches: all while there are fewer than `size`, then one at random of each stretch
    of `stride` items, where stretches are made twice as long whenever there are twice `size`. Heavy items (of whose
    bytes `keep` is told) are kept in smaller numbers.

    What is kept is up to the caller: `indexes` says which items of the next batch are wanted.
    """

    __slots__ = ("_draw", "_offset", "_size", "_start", "count", "kept", "stride")

    def __init__(self, size: int, seed: int, index: int) -> None:
        self.count = 0
        self.stride = 1
        self.kept: list[Any] = []
        self._size = size
        self._draw = generator(seed, index).randrange
        self._start = self._offset = 0

    def indexes(self, n: int) -> Sequence[int]:
        """Which of the next `n` items are wanted."""
        first, self.count = self.count, self.count + n
        if self.stride == 1:
            self._start = self.count
            return range(n)
        wanted = []
        while self._start + self._offset < self.count:
            wanted.append(self._start + self._offset - first)
            self._start += self.stride
            self._offset = self._draw(self.stride)
        return wanted

    def keep(self, values: list[Any], bytes_each: int) -> None:
        """Keep these for the items that were wanted last."""
        self.kept += values
        fitting = max(_FEW, _MOST_BYTES // max(1, bytes_each))
        while len(self.kept) >= 2 * min(self._size, fitting):
            last = len(self.kept) - 1
            self.kept = [self.kept[min(i + self._draw(2), last)] for i in range(0, last + 1, 2)]
            self._lengthen()

    def _lengthen(self) -> None:
        self.stride *= 2
        self._offset = self._draw(self.stride)
        if self._start + self._offset < self.count:  # that item is gone
            self._start = self.count


_FEW = 16
_MOST_BYTES = 8 << 20


def quantiles(keys: Sequence[Any], weights: Sequence[float], n: int) -> list[Any]:
    """The keys that cut all into `n` parts of about equal weight, in order: one fewer than parts, none of no keys."""
    order = sorted(range(len(keys)), key=keys.__getitem__)
    if not order:
        return []
    reached = list(accumulate(weights[i] for i in order))
    return [keys[order[bisect_right(reached, reached[-1] * part / n)]] for part in range(1, n)]
