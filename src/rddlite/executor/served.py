"""What an executor serves to its peers and its driver: which bytes of which of its files a block is.

Block names are taken apart strictly and paths are made from their numbers, so no request reaches any other file. The
executor serves, not its workers: one that dies takes no file with it. Of what workers have in memory, frames of cached
partitions are served too, as long as they are there.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from rddlite.base.cached import Block
from rddlite.base.ids import BroadcastData, CachedData, ShuffleData, TaskResult, parse_block
from rddlite.executor.env import result_path
from rddlite.net.address import Place
from rddlite.net.auth import ExecutorKeys
from rddlite.net.serve import BlockServer
from rddlite.net.transfer import INDEX, WHOLE, ByteRange, NoSuchBlock
from rddlite.shared.held import find_piece
from rddlite.shuffle.format import data_path, index_path
from rddlite.shuffle.reader import IndexCache
from rddlite.storage.blocks import FOLDER

_LONGEST_NAME = 100

FramesOf = Callable[[Block], tuple[str, int]]
"""Path and inode of the frames of a block that some worker has in memory; an empty path where there are none."""


class ServedFiles:
    """The blocks below one scratch directory. Used by the block server's thread, which is also to call `frames_of`."""

    def __init__(self, scratch: str, frames_of: FramesOf | None = None) -> None:
        self._scratch = scratch
        self._frames_of = frames_of
        self._indexes = IndexCache()

    def resolve(self, block: str, part: int) -> ByteRange:
        """Where this part is.

        Raises:
            NoSuchBlock: if there is none.
            OSError: if its files cannot be read, or are damaged.
        """
        try:
            found = parse_block(block[:_LONGEST_NAME])
        except ValueError:
            raise NoSuchBlock(f"not the name of a block: {block[:_LONGEST_NAME]!r}") from None
        match found:
            case ShuffleData():
                return self._map_output(found, part)
            case TaskResult(attempt) if part == WHOLE:
                return _whole(result_path(self._scratch, attempt))
            case BroadcastData(broadcast) if part >= 0:
                return find_piece(self._scratch, broadcast, part)
            case CachedData() if part == WHOLE:
                return self._cached(found)
        raise NoSuchBlock(f"{found} has no part {part} here")

    def _cached(self, block: CachedData) -> ByteRange:
        try:
            return _whole(os.path.join(self._scratch, FOLDER, str(block)))
        except FileNotFoundError:
            path, inode = self._frames_of((block.cache, block.partition)) if self._frames_of is not None else ("", 0)
            if not path:
                raise
        found = os.stat(path)
        if found.st_ino != inode:
            raise NoSuchBlock(f"{block} is not here any more")
        return ByteRange(path, 0, found.st_size, 0, inode=inode)

    def _map_output(self, block: ShuffleData, part: int) -> ByteRange:
        path = index_path(self._scratch, block)
        if part == INDEX:
            return _whole(path)
        try:
            index = self._indexes.get(path)
        except FileNotFoundError:
            raise NoSuchBlock(f"{block} is not here (any more)") from None
        data = data_path(self._scratch, block)
        if part == WHOLE:
            return ByteRange(data, 0, index.data_length, sum(index.counts))
        if not 0 <= part < index.n_buckets:
            raise NoSuchBlock(f"{block} has no bucket {part} of {index.n_buckets}")
        extents = index.extents(part)
        start = extents[0][0] if extents else 0
        return ByteRange(data, start, index.length(part), index.count(part), tuple(extents[1:] and extents))


def start_block_server(scratch: str, keys: ExecutorKeys, host: str, frames_of: FramesOf | None = None) -> BlockServer:
    """Serve the files of this executor to its peers and its driver, until it is closed, at a free port of `host`: the
    name or number of an interface of this machine.

    Raises:
        ProviderError: as `BlockServer`.
    """
    allowed = [keys.executors.public, keys.driver_public]
    return BlockServer(Place(host, 0).endpoint, keys.executors, allowed, ServedFiles(scratch, frames_of).resolve)


def _whole(path: str) -> ByteRange:
    return ByteRange(path, 0, os.stat(path).st_size, 0)
