"""What an executor serves to its peers and its driver: which bytes of which of its files a block is.

Block names are taken apart strictly and paths are made from their numbers, so no request reaches any other file. The
executor serves, not its workers: one that dies takes no file with it. Of what workers have in memory, cached partitions
are served too, as long as they are there: frames as they are, objects after their worker was asked for a copy.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from weakref import WeakValueDictionary

from rddlite.base.cached import Block, Wanted
from rddlite.base.ids import BroadcastData, CachedData, ShuffleData, TaskResult, parse_block
from rddlite.executor.copying import CopyRequest
from rddlite.executor.env import result_path
from rddlite.net.address import Place
from rddlite.net.auth import ExecutorKeys
from rddlite.net.serve import Awaited, BlockServer
from rddlite.net.transfer import INDEX, WHOLE, ByteRange, NoSuchBlock
from rddlite.shared.held import find_piece
from rddlite.shuffle.format import bucket_and_part, data_path, index_path
from rddlite.shuffle.reader import IndexCache
from rddlite.storage.blocks import FOLDER

_LONGEST_NAME = 100

Whereabouts = Callable[[Block], Wanted]
"""Where a cached partition is that some worker has in memory: frames, or whom to ask for a copy, and for how long."""


class ServedFiles:
    """The blocks below one scratch directory. Used by the block server's thread, which also calls `whereabouts`."""

    def __init__(self, scratch: str, whereabouts: Whereabouts | None = None) -> None:
        self._scratch = scratch
        self._whereabouts = whereabouts
        self._indexes = IndexCache()
        self._copies: WeakValueDictionary[Block, CopyRequest] = WeakValueDictionary()

    def resolve(self, block: str, part: int) -> ByteRange | Awaited:
        """Where this part is, or will be.

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

    def _cached(self, block: CachedData) -> ByteRange | Awaited:
        try:
            return _whole(os.path.join(self._scratch, FOLDER, str(block)))
        except FileNotFoundError:
            if self._whereabouts is None:
                raise
        wanted = self._whereabouts((block.cache, block.partition))
        if wanted.owner:
            return self._copy(wanted)
        if not wanted.path:
            raise NoSuchBlock(f"{block} is not here (any more)")
        found = os.stat(wanted.path)
        if found.st_ino != wanted.inode:
            raise NoSuchBlock(f"{block} is not here any more")
        return ByteRange(wanted.path, 0, found.st_size, 0, inode=wanted.inode)

    def _copy(self, wanted: Wanted) -> CopyRequest:
        """All that want it at the same time get the same copy."""
        request = self._copies.get(wanted.block)
        if request is None:
            request = self._copies[wanted.block] = CopyRequest(self._scratch, wanted)
        return request

    def _map_output(self, block: ShuffleData, number: int) -> ByteRange:
        path = index_path(self._scratch, block)
        if number == INDEX:
            return _whole(path)
        try:
            index = self._indexes.get(path)
        except FileNotFoundError:
            raise NoSuchBlock(f"{block} is not here (any more)") from None
        data = data_path(self._scratch, block)
        if number == WHOLE:
            return ByteRange(data, 0, index.data_length, sum(index.counts))
        bucket, part = bucket_and_part(number) if number >= 0 else (number, None)
        if not 0 <= bucket < index.n_buckets:
            raise NoSuchBlock(f"{block} has no bucket {bucket} of {index.n_buckets}")
        if part is not None and part >= index.n_parts:
            raise NoSuchBlock(f"{block} has no part {part} of {index.n_parts}")
        extents = index.extents(bucket, part)
        start, length = extents[0][0] if extents else 0, index.length(bucket, part)
        return ByteRange(data, start, length, index.count(bucket, part), tuple(extents[1:] and extents))


def start_block_server(
    scratch: str, keys: ExecutorKeys, host: str, whereabouts: Whereabouts | None = None
) -> BlockServer:
    """Serve the files of this executor to its peers and its driver, until it is closed, at a free port of `host`: the
    name or number of an interface of this machine.

    Raises:
        ProviderError: as `BlockServer`.
    """
    allowed = [keys.executors.public, keys.driver_public]
    return BlockServer(Place(host, 0).endpoint, keys.executors, allowed, ServedFiles(scratch, whereabouts).resolve)


def _whole(path: str) -> ByteRange:
    return ByteRange(path, 0, os.stat(path).st_size, 0)
