"""Parts of buckets: how a large map output divides each bucket, so that a reduce task can take them one at a time.

A bucket of a sort is divided by finer ranges of keys, one whose values are grouped by more of the hash of the key.
Equal keys share a part, in every map output that is divided. Small outputs are not: a `Parted` bucket has records of
both kinds. Knows nothing of how frames are read. Used by `writer` and by `parted`.
"""

from __future__ import annotations

from typing import Any

from rddlite.lineage.graph import ShuffleDependency
from rddlite.lineage.partitioner import HashPartitioner, RangePartitioner
from rddlite.serde import hashing
from rddlite.shuffle.fingerprint import n_marks_of

_MOST = 16


def n_parts_of(dep: ShuffleDependency) -> int:
    """How many parts each bucket of a large output has; 1 where they are not divided."""
    partitioner = dep.partitioner
    if dep.key_order is not None and isinstance(partitioner, RangePartitioner) and partitioner.finer is not None:
        return partitioner.finer.n // partitioner.n
    if dep.aggregator is not None and dep.aggregator.grouping and isinstance(partitioner, HashPartitioner):
        return min(_MOST, n_marks_of(partitioner) // partitioner.n)
    return 1


def places_of_marks(n: int, n_marks: int, n_parts: int) -> list[int]:
    """Among the parts of all buckets, the place of each mark (a hash modulo `n_marks`)."""
    return [mark % n * n_parts + mark // n % n_parts for mark in range(n_marks)]


def parts_of_keys(dep: ShuffleDependency, bucket: int, keys: list[Any]) -> list[int]:
    """The part of each key in a bucket."""
    partitioner = dep.partitioner
    n_parts = n_parts_of(dep)
    if isinstance(partitioner, RangePartitioner):
        assert partitioner.finer is not None
        return [place - bucket * n_parts for place in partitioner.finer.place(keys)]
    n = partitioner.n
    return [mark // n % n_parts for mark in hashing.place(keys, n_marks_of(partitioner))]
