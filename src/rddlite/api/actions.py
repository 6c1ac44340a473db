"""Actions: they run a job and give its result to the driver, or run it for its side effects.

Results keep the order of partitions, whichever finished first. Every action can raise `JobFailed` (the user's exception
is its cause), `JobCancelled`, `ResultTooLarge` and what `errors.ClusterError` covers.
"""

from __future__ import annotations

import functools
import itertools
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from rddlite.api.arguments import check_callable, integer, own_function, pickled_zero, user_function
from rddlite.api.handle import Handle, T_co
from rddlite.api.streaming import stream, stream_ahead
from rddlite.base.callsite import CallSite, call_site
from rddlite.lineage import taskside
from rddlite.lineage.consumers import Apply, Collect, Count, CountEach, Fold, Foreach, Reduce, Take
from rddlite.lineage.narrow import Pipelined
from rddlite.lineage.ops import Filter, Keys, Values
from rddlite.lineage.partitioner import FunctionPartitioner, HashPartitioner
from rddlite.lineage.sources import Range
from rddlite.serde.closures import loads
from rddlite.serde.hashing import is_certain

T = TypeVar("T")
U = TypeVar("U")
K = TypeVar("K")
V = TypeVar("V")


class Actions(Handle[T_co]):
    """The mixin of `RDD` for actions on any records, and on pairs."""

    __slots__ = ()

    def collect(self: Handle[T]) -> list[T]:
        """All records as a list.

        Raises:
            ResultTooLarge: if they are more than `driver.maxResultSize`.
            JobFailed: if the job fails.

        >>> sc.range(4).collect()
        [0, 1, 2, 3]
        """
        return _joined(self._run(Collect(), call_site("collect")))

    def collectAsMap(self: Handle[tuple[K, V]]) -> dict[K, V]:
        """All pairs as a dict; the last value of a key wins.

        Raises:
            ResultTooLarge: if they are more than `driver.maxResultSize`.
            JobFailed: if the job fails.

        >>> sc.parallelize([(1, 2), (3, 4), (1, 5)]).collectAsMap()
        {1: 5, 3: 4}
        """
        return dict(_joined(self._run(Collect(), call_site("collectAsMap"))))

    def count(self) -> int:
        """The number of records.

        Raises:
            JobFailed: if the job fails.

        >>> sc.parallelize("abc").count()
        3
        """
        return sum(self._run(Count(), call_site("count")))

    def countByValue(self: Handle[K]) -> defaultdict[K, int]:
        """How often each record occurs, as a dict in which a missing record reads 0. Counts within tasks first.

        Each task holds the counts of its records in memory, the driver all of them. Where there may be more records
        than that, `map(lambda x: (x, 1)).reduceByKey(add)` has the counts as an RDD, and spills.

        Raises:
            ResultTooLarge: if the counts are more than `driver.maxResultSize`.
            JobFailed: if the job fails, for instance because a record is not hashable.

        >>> sorted(sc.parallelize([1, 2, 1, 2, 2]).countByValue().items())
        [(1, 2), (2, 3)]
        """
        return _count_values(self, call_site("countByValue"))

    def countByKey(self: Handle[tuple[K, Any]]) -> defaultdict[K, int]:
        """How many pairs each key has, as a dict in which a missing key reads 0. Counts within tasks first.

        Each task holds the counts of its keys in memory, the driver all of them. Where there may be more keys than
        that, `mapValues(lambda _: 1).reduceByKey(add)` has the counts as an RDD, and spills.

        Raises:
            ResultTooLarge: if the counts are more than `driver.maxResultSize`.
            JobFailed: if the job fails, for instance because a key is not hashable.

        >>> sorted(sc.parallelize([("a", 1), ("b", 1), ("a", 1)]).countByKey().items())
        [('a', 2), ('b', 1)]
        """
        site = call_site("countByKey")
        return _count_values(self._pipe(site, Keys(site)), site)

    def reduceByKeyLocally(self: Handle[tuple[K, V]], func: Callable[[V, V], V]) -> dict[K, V]:
        """One value for each key, its values combined two at a time by `func`, as a dict on the driver.

        Values are combined within tasks first; there is no shuffle.

        Raises:
            TypeError: if `func` cannot be called.
            JobFailed: if the job fails, for instance because a key is not hashable.

        >>> sorted(sc.parallelize([("a", 1), ("b", 1), ("a", 1)]).reduceByKeyLocally(add).items())
        [('a', 2), ('b', 1)]
        """
        site = call_site("reduceByKeyLocally")
        check_callable(func, site, "func")
        parts = self._run(Apply(own_function(functools.partial(taskside.reduce_values, func), site, func)), site)
        merged: dict[K, V] = taskside.reduce_values(func, (pair for part in parts for pair in part.items()))
        return merged

    def collectWithJobGroup(
        self: Handle[T], groupId: str, description: str, interruptOnCancel: bool = False
    ) -> list[T]:
        """All records as a list, collected in a job group. Deprecated, as in PySpark: `with sc.jobGroup(...)` does it
        for any action.

        Raises:
            JobCancelled: if the group is cancelled.

        >>> sc.range(3).collectWithJobGroup("nightly", "the nightly list")  # doctest: +SKIP
        [0, 1, 2]
        """
        warnings.warn("collectWithJobGroup is deprecated: use jobGroup() and collect()", FutureWarning, stacklevel=3)
        with self._context.jobGroup(groupId, description, interruptOnCancel):
            return _joined(self._run(Collect(), call_site("collectWithJobGroup")))

    def first(self: Handle[T]) -> T:
        """The first record.

        Raises:
            ValueError: if there is none.
            JobFailed: if the job fails.

        >>> sc.parallelize([2, 3, 4]).first()
        2
        """
        found = _take(self, 1, call_site("first"))
        if not found:
            raise ValueError("first: the RDD is empty")
        return found[0]

    def take(self: Handle[T], num: int) -> list[T]:
        """The first `num` records, or all if there are fewer; none for 0 and less, as in PySpark.

        Looks at one partition first and at more only if it needs to; computes no more records than it needs.

        Raises:
            TypeError, ValueError: for a count of the wrong kind or size.
            JobFailed: if the job fails.

        >>> sc.range(1_000_000, numSlices=100).take(3)
        [0, 1, 2]
        """
        site = call_site("take")
        return _take(self, integer(num, site, "num"), site)

    def isEmpty(self) -> bool:
        """Whether there is no record. Computes no more than it needs to know.

        Raises:
            JobFailed: if the job fails.

        >>> sc.emptyRDD().isEmpty(), sc.range(1).isEmpty()
        (True, False)
        """
        return not _take(self, 1, call_site("isEmpty"))

    def reduce(self: Handle[T], f: Callable[[T, T], T]) -> T:
        """All records combined two at a time by `f`, in their order: within partitions, then across them.

        Args:
            f: combines two records; should be associative.

        Raises:
            TypeError: if `f` cannot be called.
            ValueError: if there is no record.
            JobFailed: if the job fails.

        >>> sc.parallelize([1, 2, 3, 4]).reduce(add)
        10
        """
        site = call_site("reduce")
        parts: list[list[T]] = self._run(Reduce(user_function(f, site)), site)
        return _reduced(f, parts, site)

    def fold(self: Handle[T], zeroValue: T, op: Callable[[T, T], T]) -> T:
        """All records combined two at a time by `op`, starting from `zeroValue`.

        The zero counts once for each partition and once more for joining them, so it should change nothing.

        Args:
            zeroValue: where each partition starts; every task gets a copy of its own.
            op: combines two values; may change and return its first argument.

        Raises:
            TypeError: if `op` cannot be called.
            NotPicklable: if the zero cannot be pickled.
            JobFailed: if the job fails.

        >>> sc.parallelize([1, 2, 3]).fold(0, add)
        6
        """
        site = call_site("fold")
        zero = pickled_zero(zeroValue, site)
        parts = self._run(Fold(zero, user_function(op, site, "op")), site)
        start: T = loads(zero)
        return functools.reduce(op, parts, start)

    def aggregate(self: Handle[T], zeroValue: U, seqOp: Callable[[U, T], U], combOp: Callable[[U, U], U]) -> U:
        """All records added to a value that starts as `zeroValue`.

        Args:
            zeroValue: where each partition starts, and the joining of them; every task gets a copy of its own.
            seqOp: adds a record; may change and return its first argument.
            combOp: joins the values of two partitions; may change and return its first argument.

        Raises:
            TypeError: if an operation cannot be called.
            NotPicklable: if the zero cannot be pickled.
            JobFailed: if the job fails.

        >>> sc.parallelize(["to", "be"]).aggregate(0, lambda letters, word: letters + len(word), add)
        4
        """
        site = call_site("aggregate")
        check_callable(combOp, site, "combOp")
        zero = pickled_zero(zeroValue, site)
        parts = self._run(Fold(zero, user_function(seqOp, site, "seqOp")), site)
        start: U = loads(zero)
        return functools.reduce(combOp, parts, start)

    def foreach(self: Handle[T], f: Callable[[T], Any]) -> None:
        """Call `f` with each record, in the tasks, for its side effects.

        Raises:
            TypeError: if `f` cannot be called.
            JobFailed: if the job fails.

        >>> sc.parallelize([1, 2]).foreach(lambda x: None)
        """
        site = call_site("foreach")
        self._run(Foreach(user_function(f, site)), site)

    def foreachPartition(self: Handle[T], f: Callable[[Iterator[T]], Any]) -> None:
        """Call `f` with an iterator over each partition, in the tasks, for its side effects.

        What `f` returns is forgotten; a generator is run to its end.

        Raises:
            TypeError: if `f` cannot be called.
            JobFailed: if the job fails.

        >>> sc.parallelize([1, 2], 2).foreachPartition(lambda part: sum(part))
        """
        site = call_site("foreachPartition")
        check_callable(f, site)
        self._run(Apply(own_function(functools.partial(taskside.drain, f), site, f), for_effect=True), site)

    def toLocalIterator(self: Handle[T], prefetchPartitions: bool = False) -> Iterator[T]:
        """An iterator over all records, that holds one partition at a time (with prefetching: two).

        Each partition is a job of its own, which runs when the iterator comes to it.

        Args:
            prefetchPartitions: compute the next partition while this one is being consumed.

        Raises:
            JobFailed: when the iterator comes to a partition whose job fails.

        >>> sum(sc.range(10).toLocalIterator())
        45
        """
        site = call_site("toLocalIterator")
        indices = range(self._n_partitions())

        def partition(index: int) -> list[T]:
            return _joined(self._run(Collect(), site, [index]))

        if not prefetchPartitions:
            return stream(partition, indices)
        properties = self._context._properties.copy()

        def in_thread(index: int) -> list[T]:
            self._context._properties.take(properties)
            return partition(index)

        return stream_ahead(partition, in_thread, indices)

    def lookup(self: Handle[tuple[K, V]], key: K) -> list[V]:
        """All values of a key, in order. If the RDD is placed by key, only the partition of the key is computed.

        Raises:
            UnhashableKey: if the RDD is placed by key, and the key has no hash or one that is its address.
            JobFailed: if the job fails.

        >>> sc.parallelize([("a", 1), ("b", 2), ("a", 3)]).lookup("a")
        [1, 3]
        """
        site = call_site("lookup")
        same = own_function(functools.partial(taskside.has_key, key), site)
        wanted = self._derive(Pipelined(site, Pipelined(site, self._node, Filter(same)), Values(site)))
        is_placed = self._partitioner is not None and self._partitioner.n > 0
        return _joined(wanted._run(Collect(), site, [_place_of(self, key, site)] if is_placed else None))


def _joined(parts: list[list[T]]) -> list[T]:
    return parts[0] if len(parts) == 1 else list(itertools.chain.from_iterable(parts))


def _reduced(f: Callable[[T, T], T], parts: Iterable[list[T]], site: CallSite) -> T:
    values = itertools.chain.from_iterable(parts)
    try:
        start = next(values)
    except StopIteration:
        raise ValueError(f"{site.method}: the RDD is empty") from None
    return functools.reduce(f, values, start)


def _take(handle: Handle[T], num: int, site: CallSite) -> list[T]:
    """One partition first; then four times as many while nothing was found, else as many as the yield suggests."""
    items: list[T] = []
    if num <= 0:
        return items
    total, scanned = handle._n_partitions(), 0
    while len(items) < num and scanned < total:
        attempt = 1
        if scanned:
            wanted = int(1.5 * num * scanned / len(items)) - scanned if items else 4 * scanned
            attempt = min(max(wanted, 1), 4 * scanned)
        indices = range(scanned, min(scanned + attempt, total))
        items += _joined(handle._run(Take(num - len(items)), site, indices))
        scanned += attempt
    return items[:num]


def _count_values(handle: Handle[Any], site: CallSite) -> defaultdict[Any, int]:
    counts: defaultdict[Any, int] = defaultdict(int)
    for part in handle._run(CountEach(own_function(taskside.mergeable, site)), site):
        for value, n in part.items():
            counts[value] += n
    return counts


def _place_of(handle: Handle[Any], key: Any, site: CallSite) -> int:
    """The partition of a key. What may depend on the seed of text hashes is asked of an executor."""
    partitioner = handle._partitioner
    assert partitioner is not None
    by_hash = isinstance(partitioner, HashPartitioner)
    if (by_hash and is_certain(key)) or not (by_hash or isinstance(partitioner, FunctionPartitioner)):
        return partitioner(key)
    place = functools.partial(taskside.place_of, partitioner, key)
    (index,) = handle._derive(Range(site, range(0), 1))._run(Apply(own_function(place, site)), site)
    return int(index)
