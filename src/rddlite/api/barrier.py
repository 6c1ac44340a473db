"""RDDBarrier: what `rdd.barrier()` gives. Functions over partitions whose tasks run all at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from rddlite.api.arguments import user_function
from rddlite.api.handle import Handle
from rddlite.base.callsite import call_site
from rddlite.lineage.ops import MapPartitions

if TYPE_CHECKING:
    from rddlite.api.rdd import RDD

T = TypeVar("T")
U = TypeVar("U")


class RDDBarrier(Generic[T]):
    """An RDD whose next function runs in a barrier stage: its tasks start together, and can wait for each other by
    `BarrierTaskContext.get()`. There must be a slot for each of them; when one fails, all run again.

    >>> sc.range(4, numSlices=1).barrier().mapPartitions(lambda part: [sum(part)]).collect()
    [6]
    """

    __slots__ = ("rdd",)

    def __init__(self, rdd: RDD[T]) -> None:
        self.rdd = rdd

    def mapPartitions(self, f: Callable[[Iterator[T]], Iterable[U]], preservesPartitioning: bool = False) -> RDD[U]:
        """As `RDD.mapPartitions`, in a barrier stage.

        Raises:
            TypeError: if `f` cannot be called.

        >>> def gather(part):
        ...     return [BarrierTaskContext.get().allGather(str(sum(part)))]
        >>> sc.range(4, numSlices=1).barrier().mapPartitions(gather).collect()  # one text for each task
        [['6']]
        """
        site = call_site("mapPartitions")
        return self._pipe(MapPartitions(user_function(f, site), is_barrier=True), preservesPartitioning, site)

    def mapPartitionsWithIndex(
        self, f: Callable[[int, Iterator[T]], Iterable[U]], preservesPartitioning: bool = False
    ) -> RDD[U]:
        """As `RDD.mapPartitionsWithIndex`, in a barrier stage.

        Raises:
            TypeError: if `f` cannot be called.

        >>> sc.range(4, numSlices=1).barrier().mapPartitionsWithIndex(lambda i, part: [(i, sum(part))]).collect()
        [(0, 6)]
        """
        site = call_site("mapPartitionsWithIndex")
        op = MapPartitions(user_function(f, site), with_index=True, is_barrier=True)
        return self._pipe(op, preservesPartitioning, site)

    def _pipe(self, op: MapPartitions, keeps_partitioner: bool, site: Any) -> RDD[Any]:
        handle: Handle[T] = self.rdd
        return handle._pipe(site, op, keeps_partitioner)
