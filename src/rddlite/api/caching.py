"""Keeping what was computed: cache, persist, unpersist."""

from __future__ import annotations

from typing import Any, TypeVar

from rddlite.api.handle import Handle, T_co
from rddlite.base.callsite import call_site
from rddlite.lineage.caching import Cached
from rddlite.lineage.walk import shuffles_below
from rddlite.storage.level import StorageLevel

H = TypeVar("H", bound="Caching[Any]")


class Caching(Handle[T_co]):
    """The mixin of `RDD` for caching."""

    __slots__ = ()

    @property
    def is_cached(self) -> bool:
        """Whether partitions are kept once they are computed.

        >>> sc.range(3).cache().is_cached
        True
        """
        return self._node.cached is not None

    def cache(self: H, *, live: bool = False) -> H:
        """Keep each partition in memory once a job has computed all of it. Returns the RDD itself.

        The same as `persist()`: see there, also for `live`.

        >>> numbers = sc.range(4).map(lambda x: x * x).cache()
        >>> numbers.sum(), numbers.max()
        (14, 9)
        """
        return self._persist(StorageLevel.MEMORY_ONLY, live, "cache")

    def persist(self: H, storageLevel: StorageLevel = StorageLevel.MEMORY_ONLY, *, live: bool = False) -> H:
        """Keep each partition at this level once a job has computed all of it. Returns the RDD itself.

        In memory, records stay the very objects that they are if nothing could change them (numbers, strings, tuples
        and frozen dataclasses of such): reading them again costs nothing. All others are pickled, and made anew at each
        reading, so that what a task does to its records is never seen by another. A partition that is lost, or finds no
        room, is computed again from its lineage when it is needed.

        Args:
            storageLevel: where partitions are kept. Those of more than one copy (`MEMORY_ONLY_2`) are kept by as many
                executors, as far as there are so many: the others have them as pickled records in files.
            live: keep records as the objects that they are, whatever they are. It is then up to the functions of the
                program that none of them changes a record: the next job would see it.

        Raises:
            TypeError: if it is no StorageLevel.
            ValueError: if it is `StorageLevel.NONE`, or the RDD has another level already: unpersist it first.

        >>> sc.range(3).persist(StorageLevel.DISK_ONLY).getStorageLevel()
        StorageLevel(True, False, False, False, 1)
        """
        return self._persist(storageLevel, live, "persist")

    def unpersist(self: H, blocking: bool = False) -> H:
        """Drop what is kept of this RDD, everywhere, and keep nothing from now on. Returns the RDD itself.

        Args:
            blocking: return when all is dropped. A worker drops it after the task that it runs now.

        >>> sc.range(3).cache().unpersist().is_cached
        False
        """
        self._context._check_usable()
        mark, self._node.cached = self._node.cached, None
        if mark is not None:
            self._context._forget_cache(mark, blocking=bool(blocking))
        return self

    def cleanShuffleDependencies(self, blocking: bool = False) -> None:
        """Delete the files of the shuffles that this RDD is made from, but of those that something cached is made from,
        and those that a running job may read. They are computed again when they are needed. Without this they go
        once the program has no RDD that is made from them.

        Args:
            blocking: accepted; this always returns once the driver has taken note.

        >>> grouped = sc.parallelize([(1, 2)]).groupByKey()
        >>> grouped.count()
        1
        >>> grouped.cleanShuffleDependencies()
        >>> grouped.count()
        1
        """
        self._context._check_usable()
        shuffles = {dep.shuffle_id for dep in shuffles_below(self._node)}
        self._context._live_driver().release_shuffles(sorted(shuffles))

    def getStorageLevel(self) -> StorageLevel:
        """Where partitions are kept; `StorageLevel.NONE` if they are not.

        >>> sc.range(3).getStorageLevel() == StorageLevel.NONE
        True
        """
        mark = self._node.cached
        return StorageLevel.NONE if mark is None else mark.level

    def _persist(self: H, level: StorageLevel, live: bool, method: str) -> H:
        site = call_site(method)
        if not isinstance(level, StorageLevel):
            raise TypeError(f"{site.method}: storageLevel must be a StorageLevel, not {type(level).__qualname__}")
        self._context._check_usable()
        _check_level(level, site.method)
        node = self._node
        if node.cached is not None:
            if node.cached.level != level:
                raise ValueError(
                    f"{site.method}: the storage level of this RDD is {node.cached.level!r} already: unpersist() it "
                    "before it gets another one"
                )
            return self
        node.cached = Cached(level, live=live)
        self._context._remember_cache(self, node.cached)
        return self


def _check_level(level: StorageLevel, method: str) -> None:
    if not (level.useDisk or level.useMemory or level.useOffHeap):
        raise ValueError(f"{method}: {level!r} keeps partitions nowhere; unpersist() is what drops them")
