"""Records into buckets by ranges of keys: a chunk at a time is sorted and cut at the bounds of the ranges.

That costs less than looking up the place of each record, and spares the reader work: what a bucket gets at once is in
order already, as runs that its sort finds. A chunk is so small that its records stay in the processor's cache. Where
keys are not known to have a total order (NaN, keys of the user's own classes), each is placed by itself. Records in a
bucket with equal keys are in the order in which they came. Called by `writer`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from operator import ne
from typing import Any

from rddlite.lineage.partitioner import RangePartitioner

_CHUNK = 2048
_LEAST_CUT = 4
"""Chunks are larger where a bucket would get fewer records than this of each."""
_ORDERED = frozenset({str, bytes, date, datetime, timedelta})
_NUMBERS = frozenset({int, bool, float})
_DEEPEST = 4


class RangeDealer:
    """Deals the records of one map task to buckets, as columns. Owned by its writer.

    `keys` are the buckets; of pairs these are their keys, and `values` the values. Otherwise `values` is empty.
    """

    def __init__(self, partitioner: RangePartitioner, buckets: Sequence[list[Any]]) -> None:
        self._partitioner = partitioner
        self.keys = buckets
        self.values: list[list[Any]] = [[] for _ in buckets] if partitioner.keyed else []
        self._chunk = max(_CHUNK, _LEAST_CUT * len(buckets))
        self._sort_keys: list[Any] = []
        self._columns: list[list[Any]] = [[] for _ in range(1 + partitioner.keyed)]

    def add(self, keys: list[Any], values: list[Any] | None = None) -> None:
        """Take records: pairs as two columns, others as their own keys."""
        self._columns[0] += keys
        if values is not None:
            self._columns[1] += values
        if self._partitioner.keyfunc is not None:
            self._sort_keys += self._partitioner.sort_keys(keys)
        if len(self._columns[0]) >= self._chunk:
            self.deal()

    def deal(self) -> None:
        """Put all that waits into the buckets."""
        columns = self._columns
        sort_keys = columns[0] if self._partitioner.keyfunc is None else self._sort_keys
        self._columns, self._sort_keys = [[] for _ in columns], []
        n = len(sort_keys)
        size = max(1, -(-n // max(1, n // self._chunk)))
        for start in range(0, n, size):
            chunk = slice(start, start + size)
            self._deal_chunk(sort_keys[chunk], [column[chunk] for column in columns])

    def _deal_chunk(self, sort_keys: list[Any], columns: list[list[Any]]) -> None:
        if not has_total_order(sort_keys) or not self._cut(sort_keys, columns):
            places = self._partitioner.place_sort_keys(sort_keys)
            for column, buckets in self._with_buckets(columns):
                for place, item in zip(places, column, strict=True):
                    buckets[place].append(item)

    def _cut(self, sort_keys: list[Any], columns: list[list[Any]]) -> bool:
        descending = not self._partitioner.ascending
        try:
            if len(columns) == 1 and self._partitioner.keyfunc is None:
                ordered = sorted(sort_keys, reverse=descending)
                columns = [ordered]
            else:
                order = sorted(range(len(sort_keys)), key=sort_keys.__getitem__, reverse=descending)
                ordered = list(map(sort_keys.__getitem__, order))
                columns = [list(map(column.__getitem__, order)) for column in columns]
            cuts = list(self._partitioner.cuts(ordered))
        except TypeError:  # of dates with and without a time zone, for instance: the bounds may still tell
            return False
        for column, buckets in self._with_buckets(columns):
            for bucket, start, end in cuts:
                if start < end:
                    buckets[bucket] += column[start:end]
        return True

    def _with_buckets(self, columns: list[list[Any]]) -> list[tuple[list[Any], Sequence[list[Any]]]]:
        return list(zip(columns, (self.keys, self.values), strict=False))


def has_total_order(keys: Iterable[Any], depth: int = _DEEPEST) -> bool:
    """Whether keys are all of a type that is known to have one: then sorting and bisecting agree."""
    keys = keys if isinstance(keys, (list, tuple)) else list(keys)
    kinds = set(map(type, keys))
    if kinds <= _NUMBERS:
        return float not in kinds or not _has_nan(keys)
    if len(kinds) != 1:
        return False
    if kinds <= _ORDERED:
        return True
    if kinds == {tuple} and depth and len(set(map(len, keys))) == 1:
        return all(has_total_order(column, depth - 1) for column in zip(*keys, strict=True))
    return False


def _has_nan(numbers: Sequence[Any]) -> bool:
    try:
        return math.isnan(sum(numbers)) and any(map(ne, numbers, numbers))
    except OverflowError:  # integers that are no floats among floats
        return any(map(ne, numbers, numbers))
