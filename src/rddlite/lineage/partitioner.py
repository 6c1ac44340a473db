"""Which reduce partition a record goes to.

Equality is by value: two equal partitioners place equal keys alike, which is what lets a join skip a shuffle.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from typing import Any

from rddlite.lineage.ops import UserFunction
from rddlite.serde.hashing import place, stable_hash


class Partitioner:
    """Places keys in `n` partitions. `keyed` is False where records are spread without looking at them."""

    __slots__ = ("n",)
    keyed = True

    def __init__(self, n: int) -> None:
        self.n = n

    @property
    def numPartitions(self) -> int:
        """The number of partitions."""
        return self.n

    def __call__(self, key: Any) -> int:
        """The partition of one key."""
        return self.place([key])[0]

    def place(self, keys: list[Any]) -> list[int]:
        """The partition of each key of a batch."""
        raise NotImplementedError

    def identity(self) -> tuple[Any, ...]:
        """What equality compares."""
        return (type(self), self.n)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Partitioner) and self.identity() == other.identity()

    def __hash__(self) -> int:
        return hash((type(self).__name__, self.n))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.n})"


class HashPartitioner(Partitioner):
    """By the stable hash of the key, modulo `n`."""

    __slots__ = ()

    def place(self, keys: list[Any]) -> list[int]:
        return place(keys, self.n)

    @property
    def partitionFunc(self) -> Callable[[Any], int]:
        """The function of a key whose value modulo `n` is the partition."""
        return stable_hash


class FunctionPartitioner(Partitioner):
    """By a function of the user: `f(key) % n`."""

    __slots__ = ("f",)

    def __init__(self, n: int, f: UserFunction) -> None:
        super().__init__(n)
        self.f = f

    def place(self, keys: list[Any]) -> list[int]:
        f, n = self.f.call, self.n
        return [f(key) % n for key in keys]

    @property
    def partitionFunc(self) -> Callable[[Any], int]:
        """The function of a key whose value modulo `n` is the partition."""
        return self.f.call

    def identity(self) -> tuple[Any, ...]:
        return (type(self), self.n, self.f.call)


class RangePartitioner(Partitioner):
    """By place among sorted `bounds` (of `keyfunc(key)` where given), so that partitions are in order of keys."""

    __slots__ = ("ascending", "bounds", "keyfunc")

    def __init__(self, n: int, bounds: list[Any], ascending: bool, keyfunc: UserFunction | None) -> None:
        super().__init__(n)
        self.bounds, self.ascending, self.keyfunc = bounds, ascending, keyfunc

    def place(self, keys: list[Any]) -> list[int]:
        bounds = self.bounds
        if self.keyfunc is not None:
            keyfunc = self.keyfunc.call
            # Not map(): a StopIteration of the user's function would end it silently, and lose records.
            keys = [keyfunc(key) for key in keys]
        if self.ascending:
            return [bisect_left(bounds, key) for key in keys]
        last = self.n - 1
        return [last - bisect_left(bounds, key) for key in keys]

    def identity(self) -> tuple[Any, ...]:
        # Bounds come from a sample, so only the very same partitioner is known to place alike.
        return (type(self), self.n, id(self))


class RoundRobin(Partitioner):
    """Spreads records evenly without looking at them, starting at a place that depends on the map partition."""

    __slots__ = ()
    keyed = False

    def place(self, keys: list[Any]) -> list[int]:
        return [i % self.n for i in range(len(keys))]
