"""How large a reduce partition is, as far as the files of this host tell without being read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from rddlite.base.ids import ShuffleData, ShuffleId
from rddlite.shuffle.format import index_path
from rddlite.shuffle.locations import MapTable
from rddlite.shuffle.reader import IndexCache, own_indexes

if TYPE_CHECKING:
    from rddlite.shuffle.fetcher import Reach


def near_size(
    tables: Mapping[ShuffleId, MapTable],
    shuffle: ShuffleId,
    reduce_index: int,
    reach: Reach | None = None,
    *,
    indexes: IndexCache = own_indexes,
) -> int | None:
    """Bytes of a reduce partition; None where not all of it is on this host, or in order: its reader will tell."""
    size = 0
    for map_index, location in enumerate(tables[shuffle]):
        if not location.scratch or (reach is not None and not reach.is_near(location)):
            return None
        block = ShuffleData(shuffle, map_index, location.attempt)
        try:
            index = indexes.get(index_path(location.scratch, block))
        except OSError:
            return None
        if reduce_index >= index.n_buckets:
            return None
        size += index.length(reduce_index)
    return size
