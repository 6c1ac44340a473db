"""Records reach the bucket of their key, in order, whatever the buffer; what fails leaves no file."""

from __future__ import annotations

import errno
import os
import pickle
from collections import namedtuple
from itertools import chain

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rddlite.base.sizes import decode_size
from rddlite.errors import NotPicklable, UnhashableKey
from rddlite.serde.compress import available
from rddlite.shuffle import sections
from rddlite.shuffle.format import read_index
from rddlite.shuffle.writer import BucketWriter
from tests.unit.shuffle.outputs import (
    EXECUTOR,
    buckets,
    by_function,
    keyed,
    names,
    target,
    unkeyed,
    write,
    write_groups,
    write_table,
)

keys = st.one_of(st.none(), st.integers(), st.text(max_size=5), st.tuples(st.integers(), st.booleans()))
pair_batches = st.lists(st.lists(st.tuples(keys, st.integers() | st.text(max_size=20)), min_size=1, max_size=40))


def by_hand(dep, batches):
    expected = [[] for _ in range(dep.partitioner.n)]
    for batch in batches:
        for key, value in batch:
            expected[dep.partitioner(key)].append((key, value))
    return expected


@given(pair_batches, st.integers(1, 7), st.sampled_from([1, 300, 5000, 1 << 20]), st.sampled_from(available()))
def test_pairs_land_in_the_bucket_of_their_key_in_order(tmp_path_factory, batches, n, buffer_bytes, codec):
    scratch = tmp_path_factory.mktemp("s")
    status = write(keyed(n), target(scratch, buffer_bytes=buffer_bytes, codec=codec), batches)
    assert buckets(scratch, n) == by_hand(keyed(n), batches)
    assert names(scratch) == ["shuffle-4-0-1.data", "shuffle-4-0-1.index"]
    assert status.records == sum(map(len, batches))
    assert (status.executor, status.attempt) == (EXECUTOR, 1)


@given(pair_batches, pair_batches, st.integers(1, 7), st.sampled_from([1, 300, 5000, 1 << 20]))
def test_groups_are_records_by_key_in_order(tmp_path_factory, grouped, others, n, buffer_bytes):
    """Pairs that come grouped, and pairs after them, in one output."""
    grouped, others = list(chain.from_iterable(grouped)), list(chain.from_iterable(others))
    scratch = tmp_path_factory.mktemp("s")
    status = write_groups(grouped, others, keyed(n), target(scratch, buffer_bytes=buffer_bytes))
    expected = [by_key(bucket) for bucket in by_hand(keyed(n), [grouped, others])]
    assert [by_key(bucket) for bucket in buckets(scratch, n)] == expected
    assert status.records == len(grouped) + len(others)


def by_key(records):
    values = {}
    for key, value in records:
        values.setdefault(key, []).append(value)
    return values


@given(pair_batches, st.integers(1, 7))
def test_the_status_tells_the_size_of_every_bucket(tmp_path_factory, batches, n):
    scratch = tmp_path_factory.mktemp("s")
    status = write(keyed(n), target(scratch), batches)
    data, index = (scratch / "shuffle" / f"shuffle-4-0-1.{end}" for end in ("data", "index"))
    assert status.total_bytes == data.stat().st_size
    offsets = read_index(str(index)).offsets
    for i, code in enumerate(status.sizes):
        length = offsets[i + 1] - offsets[i]
        assert abs(decode_size(code) - length) <= 0.1 * length
        assert (length == 0) == (code == 0)


def test_runs_and_memory_give_the_same_buckets(tmp_path):
    batches = [[(f"k{i * 7 % 1000}", i) for i in range(start, start + 500)] for start in range(0, 20_000, 500)]
    with BucketWriter(keyed(5), target(tmp_path, attempt=1, buffer_bytes=20_000), 0) as small:
        for batch in batches:
            small.add(batch)
        assert small.spilled_bytes > 0
        assert names(tmp_path) == []
        small.commit()
    with BucketWriter(keyed(5), target(tmp_path, attempt=2), 0) as large:
        for batch in batches:
            large.add(batch)
        assert large.spilled_bytes == 0
        large.commit()
    assert buckets(tmp_path, 5, [1]) == buckets(tmp_path, 5, [2]) == by_hand(keyed(5), batches)


@given(pair_batches, st.integers(1, 6), st.booleans())
def test_sections_and_what_is_put_together_of_them_give_the_same(tmp_path_factory, batches, n, stays_apart):
    scratch = tmp_path_factory.mktemp("s")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sections, "_LEAST_EXTENT", 0 if stays_apart else 1 << 40)
        write(keyed(n), target(scratch, buffer_bytes=1), batches)
    index = read_index(str(scratch / "shuffle" / "shuffle-4-0-1.index"))
    assert stays_apart or index.n_sections == 1
    assert index.n_sections <= max(1, len(batches))
    assert buckets(scratch, n) == by_hand(keyed(n), batches)


def test_each_byte_is_written_once(tmp_path, monkeypatch):
    def counted(fd, pieces):
        written.append(writev(fd, pieces))
        return written[-1]

    written = []
    writev = os.writev
    monkeypatch.setattr(os, "writev", counted)
    monkeypatch.setattr(os, "copy_file_range", None)
    status = write(keyed(2), target(tmp_path, buffer_bytes=1 << 20), [[(i, bytes(300_000))] for i in range(20)])
    assert read_index(str(tmp_path / "shuffle" / "shuffle-4-0-1.index")).n_sections > 1
    assert status.total_bytes <= sum(written) < status.total_bytes + 1000


def test_where_files_must_have_names(tmp_path, monkeypatch):
    def refuse(path, flags, mode=0o777):
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(errno.EOPNOTSUPP, "not supported", path)
        return good(path, flags, mode)

    good = os.open
    monkeypatch.setattr(os, "open", refuse)
    batches = [[(i, i) for i in range(3000)]] * 3
    write(keyed(3), target(tmp_path, buffer_bytes=5_000), batches)
    assert buckets(tmp_path, 3) == by_hand(keyed(3), batches)
    assert names(tmp_path) == ["shuffle-4-0-1.data", "shuffle-4-0-1.index"]
    with pytest.raises(KeyboardInterrupt):
        write_and_stop(target(tmp_path, attempt=2, buffer_bytes=1))
    assert names(tmp_path) == ["shuffle-4-0-1.data", "shuffle-4-0-1.index"]


@pytest.mark.parametrize("missing", ["copy_file_range", "both"])
def test_buckets_are_put_together_where_the_kernel_cannot_copy_files(tmp_path, monkeypatch, missing):
    def refuse(*args, **kwargs):
        raise OSError(18, "cross-device link")

    monkeypatch.setattr(os, "copy_file_range", refuse if missing == "copy_file_range" else lambda *a, **k: 0)
    batches = [[(i, i) for i in range(3000)]] * 3
    write(keyed(3), target(tmp_path, buffer_bytes=5_000), batches)
    assert buckets(tmp_path, 3) == by_hand(keyed(3), batches)


@given(st.lists(st.lists(st.integers(), min_size=1, max_size=50)), st.integers(1, 9), st.integers(0, 20))
def test_records_without_keys_are_dealt_evenly(tmp_path_factory, batches, n, map_index):
    scratch = tmp_path_factory.mktemp("s")
    write(unkeyed(n), target(scratch, map_index, buffer_bytes=600), batches)
    if map_index == 0:
        flat = [record for batch in batches for record in batch]
        assert buckets(scratch, n) == [flat[i::n] for i in range(n)]
    counts = read_index(str(scratch / "shuffle" / f"shuffle-4-{map_index}-1.index")).counts
    assert max(counts) - min(counts) <= 1
    assert counts[map_index % n] == max(counts)


def test_any_two_item_record_is_a_pair_and_becomes_a_tuple(tmp_path):
    point = namedtuple("point", "x y")
    write(by_function(1, lambda key: 0), target(tmp_path), [[[1, 2], point(3, 4), "ab"]])
    assert buckets(tmp_path, 1) == [[(1, 2), (3, 4), ("a", "b")]]


@pytest.mark.parametrize("record", [5, (1, 2, 3), (1,), "abc", None])
def test_what_is_no_pair_is_named(tmp_path, record):
    with pytest.raises(TypeError, match=r"not a \(key, value\) pair: ") as caught:
        write(keyed(2), target(tmp_path), [[(1, 2), record]])
    assert repr(record) in str(caught.value)
    assert names(tmp_path) == []


def test_a_record_that_can_be_read_only_once_is_refused(tmp_path):
    with pytest.raises(TypeError, match="make it a"):
        write(keyed(2), target(tmp_path), [[(1, 2), iter((3, 4))]])


def test_an_error_of_the_users_own_partition_function_is_not_hidden(tmp_path):
    with pytest.raises(ZeroDivisionError):
        write(by_function(2, lambda key: 1 // key), target(tmp_path), [[(0, 1)]])


def test_a_partition_function_must_return_an_int(tmp_path):
    with pytest.raises(TypeError, match=r"must return an int, not 0\.5"):
        write(by_function(2, lambda key: key / 2), target(tmp_path), [[(1, 1)]])


def test_numpy_integers_are_partitions_too(tmp_path):
    write(by_function(2, np.int64), target(tmp_path), [[(1, "a"), (2, "b")]])
    assert buckets(tmp_path, 2) == [[(2, "b")], [(1, "a")]]


def test_a_key_that_cannot_be_placed_leaves_no_file(tmp_path):
    with pytest.raises(UnhashableKey):
        write_table({object(): 1}, keyed(2), target(tmp_path))
    assert names(tmp_path) == []


@pytest.mark.parametrize("buffer_bytes", [1, 1 << 20])
def test_a_record_that_cannot_be_pickled_leaves_no_file(tmp_path, buffer_bytes):
    with pytest.raises(NotPicklable):
        write(
            keyed(2),
            target(tmp_path, buffer_bytes=buffer_bytes),
            [[(i, i) for i in range(100)], [(1, iter)], [(2, (i for i in ()))]],
        )
    assert names(tmp_path) == []


def write_and_stop(where):
    with BucketWriter(keyed(2), where, 0) as writer:
        writer.add([(i, i) for i in range(1000)])
        raise KeyboardInterrupt


def test_leaving_without_commit_removes_everything(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        write_and_stop(target(tmp_path, buffer_bytes=1))
    assert names(tmp_path) == []


def test_a_failure_between_the_two_renames_leaves_no_file(tmp_path, monkeypatch):
    def fail(point):
        raise OSError(point)

    monkeypatch.setattr("rddlite.shuffle.output.fault_point", fail)
    with pytest.raises(OSError, match=r"map\.commit"):
        write(keyed(2), target(tmp_path), [[(1, 1)]])
    assert names(tmp_path) == []


@given(st.dictionaries(keys, st.lists(st.integers())), st.integers(1, 6))
def test_a_combined_table_is_written_and_emptied(tmp_path_factory, table, n):
    scratch = tmp_path_factory.mktemp("s")
    dep = keyed(n)
    expected = by_hand(dep, [list(table.items())])
    count = len(table)
    status = write_table(table, dep, target(scratch))
    assert buckets(scratch, n) == expected
    assert status.records == count
    assert table == {}


def test_several_tables_become_one_output_that_equals_any_other(tmp_path):
    tables = [{"a": 1, "b": 2}, {"a": 3}, {"c": 4}]
    with BucketWriter(keyed(2), target(tmp_path), 0) as writer:
        for table in tables:
            writer.add_table(dict(table))
        status = writer.commit()
    assert status.fingerprints == b""
    assert status.records == 4
    found = [record for bucket in buckets(tmp_path, 2) for record in bucket]
    assert sorted(found) == [("a", 1), ("a", 3), ("b", 2), ("c", 4)]
    assert found.index(("a", 1)) < found.index(("a", 3))


def test_no_records_make_an_empty_output(tmp_path):
    status = write_table({}, keyed(3), target(tmp_path))
    assert (status.sizes, status.total_bytes, status.records) == (b"\0\0\0", 0, 0)
    assert buckets(tmp_path, 3) == [[], [], []]


def test_arrays_and_large_records(tmp_path):
    batches = [[(i, np.full(20_000, i)) for i in range(20)], [(1, b"x" * 300_000)]]
    write(keyed(2), target(tmp_path, buffer_bytes=100_000), batches)
    got = {key: value for bucket in buckets(tmp_path, 2) for key, value in bucket if isinstance(value, np.ndarray)}
    assert sorted(got) == list(range(20))
    assert all((value == key).all() and value.flags.writeable for key, value in got.items())


def test_many_more_pieces_than_one_write_takes(tmp_path):
    n = 3000
    write(keyed(n), target(tmp_path), [[(i, i) for i in range(2 * n)]])
    assert sum(map(len, buckets(tmp_path, n))) == 2 * n


def test_short_writes_are_continued(tmp_path, monkeypatch):
    whole = os.writev

    def short(fd, pieces):
        joined = b"".join(pieces)
        return whole(fd, [joined[: max(1, len(joined) // 3)]])

    monkeypatch.setattr(os, "writev", short)
    batches = [[(i, i) for i in range(3000)]]
    write(keyed(3), target(tmp_path), batches)
    monkeypatch.undo()
    assert buckets(tmp_path, 3) == by_hand(keyed(3), batches)


def test_the_target_travels(tmp_path):
    where = target(tmp_path)
    assert pickle.loads(pickle.dumps(where)) == where
