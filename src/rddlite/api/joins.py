"""Joins of two RDDs of pairs, all made of one cogroup and one operation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from rddlite.api import exchange
from rddlite.api.handle import Handle, T_co
from rddlite.base.callsite import CallSite, call_site
from rddlite.lineage.narrow import Pipelined
from rddlite.lineage.ops import JoinPairs

if TYPE_CHECKING:
    from rddlite.api.rdd import RDD

K = TypeVar("K")
V = TypeVar("V")
W = TypeVar("W")


class Joins(Handle[T_co]):
    """The mixin of `RDD` for joins.

    For each key, every value of the left side meets every value of the right side; sides that are placed by the same
    partitioner already are joined without a shuffle. By default the result has as many partitions as both sides
    together, or as the partitioner that they share, unless `default.parallelism` is set.
    """

    __slots__ = ()

    def join(
        self: Handle[tuple[K, V]], other: Handle[tuple[K, W]], numPartitions: int | None = None
    ) -> RDD[tuple[K, tuple[V, W]]]:
        """`(key, (v, w))` for each `v` of a key here and each `w` of the same key in `other`.

        Args:
            other: the right side.
            numPartitions: partitions of the result.

        Raises:
            TypeError, ValueError: for arguments of the wrong kind or size.

        >>> left, right = sc.parallelize([("a", 1), ("b", 4)]), sc.parallelize([("a", 2), ("a", 3)])
        >>> sorted(left.join(right).collect())
        [('a', (1, 2)), ('a', (1, 3))]
        """
        return _join(self, other, numPartitions, "inner", call_site("join"))

    def leftOuterJoin(
        self: Handle[tuple[K, V]], other: Handle[tuple[K, W]], numPartitions: int | None = None
    ) -> RDD[tuple[K, tuple[V, W | None]]]:
        """As `join`, and `(key, (v, None))` for keys that `other` does not have.

        Raises:
            TypeError, ValueError: for arguments of the wrong kind or size.

        >>> left, right = sc.parallelize([("a", 1), ("b", 4)]), sc.parallelize([("a", 2)])
        >>> sorted(left.leftOuterJoin(right).collect())
        [('a', (1, 2)), ('b', (4, None))]
        """
        return _join(self, other, numPartitions, "left", call_site("leftOuterJoin"))

    def rightOuterJoin(
        self: Handle[tuple[K, V]], other: Handle[tuple[K, W]], numPartitions: int | None = None
    ) -> RDD[tuple[K, tuple[V | None, W]]]:
        """As `join`, and `(key, (None, w))` for keys that only `other` has.

        Raises:
            TypeError, ValueError: for arguments of the wrong kind or size.

        >>> left, right = sc.parallelize([("a", 1)]), sc.parallelize([("a", 2), ("b", 4)])
        >>> sorted(left.rightOuterJoin(right).collect())
        [('a', (1, 2)), ('b', (None, 4))]
        """
        return _join(self, other, numPartitions, "right", call_site("rightOuterJoin"))

    def fullOuterJoin(
        self: Handle[tuple[K, V]], other: Handle[tuple[K, W]], numPartitions: int | None = None
    ) -> RDD[tuple[K, tuple[V | None, W | None]]]:
        """As `join`, with None in place of the side that does not have the key.

        Raises:
            TypeError, ValueError: for arguments of the wrong kind or size.

        >>> left, right = sc.parallelize([("a", 1), ("b", 4)]), sc.parallelize([("a", 2), ("c", 8)])
        >>> sorted(left.fullOuterJoin(right).collect())
        [('a', (1, 2)), ('b', (4, None)), ('c', (None, 8))]
        """
        return _join(self, other, numPartitions, "full", call_site("fullOuterJoin"))


def _join(left: Handle[Any], right: Any, n: int | None, how: str, site: CallSite) -> RDD[Any]:
    groups = exchange.cogrouped([left, left._other(right, site)], n, site)
    return left._derive(Pipelined(site, groups, JoinPairs(how, site), keeps_partitioner=True))
