"""Arrays through a shuffle: not copied by Python on the way, and the reader's own to write to."""

from __future__ import annotations

import array
import os
import tracemalloc

import numpy as np
import pytest

from rddlite.shuffle import reader
from rddlite.shuffle.format import data_path
from rddlite.shuffle.reader import BlockLost
from tests.unit.shuffle.outputs import buckets, keyed, read, target, write

LARGE = 1 << 20
"""Numbers of 8 bytes: more than a window of 4 MiB."""


def blocks(n):
    return [(i, np.arange(LARGE, dtype="i8") + i) for i in range(n)]


def test_large_arrays_come_as_they_were(tmp_path):
    write(keyed(2), target(tmp_path), [[pair] for pair in blocks(4)])
    found = [pair for bucket in buckets(tmp_path, 2) for pair in bucket]
    assert sorted(key for key, _ in found) == [0, 1, 2, 3]
    for key, values in found:
        np.testing.assert_array_equal(values, np.arange(LARGE) + key)


def test_arrays_may_be_written_to_and_the_file_stays_as_it_is(tmp_path):
    write(keyed(1), target(tmp_path), [blocks(1), [("small", np.zeros(2000))]])
    for _ in range(2):
        for _, values in read(tmp_path, [1], 0):
            assert values.flags.writeable
            assert values[0] == 0
            values[:] = -1


def test_nothing_is_copied_by_python_on_either_side(tmp_path):
    batch = blocks(4)
    tracemalloc.start()
    try:
        write(keyed(1), target(tmp_path), [[pair] for pair in batch])
        _, peak_of_writing = tracemalloc.get_traced_memory()
        found = read(tmp_path, [1], 0)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(found) == 4
    assert peak_of_writing < LARGE
    assert peak < 4.5 * 8 * LARGE, "the memory in which they live, and nothing that is as large as one of them"


@pytest.mark.parametrize("most_read", [0, 1 << 30])
@pytest.mark.parametrize("window", [64, 20_000, 1 << 20])
def test_large_and_small_frames_side_by_side(tmp_path, monkeypatch, most_read, window):
    monkeypatch.setattr(reader, "_MOST_READ", most_read)
    sizes = [10, 9000, 20, 600, 30_000, 30_000, 5, 1]
    write(keyed(1), target(tmp_path), [[(size, np.arange(size))] for size in sizes])
    found = read(tmp_path, [1], 0, window=window)
    assert [key for key, _ in found] == sizes
    for size, values in found:
        np.testing.assert_array_equal(values, np.arange(size))
        values += 1


def test_each_byte_of_large_frames_is_read_once(tmp_path, monkeypatch):
    def counted(fd, buffers, offset):
        n = preadv(fd, buffers, offset)
        read_bytes.append(n)
        return n

    read_bytes = []
    preadv = os.preadv
    write(keyed(1), target(tmp_path), [[pair] for pair in [("small", 1), *blocks(3), ("small", 1), *blocks(2)]])
    monkeypatch.setattr(os, "preadv", counted)
    assert len(read(tmp_path, [1], 0)) == 7
    size = os.path.getsize(data_path(str(tmp_path), target(tmp_path).block))
    assert size <= sum(read_bytes) < size + 1000


def test_whatever_has_a_buffer_goes_the_same_way(tmp_path):
    values = array.array("d", range(LARGE))
    write(keyed(1), target(tmp_path), [[("array", values)], [("bytes", bytearray(8 * LARGE))]])
    found = dict(read(tmp_path, [1], 0))
    assert found["array"] == values
    assert found["bytes"] == bytearray(8 * LARGE)


@pytest.mark.parametrize("at", [-8, 5 << 20])
def test_a_large_frame_that_rots_or_ends_early_is_lost(tmp_path, at):
    write(keyed(1), target(tmp_path), [blocks(1)])
    path = data_path(str(tmp_path), target(tmp_path).block)
    with open(path, "r+b") as file:
        if at < 0:
            file.truncate(8 * LARGE + at)
        else:
            file.seek(at)
            file.write(b"\xff" * 8)
    with pytest.raises(BlockLost, match=r"checksum|ends"):
        read(tmp_path, [1], 0)
