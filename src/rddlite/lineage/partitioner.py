"""Which reduce partition a record goes to.

Equality is by value: two equal partitioners place equal keys alike, which is what lets a join skip a shuffle.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from rddlite.base.sortedruns import end_of
from rddlite.lineage.ops import UserFunction
from rddlite.serde.hashing import place, stable_hash


class Partitioner:
    """Places keys in `n` partitions. `keyed`: records are pairs, placed by their first item. `positional`: records are
    spread without looking at them.
    """

    __slots__ = ("n",)
    keyed: bool = True
    positional = False

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
    """By place among sorted `bounds` (of `keyfunc(key)` where given), so that partitions are in order of keys.

    Not `keyed`: records are no pairs, each is its own key. With `n_parts` there are bounds for as many parts of each
    partition, and `finer` places among these.
    """

    __slots__ = ("ascending", "bounds", "finer", "keyed", "keyfunc")

    def __init__(
        self,
        n: int,
        bounds: list[Any],
        ascending: bool,
        keyfunc: UserFunction | None,
        keyed: bool = True,
        n_parts: int = 1,
    ) -> None:
        super().__init__(n)
        self.bounds = bounds if n_parts == 1 else bounds[n_parts - 1 :: n_parts]
        self.ascending, self.keyfunc, self.keyed = ascending, keyfunc, keyed
        self.finer = None if n_parts == 1 else RangePartitioner(n * n_parts, bounds, ascending, keyfunc, keyed)

    def place(self, keys: list[Any]) -> list[int]:
        return self.place_sort_keys(self.sort_keys(keys))

    def sort_keys(self, keys: list[Any]) -> list[Any]:
        """What to sort by, of each key; the very list where it is the keys themselves."""
        if self.keyfunc is None:
            return keys
        keyfunc = self.keyfunc.call
        # Not map(): a StopIteration of the user's function would end it silently, and lose records.
        return [keyfunc(key) for key in keys]

    def place_sort_keys(self, sort_keys: list[Any]) -> list[int]:
        """The partition of each of `sort_keys(keys)`."""
        bounds = self.bounds
        if self.ascending:
            return [bisect_left(bounds, key) for key in sort_keys]
        last = self.n - 1
        return [last - bisect_left(bounds, key) for key in sort_keys]

    def cuts(self, sort_keys: Sequence[Any]) -> Iterator[tuple[int, int, int]]:
        """Partitions, and where each starts and ends in what is sorted already, in the order of this partitioner."""
        start = 0
        m = len(self.bounds)
        first = 0 if self.ascending else self.n - 1 - m
        for i in range(m):
            bound = self.bounds[i if self.ascending else m - 1 - i]
            end = end_of(sort_keys, bound, start, not self.ascending, self.ascending, None)
            yield first + i, start, end
            start = end
        yield first + m, start, len(sort_keys)

    def identity(self) -> tuple[Any, ...]:
        # Bounds come from a sample, so only the very same partitioner is known to place alike.
        return (type(self), self.n, id(self))


class RoundRobin(Partitioner):
    """Spreads records evenly without looking at them, starting at a place that depends on the map partition."""

    __slots__ = ()
    keyed = False
    positional = True

    def place(self, keys: list[Any]) -> list[int]:
        return [i % self.n for i in range(len(keys))]
