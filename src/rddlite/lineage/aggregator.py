"""How values of one key become one combined value: three functions, nothing else."""

from __future__ import annotations

from dataclasses import dataclass

from rddlite.lineage.ops import UserFunction


@dataclass(frozen=True, slots=True)
class Aggregator:
    """`create(v)` starts a combined value, `merge_value(c, v)` adds to it, `merge_combiners(c, d)` joins two.

    `create` None means that the first value itself is the combined value (as in reduceByKey, where `merge_value` and
    `merge_combiners` are the same function). `zero` (a pickled value) is for foldByKey and aggregateByKey: the first
    value `v` of a key gives `merge_value(a fresh copy of zero, v)`, and `create` is not used.
    `grouping` marks the collection of all values of a key into a list: such an aggregator needs no functions.
    """

    create: UserFunction | None = None
    merge_value: UserFunction | None = None
    merge_combiners: UserFunction | None = None
    zero: bytes | None = None
    grouping: bool = False


GROUP = Aggregator(grouping=True)
