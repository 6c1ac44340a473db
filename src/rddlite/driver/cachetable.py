"""What the driver knows of cached partitions: which executors keep which, and how much that is.

All of it is hints, told by executors: a partition that is not where it should be is computed again. Owned by the loop's
thread; whoever else asks does so through a call to the loop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from rddlite.base.cached import Block, Form
from rddlite.base.ids import CacheId, ExecutorId
from rddlite.net.messages import BlocksChanged, KeptBlock

Emptied = Callable[[], None]


class CacheInfo(NamedTuple):
    """What is kept of one cached RDD: partitions (counted once), and bytes in memory and on disk of all copies."""

    partitions: int
    memory: int
    disk: int


class CacheTable:
    """See the header."""

    def __init__(self) -> None:
        self._caches: dict[CacheId, dict[int, dict[ExecutorId, KeptBlock]]] = {}
        self._held: dict[ExecutorId, dict[Block, None]] = {}
        self._waiting: dict[CacheId, list[Emptied]] = {}
        self._unwanted: set[CacheId] = set()

    def unwanted(self, cache: CacheId) -> None:
        """Nothing of this cache is to be kept from now on: no RDD is kept under its number any more, or ever again."""
        self._unwanted.add(cache)

    def changed(self, executor: ExecutorId, message: BlocksChanged) -> list[CacheId]:
        """Take what an executor tells. Answers of which caches it keeps something that is not wanted: tasks of jobs
        that were there before may fill a cache again after it was dropped.
        """
        if message.is_all:
            self.forget_executor(executor)
        for kept in message.kept:
            holders = self._caches.setdefault(CacheId(kept.cache), {}).setdefault(kept.partition, {})
            holders[executor] = kept
            self._held.setdefault(executor, {})[kept.cache, kept.partition] = None
        self._drop(executor, [(row[0], row[1]) for row in message.dropped if len(row) == 2])
        return list(self._unwanted.intersection(CacheId(kept.cache) for kept in message.kept))

    def forget_executor(self, executor: ExecutorId) -> None:
        """It is gone, and what it kept with it."""
        self._drop(executor, list(self._held.pop(executor, ())))

    def when_empty(self, cache: CacheId, emptied: Emptied) -> None:
        """Call this once nothing is kept of a cache."""
        if cache in self._caches:
            self._waiting.setdefault(cache, []).append(emptied)
        else:
            emptied()

    @property
    def is_empty(self) -> bool:
        """Whether nothing is kept anywhere."""
        return not self._held

    def holders(self, block: Block) -> list[ExecutorId]:
        """The executors that keep a partition, those that can serve its frames first."""
        holders = self.keepers(block)
        return sorted(holders, key=lambda each: -holders[each].form)

    def keepers(self, block: Block) -> dict[ExecutorId, KeptBlock]:
        """Who keeps a partition, and how."""
        return self._caches.get(CacheId(block[0]), {}).get(block[1], {})

    def held_by(self, executor: ExecutorId) -> list[Block]:
        """All that an executor keeps."""
        return list(self._held.get(executor, ()))

    def partitions(self, cache: CacheId) -> set[int]:
        """The partitions that are kept somewhere."""
        return set(self._caches.get(cache, ()))

    def on_disk(self, cache: CacheId) -> set[int]:
        """The partitions that some executor has in a file."""
        return {
            partition
            for partition, holders in self._caches.get(cache, {}).items()
            if any(kept.form == Form.FILE for kept in holders.values())
        }

    def info(self, cache: CacheId) -> CacheInfo:
        """What is kept of a cache."""
        blocks = self._caches.get(cache, {})
        kept = [each for holders in blocks.values() for each in holders.values()]
        disk = sum(each.size for each in kept if each.form == Form.FILE)
        return CacheInfo(len(blocks), sum(each.size for each in kept) - disk, disk)

    def hosts(
        self, blocks_of: Callable[[int], Sequence[Block]], partitions: Iterable[int], host_of: dict[ExecutorId, str]
    ) -> tuple[tuple[str, ...], ...]:
        """For each of these partitions of a stage, the hosts that keep a cached partition which its task reads."""
        found = []
        for partition in partitions:
            hosts: dict[str, None] = {}
            for block in blocks_of(partition):
                for executor in self.holders(block):
                    if executor in host_of:
                        hosts[host_of[executor]] = None
            found.append(tuple(hosts))
        return tuple(found) if any(found) else ()

    def _drop(self, executor: ExecutorId, blocks: Iterable[Block]) -> None:
        held = self._held.get(executor)
        for cache, partition in blocks:
            if held is not None:
                held.pop((cache, partition), None)
            partitions = self._caches.get(CacheId(cache))
            holders = partitions.get(partition) if partitions is not None else None
            if partitions is None or holders is None:
                continue
            holders.pop(executor, None)
            if not holders:
                del partitions[partition]
            if not partitions:
                del self._caches[CacheId(cache)]
                for emptied in self._waiting.pop(CacheId(cache), ()):
                    emptied()
        if held is not None and not held:
            self._held.pop(executor, None)
