"""Transformations of RDDs of pairs `(key, value)`.

Whatever brings the values of a key together takes `numPartitions` (by default what `default.parallelism` says where it
is set, else the number of partitions of the parent; of all parents together where there are several) and, as in
PySpark, a `partitionFunc`. The result is placed by key: another such operation with the same partitioner needs no
shuffle.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

from rddlite.api import exchange
from rddlite.api.arguments import own_function, pickled_zero, user_function
from rddlite.api.handle import Handle, T_co
from rddlite.base.callsite import CallSite, call_site
from rddlite.lineage import taskside
from rddlite.lineage.aggregator import Aggregator
from rddlite.lineage.narrow import Pipelined
from rddlite.lineage.ops import FlatMapValues, Keys, MapValues, Values
from rddlite.lineage.results import ResultIterable
from rddlite.serde.hashing import stable_hash as portable_hash

if TYPE_CHECKING:
    from rddlite.api.rdd import RDD

K = TypeVar("K")
V = TypeVar("V")
W = TypeVar("W")
U = TypeVar("U")


class Pairs(Handle[T_co]):
    """The mixin of `RDD` for records that are pairs."""

    __slots__ = ()

    # One pair at a time

    def keys(self: Handle[tuple[K, Any]]) -> RDD[K]:
        """The key of each pair.

        >>> sc.parallelize([("a", 1), ("b", 2)]).keys().collect()
        ['a', 'b']
        """
        site = call_site("keys")
        return self._pipe(site, Keys(site))

    def values(self: Handle[tuple[Any, V]]) -> RDD[V]:
        """The value of each pair.

        >>> sc.parallelize([("a", 1), ("b", 2)]).values().collect()
        [1, 2]
        """
        site = call_site("values")
        return self._pipe(site, Values(site))

    def mapValues(self: Handle[tuple[K, V]], f: Callable[[V], U]) -> RDD[tuple[K, U]]:
        """`(key, f(value))` for each pair. Keeps the partitioner.

        Raises:
            TypeError: if `f` cannot be called.

        >>> sc.parallelize([("a", 1), ("b", 2)]).mapValues(lambda v: v * 10).collect()
        [('a', 10), ('b', 20)]
        """
        site = call_site("mapValues")
        return self._pipe(site, MapValues(user_function(f, site)), True)

    def flatMapValues(self: Handle[tuple[K, V]], f: Callable[[V], Iterable[U]]) -> RDD[tuple[K, U]]:
        """`(key, item)` for each item of the iterable `f(value)`, for each pair. Keeps the partitioner.

        Raises:
            TypeError: if `f` cannot be called.

        >>> sc.parallelize([("a", "xy"), ("b", "z")]).flatMapValues(list).collect()
        [('a', 'x'), ('a', 'y'), ('b', 'z')]
        """
        site = call_site("flatMapValues")
        return self._pipe(site, FlatMapValues(user_function(f, site)), True)

    # All values of a key

    def partitionBy(
        self: Handle[tuple[K, V]], numPartitions: int | None, partitionFunc: Callable[[K], int] = portable_hash
    ) -> RDD[tuple[K, V]]:
        """The same pairs, placed by key in partition `partitionFunc(key) % numPartitions`.

        Returns this RDD itself if it is placed so already.

        Args:
            numPartitions: how many partitions; None for the default.
            partitionFunc: gives an int for a key; by default a hash that is equal in all processes.

        Raises:
            TypeError, ValueError: for arguments of the wrong kind or size.

        >>> sc.parallelize([(1, "a"), (2, "b"), (3, "c")]).partitionBy(2).glom().collect()
        [[(2, 'b')], [(1, 'a'), (3, 'c')]]
        """
        site = call_site("partitionBy")
        partitioner = exchange.partitioner_of(self._reduce_partitions(numPartitions, site), partitionFunc, site)
        if self._partitioner == partitioner:
            return self  # type: ignore[return-value]
        return self._derive(exchange.partitioned(self._node, partitioner, site))

    def reduceByKey(
        self: Handle[tuple[K, V]],
        func: Callable[[V, V], V],
        numPartitions: int | None = None,
        partitionFunc: Callable[[K], int] = portable_hash,
    ) -> RDD[tuple[K, V]]:
        """`(key, value)` for each key, its values combined two at a time by `func`.

        Values are combined within the tasks that make them first, so that little is exchanged.

        Args:
            func: combines two values; should be associative and commutative.
            numPartitions: partitions of the result.
            partitionFunc: places keys.

        Raises:
            TypeError, ValueError: for arguments of the wrong kind or size.

        >>> sorted(sc.parallelize([("a", 1), ("b", 1), ("a", 5)]).reduceByKey(add).collect())
        [('a', 6), ('b', 1)]
        """
        site = call_site("reduceByKey")
        function = user_function(func, site, "func")
        return _combine(self, site, Aggregator(None, function, function), numPartitions, partitionFunc)

    def combineByKey(
        self: Handle[tuple[K, V]],
        createCombiner: Callable[[V], U],
        mergeValue: Callable[[U, V], U],
        mergeCombiners: Callable[[U, U], U],
        numPartitions: int | None = None,
        partitionFunc: Callable[[K], int] = portable_hash,
    ) -> RDD[tuple[K, U]]:
        """`(key, combined value)` for each key: the general form of reduceByKey and its kin.

        Args:
            createCombiner: starts a combined value from the first value of a key.
            mergeValue: adds a value to a combined value.
            mergeCombiners: joins two combined values.
            numPartitions: partitions of the result.
            partitionFunc: places keys.

        Raises:
            TypeError, ValueError: for arguments of the wrong kind or size.

        >>> pairs = sc.parallelize([("a", 1), ("b", 1), ("a", 2)], 1)
        >>> sorted(pairs.combineByKey(lambda v: [v], lambda values, v: [*values, v], add).collect())
        [('a', [1, 2]), ('b', [1])]
        """
        site = call_site("combineByKey")
        aggregator = Aggregator(
            user_function(createCombiner, site, "createCombiner"),
            user_function(mergeValue, site, "mergeValue"),
            user_function(mergeCombiners, site, "mergeCombiners"),
        )
        return _combine(self, site, aggregator, numPartitions, partitionFunc)

    def aggregateByKey(
        self: Handle[tuple[K, V]],
        zeroValue: U,
        seqFunc: Callable[[U, V], U],
        combFunc: Callable[[U, U], U],
        numPartitions: int | None = None,
        partitionFunc: Callable[[K], int] = portable_hash,
    ) -> RDD[tuple[K, U]]:
        """`(key, combined value)` for each key, starting from `zeroValue`.

        Args:
            zeroValue: what each key starts from in each partition; every one gets a copy of its own.
            seqFunc: adds a value to a combined value; may change and return its first argument.
            combFunc: joins two combined values; may change and return its first argument.
            numPartitions: partitions of the result.
            partitionFunc: places keys.

        Raises:
            TypeError, ValueError: for arguments of the wrong kind or size.
            NotPicklable: if the zero cannot be pickled.

        >>> pairs = sc.parallelize([("a", 1), ("b", 2), ("a", 3)])
        >>> sorted(pairs.aggregateByKey(0, lambda acc, v: max(acc, v), max).collect())
        [('a', 3), ('b', 2)]
        """
        site = call_site("aggregateByKey")
        aggregator = Aggregator(
            None,
            user_function(seqFunc, site, "seqFunc"),
            user_function(combFunc, site, "combFunc"),
            zero=pickled_zero(zeroValue, site),
        )
        return _combine(self, site, aggregator, numPartitions, partitionFunc)

    def foldByKey(
        self: Handle[tuple[K, V]],
        zeroValue: V,
        func: Callable[[V, V], V],
        numPartitions: int | None = None,
        partitionFunc: Callable[[K], int] = portable_hash,
    ) -> RDD[tuple[K, V]]:
        """`(key, value)` for each key, its values combined by `func`, starting from `zeroValue`.

        The zero counts once for each key in each partition, so it should change nothing (0 for a sum).

        Raises:
            TypeError, ValueError: for arguments of the wrong kind or size.
            NotPicklable: if the zero cannot be pickled.

        >>> sorted(sc.parallelize([("a", 1), ("b", 1), ("a", 1)]).foldByKey(0, add).collect())
        [('a', 2), ('b', 1)]
        """
        site = call_site("foldByKey")
        function = user_function(func, site, "func")
        zero = pickled_zero(zeroValue, site)
        return _combine(self, site, Aggregator(None, function, function, zero), numPartitions, partitionFunc)

    def groupByKey(
        self: Handle[tuple[K, V]],
        numPartitions: int | None = None,
        partitionFunc: Callable[[K], int] = portable_hash,
    ) -> RDD[tuple[K, ResultIterable[V]]]:
        """`(key, all its values)` for each key. To reduce the values to one, `reduceByKey` exchanges far less.

        Raises:
            TypeError, ValueError: for arguments of the wrong kind or size.

        >>> grouped = sc.parallelize([("a", 1), ("b", 1), ("a", 2)]).groupByKey()
        >>> sorted((key, sorted(values)) for key, values in grouped.collect())
        [('a', [1, 2]), ('b', [1])]
        """
        site = call_site("groupByKey")
        partitioner = exchange.partitioner_of(self._reduce_partitions(numPartitions, site), partitionFunc, site)
        return self._derive(exchange.grouped(self._node, partitioner, site))

    # Several RDDs

    def cogroup(
        self: Handle[tuple[K, V]], other: Handle[tuple[K, W]], numPartitions: int | None = None
    ) -> RDD[tuple[K, tuple[ResultIterable[V], ResultIterable[W]]]]:
        """`(key, (its values here, its values in other))` for each key of either RDD.

        Raises:
            TypeError, ValueError: for arguments of the wrong kind or size.

        >>> left, right = sc.parallelize([("a", 1), ("b", 4)]), sc.parallelize([("a", 2)])
        >>> sorted((key, list(here), list(there)) for key, (here, there) in left.cogroup(right).collect())
        [('a', [1], [2]), ('b', [4], [])]
        """
        site = call_site("cogroup")
        return _cogroup([self, self._other(other, site)], numPartitions, site)

    def groupWith(
        self: Handle[tuple[K, Any]], other: Handle[tuple[K, Any]], *others: Handle[tuple[K, Any]]
    ) -> RDD[tuple[K, tuple[ResultIterable[Any], ...]]]:
        """`(key, (its values here, in other, in the first of others, ...))` for each key of any of the RDDs.

        Raises:
            TypeError: if one of the others is no RDD.

        >>> w, x, y = (sc.parallelize([("a", n)]) for n in range(3))
        >>> [(key, [list(group) for group in groups]) for key, groups in w.groupWith(x, y).collect()]
        [('a', [[0], [1], [2]])]
        """
        site = call_site("groupWith")
        return _cogroup([self, *self._others((other, *others), site)], None, site)

    def subtractByKey(
        self: Handle[tuple[K, V]], other: Handle[tuple[K, Any]], numPartitions: int | None = None
    ) -> RDD[tuple[K, V]]:
        """The pairs whose key is not in `other`.

        Raises:
            TypeError, ValueError: for arguments of the wrong kind or size.

        >>> left, right = sc.parallelize([("a", 1), ("b", 4), ("b", 5)]), sc.parallelize([("a", 3)])
        >>> sorted(left.subtractByKey(right).collect())
        [('b', 4), ('b', 5)]
        """
        site = call_site("subtractByKey")
        groups = exchange.cogrouped([self, self._other(other, site)], numPartitions, site)
        left = FlatMapValues(own_function(taskside.left_only, site))
        return self._derive(Pipelined(site, groups, left, keeps_partitioner=True))


def _combine(
    handle: Handle[Any],
    site: CallSite,
    aggregator: Aggregator,
    n: int | None,
    partition_func: Callable[[Any], int],
) -> RDD[Any]:
    partitioner = exchange.partitioner_of(handle._reduce_partitions(n, site), partition_func, site)
    return handle._derive(exchange.combined(handle._node, partitioner, aggregator, site))


def _cogroup(handles: list[Handle[Any]], n: int | None, site: CallSite) -> RDD[Any]:
    groups = exchange.cogrouped(handles, n, site)
    results = MapValues(own_function(taskside.as_results, site))
    return handles[0]._derive(Pipelined(site, groups, results, keeps_partitioner=True))
