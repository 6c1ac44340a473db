"""The size of a reduce partition, from indexes alone."""

from __future__ import annotations

import os

from rddlite.shuffle.near import near_size
from rddlite.shuffle.reader import IndexCache
from tests.unit.shuffle.outputs import SHUFFLE, keyed, table_of, target, write


def size(scratch, n_maps, reduce_index, reach=None):
    return near_size(table_of(scratch, [1] * n_maps), SHUFFLE, reduce_index, reach, indexes=IndexCache())


class Nowhere:
    def is_near(self, location):
        return False


def test_sizes_are_known_where_all_is_near(tmp_path):
    n_bytes = 0
    for map_index in range(3):
        n_bytes += write(keyed(2), target(tmp_path, map_index), [[(i, "x" * i) for i in range(50)]]).total_bytes
    assert size(tmp_path, 3, 0) + size(tmp_path, 3, 1) == n_bytes
    assert size(tmp_path, 0, 0) == 0
    assert size(tmp_path, 3, 0, Nowhere()) is None
    assert size(tmp_path, 3, 2) is None
    os.truncate(tmp_path / "shuffle" / "shuffle-4-1-1.index", 9)
    assert size(tmp_path, 3, 0) is None
    assert size(tmp_path, 4, 0) is None
