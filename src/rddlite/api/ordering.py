"""Sorting, and the smallest and largest records.

A sort by key cuts the keys into ranges of about equal size, by a sample, so that partitions are in order too; then each
partition is sorted, stably. Finding the ranges takes two jobs at the call, as in PySpark: one counts, one samples.
"""

from __future__ import annotations

import functools
import heapq
import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from rddlite.api.arguments import check_callable, count, own_function, user_function
from rddlite.api.handle import Handle, T_co
from rddlite.base.callsite import CallSite, call_site
from rddlite.base.sampling import sample_keys
from rddlite.lineage import taskside
from rddlite.lineage.consumers import Apply, Count
from rddlite.lineage.graph import Node, ShuffleDependency
from rddlite.lineage.narrow import Coalesced, Pipelined
from rddlite.lineage.ops import KeyBy, MapPartitions, UserFunction, Values
from rddlite.lineage.partitioner import RangePartitioner
from rddlite.lineage.taskside import identity
from rddlite.lineage.wide import Shuffled

if TYPE_CHECKING:
    from rddlite.api.rdd import RDD

T = TypeVar("T")
K = TypeVar("K")
V = TypeVar("V")

_SAMPLES_PER_PARTITION = 20.0
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

        Counts and samples the keys at the call, unless the result has one partition only. An empty RDD is returned
        itself.

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
        n = self._reduce_partitions(numPartitions, site)
        ordered = _sorted_by_key(self, n, bool(ascending), keyfunc, site)
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
        keyed = self._pipe(site, KeyBy(user_function(keyfunc, site, "keyfunc")))
        n = self._reduce_partitions(numPartitions, site)
        ordered = _sorted_by_key(keyed, n, bool(ascending), identity, site)
        return self._derive(Pipelined(site, keyed._node if ordered is None else ordered, Values(site)))

    def top(self: Handle[T], num: int, key: Callable[[T], Any] | None = None) -> list[T]:
        """The `num` largest records (by `key(x)` where given), the largest first.

        Raises:
            TypeError, ValueError: for arguments of the wrong kind or size.
            JobFailed: if the job fails.

        >>> sc.parallelize([10, 4, 2, 12, 3]).top(2)
        [12, 10]
        >>> sc.parallelize([10, 4, 2, 12, 3]).top(2, key=str)
        [4, 3]
        """
        return _extreme(self, num, key, call_site("top"), taskside.largest, heapq.nlargest)

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
        return _extreme(self, num, key, call_site("takeOrdered"), taskside.smallest, heapq.nsmallest)


def _sorted_by_key(
    handle: Handle[Any], n: int, ascending: bool, keyfunc: Callable[[Any], Any], site: CallSite
) -> Node | None:
    """The sorted pairs, or None if there are none."""
    function = None if keyfunc is identity else user_function(keyfunc, site, "keyfunc")
    if n <= 1:
        return _sorted_in_one(handle, ascending, function, site)
    size = sum(handle._run(Count(), site))
    if size == 0:
        return None
    bounds = _bounds(handle, n, min(_SAMPLES_PER_PARTITION * n / size, 1.0), keyfunc, site)
    partitioner = RangePartitioner(n, bounds, ascending, function)
    order = "asc" if ascending else "desc"
    return Shuffled(site, ShuffleDependency(handle._node, partitioner, key_order=order, site=site))  # type: ignore[arg-type]


def _sorted_in_one(handle: Handle[Any], ascending: bool, function: UserFunction | None, site: CallSite) -> Node:
    node = handle._node
    if handle._n_partitions() > 1:
        node = Coalesced(site, node, 1)
    keyfunc = function.call if function is not None else None
    whole = functools.partial(taskside.sort_in_place, keyfunc, not ascending)
    return Pipelined(site, node, MapPartitions(own_function(whole, site, keyfunc)), keeps_partitioner=True)


def _bounds(handle: Handle[Any], n: int, fraction: float, keyfunc: Callable[[Any], Any], site: CallSite) -> list[Any]:
    """What the partitions but the last end with, by `keyfunc`, in ascending order."""
    sample = own_function(functools.partial(sample_keys, fraction, _SAMPLE_SEED), site)
    parts = handle._run(Apply(sample, with_index=True), site)
    values = sorted([keyfunc(key) for part in parts for key in part])
    return [values[len(values) * (i + 1) // n] for i in range(n - 1)] if values else []


def _extreme(
    handle: Handle[Any],
    num: int,
    key: Callable[[Any], Any] | None,
    site: CallSite,
    of_partition: Callable[..., list[Any]],
    of_all: Callable[..., list[Any]],
) -> list[Any]:
    n = count(num, site, "num", 0)
    if key is not None:
        check_callable(key, site, "key")
    if n == 0:
        return []
    parts = handle._run(Apply(own_function(functools.partial(of_partition, n, key), site, key)), site)
    return of_all(n, itertools.chain.from_iterable(parts), key)
