"""Median and largest of many numbers in bounded memory: exact up to a few hundred, within 1 % beyond."""

from __future__ import annotations

from collections import defaultdict
from math import exp, log

_EXACT = 512
_STEPS = 1 / log(1.02)
_OFFSET = 40_000.5  # keeps numbers down to 1e-300 above zero, where `int` rounds down
_ZERO = -1


class Spread:
    """Numbers of one kind, none negative. Fed by one thread; may be asked by any."""

    __slots__ = ("_counts", "_values", "largest")

    def __init__(self) -> None:
        self.largest = 0.0
        self._values: list[float] = []
        self._counts: defaultdict[int, int] | None = None

    def add(self, value: float) -> None:
        """Count one number."""
        if value > self.largest:
            self.largest = value
        if self._counts is not None:
            self._counts[int(log(value) * _STEPS + _OFFSET) if value else _ZERO] += 1
            return
        self._values.append(value)
        if len(self._values) >= _EXACT:
            self._to_histogram()

    def median(self) -> float:
        """The lower median; 0 if there is no number."""
        values, counts = self._values, self._counts  # in this order: the values go when the counts are there
        if counts is None:
            ordered = sorted(values)
            return ordered[(len(ordered) - 1) // 2] if ordered else 0.0
        steps = sorted(counts.copy().items())
        before = (sum(count for _, count in steps) + 1) // 2
        for step, count in steps:
            before -= count
            if before <= 0:
                return min(_middle(step), self.largest)
        return self.largest

    def _to_histogram(self) -> None:
        counts: defaultdict[int, int] = defaultdict(int)
        for value in self._values:
            counts[int(log(value) * _STEPS + _OFFSET) if value else _ZERO] += 1
        self._counts = counts
        self._values = []


def _middle(step: int) -> float:
    return 0.0 if step == _ZERO else exp((step + 0.5 - _OFFSET) / _STEPS)
