"""Pairs of one reduce partition written out by a salted hash of their key, to be read back part by part.

In one process equal keys have equal hashes, and the salt differs from level to level, so that what is still too large
is split again by another one. Within a sub-bucket the order of records is kept. Called by what spills: `gather`,
`gracejoin`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import repeat
from typing import Any

from rddlite.base.faults import fault_point
from rddlite.executor.blame import unhashable_key
from rddlite.executor.budget import Holder
from rddlite.executor.sizing import weight_each
from rddlite.serde.records import BatchSizer
from rddlite.shuffle.spillfile import Span, SpillFile

Columns = tuple[list[Any], list[Any]]

N = 64
_MASK = N - 1
LEVELS = 4
"""After so many levels what shares a sub-bucket shares its hash: it is told apart by the keys themselves."""

_PENDING = 2048 * N
_SHARE_OF_CAPACITY = 8
_LEAST, _MOST = 64 << 10, 8 << 20
_FRAME_RECORDS = 8192
_HOT = 16


def hot_keys(n_values: Iterable[tuple[Any, int]]) -> list[Any]:
    """Keys that have a large part of all values, by how many each has."""
    counted = list(n_values)
    least = sum(n for _, n in counted) / _HOT
    return [key for key, n in counted if n > least]


class Part:
    """One sub-bucket: `is_single` says that all its keys are equal (to `key`)."""

    __slots__ = ("_run", "_spans", "is_single", "key", "n_records")

    def __init__(self, run: SpillFile) -> None:
        self._run = run
        self._spans: list[Span] = []
        self.n_records = 0
        self.is_single = True
        self.key: Any = None

    def add(self, keys: list[Any], values: list[Any]) -> None:
        """Append a frame."""
        if self.n_records == 0:
            self.key = keys[0]
        self.is_single = self.is_single and keys.count(self.key) == len(keys)
        self.n_records += len(keys)
        self._spans.append(self._run.add_pairs(keys, values))

    def columns(self) -> Iterator[Columns]:
        """What is in it, in order; as often as one likes."""
        return (frame.columns() for frame in self._run.frames(self._spans))

    @property
    def n_bytes(self) -> int:
        """What it takes in the file."""
        return sum(span.length for span in self._spans)


class SpilledValues:
    """The values of one key that memory does not hold: has a length, and may be iterated as often as one likes.

    Pickled it is a list.
    """

    __slots__ = ("_part",)

    def __init__(self, part: Part) -> None:
        self._part = part

    def __iter__(self) -> Iterator[Any]:
        for _, values in self._part.columns():
            yield from values

    def __len__(self) -> int:
        return self._part.n_records

    def __reduce__(self) -> tuple[Any, ...]:
        return (list, (), None, iter(self))


class SubBuckets:
    """A run that is split by key. Several `sections` may be written one after another, to be read separately.

    `hot` are keys that get a sub-bucket each: with others they would be written again at the next level.
    """

    def __init__(self, holder: Holder, level: int, hot: Iterable[Any] = ()) -> None:
        self._own = {key: N + i for i, key in enumerate(hot)}
        self._run = holder.new_run()
        self._holder = holder
        self._level = level
        self._room = min(max(holder.capacity // _SHARE_OF_CAPACITY, _LEAST), _MOST)
        self._sizer = BatchSizer(max_records=_FRAME_RECORDS)
        self._index: dict[Any, int] = {}
        self._pending: list[list[Any]] = []
        self._extends: list[Callable[[Any], None]] = []
        self._n_pending = 0
        self._limit = 0
        self._sections: list[list[Part]] = []
        self._widen(0 if self.is_by_key else N + len(self._own))

    @property
    def is_by_key(self) -> bool:
        """Whether every key has a sub-bucket of its own."""
        return self._level >= LEVELS

    def write(self, columns: Iterable[Columns]) -> None:
        """A section: all of these pairs.

        Raises:
            UnhashableKey: if a key has no hash.
            NotPicklable, DiskFull: as `SpillFile`.
        """
        parts = [Part(self._run) for _ in self._pending]
        self._sections.append(parts)
        for keys, values in columns:
            self._scatter(keys, values)
            if self._n_pending >= self._limit:
                self._measure(keys, values)
                if self._n_pending >= self._limit:
                    self._flush(parts)
        self._flush(parts)

    def sections(self) -> Iterator[list[Part]]:
        """For each sub-bucket that is not empty: its part of each section. Nothing is written any more."""
        self._holder.spilled(self._run.length)
        fault_point("spill.read")
        self._pending, self._extends = [], []
        n = max(map(len, self._sections))
        for i in range(n):
            parts = [section[i] if i < len(section) else Part(self._run) for section in self._sections]
            if any(part.n_records for part in parts):
                yield parts

    def _places(self, keys: list[Any]) -> list[int]:
        try:
            if not self.is_by_key:
                # Without a tuple of its own for each key: zip uses one again and again.
                places = [mixed & _MASK for mixed in map(hash, zip(repeat(self._level), keys))]
                return list(map(self._own.get, keys, places)) if self._own else places
            index = self._index
            places = [index.setdefault(key, len(index)) for key in keys]
        except TypeError as error:
            raise unhashable_key(self._holder.operation, keys, error) from None
        self._widen(len(index))
        return places

    def _widen(self, n: int) -> None:
        more: list[list[Any]] = [[] for _ in range(n - len(self._pending))]
        self._pending += more
        self._extends += [bucket.extend for bucket in more]
        if self._sections:
            self._sections[-1].extend(Part(self._run) for _ in more)

    def _scatter(self, keys: list[Any], values: list[Any]) -> None:
        places = self._places(keys)
        extends = self._extends
        for place, pair in zip(places, zip(keys, values, strict=True), strict=True):
            extends[place](pair)
        self._n_pending += len(keys)

    def _measure(self, keys: list[Any], values: list[Any]) -> None:
        """How many records may wait."""
        self._limit = max(1, min(_PENDING, self._room // max(1, weight_each(keys) + weight_each(values))))

    def _flush(self, parts: list[Part]) -> None:
        for part, pending in zip(parts, self._pending, strict=True):
            start = 0
            while start < len(pending):
                end = start + 2 * self._sizer.size
                before = self._run.length
                keys = pending[start:end:2]
                part.add(keys, pending[start + 1 : end : 2])
                self._sizer.saw(len(keys), self._run.length - before)
                start = end
            pending.clear()
        self._n_pending = 0
        fault_point("spill.write")
