"""The reduce side of a shuffle: the blocks of a reduce partition in map order, those of this host straight from the map
output files. What is on other hosts comes by `shuffle/fetcher.py`, from a `Reach` that is handed in.

A block is read in windows, so that memory does not grow with it, each into memory of its own, in which arrays of the
records may live on. A frame larger than the window is read by itself; very large ones are mapped, and copied only where
somebody writes to their arrays, which costs several times as much where somebody does. What cannot be
opened, ends early or does not match a checksum is read once more; then it is `BlockLost`, which the runner reports as a
failed fetch, never as an error of the user's. Frames are verified before they are handed out, so nothing that happens
while records are unpickled or used can be mistaken for it. Files are opened per block: a cache of descriptors would
keep deleted shuffles on the disk, and would not pay.
"""

from __future__ import annotations

import errno
import mmap
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from rddlite.base.ids import AttemptId, ExecutorId, ShuffleData, ShuffleId
from rddlite.base.metrics import TaskMetrics
from rddlite.errors import CorruptBlock
from rddlite.serde.records import HEADER_SIZE, Frame, decode_frame, frame_length
from rddlite.shuffle.format import (
    LARGEST_READ,
    BucketIndex,
    Extent,
    Outline,
    data_path,
    has_name,
    index_path,
    read_index,
)
from rddlite.shuffle.locations import MapLocation, MapTable

if TYPE_CHECKING:
    from rddlite.shuffle.fetcher import Reach

T = TypeVar("T")
Columns = tuple[list[Any], list[Any]]
"""Keys and values of pairs."""

WINDOW = 4 << 20
_MOST_READ = LARGEST_READ
_LARGE = 1 << 20
_NOTHING = memoryview(b"")
_MANY_BUCKETS = 1 << 20
_OF_THIS_PROCESS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})


def _room(size: int) -> memoryview:
    """Memory to read into. numpy, where the process has it, does not fill it with zeros first."""
    numpy: Any = sys.modules.get("numpy") if size >= _LARGE else None
    # Another thread may be importing it.
    return memoryview(numpy.empty(size, "u1")) if hasattr(numpy, "empty") else memoryview(bytearray(size))


class BlockLost(Exception):
    """A map output is missing, unreadable or corrupt. `why` tells what was found, both times."""

    def __init__(self, shuffle: ShuffleId, map_index: int, executor: ExecutorId, attempt: AttemptId, why: str) -> None:
        super().__init__(f"map output {map_index} of shuffle {shuffle} on executor {executor} is lost: {why}")
        self.shuffle = shuffle
        self.map_index = map_index
        self.executor = executor
        self.attempt = attempt
        self.why = why


class IndexCache:
    """Indexes read by this process, by path, and outlines of those of other hosts, by name; `limit` entries at most.

    May be used by several threads: each step is one operation of a dict.
    """

    def __init__(self, limit: int = _MANY_BUCKETS) -> None:
        self._limit = limit
        self._n_entries = 0
        self._indexes: dict[str, BucketIndex] = {}
        self._outlines: dict[str, Outline] = {}

    def get(self, path: str) -> BucketIndex:
        """The index of that file, from memory where it is known.

        Raises:
            OSError, CorruptBlock: as `format.read_index`.
        """
        index = self._indexes.get(path)
        if index is None:
            index = read_index(path)
            self._count(len(index.offsets) - 1)
            self._indexes[path] = index
        return index

    def outline(self, name: str) -> Outline | None:
        """The outline of that name, if it is in memory."""
        return self._outlines.get(name)

    def remember(self, name: str, outline: Outline) -> None:
        """Keep an outline."""
        self._count(len(outline.lengths))
        self._outlines[name] = outline

    def _count(self, size: int) -> None:
        if self._n_entries + size > self._limit:
            self._indexes.clear()
            self._outlines.clear()
            self._n_entries = 0
        self._n_entries += size

    def forget(self, path: str) -> None:
        """Read this index anew next time."""
        self._indexes.pop(path, None)

    def __len__(self) -> int:
        return len(self._indexes)


own_indexes = IndexCache()
"""Those that this process knows."""


def read_blocks(
    tables: Mapping[ShuffleId, MapTable],
    shuffle: ShuffleId,
    reduce_index: int,
    metrics: TaskMetrics,
    reach: Reach | None = None,
    *,
    indexes: IndexCache = own_indexes,
    window: int = WINDOW,
) -> Iterator[Frame]:
    """The frames of one reduce partition, in map order, counted in `metrics` as they are handed out.

    Without a `reach` all of it is read from files.

    Raises:
        BlockLost: for the first map output that cannot be read.
    """
    table = tables[shuffle]
    far = [] if reach is None else [row for row in enumerate(table) if not reach.is_near(row[1])]
    if reach is None or not far:
        for map_index, location in enumerate(table):
            yield from _local_frames(location, shuffle, map_index, reduce_index, metrics, indexes, window)
        return
    remote = reach.blocks(far, shuffle, reduce_index, metrics)
    far_indexes = {map_index for map_index, _ in far}
    try:
        remote.start()
        for map_index, location in enumerate(table):
            if map_index in far_indexes:
                yield from remote.frames(map_index, location)
            else:
                yield from _local_frames(location, shuffle, map_index, reduce_index, metrics, indexes, window)
    finally:
        remote.close()


def _local_frames(
    location: MapLocation,
    shuffle: ShuffleId,
    map_index: int,
    reduce_index: int,
    metrics: TaskMetrics,
    indexes: IndexCache,
    window: int,
) -> Iterator[Frame]:
    if not location.scratch:
        why = "its executor was gone when this task was sent out"
        raise BlockLost(shuffle, map_index, location.executor, location.attempt, why)
    block = Block(ShuffleData(shuffle, map_index, location.attempt), location.executor, location.scratch, indexes)
    yield from block.counted_frames(reduce_index, None, window, metrics)


class Block:
    """One map output, while one bucket of it is read."""

    __slots__ = ("_data_path", "_executor", "_index_path", "_indexes", "_name")

    def __init__(self, name: ShuffleData, executor: ExecutorId, scratch: str, indexes: IndexCache) -> None:
        self._name = name
        self._executor = executor
        self._index_path = index_path(scratch, name)
        self._data_path = data_path(scratch, name)
        self._indexes = indexes

    def n_parts(self) -> int:
        """How many parts its buckets have.

        Raises:
            BlockLost: if there is no good index.
        """
        return self._looked_up(lambda index: index.n_parts)

    def locate(self, reduce_index: int, part: int | None = None) -> tuple[list[Extent], int]:
        """Where the bucket is, or a part of it, and how many records it has.

        Raises:
            BlockLost: if there is no good index.
        """

        def place(index: BucketIndex) -> tuple[list[Extent], int]:
            if reduce_index >= index.n_buckets:
                raise CorruptBlock(f"{self._index_path}: there is no bucket {reduce_index} of {index.n_buckets}")
            return index.extents(reduce_index, part), index.count(reduce_index, part)

        return self._looked_up(place)

    def counted_frames(self, reduce_index: int, part: int | None, window: int, metrics: TaskMetrics) -> Iterator[Frame]:
        """The frames of a bucket, or of a part of it, counted in `metrics` as they are handed out.

        Raises:
            BlockLost: as `locate` and `frames`.
        """
        extents, count = self.locate(reduce_index, part)
        metrics.shuffle_bytes_read += sum(length for _, length in extents)
        for frame in self.frames(extents, count, window):
            metrics.shuffle_records_read += frame.count
            yield frame
            del frame

    def _looked_up(self, ask: Callable[[BucketIndex], T]) -> T:
        failed: str | None = None
        while True:
            try:
                return ask(self._indexes.get(self._index_path))
            except OSError as error:
                failed = self._once_more(failed, error)
                self._indexes.forget(self._index_path)

    def frames(self, extents: Sequence[Extent], count: int, window: int) -> Iterator[Frame]:
        """The frames of a bucket.

        Raises:
            BlockLost: if the data cannot be read, or is not what the index says.
        """
        window = max(window, HEADER_SIZE)
        for start, length in extents:
            for frame in self._frames(start, start + length, window):
                count -= frame.count
                yield frame
                del frame
        if count:
            raise self._lost([f"{self._data_path}: differs from its index by {abs(count)} records"])

    def _frames(self, start: int, end: int, window: int) -> Iterator[Frame]:
        failed: str | None = None
        rest = _NOTHING  # what is here already of the frame that starts at `start`
        while start < end:
            try:
                data = self._next(start, end, window, rest)
            except OSError as error:
                failed = self._once_more(failed, error)
                rest = _NOTHING
                continue
            used, damage = 0, None
            while used < len(data):
                try:
                    frame, used = decode_frame(data, used)
                except CorruptBlock as error:  # or it goes on behind the window
                    damage = error
                    break
                yield frame
                del frame
            start += used
            rest = data[used:] if used else _NOTHING
            del data
            if used:
                failed = None
            elif damage is not None:
                failed = self._once_more(failed, CorruptBlock(f"{self._data_path}: {damage}"))

    def _next(self, start: int, end: int, window: int, rest: memoryview) -> memoryview:
        """At least one whole frame from `start` on, of which the `rest` of the window before is here already."""
        size = min(window, end - start)
        if size < end - start:
            if len(rest) < HEADER_SIZE:
                rest = self._read(start, HEADER_SIZE, _NOTHING)
            length = frame_length(rest)
            if length > end - start:
                raise CorruptBlock(f"{self._data_path}: a frame at {start} is longer than its bucket")
            if length > _MOST_READ:
                return self._mapped(start, length)
            size = max(size, length)
        return self._read(start, size, rest)

    def _read(self, start: int, size: int, rest: memoryview) -> memoryview:
        data = _room(size)
        data[: len(rest)] = rest[:size]
        left = data[len(rest) :]
        fd = os.open(self._data_path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            while left:
                n = os.preadv(fd, [left], start + size - len(left))
                if n == 0:
                    raise CorruptBlock(f"{self._data_path}: ends {len(left)} bytes early")
                left = left[n:]
            if not has_name(fd, self._data_path):
                raise CorruptBlock(f"{self._data_path}: another file has taken its place")
        finally:
            os.close(fd)
        return data

    def _mapped(self, start: int, length: int) -> memoryview:
        """A very large frame in the file's pages: arrays live in them, and what is changed becomes a copy."""
        skipped = start % mmap.ALLOCATIONGRANULARITY
        fd = os.open(self._data_path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            mapped = mmap.mmap(
                fd, skipped + length, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_WRITE, offset=start - skipped
            )
        except ValueError as error:
            raise CorruptBlock(f"{self._data_path}: ends in a frame that starts at {start}") from error
        except OSError as error:
            if error.errno == errno.ENOMEM:
                raise MemoryError(f"no memory for a batch of records that takes {length} bytes") from error
            raise
        finally:
            os.close(fd)
        return memoryview(mapped)[skipped:]

    def _once_more(self, failed: str | None, error: OSError) -> str:
        """The first failure is remembered, the second one final.

        Raises:
            BlockLost: for the second one.
            OSError: if it is this process that is short of something.
        """
        if error.errno in _OF_THIS_PROCESS:
            raise error
        reason = str(error) if str(self._name) in str(error) else f"{self._name}: {error}"
        if failed is not None:
            raise self._lost([failed, reason]) from error
        return reason

    def _lost(self, reasons: list[str]) -> BlockLost:
        why = "; read once more: ".join(dict.fromkeys(reasons))
        return BlockLost(self._name.shuffle, self._name.map_index, self._executor, self._name.attempt, why)
