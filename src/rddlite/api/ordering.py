"""Sorting, and the smallest and largest records.

A sort by key cuts the keys into ranges of about equal size, by a sample, so that partitions are in order too; then each
partition is sorted, stably. Finding the ranges takes a job at the call, which samples.
"""

from __future__ import annotations

import functools
import heapq
import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from rddlite.api.arguments import check_callable, count, integer, own_function, user_function
from rddlite.api.exchange import partitioned, partitioner_of
from rddlite.api.handle import Handle, T_co
from rddlite.base.callsite import CallSite, call_site
from rddlite.base.sampling import quantiles
from rddlite.lineage import taskside
from rddlite.lineage.consumers import Apply, Sample
from rddlite.lineage.graph import Node, ShuffleDependency
from rddlite.lineage.idioms import unary
from rddlite.lineage.narrow import Coalesced, Pipelined
from rddlite.lineage.ops import KeyBy, Keys, Map, Op, UserFunction, Values
from rddlite.lineage.ordered import Order, SortedInPlace
from rddlite.lineage.partitioner import RangePartitioner
from rddlite.lineage.taskside import identity
from rddlite.lineage.wide import Shuffled
from rddlite.serde.hashing import stable_hash as portable_hash

if TYPE_CHECKING:
    from rddlite.api.rdd import RDD

T = TypeVar("T")
K = TypeVar("K")
V = TypeVar("V")

_SAMPLES = 2000
"""So many records are sampled at least, so that few partitions are of about the same size."""
_SAMPLES_PER_PARTITION = 20
_PARTS, _PARTS_IN_ALL = 8, 64
"""So many parts has each partition, at most, and all of them: large ones are sorted part by part."""
_SAMPLE_SEED = 1


class Ordering(Handle[T_co]):
    """The mixin of `RDD` for order."""

    __slots__ = ()

    def sortByKey(
        self: Handle[tuple[K, V]],
        ascending: bool = True,
        numPartitions: int | None = None,
        keyfunc: Callable[[K], Any] = identity,
    ) -> RDD[tuple[K, V]]:
        """The pairs sorted by key, within partitions and across them. Pairs with equal keys keep their order.

        A job at the call samples the keys, unless the result has one partition only. An empty RDD is
        returned itself.

        Args:
            ascending: False for the largest key first.
            numPartitions: partitions of the result, always exactly as many; by default as many as this RDD has (or
                `default.parallelism`).
            keyfunc: what to sort by, of each key.

        Raises:
            TypeError: for arguments of the wrong kind, or for keys that cannot be compared.
            ValueError: if `numPartitions` is less than 1.

        >>> sc.parallelize([("b", 1), ("a", 2), ("c", 3)]).sortByKey().collect()
        [('a', 2), ('b', 1), ('c', 3)]
        """
        site = call_site("sortByKey")
        check_callable(keyfunc, site, "keyfunc")
        function = None if keyfunc is identity else user_function(keyfunc, site, "keyfunc")
        n = self._reduce_partitions(numPartitions, site)
        ordered = _sorted(self, n, Order(not ascending, function), (Keys(site),), site)
        return self if ordered is None else self._derive(ordered)  # type: ignore[return-value]

    def sortBy(
        self: Handle[T], keyfunc: Callable[[T], Any], ascending: bool = True, numPartitions: int | None = None
    ) -> RDD[T]:
        """The records sorted by `keyfunc(x)`; those with equal keys keep their order. See `sortByKey`.

        Raises:
            TypeError: for arguments of the wrong kind, or for keys that cannot be compared.
            ValueError: if `numPartitions` is less than 1.

        >>> sc.parallelize(["pear", "fig", "apple"]).sortBy(len).collect()
        ['fig', 'pear', 'apple']
        """
        site = call_site("sortBy")
        function = user_function(keyfunc, site, "keyfunc")
        n = self._reduce_partitions(numPartitions, site)
        if unary(keyfunc) == "identity":
            ordered = _sorted(self, n, Order(not ascending, keyed=False), (), site)
            return self._derive(self._node if ordered is None else ordered)
        if n <= 1:
            return self._derive(_sorted_in_one(self, Order(not ascending, function, keyed=False), site))
        bounds = _bounds(self, n, None, (Map(function),), site)
        ordered = _ranged(self._pipe(site, KeyBy(function))._node, n, bounds, Order(not ascending), site)
        return self._derive(self._node if ordered is None else Pipelined(site, ordered, Values(site)))

    def repartitionAndSortWithinPartitions(
        self: Handle[tuple[K, V]],
        numPartitions: int | None = None,
        partitionFunc: Callable[[K], int] = portable_hash,
        ascending: bool = True,
        keyfunc: Callable[[K], Any] = identity,
    ) -> RDD[tuple[K, V]]:
        """The pairs placed by key as by `partitionBy`, and sorted by key within each partition, stably. Runs no job.

        Args:
            numPartitions: partitions of the result; by default as many as this RDD has (or `default.parallelism`).
            partitionFunc: places keys, by `partitionFunc(key) % numPartitions`.
            ascending: False for the largest key first.
            keyfunc: what to sort by, of each key.

        Raises:
            TypeError, ValueError: for arguments of the wrong kind or size.

        >>> pairs = sc.parallelize([(0, 5), (3, 8), (2, 6), (0, 8), (3, 8), (1, 3)])
        >>> pairs.repartitionAndSortWithinPartitions(2, lambda key: key % 2).glom().collect()
        [[(0, 5), (0, 8), (2, 6)], [(1, 3), (3, 8), (3, 8)]]
        """
        site = call_site("repartitionAndSortWithinPartitions")
        check_callable(keyfunc, site, "keyfunc")
        partitioner = partitioner_of(self._reduce_partitions(numPartitions, site), partitionFunc, site)
        if keyfunc is identity and self._partitioner != partitioner:
            dep = ShuffleDependency(self._node, partitioner, key_order="asc" if ascending else "desc", site=site)
            return self._derive(Shuffled(site, dep))
        function = None if keyfunc is identity else user_function(keyfunc, site, "keyfunc")
        placed = partitioned(self._node, partitioner, site)
        return self._derive(SortedInPlace(site, placed, Order(not ascending, function)))

    def top(self: Handle[T], num: int, key: Callable[[T], Any] | None = None) -> list[T]:
        """The `num` largest records (by `key(x)` where given), the largest first; none for 0 and less, as in PySpark.

        Raises:
            TypeError, ValueError: for arguments of the wrong kind or size.
            JobFailed: if the job fails.

        >>> sc.parallelize([10, 4, 2, 12, 3]).top(2)
        [12, 10]
        >>> sc.parallelize([10, 4, 2, 12, 3]).top(2, key=str)
        [4, 3]
        """
        site = call_site("top")
        return _extreme(self, integer(num, site, "num"), key, site, taskside.largest, heapq.nlargest)

    def takeOrdered(self: Handle[T], num: int, key: Callable[[T], Any] | None = None) -> list[T]:
        """The `num` smallest records (by `key(x)` where given), the smallest first.

        Raises:
            TypeError, ValueError: for arguments of the wrong kind or size.
            JobFailed: if the job fails.

        >>> sc.parallelize([10, 1, 2, 9, 3]).takeOrdered(3)
        [1, 2, 3]
        >>> sc.parallelize([10, 1, 2, 9, 3]).takeOrdered(2, key=lambda x: -x)
        [10, 9]
        """
        site = call_site("takeOrdered")
        return _extreme(self, count(num, site, "num", 0), key, site, taskside.smallest, heapq.nsmallest)


def _sorted(handle: Handle[Any], n: int, order: Order, ops: tuple[Op, ...], site: CallSite) -> Node | None:
    """The sorted records, or None if there are none. `ops` make keys of them."""
    if n <= 1:
        return _sorted_in_one(handle, order, site)
    return _ranged(handle._node, n, _bounds(handle, n, order.keyfunc, ops, site), order, site)


def _ranged(node: Node, n: int, bounds: list[Any] | None, order: Order, site: CallSite) -> Node | None:
    """The records of a node in ranges between the bounds; None where there are no bounds, as there are no records."""
    if bounds is None:
        return None
    ascending, n_parts = not order.descending, (len(bounds) + 1) // n
    partitioner = RangePartitioner(n, bounds, ascending, order.keyfunc, order.keyed, n_parts)
    key_order = "desc" if order.descending else "asc"
    return Shuffled(site, ShuffleDependency(node, partitioner, key_order=key_order, site=site))  # type: ignore[arg-type]


def _sorted_in_one(handle: Handle[Any], order: Order, site: CallSite) -> Node:
    node = handle._node
    if handle._n_partitions() > 1:
        node = Coalesced(site, node, 1)
    return SortedInPlace(site, node, order)


def _bounds(
    handle: Handle[Any], n: int, function: UserFunction | None, ops: tuple[Op, ...], site: CallSite
) -> list[Any] | None:
    """What the parts of all partitions but the last end with, by `keyfunc`, in ascending order; None if there are no
    records.
    """
    size = -(-max(_SAMPLES, _SAMPLES_PER_PARTITION * n) // max(1, handle._n_partitions()))
    parts = handle._run(Sample(max(size, _SAMPLES_PER_PARTITION), _SAMPLE_SEED, ops), site)
    if not any(count for count, _ in parts):
        return None
    keyfunc = function.call if function is not None else identity
    keys = [keyfunc(key) for _, sample in parts for key in sample]
    weights = [count / len(sample) for count, sample in parts for _ in sample]
    return quantiles(keys, weights, n * max(1, min(_PARTS, _PARTS_IN_ALL // n)))


def _extreme(
    handle: Handle[Any],
    n: int,
    key: Callable[[Any], Any] | None,
    site: CallSite,
    of_partition: Callable[..., list[Any]],
    of_all: Callable[..., list[Any]],
) -> list[Any]:
    if key is not None:
        check_callable(key, site, "key")
    if n <= 0:
        return []
    parts = handle._run(Apply(own_function(functools.partial(of_partition, n, key), site, key)), site)
    return of_all(n, itertools.chain.from_iterable(parts), key)
