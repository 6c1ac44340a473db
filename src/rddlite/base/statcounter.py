"""StatCounter: count, mean, variance, smallest and largest of numbers, in one pass and mergeable.

Owns the arithmetic only. Tasks fill one for their partition, the driver merges them. Numbers of Python's own are taken
in chunks, at about the price of a sum; arrays of numpy (added up element by element) one at a time.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable
from itertools import islice
from typing import Any

_CHUNK = 8192
_PLAIN = frozenset({int, float})


class StatCounter:
    """Statistics of numbers that are added one by one, or taken over from another counter.

    >>> StatCounter([1, 2, 3, 4])
    (count: 4, mean: 2.5, stdev: 1.118033988749895, max: 4.0, min: 1.0)
    """

    __slots__ = ("m2", "maxValue", "minValue", "mu", "n")

    def __init__(self, values: Iterable[Any] | None = None) -> None:
        self.n = 0
        self.mu: Any = 0.0
        self.m2: Any = 0.0
        self.maxValue: Any = -math.inf
        self.minValue: Any = math.inf
        if values is not None:
            self._merge_all(iter(values))

    def merge(self, value: Any) -> StatCounter:
        """Add a number (or an array). Returns the counter itself.

        >>> StatCounter([1]).merge(3).mean()
        2.0
        """
        delta = value - self.mu
        self.n += 1
        # Never in place: the mean may be an array that somebody else has.
        self.mu = self.mu + delta / self.n
        self.m2 = self.m2 + delta * (value - self.mu)
        self.maxValue = _larger(self.maxValue, value)
        self.minValue = _smaller(self.minValue, value)
        return self

    def mergeStats(self, other: StatCounter) -> StatCounter:
        """Add all numbers that another counter has seen. Returns the counter itself.

        >>> StatCounter([1, 2]).mergeStats(StatCounter([6])).mean()
        3.0
        """
        if not isinstance(other, StatCounter):
            raise TypeError(f"mergeStats: other must be a StatCounter, not {type(other).__qualname__}")
        if other.n == 0:
            return self
        if self.n == 0:
            self.n, self.mu, self.m2 = other.n, other.mu, other.m2
            self.maxValue, self.minValue = other.maxValue, other.minValue
            return self
        n, delta = self.n + other.n, other.mu - self.mu
        self.m2 = self.m2 + other.m2 + delta * delta * (self.n * other.n / n)
        self.mu = self.mu + delta * (other.n / n)
        self.n = n
        self.maxValue = _larger(self.maxValue, other.maxValue)
        self.minValue = _smaller(self.minValue, other.minValue)
        return self

    def copy(self) -> StatCounter:
        """Another counter that has seen the same.

        >>> StatCounter([1, 2]).copy().count()
        2
        """
        return StatCounter().mergeStats(self)

    def count(self) -> int:
        """How many numbers were added.

        >>> StatCounter([1, 2]).count()
        2
        """
        return self.n

    def mean(self) -> Any:
        """Their mean; 0.0 of none.

        >>> StatCounter([1, 2]).mean()
        1.5
        """
        return self.mu

    def sum(self) -> Any:
        """Their sum, as count times mean.

        >>> StatCounter([1, 2]).sum()
        3.0
        """
        return self.n * self.mu

    def min(self) -> Any:
        """The smallest as a float; infinity of none.

        >>> StatCounter([1, 2]).min()
        1.0
        """
        return self.minValue

    def max(self) -> Any:
        """The largest as a float; minus infinity of none.

        >>> StatCounter([1, 2]).max()
        2.0
        """
        return self.maxValue

    def variance(self) -> Any:
        """The mean square distance from the mean; NaN of none.

        >>> StatCounter([1, 3]).variance()
        1.0
        """
        return self.m2 / self.n if self.n else math.nan

    def sampleVariance(self) -> Any:
        """The variance of what these numbers are a sample of: divided by one less than the count; NaN below two.

        >>> StatCounter([1, 3]).sampleVariance()
        2.0
        """
        return self.m2 / (self.n - 1) if self.n > 1 else math.nan

    def stdev(self) -> Any:
        """The root of the variance.

        >>> StatCounter([1, 3]).stdev()
        1.0
        """
        return _root(self.variance())

    def sampleStdev(self) -> Any:
        """The root of the sample variance.

        >>> StatCounter([1, 3, 5]).sampleStdev()
        2.0
        """
        return _root(self.sampleVariance())

    def asDict(self, sample: bool = False) -> dict[str, Any]:
        """All of them by name. As in PySpark, `stdev` and `variance` are those of a sample unless `sample` is true.

        >>> StatCounter([1, 3]).asDict()["variance"], StatCounter([1, 3]).asDict(sample=True)["variance"]
        (2.0, 1.0)
        """
        return {
            "count": self.count(),
            "mean": self.mean(),
            "sum": self.sum(),
            "min": self.min(),
            "max": self.max(),
            "stdev": self.stdev() if sample else self.sampleStdev(),
            "variance": self.variance() if sample else self.sampleVariance(),
        }

    def _merge_all(self, values: Any) -> None:
        while chunk := list(islice(values, _CHUNK)):
            if set(map(type, chunk)) <= _PLAIN and math.isfinite(total := _sum(chunk)):
                self.mergeStats(_of_chunk(chunk, total))
            else:
                for value in chunk:
                    self.merge(value)

    def __getstate__(self) -> tuple[Any, ...]:
        return (self.n, self.mu, self.m2, self.maxValue, self.minValue)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.n, self.mu, self.m2, self.maxValue, self.minValue = state

    def __repr__(self) -> str:
        return (
            f"(count: {self.count()}, mean: {self.mean()}, stdev: {self.stdev()}, max: {self.max()}, min: {self.min()})"
        )


def _sum(chunk: list[Any]) -> float:
    try:
        return float(sum(chunk))
    except OverflowError:
        return math.inf


def _of_chunk(chunk: list[Any], total: float) -> StatCounter:
    """Two passes: the mean first, then the distances from it."""
    counter = StatCounter()
    counter.n = len(chunk)
    counter.mu = mean = total / len(chunk)
    counter.m2 = math.fsum([(x - mean) * (x - mean) for x in chunk])
    counter.maxValue, counter.minValue = float(max(chunk)), float(min(chunk))
    return counter


def _larger(a: Any, b: Any) -> Any:
    """The larger one, NaN if either is; of arrays, element by element."""
    if hasattr(a, "shape") or hasattr(b, "shape"):
        return sys.modules["numpy"].maximum(a, b)
    return float(b) if b > a or b != b else a


def _smaller(a: Any, b: Any) -> Any:
    if hasattr(a, "shape") or hasattr(b, "shape"):
        return sys.modules["numpy"].minimum(a, b)
    return float(b) if b < a or b != b else a


def _root(x: Any) -> Any:
    if hasattr(x, "shape"):
        return sys.modules["numpy"].sqrt(x)
    return math.sqrt(x)
