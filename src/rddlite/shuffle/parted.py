"""Reading a bucket part by part, where large map outputs divided it (`parts`).

Of outputs on other hosts the indexes are fetched first, then one part after another. Outputs that are not divided are
told apart, for the reader to divide: there must be little of them. Blocks are read and verified by `reader`, those of
other hosts by `fetcher`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from rddlite.base.ids import ShuffleData, ShuffleId
from rddlite.base.metrics import TaskMetrics
from rddlite.serde.records import Frame
from rddlite.shuffle.farindexes import far_outlines
from rddlite.shuffle.locations import MapLocation, MapTable
from rddlite.shuffle.reader import WINDOW, Block, IndexCache, own_indexes

if TYPE_CHECKING:
    from rddlite.shuffle.fetcher import Reach, RemoteBlocks, Row
    from rddlite.shuffle.format import Outline


class Parted:
    """One bucket of all map outputs. `most_whole` is how many bytes there may be in outputs that are not divided.

    Raises:
        BlockLost: for the first map output that has no good index.
    """

    def __init__(
        self,
        tables: Mapping[ShuffleId, MapTable],
        shuffle: ShuffleId,
        reduce_index: int,
        metrics: TaskMetrics,
        reach: Reach | None = None,
        *,
        most_whole: int,
        indexes: IndexCache = own_indexes,
        window: int = WINDOW,
    ) -> None:
        self._shuffle = shuffle
        self._reduce_index = reduce_index
        self._metrics = metrics
        self._reach = reach
        self._window = window
        self._divided: list[tuple[int, MapLocation, Block | None]] = []
        self._whole: list[tuple[int, MapLocation, Block | None]] = []
        self.is_possible = False
        """Whether the bucket can be read, and is worth being read, by parts."""
        table = tables[shuffle]
        if not all(location.scratch for location in table):
            return
        far = {} if reach is None else {i: location for i, location in enumerate(table) if not reach.is_near(location)}
        far_ones = self._far_outlines(reach, list(far.items()), indexes) if reach is not None and far else {}
        n_whole = 0
        for map_index, location in enumerate(table):
            block: Block | None = None
            if map_index in far:
                outline = far_ones[map_index]
                n_parts, length = outline.n_parts, outline.lengths[reduce_index]
            else:
                name = ShuffleData(shuffle, map_index, location.attempt)
                block = Block(name, location.executor, location.scratch, indexes)
                n_parts, length = block.n_parts(), sum(length for _, length in block.locate(reduce_index)[0])
            (self._divided if n_parts > 1 else self._whole).append((map_index, location, block))
            n_whole += length if n_parts == 1 else 0
        self.is_possible = bool(self._divided) and n_whole <= most_whole

    def part(self, part: int) -> Iterator[tuple[int, Frame]]:
        """The frames of a part, in map order, each with its map partition.

        Raises:
            BlockLost: for the first map output that cannot be read.
        """
        return self._frames(self._divided, part)

    def whole(self) -> Iterator[tuple[int, Frame]]:
        """The frames of what is not divided, in the same way."""
        return self._frames(self._whole, None)

    def _far_outlines(self, reach: Reach, rows: Sequence[Row], indexes: IndexCache) -> dict[int, Outline]:
        fetching = reach.fetching()
        waited = fetching.seconds_waited
        try:
            return far_outlines(reach, self._shuffle, rows, indexes)
        finally:
            self._metrics.fetch_wait_seconds += fetching.seconds_waited - waited

    def _frames(
        self, rows: Sequence[tuple[int, MapLocation, Block | None]], part: int | None
    ) -> Iterator[tuple[int, Frame]]:
        far = [(map_index, location) for map_index, location, block in rows if block is None]
        remote: RemoteBlocks | None = None
        if self._reach is not None and far:
            remote = self._reach.blocks(far, self._shuffle, self._reduce_index, self._metrics, part)
        try:
            if remote is not None:
                remote.start()
            for map_index, location, block in rows:
                if block is not None:
                    frames = block.counted_frames(self._reduce_index, part, self._window, self._metrics)
                else:
                    assert remote is not None
                    frames = remote.frames(map_index, location)
                for frame in frames:
                    yield map_index, frame
                    del frame
        finally:
            if remote is not None:
                remote.close()
