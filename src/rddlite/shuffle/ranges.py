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
from itertools import chain
from operator import ne
from typing import Any

from rddlite.lineage.partitioner import RangePartitioner

_CHUNK = 8192
_ORDERED = frozenset({str, bytes, date, datetime, timedelta})
_NUMBERS = frozenset({int, bool, float})
_DEEPEST = 4


class RangeDealer:
    """Deals the records of one map task to `buckets`, as pairs or as they are. Owned by its writer."""

    def __init__(self, partitioner: RangePartitioner, buckets: Sequence[list[Any]]) -> None:
        self._partitioner = partitioner
        self._buckets = buckets
        self._records: list[Any] = []
        self._sort_keys: list[Any] = []
        self._has_own_keys = partitioner.keyed or partitioner.keyfunc is not None

    def add(self, records: list[Any], keys: list[Any]) -> None:
        """Take records with these keys; those without keys are their own."""
        self._records += records
        if self._has_own_keys:
            self._sort_keys += self._partitioner.sort_keys(keys)
        if len(self._records) >= _CHUNK:
            self.deal()

    def deal(self) -> None:
        """Put all that waits into the buckets."""
        records, self._records = self._records, []
        sort_keys, self._sort_keys = self._sort_keys if self._has_own_keys else records, []
        size = max(1, -(-len(records) // max(1, len(records) // _CHUNK)))
        for start in range(0, len(records), size):
            self._deal_chunk(records[start : start + size], sort_keys[start : start + size])

    def _deal_chunk(self, records: list[Any], sort_keys: list[Any]) -> None:
        # What is no tuple or list might be read once only.
        is_plain = not self._partitioner.keyed or set(map(type, records)) <= {tuple, list}
        if not (is_plain and has_total_order(sort_keys) and self._cut(records, sort_keys)):
            self._place(records, sort_keys)

    def _cut(self, records: list[Any], sort_keys: list[Any]) -> bool:
        descending = not self._partitioner.ascending
        try:
            if self._has_own_keys:
                order = sorted(range(len(records)), key=sort_keys.__getitem__, reverse=descending)
                ordered = list(map(sort_keys.__getitem__, order))
                records = list(map(records.__getitem__, order))
            else:
                ordered = records = sorted(records, reverse=descending)
            cuts = list(self._partitioner.cuts(ordered))
        except TypeError:  # of dates with and without a time zone, for instance: the bounds may still tell
            return False
        for bucket, start, end in cuts:
            if start < end:
                self._put(self._buckets[bucket], records[start:end])
        return True

    def _place(self, records: list[Any], sort_keys: list[Any]) -> None:
        places = self._partitioner.place_sort_keys(sort_keys)
        put = [bucket.extend if self._partitioner.keyed else bucket.append for bucket in self._buckets]
        for place, record in zip(places, records, strict=True):
            put[place](record)

    def _put(self, bucket: list[Any], records: list[Any]) -> None:
        bucket += chain.from_iterable(records) if self._partitioner.keyed else records


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
