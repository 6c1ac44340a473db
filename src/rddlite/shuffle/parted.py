"""Reading a bucket part by part, where large map outputs divided it (`parts`).

Only where all outputs are files of this host; those of other hosts are fetched whole. Outputs that are not divided are
told apart, for the reader to divide: there must be little of them. Blocks are read and verified by `reader`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from rddlite.base.ids import ShuffleData, ShuffleId
from rddlite.base.metrics import TaskMetrics
from rddlite.serde.records import Frame
from rddlite.shuffle.locations import MapTable
from rddlite.shuffle.reader import WINDOW, Block, IndexCache, own_indexes

if TYPE_CHECKING:
    from rddlite.shuffle.fetcher import Reach


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
        self._reduce_index = reduce_index
        self._metrics = metrics
        self._window = window
        self._divided: list[tuple[int, Block]] = []
        self._whole: list[tuple[int, Block]] = []
        self.is_possible = all(
            location.scratch and (reach is None or reach.is_near(location)) for location in tables[shuffle]
        )
        """Whether the bucket can be read, and is worth being read, by parts."""
        if not self.is_possible:
            return
        for map_index, location in enumerate(tables[shuffle]):
            name = ShuffleData(shuffle, map_index, location.attempt)
            block = Block(name, location.executor, location.scratch, indexes)
            (self._divided if block.n_parts() > 1 else self._whole).append((map_index, block))
        self.is_possible = bool(self._divided) and self._n_whole() <= most_whole

    def part(self, part: int) -> Iterator[tuple[int, Frame]]:
        """The frames of a part, in map order, each with its map partition.

        Raises:
            BlockLost: for the first map output that cannot be read.
        """
        for map_index, block in self._divided:
            for frame in self._frames(block, part):
                yield map_index, frame

    def whole(self) -> Iterator[tuple[int, Frame]]:
        """The frames of what is not divided, in the same way."""
        for map_index, block in self._whole:
            for frame in self._frames(block, None):
                yield map_index, frame

    def _n_whole(self) -> int:
        return sum(length for _, block in self._whole for _, length in block.locate(self._reduce_index)[0])

    def _frames(self, block: Block, part: int | None) -> Iterator[Frame]:
        return block.counted_frames(self._reduce_index, part, self._window, self._metrics)
