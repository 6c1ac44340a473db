"""Partitioner: what places keys, made and asked for as PySpark's is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rddlite.api.exchange import partitioner_of
from rddlite.base.callsite import call_site
from rddlite.lineage.partitioner import Partitioner as Placing


class _AllThatPlace(type):
    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, Placing)

    def __call__(cls, numPartitions: int, partitionFunc: Callable[[Any], int]) -> Placing:
        return partitioner_of(numPartitions, partitionFunc, call_site("Partitioner"))


class Partitioner(metaclass=_AllThatPlace):
    """What places a key in partition `partitionFunc(key) % numPartitions`; as `partitionBy` has it.

    >>> from rddlite import portable_hash
    >>> Partitioner(3, portable_hash)(7)
    1
    """
