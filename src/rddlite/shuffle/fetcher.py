"""The reduce side of a shuffle across hosts: the blocks of a reduce partition from other executors, in map order.

All sources are asked at once and stream while their records are used; what is on its way is bounded by the fetcher's
window, to which comes the frame in hand. Where an output has too many sources they are asked in rounds of consecutive
map partitions, always one round ahead. Each frame is verified; from one that is damaged on, its block is fetched once
more, and so is one that is said to be missing. After that, or when its source cannot be reached, it is `BlockLost`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from rddlite.base.faults import fault_point
from rddlite.base.ids import ShuffleData, ShuffleId
from rddlite.base.metrics import TaskMetrics
from rddlite.errors import CorruptBlock
from rddlite.net.samehost import is_same_host
from rddlite.net.transfer import MAX_WANTED, Arrival, BlockMissing, Source, Unreachable, Wanted
from rddlite.serde.records import HEADER_SIZE, Frame, decode_frame, frame_length
from rddlite.shuffle.format import number_of
from rddlite.shuffle.locations import MapLocation
from rddlite.shuffle.reader import BlockLost

_SOURCES_AT_ONCE = 64
_SOURCES_OF_A_ROUND = 32
_ROUNDS_AT_ONCE = 2
_MANY_HOSTS = 10_000
_NOTHING = memoryview(b"")

Row = tuple[int, MapLocation]
"""A map partition and where its output is."""


class Arrivals(Protocol):
    """What was asked for, on its way (`net.fetch.Stream`)."""

    def take(self, index: int) -> Arrival:
        """What comes next from the `index`th source; raises `Unreachable` and `BlockMissing`."""
        ...

    def close(self) -> None:
        """Nothing more is wanted."""
        ...


class Fetching(Protocol):
    """What fetches (`net.fetch.Fetcher`)."""

    seconds_waited: float

    def stream(self, lists: Sequence[tuple[Source, Sequence[Wanted]]], offset: int = 0) -> Arrivals:
        """Ask sources for parts of blocks."""
        ...

    def settle(self) -> None:
        """Nothing that was asked for is wanted any more."""
        ...


class Reach:
    """What one process can get at: the files of its own executor and of its host directly, all others by fetching.

    `connect` makes what fetches, when it is first needed; `public_key` is that of all executors.
    """

    def __init__(self, executor: str, public_key: str, connect: Callable[[], Fetching]) -> None:
        self._executor = executor
        self._public_key = public_key
        self._connect = connect
        self._fetching: Fetching | None = None
        self._near: dict[tuple[str, str], bool] = {}

    def is_near(self, location: MapLocation) -> bool:
        """Whether this output's files are to be read directly; so they are where nobody serves them."""
        if location.executor == self._executor or not location.address:
            return True
        place = (location.scratch, location.token)
        if place not in self._near:
            if len(self._near) >= _MANY_HOSTS:
                self._near.clear()
            self._near[place] = is_same_host(*place)
        return self._near[place]

    def fetching(self) -> Fetching:
        """What fetches."""
        if self._fetching is None:
            self._fetching = self._connect()
        return self._fetching

    def source(self, location: MapLocation) -> Source:
        """Who serves this output."""
        return self.source_at(location.executor, location.address)

    def source_at(self, executor: str, address: str) -> Source:
        """An executor that serves at this address."""
        return Source(f"executor {executor}", address, self._public_key)

    def blocks(
        self,
        rows: Sequence[Row],
        shuffle: ShuffleId,
        reduce_index: int,
        metrics: TaskMetrics,
        part: int | None = None,
    ) -> RemoteBlocks:
        """Those of a reduce partition, or of one part of it, that are elsewhere."""
        return RemoteBlocks(self, rows, shuffle, reduce_index, metrics, part)

    def settle(self) -> None:
        """The task is over: whatever it left half-read is not wanted any more."""
        if self._fetching is not None:
            self._fetching.settle()


class RemoteBlocks:
    """The blocks of one reduce partition, or of one part of it, that have to be fetched: after `start`, the `frames` of
    each row, in their order.
    """

    def __init__(
        self,
        reach: Reach,
        rows: Sequence[Row],
        shuffle: ShuffleId,
        reduce_index: int,
        metrics: TaskMetrics,
        part: int | None = None,
    ) -> None:
        self._reach = reach
        self._shuffle = shuffle
        self._reduce_index = reduce_index
        self._number = number_of(reduce_index, part)
        self._metrics = metrics
        self._rounds = cut_rounds(rows)
        self._open: deque[Round] = deque()
        self._has_block = False

    def start(self) -> None:
        """Ask for the first blocks now."""
        fault_point("fetch.start")
        self._fetching = self._reach.fetching()
        self._ask_ahead()

    def frames(self, map_index: int, location: MapLocation) -> Iterator[Frame]:
        """The frames of this row, each verified, counted as they are handed out.

        Raises:
            BlockLost: if they cannot be had.
        """
        block = ShuffleData(self._shuffle, map_index, location.attempt)
        round_ = self._round_of(map_index)
        bucket = _Bucket(lambda: round_.take(map_index))
        again: Arrivals | None = None
        failed: str | None = None
        records = offset = 0
        try:
            while True:
                try:
                    frame = self._next(bucket)
                except (CorruptBlock, BlockMissing) as error:
                    reason = f"{block}, bucket {self._reduce_index}: {told(location, error)}"
                    if failed is not None:
                        raise lost(block, location, failed, reason) from error
                    failed = reason
                    if again is not None:
                        again.close()
                    again = self._ask_again(block, location, bucket.offset)
                    bucket = _Bucket(_taking(again), bucket.offset)
                    continue
                except Unreachable as error:
                    raise lost(block, location, failed, f"{block}: {error}") from error
                if frame is None:
                    break
                failed = None
                records += frame.count
                self._count(frame.count, bucket.offset - offset)
                offset = bucket.offset
                yield frame
        finally:
            if again is not None:
                again.close()
        if records != bucket.records:
            why = f"{block}: differs from its index by {abs(bucket.records - records)} records"
            raise lost(block, location, None, why)
        self._metrics.remote_blocks_read += 1
        if not self._has_block:
            self._has_block = True
            fault_point("fetch.block")

    def close(self) -> None:
        """Nothing more is wanted."""
        while self._open:
            self._open.popleft().stream.close()

    # Rounds

    def _ask_ahead(self) -> None:
        while len(self._open) < _ROUNDS_AT_ONCE and (rows := next(self._rounds, None)) is not None:
            self._open.append(ask_round(self._reach, self._shuffle, rows, self._number))

    def _round_of(self, map_index: int) -> Round:
        while map_index not in self._open[0].places:
            self._open.popleft().stream.close()
            self._ask_ahead()
        return self._open[0]

    def _wanted(self, block: ShuffleData) -> Wanted:
        return Wanted(str(block), self._number)

    def _ask_again(self, block: ShuffleData, location: MapLocation, offset: int) -> Arrivals:
        return self._fetching.stream([(self._reach.source(location), [self._wanted(block)])], offset)

    # One block

    def _next(self, bucket: _Bucket) -> Frame | None:
        waited = self._fetching.seconds_waited
        try:
            return bucket.next_frame()
        finally:
            self._metrics.fetch_wait_seconds += self._fetching.seconds_waited - waited

    def _count(self, records: int, size: int) -> None:
        self._metrics.shuffle_records_read += records
        self._metrics.shuffle_bytes_read += size
        self._metrics.remote_bytes_read += size


def told(location: MapLocation, error: OSError) -> str:
    """What is wrong with what came from there."""
    if isinstance(error, BlockMissing):
        return str(error)
    return f"executor {location.executor} at {location.address} sent what is damaged: {error}"


def lost(block: ShuffleData, location: MapLocation, failed: str | None, reason: str) -> BlockLost:
    """That a block cannot be had; `failed` is why the first try came to nothing."""
    why = reason if failed is None or failed == reason else f"{failed}; fetched once more: {reason}"
    return BlockLost(block.shuffle, block.map_index, location.executor, location.attempt, why)


def ask_round(reach: Reach, shuffle: ShuffleId, rows: Sequence[Row], number: int) -> Round:
    """Ask for this part of the map outputs in these rows."""
    lists: dict[Source, list[Wanted]] = {}
    places: dict[int, tuple[int, int]] = {}
    numbers: dict[Source, int] = {}
    for map_index, location in rows:
        source = reach.source(location)
        wanted = lists.setdefault(source, [])
        places[map_index] = numbers.setdefault(source, len(numbers)), len(wanted)
        wanted.append(Wanted(str(ShuffleData(shuffle, map_index, location.attempt)), number))
    return Round(reach.fetching().stream(list(lists.items())), places)


def _taking(stream: Arrivals) -> Callable[[], Arrival]:
    return lambda: stream.take(0)


def cut_rounds(rows: Sequence[Row]) -> Iterator[list[Row]]:
    """Consecutive rows, from a bounded number of sources."""
    n_sources = len({location.address for _, location in rows})
    most = _SOURCES_AT_ONCE if n_sources <= _SOURCES_AT_ONCE else _SOURCES_OF_A_ROUND
    current: list[Row] = []
    counts: dict[str, int] = {}
    for row in rows:
        address = row[1].address
        if (address not in counts and len(counts) == most) or counts.get(address) == MAX_WANTED:
            yield current
            current, counts = [], {}
        current.append(row)
        counts[address] = counts.get(address, 0) + 1
    if current:
        yield current


class Round:
    """Rows that were asked for together: `places` is, per map partition, which source and which of its parts."""

    def __init__(self, stream: Arrivals, places: dict[int, tuple[int, int]]) -> None:
        self.stream = stream
        self.places = places

    def take(self, map_index: int) -> Arrival:
        """What comes next of this map partition's block; leftovers of those before it are dropped.

        Raises:
            Unreachable, BlockMissing: as `Arrivals.take`.
        """
        source, item = self.places[map_index]
        while True:
            try:
                arrival = self.stream.take(source)
            except BlockMissing as error:
                if error.item < item:
                    continue
                raise
            if arrival.item == item:
                return arrival


class _Bucket:
    """One bucket as it arrives, from `offset` on, and the frames that are cut from it once they are whole.

    A frame within a piece is read there, and its arrays are copied out of it when it is unpickled, as the piece may be
    much larger. One that spans pieces is put together in memory of its own, in which its arrays may stay.
    """

    def __init__(self, take: Callable[[], Arrival], offset: int = 0) -> None:
        self._take = take
        self._rest = _NOTHING
        self._is_known = False
        self.offset = offset
        """Where the next frame starts."""
        self.length = 0
        self.records = 0

    def next_frame(self) -> Frame | None:
        """The next frame, verified; None at the end of the bucket.

        Raises:
            CorruptBlock: if what comes is none.
            Unreachable, BlockMissing: if nothing comes.
        """
        if not self._is_known:
            self._more()
        left = self.length - self.offset
        if not left:
            return None
        self._fill_up_to(min(HEADER_SIZE, left))
        size = frame_length(self._rest)
        if size > left:
            raise CorruptBlock(f"truncated frame at offset {self.offset}: {left} bytes of {size}")
        if size <= len(self._rest):
            frame, _ = decode_frame(self._rest[:size].toreadonly())
            self._rest = self._rest[size:]
        else:
            frame, _ = decode_frame(self._put_together(size))
        self.offset += size
        return frame

    def _more(self) -> None:
        """Take the next piece; what was left of the one before is dropped."""
        arrival = self._take()
        self._is_known = True
        self.length, self.records, self._rest = arrival.length, arrival.count, arrival.data

    def _fill_up_to(self, size: int) -> None:
        while len(self._rest) < size:
            before = bytes(self._rest)
            self._more()
            if before:
                self._rest = memoryview(before + self._rest)

    def _put_together(self, size: int) -> bytearray:
        whole = bytearray(size)
        done = 0
        while True:
            part = self._rest[: size - done]
            whole[done : done + len(part)] = part
            done += len(part)
            self._rest = self._rest[len(part) :]
            if done == size:
                return whole
            self._more()
