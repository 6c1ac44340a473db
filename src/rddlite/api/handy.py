"""Beyond PySpark: batches, the largest values of each key, caching for the length of a block, and what an RDD shows."""

from __future__ import annotations

import contextlib
import functools
import html
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from rddlite.api import exchange
from rddlite.api.arguments import check_callable, count, own_function
from rddlite.api.handle import Handle, T_co
from rddlite.api.unions import PendingUnion
from rddlite.base.callsite import call_site
from rddlite.lineage import taskside
from rddlite.lineage.aggregator import Aggregator
from rddlite.lineage.narrow import Pipelined
from rddlite.lineage.ops import MapPartitions, MapValues
from rddlite.lineage.walk import depth
from rddlite.serde.hashing import stable_hash
from rddlite.storage.level import StorageLevel

if TYPE_CHECKING:
    from rddlite.api.rdd import RDD

T = TypeVar("T")
U = TypeVar("U")
K = TypeVar("K")
V = TypeVar("V")
H = TypeVar("H", bound="Handy[Any]")


class Handy(Handle[T_co]):
    """The mixin of `RDD` for what PySpark's does not have."""

    __slots__ = ()

    def mapBatches(
        self: Handle[T], f: Callable[[list[T]], Iterable[U]], size: int, preservesPartitioning: bool = False
    ) -> RDD[U]:
        """The records of the iterable `f(batch)`, for lists of `size` records each; the last one of a partition may be
        shorter.

        For functions that work on many records at once: with `numpy.array(batch)`, a model's `predict`, a database.

        Args:
            f: function of a list of records that returns an iterable of records, as many as it likes.
            size: how many records a batch has.
            preservesPartitioning: promise that pairs stay in the partition of their key.

        Raises:
            TypeError, ValueError: for arguments of the wrong kind or size.

        >>> sc.range(5, numSlices=1).mapBatches(lambda batch: [sum(batch)], 2).collect()
        [1, 5, 4]
        """
        site = call_site("mapBatches")
        check_callable(f, site)
        n = count(size, site, "size", 1)
        function = own_function(functools.partial(taskside.in_batches, f, n), site, f)
        return self._pipe(site, MapPartitions(function), preservesPartitioning)

    def topByKey(
        self: Handle[tuple[K, V]],
        num: int,
        key: Callable[[V], Any] | None = None,
        numPartitions: int | None = None,
    ) -> RDD[tuple[K, list[V]]]:
        """`(key, its num largest values, the largest first)` for each key. Never more than those are exchanged.

        Args:
            num: how many values of each key.
            key: what to compare, of each value.
            numPartitions: partitions of the result; by default as many as this RDD has (or `default.parallelism`).

        Raises:
            TypeError, ValueError: for arguments of the wrong kind or size.

        >>> sorted(sc.parallelize([("a", 1), ("a", 5), ("b", 2), ("a", 3)]).topByKey(2).collect())
        [('a', [5, 3]), ('b', [2])]
        """
        site = call_site("topByKey")
        n = count(num, site, "num", 1)
        if key is not None:
            check_callable(key, site, "key")
        add, join, finish = (
            own_function(functools.partial(f, n, key), site, key)
            for f in (taskside.add_to_top, taskside.join_tops, taskside.finished_top)
        )
        aggregator = Aggregator(own_function(taskside.in_list, site), add, join)
        partitioner = exchange.partitioner_of(self._reduce_partitions(numPartitions, site), stable_hash, site)
        tops = exchange.combined(self._node, partitioner, aggregator, site)
        return self._derive(Pipelined(site, tops, MapValues(finish), keeps_partitioner=True))

    @contextlib.contextmanager
    def cached(self: H, storageLevel: StorageLevel = StorageLevel.MEMORY_ONLY) -> Iterator[H]:
        """Keep the partitions of this RDD within a `with` block, and drop them at its end. An RDD that is kept already
        stays so.

        >>> with sc.range(4).map(lambda x: x * x).cached() as squares:
        ...     squares.sum(), squares.max()
        (14, 9)
        >>> squares.is_cached
        False
        """
        if self._node.cached is not None:
            yield self
            return
        kept: Any = self
        kept.persist(storageLevel)
        try:
            yield self
        finally:
            kept.unpersist()

    def __repr__(self) -> str:
        facts = self._facts()
        name = facts.pop("name", None)
        return f"<RDD {name + ': ' if name else ''}{', '.join(facts.values())}>"

    def _repr_html_(self) -> str:
        rows = "".join(f"<tr><th>{key}</th><td>{html.escape(value)}</td></tr>" for key, value in self._facts().items())
        return f"<table><caption>RDD</caption>{rows}</table>"

    def _facts(self) -> dict[str, str]:
        """What can be said without listing files or building anything."""
        lineage = self._lineage
        if isinstance(lineage, PendingUnion):
            return {"made": str(self._site), "parts": f"{len(lineage.parts)} RDDs"}
        node = self._node
        facts = {"name": node.name} if node.name else {}
        facts["made"] = str(self._site)
        if node.n_partitions is not None:
            facts["partitions"] = f"{node.n_partitions} partition{'' if node.n_partitions == 1 else 's'}"
        facts["depth"] = f"lineage of {depth(node)}"
        if node.cached is not None:
            facts["cached"] = f"cached: {node.cached.level}"
        return facts
