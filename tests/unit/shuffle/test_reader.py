"""Blocks come in map order; whatever is missing, short or damaged is a lost block and nothing else is."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rddlite.base.metrics import TaskMetrics
from rddlite.errors import CorruptBlock
from rddlite.shuffle import reader
from rddlite.shuffle.reader import BlockLost, IndexCache, read_blocks
from tests.unit.shuffle.outputs import SHUFFLE, buckets, keyed, read, table_of, target, write

RECORDS = [(f"key {i}", i) for i in range(300)]


def two_outputs(scratch: Path) -> None:
    write(keyed(3), target(scratch, 0, attempt=1), [RECORDS])
    write(keyed(3), target(scratch, 1, attempt=2), [RECORDS[::-1]])


@pytest.fixture
def scratch(tmp_path):
    two_outputs(tmp_path)
    return tmp_path


def data_file(scratch: Path) -> Path:
    return scratch / "shuffle" / "shuffle-4-1-2.data"


def index_file(scratch: Path) -> Path:
    return scratch / "shuffle" / "shuffle-4-1-2.index"


def test_blocks_come_in_map_order_and_are_counted(scratch):
    metrics = TaskMetrics()
    got = [read(scratch, [1, 2], i, metrics) for i in range(3)]
    for bucket in got:
        half = len(bucket) // 2
        assert bucket[:half] == bucket[half:][::-1]
    assert sorted(record for bucket in got for record in bucket) == sorted(RECORDS * 2)
    assert metrics.shuffle_records_read == 600
    assert metrics.shuffle_bytes_read == sum(path.stat().st_size for path in (scratch / "shuffle").glob("*.data"))


@pytest.mark.parametrize("window", [1, 100, 5000, 1 << 20])
def test_a_window_of_any_size_gives_the_same(scratch, window):
    assert buckets(scratch, 3, [1, 2], window=window) == buckets(scratch, 3, [1, 2])


def test_large_blocks_are_the_same_with_numpy_and_without(tmp_path, monkeypatch):
    records = [(i, bytes([i]) * 700_000) for i in range(8)]
    write(keyed(1), target(tmp_path, 0, attempt=1), [records])
    monkeypatch.setitem(sys.modules, "numpy", numpy)
    with_numpy = buckets(tmp_path, 1, [1])
    monkeypatch.delitem(sys.modules, "numpy")
    assert with_numpy == buckets(tmp_path, 1, [1]) == [records]


def test_columns_need_no_tuples(scratch):
    (frame, *_) = read_blocks(table_of(scratch, [1, 2]), SHUFFLE, 0, TaskMetrics())
    keys, values = frame.columns()
    assert list(zip(keys, values, strict=True)) == frame.records()


def test_the_index_of_an_output_is_read_once(scratch):
    indexes = IndexCache()
    expected = buckets(scratch, 3, [1, 2], indexes=indexes)
    index_file(scratch).unlink()
    assert buckets(scratch, 3, [1, 2], indexes=indexes) == expected


def test_the_cache_of_indexes_is_bounded(scratch):
    indexes = IndexCache(limit=5)
    buckets(scratch, 3, [1, 2], indexes=indexes)
    assert len(indexes) == 1


def test_an_empty_bucket_needs_no_data_file(tmp_path):
    write(keyed(2), target(tmp_path), [[(0, 0), (2, 2)]])
    (tmp_path / "shuffle" / "shuffle-4-0-1.data").unlink()
    assert read(tmp_path, [1], 1) == []


def assert_lost(scratch: Path, **options) -> BlockLost:
    with pytest.raises(BlockLost) as caught:
        buckets(scratch, 3, [1, 2], **options)
    lost = caught.value
    assert (lost.shuffle, lost.map_index, lost.executor, lost.attempt) == (SHUFFLE, 1, "0", 2)
    assert "shuffle-4-1-2" in lost.why
    return lost


def test_a_missing_data_file(scratch):
    data_file(scratch).unlink()
    assert "No such file" in assert_lost(scratch).why


def test_a_missing_index(scratch):
    index_file(scratch).unlink()
    assert "No such file" in assert_lost(scratch).why


def test_a_known_index_does_not_hide_that_both_files_are_gone(scratch):
    indexes = IndexCache()
    buckets(scratch, 3, [1, 2], indexes=indexes)
    data_file(scratch).unlink()
    index_file(scratch).unlink()
    assert_lost(scratch, indexes=indexes)


@pytest.mark.parametrize("left", [0, 1, 40, 100, -1])
def test_a_shortened_data_file(scratch, left):
    os.truncate(data_file(scratch), left if left >= 0 else data_file(scratch).stat().st_size - 1)
    assert "early" in assert_lost(scratch).why


def test_a_data_file_that_is_a_directory(scratch):
    data_file(scratch).unlink()
    data_file(scratch).mkdir()
    assert_lost(scratch)


@given(st.data(), st.booleans(), st.sampled_from([64, 1 << 20]))
def test_every_flipped_bit_is_found(tmp_path_factory, data, in_index, window):
    scratch = tmp_path_factory.mktemp("s")
    two_outputs(scratch)
    path = index_file(scratch) if in_index else data_file(scratch)
    content = bytearray(path.read_bytes())
    bit = data.draw(st.integers(0, 8 * len(content) - 1))
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)
    assert_lost(scratch, window=window)


def test_fewer_records_than_the_index_says(scratch):
    path = index_file(scratch)
    good = reader.read_index(str(path))
    good.counts[0] += 1
    path.write_bytes(good.to_bytes())
    assert "by 1 records" in assert_lost(scratch).why


def test_an_index_of_fewer_buckets(scratch):
    write(keyed(2), target(scratch, 1, attempt=2), [RECORDS])
    assert "no bucket 2" in assert_lost(scratch).why


def test_what_is_good_at_the_second_reading_is_no_loss(scratch, monkeypatch):
    good = reader.decode_frame
    failures = iter([True, False, False, True])

    def sometimes(view, offset):
        if next(failures, False):
            raise CorruptBlock("a bit flipped in memory")
        return good(view, offset)

    expected = buckets(scratch, 3, [1, 2])
    monkeypatch.setattr(reader, "decode_frame", sometimes)
    assert buckets(scratch, 3, [1, 2], window=10_000) == expected


def test_both_reasons_are_told(scratch, monkeypatch):
    def fail(path, flags):
        raise OSError(errno.EIO, next(texts), path)

    texts = iter(["first", "second"])
    monkeypatch.setattr(os, "open", fail)
    with pytest.raises(BlockLost) as caught:
        read(scratch, [1, 2], 0)
    assert caught.value.why.index("first") < caught.value.why.index("read once more") < caught.value.why.index("second")


def test_a_shortage_of_this_process_is_no_loss(scratch, monkeypatch):
    def fail(path, flags):
        raise OSError(errno.EMFILE, "too many open files", path)

    monkeypatch.setattr(os, "open", fail)
    with pytest.raises(OSError, match="too many open files"):
        read(scratch, [1, 2], 0)


class Bomb:
    """Unpickling it raises what looks like a damaged file."""

    def __reduce__(self):
        return _explode, ()


def _explode():
    raise CorruptBlock("from the user's own class")


def test_an_error_while_a_record_is_unpickled_is_the_users(tmp_path):
    write(keyed(1), target(tmp_path), [[(1, Bomb())]])
    with pytest.raises(CorruptBlock, match="from the user's own class"):
        read(tmp_path, [1], 0)


def consume_badly(blocks):
    for _frame in blocks:
        raise OSError("mine")


def test_an_error_of_who_consumes_the_frames_is_theirs(scratch):
    with pytest.raises(OSError, match="mine"):
        consume_badly(read_blocks(table_of(scratch, [1, 2]), SHUFFLE, 0, TaskMetrics()))


def test_no_file_stays_open(scratch):
    before = os.listdir("/proc/self/fd")
    blocks = read_blocks(table_of(scratch, [1, 2]), SHUFFLE, 0, TaskMetrics())
    next(blocks)
    assert len(os.listdir("/proc/self/fd")) == len(before)
