"""A partition on its way into the store.

Records are kept as the very objects if nothing that a task does could change them, looked at batch by batch; from the
first batch on for which that does not hold, as pickled frames, made anew at each reading. What finds no room in memory
goes to a file, if its level allows that, else nothing of it is kept. What several executors are to keep is written to a
file in any case, from which others copy it.
"""

from __future__ import annotations

from enum import Enum
from types import TracebackType

from rddlite.base.cached import Block
from rddlite.base.log import logger
from rddlite.base.metrics import TaskMetrics
from rddlite.errors import DiskFull, NotPicklable
from rddlite.executor.sizing import weight_each
from rddlite.lineage.caching import Cached
from rddlite.lineage.graph import Batch
from rddlite.lineage.results import ResultIterable
from rddlite.storage.blocks import BlockStore, InMemory, write_frames
from rddlite.storage.frames import Frames, FrameWriter
from rddlite.storage.immutable import all_immutable

_VIEWS = frozenset({ResultIterable})
_log = logger("worker")


class _Place(Enum):
    """What becomes of the batches."""

    OBJECTS = 0
    FRAMES = 1
    FILE = 2
    NOWHERE = 3


class Filling:
    """See the header. A context manager: leaving it without `finish` keeps nothing."""

    def __init__(
        self, store: BlockStore, metrics: TaskMetrics, mark: Cached, block: Block, *, has_peers: bool = False
    ) -> None:
        self._store = store
        self._metrics = metrics
        self._mark = mark
        self._block = block
        self._has_peers = has_peers
        self._may_use_disk = mark.level.useDisk or mark.must_stay
        self._objects: list[Batch] = []
        self._size = 0
        self._writer: FrameWriter | None = None
        self._place = _first_place(mark)
        if store.has(block):  # made by the same task already, that reads it twice
            self._place = _Place.NOWHERE

    def add(self, batch: Batch, seconds: float) -> None:
        """Take one more batch; to compute it and those before took so long."""
        if self._place is _Place.OBJECTS and not self._mark.live and not all_immutable(batch, _VIEWS):
            self._go_to(_Place.FRAMES)
        if self._place is _Place.OBJECTS:
            self._objects.append(batch)
            self._size += len(batch) * weight_each(batch)
        elif self._place is not _Place.NOWHERE:
            self._pickle(batch)
        if self._place in (_Place.OBJECTS, _Place.FRAMES):
            size = max(self._size, 1)
            if not self._store.make_room(self._block, size, seconds / size):
                self._metrics.cache_refused += 1
                self._go_to(_Place.FILE if self._may_use_disk else _Place.NOWHERE)

    def finish(self, seconds: float) -> None:
        """All batches were added: keep them.

        Raises:
            DiskFull: if a partition that nothing could compute again finds no room.
        """
        if self._place is _Place.NOWHERE:
            return
        copies = self._mark.level.replication
        held: list[Batch] | Frames = self._objects
        if self._place is not _Place.OBJECTS:
            writer, self._writer = self._writer or self._open(), None
            try:
                held = writer.finish()
            except FileNotFoundError:
                return  # the RDD was dropped meanwhile, and its unfinished files with it: nobody wants this any more
            self._size = held.size
        if self._place is _Place.FILE and isinstance(held, Frames):
            self._store.filed(self._block, held, seconds, copies)
        else:
            memory = InMemory(self._block, held, self._size, seconds, self._may_use_disk, copies)
            if copies > 1 and self._has_peers:
                self._file(memory)
            self._store.put(memory)
        self._metrics.cache_stored += 1
        self._metrics.cache_bytes += self._size

    def __enter__(self) -> Filling:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._abandon()

    def _file(self, memory: InMemory) -> None:
        """For others to copy; what cannot be written or pickled is kept here alone."""
        path = self._store.path(self._block)
        try:
            held = memory.held
            frames = write_frames(iter(held), path) if isinstance(held, list) else held.copied_to(path)
        except (NotPicklable, OSError) as error:
            _log.warning("partition %d of cached RDD %d is kept once: %s", self._block[1], self._block[0], error)
            return
        self._store.filed(self._block, frames, memory.seconds, memory.copies)
        if isinstance(held, list):
            self._metrics.cache_bytes_pickled += frames.size

    def _go_to(self, place: _Place) -> None:
        """From now on keep batches there, and those that were kept so far."""
        objects, self._objects, self._size = self._objects, [], 0
        before, self._writer = self._writer, None
        self._place = place
        try:
            if place is _Place.NOWHERE:
                return
            for batch in objects:
                self._pickle(batch)
            if before is not None:
                writer = self._open()
                writer.copy(before)
                self._size = writer.size
        finally:
            if before is not None:
                before.abandon()

    def _open(self) -> FrameWriter:
        self._writer = FrameWriter(self._store.path(self._block) if self._place is _Place.FILE else None)
        return self._writer

    def _pickle(self, batch: Batch) -> None:
        if self._place is _Place.NOWHERE:
            return
        try:
            writer = self._writer or self._open()
            before = writer.size
            writer.add(batch)
        except DiskFull:
            if self._mark.must_stay:
                raise
            self._metrics.cache_refused += 1
            self._abandon()
            self._place = _Place.NOWHERE
            return
        self._size = writer.size
        self._metrics.cache_bytes_pickled += self._size - before

    def _abandon(self) -> None:
        if self._writer is not None:
            self._writer.abandon()
            self._writer = None


def _first_place(mark: Cached) -> _Place:
    level = mark.level
    if mark.must_stay:
        return _Place.FILE
    if level.useOffHeap:
        return _Place.FRAMES
    return _Place.OBJECTS if level.useMemory else _Place.FILE
