"""Transformations of any RDD: one node each, nothing is computed.

`zipWithIndex` is the exception that PySpark makes too: it counts the partitions before the last one, at the call, if
nobody knows how many records they have.
"""

from __future__ import annotations

import functools
import itertools
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar, cast

from rddlite.api import exchange
from rddlite.api.arguments import own_function, partitions, user_function
from rddlite.api.barrier import RDDBarrier
from rddlite.api.handle import Handle, T_co
from rddlite.api.unions import PendingUnion
from rddlite.base.callsite import call_site
from rddlite.lineage import taskside
from rddlite.lineage.consumers import Count
from rddlite.lineage.graph import ShuffleDependency
from rddlite.lineage.narrow import Coalesced, Pipelined
from rddlite.lineage.ops import Filter, FlatMap, FlatMapValues, Glom, KeyBy, Keys, Map, MapPartitions
from rddlite.lineage.partitioner import RoundRobin
from rddlite.lineage.results import ResultIterable
from rddlite.lineage.walk import known_sizes
from rddlite.lineage.wide import Shuffled
from rddlite.serde.hashing import stable_hash as portable_hash

if TYPE_CHECKING:
    from rddlite.api.rdd import RDD

T = TypeVar("T")
U = TypeVar("U")
K = TypeVar("K")


class Transforms(Handle[T_co]):
    """The mixin of `RDD` for transformations that look at records as a whole."""

    __slots__ = ()

    def map(self, f: Callable[[T_co], U], preservesPartitioning: bool = False) -> RDD[U]:
        """`f(x)` for each record `x`.

        Args:
            f: function of a record.
            preservesPartitioning: promise that `f` leaves the keys of pairs as they are, so that the partitioner stays.

        Raises:
            TypeError: if `f` cannot be called.

        >>> sc.parallelize(["a", "b"]).map(str.upper).collect()
        ['A', 'B']
        """
        site = call_site("map")
        return self._pipe(site, Map(user_function(f, site)), preservesPartitioning)

    def flatMap(self, f: Callable[[T_co], Iterable[U]], preservesPartitioning: bool = False) -> RDD[U]:
        """All items of the iterable `f(x)`, for each record `x`.

        Args:
            f: function of a record that returns any iterable; the job fails if it returns anything else.
            preservesPartitioning: promise that pairs stay in the partition of their key.

        Raises:
            TypeError: if `f` cannot be called.

        >>> sc.parallelize(["to be", "or not"]).flatMap(str.split).collect()
        ['to', 'be', 'or', 'not']
        """
        site = call_site("flatMap")
        return self._pipe(site, FlatMap(user_function(f, site)), preservesPartitioning)

    def filter(self, f: Callable[[T_co], Any]) -> RDD[T_co]:
        """The records for which `f(x)` is true. Keeps the partitioner.

        Raises:
            TypeError: if `f` cannot be called.

        >>> sc.range(6).filter(lambda x: x % 2).collect()
        [1, 3, 5]
        """
        site = call_site("filter")
        return self._pipe(site, Filter(user_function(f, site)), True)

    def mapPartitions(self, f: Callable[[Iterator[T_co]], Iterable[U]], preservesPartitioning: bool = False) -> RDD[U]:
        """The iterable `f(iterator over the partition)`, for each partition.

        Args:
            f: function of an iterator that returns an iterable (a list, a generator); the job fails if it returns None.
            preservesPartitioning: promise that pairs stay in the partition of their key.

        Raises:
            TypeError: if `f` cannot be called.

        >>> sc.parallelize([1, 2, 3, 4], 2).mapPartitions(lambda part: [sum(part)]).collect()
        [3, 7]
        """
        site = call_site("mapPartitions")
        return self._pipe(site, MapPartitions(user_function(f, site)), preservesPartitioning)

    def mapPartitionsWithIndex(
        self, f: Callable[[int, Iterator[T_co]], Iterable[U]], preservesPartitioning: bool = False
    ) -> RDD[U]:
        """The iterable `f(index of the partition, iterator over it)`, for each partition.

        Raises:
            TypeError: if `f` cannot be called.

        >>> sc.parallelize("abcd", 2).mapPartitionsWithIndex(lambda i, part: [(i, x) for x in part]).collect()
        [(0, 'a'), (0, 'b'), (1, 'c'), (1, 'd')]
        """
        site = call_site("mapPartitionsWithIndex")
        return self._pipe(site, MapPartitions(user_function(f, site), with_index=True), preservesPartitioning)

    def barrier(self) -> RDDBarrier[T_co]:
        """The same records for a barrier stage: all tasks of the next `mapPartitions` run at the same time, and can
        wait for each other and exchange messages. There must be a slot for each of them.

        >>> def exchange(part):
        ...     return [BarrierTaskContext.get().allGather(str(sum(part)))]
        >>> sc.range(4, numSlices=1).barrier().mapPartitions(exchange).collect()  # one text for each task
        [['6']]
        """
        return RDDBarrier(cast("RDD[T_co]", self))

    def mapPartitionsWithSplit(
        self, f: Callable[[int, Iterator[T_co]], Iterable[U]], preservesPartitioning: bool = False
    ) -> RDD[U]:
        """The old name of `mapPartitionsWithIndex`. Deprecated, as in PySpark.

        >>> sc.range(2, numSlices=2).mapPartitionsWithSplit(lambda i, part: [i]).collect()  # doctest: +SKIP
        [0, 1]
        """
        warnings.warn("mapPartitionsWithSplit is deprecated: use mapPartitionsWithIndex", FutureWarning, stacklevel=3)
        site = call_site("mapPartitionsWithSplit")
        return self._pipe(site, MapPartitions(user_function(f, site), with_index=True), preservesPartitioning)

    def glom(self) -> RDD[list[T_co]]:
        """One list for each partition, of all its records; empty partitions give empty lists.

        >>> sc.parallelize([1, 2, 3], 2).glom().collect()
        [[1], [2, 3]]
        """
        site = call_site("glom")
        return self._pipe(site, Glom(site))

    def keyBy(self, f: Callable[[T_co], K]) -> RDD[tuple[K, T_co]]:
        """`(f(x), x)` for each record `x`.

        Raises:
            TypeError: if `f` cannot be called.

        >>> sc.parallelize(["bee", "ox"]).keyBy(len).collect()
        [(3, 'bee'), (2, 'ox')]
        """
        site = call_site("keyBy")
        return self._pipe(site, KeyBy(user_function(f, site)))

    def groupBy(
        self,
        f: Callable[[T_co], K],
        numPartitions: int | None = None,
        partitionFunc: Callable[[K], int] = portable_hash,
    ) -> RDD[tuple[K, ResultIterable[T_co]]]:
        """`(key, all records x with f(x) == key)` for each key.

        Args:
            f: function of a record that gives its key.
            numPartitions: partitions of the result; by default as many as this RDD has (or `default.parallelism`).
            partitionFunc: places keys, by `partitionFunc(key) % numPartitions`.

        Raises:
            TypeError, ValueError: for arguments of the wrong kind or size.

        >>> grouped = sc.parallelize([1, 2, 3, 4, 5]).groupBy(lambda x: x % 2)
        >>> sorted((key, sorted(values)) for key, values in grouped.collect())
        [(0, [2, 4]), (1, [1, 3, 5])]
        """
        site = call_site("groupBy")
        keyed = Pipelined(site, self._node, KeyBy(user_function(f, site)))
        partitioner = exchange.partitioner_of(self._reduce_partitions(numPartitions, site), partitionFunc, site)
        return self._derive(exchange.grouped(keyed, partitioner, site))

    def distinct(self, numPartitions: int | None = None) -> RDD[T_co]:
        """Each record once, in no particular order. Records must be hashable.

        Args:
            numPartitions: partitions of the result; by default as many as this RDD has (or `default.parallelism`).

        Raises:
            TypeError, ValueError: for a count of the wrong kind or size.

        >>> sorted(sc.parallelize([3, 1, 3, 2, 1]).distinct().collect())
        [1, 2, 3]
        """
        site = call_site("distinct")
        n = self._reduce_partitions(numPartitions, site)
        return self._derive(exchange.distinct_records(self._node, n, site))

    def union(self: Handle[T], other: Handle[U]) -> RDD[T | U]:
        """The records of this RDD and then those of `other`, duplicates and all; the partitions add up.

        Two RDDs placed by the same partitioner are united partition by partition and stay so placed.

        Raises:
            TypeError: if `other` is no RDD.

        >>> sc.parallelize([1, 2]).union(sc.parallelize([2, 3])).collect()
        [1, 2, 2, 3]
        """
        site = call_site("union")
        return self._derive(PendingUnion(site, [self, self._other(other, site)]))

    def __add__(self: Handle[T], other: Handle[U]) -> RDD[T | U]:
        """The same as `union`.

        >>> (sc.parallelize([1]) + sc.parallelize([2])).collect()
        [1, 2]
        """
        site = call_site("+")
        return self._derive(PendingUnion(site, [self, self._other(other, site)]))

    def intersection(self: Handle[T], other: Handle[Any]) -> RDD[T]:
        """The records that are in both RDDs, each once, in no particular order.

        Raises:
            TypeError: if `other` is no RDD.

        >>> sorted(sc.parallelize([1, 1, 2, 3]).intersection(sc.parallelize([3, 1, 4])).collect())
        [1, 3]
        """
        site = call_site("intersection")
        sides = [self._derive(exchange.marked(side._node, site)) for side in (self, self._other(other, site))]
        both = exchange.cogrouped(sides, None, site)
        kept = Pipelined(site, both, Filter(own_function(taskside.is_in_both, site)), keeps_partitioner=True)
        return self._derive(Pipelined(site, kept, Keys(site)))

    def subtract(self: Handle[T], other: Handle[Any], numPartitions: int | None = None) -> RDD[T]:
        """The records of this RDD that are not in `other`; duplicates stay.

        Args:
            other: the records to leave out.
            numPartitions: partitions of the result; by default the sum of both (or `default.parallelism`).

        Raises:
            TypeError, ValueError: for arguments of the wrong kind or size.

        >>> sorted(sc.parallelize([1, 1, 2, 3]).subtract(sc.parallelize([2])).collect())
        [1, 1, 3]
        """
        site = call_site("subtract")
        sides = [self._derive(exchange.marked(side._node, site)) for side in (self, self._other(other, site))]
        groups = exchange.cogrouped(sides, numPartitions, site)
        left = FlatMapValues(own_function(taskside.left_only, site))
        return self._derive(Pipelined(site, Pipelined(site, groups, left), Keys(site)))

    def zipWithIndex(self) -> RDD[tuple[T_co, int]]:
        """`(x, number)` for each record, numbered in order from 0.

        Runs a job at the call if there is more than one partition: it counts all of them but the last. There is none
        where the numbers of records are known: in a `range`, and in what `map` and its like make of one.

        >>> sc.parallelize("abc", 2).zipWithIndex().collect()
        [('a', 0), ('b', 1), ('c', 2)]
        """
        site = call_site("zipWithIndex")
        before_last = range(self._n_partitions() - 1)
        counts = known_sizes(self._node)
        if counts is None:
            counts = self._run(Count(), site, before_last) if before_last else []
        starts = list(itertools.accumulate(counts, initial=0))
        number = own_function(functools.partial(taskside.number_from, starts), site)
        return self._pipe(site, MapPartitions(number, with_index=True))

    def coalesce(self, numPartitions: int, shuffle: bool = False) -> RDD[T_co]:
        """The same records in fewer partitions: neighbours are merged, and the order stays.

        Args:
            numPartitions: how many partitions to have at most; the number never grows without a shuffle.
            shuffle: spread the records anew instead, as `repartition` does.

        Raises:
            TypeError, ValueError: for a count of the wrong kind or size.

        >>> sc.parallelize([1, 2, 3, 4], 4).coalesce(2).glom().collect()
        [[1, 2], [3, 4]]
        """
        site = call_site("coalesce")
        n = partitions(numPartitions, site)
        if shuffle:
            return self._derive(Shuffled(site, ShuffleDependency(self._node, RoundRobin(n), site=site)))
        return self._derive(Coalesced(site, self._node, n))

    def repartition(self, numPartitions: int) -> RDD[T_co]:
        """The same records spread evenly over `numPartitions` partitions, by a shuffle.

        Raises:
            TypeError, ValueError: for a count of the wrong kind or size.

        >>> sc.parallelize(range(8), 2).repartition(4).getNumPartitions()
        4
        """
        site = call_site("repartition")
        n = partitions(numPartitions, site)
        return cast("RDD[T_co]", self._derive(Shuffled(site, ShuffleDependency(self._node, RoundRobin(n), site=site))))
