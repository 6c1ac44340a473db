"""What of a context's RDDs is kept, and how much that is."""

from __future__ import annotations

import weakref
from typing import Any, NamedTuple

from rddlite.api.handle import Handle
from rddlite.api.rdd import RDD
from rddlite.api.session import Session
from rddlite.lineage.caching import Cached
from rddlite.lineage.graph import Node
from rddlite.storage.level import StorageLevel


class RDDInfo(NamedTuple):
    """What is kept of one RDD; sizes are bytes. `name` is what `setName` gave, else where the RDD was made."""

    id: int
    name: str
    numPartitions: int | None
    numCachedPartitions: int
    storageLevel: StorageLevel
    memSize: int
    diskSize: int

    @property
    def isCached(self) -> bool:
        """Whether any partition is kept now."""
        return self.numCachedPartitions > 0

    def __str__(self) -> str:
        n = "?" if self.numPartitions is None else self.numPartitions
        return (
            f"RDD {self.id} {self.name}: {self.numCachedPartitions} of {n} partitions, {self.memSize:,} bytes in "
            f"memory, {self.diskSize:,} on disk ({self.storageLevel})"
        )


class StorageInfo(Session):
    """The mixin of `Context` for RDDs that are kept."""

    def getPersistentRDDs(self) -> dict[int, RDD[Any]]:
        """The RDDs that were persisted and not unpersisted, by id; those that nothing refers to any more are not among
        them.

        >>> kept = sc.range(10).cache()
        >>> kept.id() in sc.getPersistentRDDs()
        True
        """
        self._check_usable()
        return {rdd_id: self._handle_of(rdd_id, node) for rdd_id, node, _ in self._persisted()}

    def getRDDStorageInfo(self) -> list[RDDInfo]:
        """What is kept of each persisted RDD, as far as executors have told.

        >>> kept = sc.range(10, numSlices=2).cache()
        >>> n = kept.count()
        >>> [info.numCachedPartitions for info in sc.getRDDStorageInfo() if info.id == kept.id()]
        [2]
        """
        driver = self._live_driver()
        persisted = self._persisted()
        found = driver.cache_info([mark.id for _, _, mark in persisted])
        return [
            RDDInfo(
                rdd_id, node.name or str(node.site), node.n_partitions,
                held.partitions, mark.level, held.memory, held.disk,
            )
            for (rdd_id, node, mark), held in zip(persisted, found, strict=True)
        ]  # fmt: skip

    def _replace_marked(self, node: Node, successor: Node) -> None:
        """The RDD of a node that is kept has another node now."""
        found = self._marks.get(node.cached) if node.cached is not None else None
        if found is not None and node.cached is not None:
            self._marks[node.cached] = (found[0], weakref.ref(successor))

    def _remember_cache(self, rdd: Handle[Any], mark: Cached) -> None:
        """This RDD is persisted: what is kept of it goes with its lineage."""
        self._marks[mark] = (rdd._number(), weakref.ref(rdd._node))
        driver = weakref.WeakMethod(self._live_driver().forget_cache)
        weakref.finalize(mark, _forget, driver, mark.id).atexit = False

    def _forget_cache(self, mark: Cached, *, blocking: bool) -> None:
        self._marks.pop(mark, None)
        self._live_driver().forget_cache(mark.id, blocking=blocking)

    def _persisted(self) -> list[tuple[int, Node, Cached]]:
        found = [(rdd_id, ref(), mark) for mark, (rdd_id, ref) in list(self._marks.items())]
        return sorted(
            ((rdd_id, node, mark) for rdd_id, node, mark in found if node is not None and node.cached is mark),
            key=lambda each: each[0],
        )

    def _handle_of(self, rdd_id: int, node: Node) -> RDD[Any]:
        rdd: RDD[Any] = RDD(self, node)  # type: ignore[arg-type]
        rdd._id = rdd_id
        return rdd


def _forget(forget: Any, cache: Any) -> None:
    method = forget()
    if method is not None:
        method(cache)
