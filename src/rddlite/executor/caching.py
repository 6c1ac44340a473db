"""Cached partitions as a task sees them: read where they are kept, else computed and kept on the way."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress

from rddlite.base.cached import Block, Wanted
from rddlite.base.clock import Clock
from rddlite.base.config import Settings
from rddlite.base.ids import CachedData, CacheId
from rddlite.base.metrics import TaskMetrics
from rddlite.executor.budget import give_back
from rddlite.executor.copying import CopyAsker
from rddlite.executor.filling import Filling
from rddlite.executor.memory import resident, usable_memory
from rddlite.lineage.caching import Cached
from rddlite.lineage.graph import Batch
from rddlite.net.transfer import WHOLE, BlockMissing, Unreachable
from rddlite.net.transfer import Wanted as WantedBytes
from rddlite.shuffle.fetcher import Reach
from rddlite.storage.blocks import BlockStore
from rddlite.storage.frames import Frames, FrameWriter

_SHARE = 0.5
_FULL = 0.75
"""Of a worker's limit: with more than that in use, cached partitions make room for tasks."""


def block_store(scratch: str, settings: Settings, memory_limit: int | None) -> BlockStore:
    """What one worker keeps of cached partitions."""
    given: int | None = settings["memory.cache"]
    limit = usable_memory() if memory_limit is None else memory_limit
    return BlockStore(scratch, int(limit * _SHARE) if given is None else given)


def leave_room(store: BlockStore, memory_limit: int | None) -> None:
    """Before a task: evict so much that what the process holds leaves operators something of its limit."""
    held = store.held
    if held and memory_limit is not None:
        excess = resident(os.getpid()) - int(memory_limit * _FULL)
        if excess > 0:
            store.shrink(max(0, held - excess))
            give_back()


class TaskCache:
    """The cached partitions that one task reads and makes. `wanted` tells where else they are."""

    def __init__(
        self,
        store: BlockStore,
        metrics: TaskMetrics,
        clock: Clock,
        wanted: Mapping[Block, Wanted] | None = None,
        reach: Reach | None = None,
        asker: CopyAsker | None = None,
    ) -> None:
        self._store = store
        self._metrics = metrics
        self._clock = clock
        self._wanted = wanted or {}
        self._reach = reach
        self._asker = asker

    def find(self, mark: Cached, index: int) -> Iterator[Batch] | None:
        """The records of a partition that is kept where this task can read it."""
        block = (mark.id, index)
        found = self._store.find(block) or self._elsewhere(mark, index)
        if found is not None:
            self._metrics.cache_hits += 1
        return found

    def keep(self, mark: Cached, index: int, batches: Iterator[Batch], seconds: float = 0.0) -> Iterator[Batch]:
        """These batches of a partition, which is kept when they have come to their end: a task that stops early keeps
        nothing. To compute them took `seconds` already.
        """
        now = self._clock.now
        has_peers = self._reach is not None
        with Filling(self._store, self._metrics, mark, (mark.id, index), has_peers=has_peers) as filling:
            while True:
                before = now()
                batch = next(batches, None)
                seconds += now() - before
                if batch is None:
                    break
                filling.add(batch, seconds)
                yield batch
            filling.finish(seconds)

    def _elsewhere(self, mark: Cached, index: int) -> Iterator[Batch] | None:
        wanted = self._wanted.get((mark.id, index))
        if wanted is None:
            return None
        if wanted.path:
            with suppress(OSError):
                return Frames.at(wanted.path, wanted.inode).batches()
        if wanted.owner and self._asker is not None:
            return self._copied(mark, wanted, self._asker)
        if wanted.address and self._reach is not None:
            return self._fetched(wanted, self._reach)
        return None

    def _copied(self, mark: Cached, wanted: Wanted, asker: CopyAsker) -> Iterator[Batch] | None:
        """From a worker that has it as objects. The only one that a task reads moves here: its owner was busy for too
        long, and so would be the next time. One of many, as for `coalesce`, stays where it is.
        """
        frames = asker.ask(wanted)
        if frames is None:
            return None
        self._metrics.cache_bytes_pickled += frames.size
        batches = frames.batches()
        if len(self._wanted) > 1:
            return batches
        return self.keep(mark, wanted.partition, batches, wanted.seconds)

    def _fetched(self, wanted: Wanted, reach: Reach) -> Iterator[Batch] | None:
        """From the executor that has it as frames, in a file or in memory. Whatever keeps it from coming, it can be
        computed again.
        """
        name = str(CachedData(CacheId(wanted.cache), wanted.partition))
        source = reach.source_at(wanted.executor, wanted.address)
        with FrameWriter() as copy:
            try:
                stream = reach.fetching().stream([(source, [WantedBytes(name, WHOLE)])])
                try:
                    while True:
                        arrival = stream.take(0)
                        copy.add_bytes(arrival.data)
                        if arrival.is_last:
                            break
                finally:
                    stream.close()
            except (BlockMissing, Unreachable):
                return None
            frames = copy.finish()
        self._metrics.remote_bytes_read += frames.size
        return frames.batches() if frames.is_sound else None
