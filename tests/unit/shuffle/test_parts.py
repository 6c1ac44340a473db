"""Buckets in parts: the same records, equal keys together, whether outputs are divided or not."""

from __future__ import annotations

from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rddlite.base.metrics import TaskMetrics
from rddlite.executor import byparts
from rddlite.lineage.aggregator import GROUP
from rddlite.lineage.graph import ShuffleDependency
from rddlite.lineage.partitioner import FunctionPartitioner, HashPartitioner, RangePartitioner
from rddlite.shuffle import writer
from rddlite.shuffle.format import index_path, read_index
from rddlite.shuffle.parted import Parted
from rddlite.shuffle.parts import n_parts_of, parts_of_keys
from rddlite.shuffle.reader import BlockLost, IndexCache
from rddlite.shuffle.writer import BucketWriter
from tests.unit.shuffle.outputs import SHUFFLE, buckets, by_function, keyed, table_of, target, unkeyed, write

BOUNDS = [-40, -30, -20, -10, 0, 10, 20]
keys = st.integers(-60, 60)
outputs = st.lists(st.lists(st.lists(st.tuples(keys, st.integers()), min_size=1, max_size=30)), min_size=1, max_size=4)


def grouping(n):
    return ShuffleDependency(None, HashPartitioner(n), aggregator=GROUP, combine_on_map=True, shuffle_id=SHUFFLE)


def sorting(ascending=True, keyed=True):
    partitioner = RangePartitioner(2, BOUNDS, ascending, None, keyed, n_parts=4)
    return ShuffleDependency(None, partitioner, key_order="asc" if ascending else "desc", shuffle_id=SHUFFLE)


def written(dep, scratch, batches, map_index, divided, groups=False):
    """An output, divided from the first record or the third section on, or not at all."""
    where = target(
        scratch, map_index, attempt=map_index, buffer_bytes=1, divided_from={0: 1, 1: 400}.get(divided, 1 << 40)
    )
    with BucketWriter(dep, where, map_index) as output:
        for number, batch in enumerate(batches):
            if groups and number % 2:
                by_key = {}
                for key, value in batch:
                    by_key.setdefault(key, []).append(value)
                output.add_groups(list(by_key), list(by_key.values()))
            else:
                output.add(batch)
        return output.commit()


def parts(scratch, dep, n_outputs, bucket, most_whole=1 << 30):
    parted = Parted(
        table_of(scratch, list(range(n_outputs))),
        SHUFFLE,
        bucket,
        TaskMetrics(),
        most_whole=most_whole,
        indexes=IndexCache(),
    )
    if not parted.is_possible:
        return None
    return [list(chain.from_iterable(map(records_of, part))) for part in byparts.parts(parted, dep, bucket, as_loaded)]


def as_loaded(frame):
    return frame.columns()


def records_of(columns):
    return zip(*columns, strict=True)


def by_key(records):
    groups = {}
    for key, value in records:
        groups.setdefault(key, []).append(value)
    return groups


@given(outputs, st.integers(1, 5), st.lists(st.integers(0, 2), min_size=4, max_size=4), st.booleans())
def test_each_key_is_in_one_part_with_its_values_in_map_order(tmp_path_factory, batches, n, divided, groups):
    scratch = tmp_path_factory.mktemp("s")
    dep = grouping(n)
    statuses = [written(dep, scratch, each, i, divided[i], groups) for i, each in enumerate(batches)]
    plain = tmp_path_factory.mktemp("p")
    assert [status.fingerprints for status in statuses] == [
        written(dep, plain, each, i, 2, groups).fingerprints for i, each in enumerate(batches)
    ], "whether an output is divided depends on memory, and says nothing of its records"
    records = list(chain.from_iterable(chain.from_iterable(batches)))
    for bucket in range(n):
        expected = by_key((key, value) for key, value in records if dep.partitioner(key) == bucket)
        assert by_key(buckets(scratch, n, list(range(len(batches))))[bucket]) == expected
        found = parts(scratch, dep, len(batches), bucket)
        if found is None:
            assert not any(
                read_index(index_path(str(scratch), target(scratch, i, attempt=i).block)).n_parts > 1
                for i in range(len(batches))
            )
            continue
        assert by_key(chain.from_iterable(found)) == expected
        for number, part in enumerate(found):
            assert {number} >= set(parts_of_keys(dep, bucket, [key for key, _ in part]))


@given(outputs, st.booleans(), st.integers(0, 30))
def test_parts_of_a_sort_are_ranges_in_its_order(tmp_path_factory, batches, ascending, few):
    scratch = tmp_path_factory.mktemp("s")
    dep = sorting(ascending)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writer, "_FEW_PENDING", few)
        patch.setattr(writer, "_PENDING_PER_PART", 0)
        for i, each in enumerate(batches):
            with BucketWriter(dep, target(scratch, i, attempt=i), i) as output:
                for batch in each:
                    output.add(batch)
                output.commit()
    records = list(chain.from_iterable(chain.from_iterable(batches)))
    in_order = []
    for bucket in range(2):
        whole = buckets(scratch, 2, list(range(len(batches))))[bucket]
        found = parts(scratch, dep, len(batches), bucket)
        assert found is None or sorted(chain.from_iterable(found)) == sorted(whole)
        for part in [whole] if found is None else found:
            in_order += sorted(part, key=lambda pair: pair[0], reverse=not ascending)
    assert in_order == sorted(records, key=lambda pair: pair[0], reverse=not ascending)


def test_records_that_are_no_pairs(tmp_path):
    dep = sorting(keyed=False)
    with BucketWriter(dep, target(tmp_path, 0, attempt=0), 0) as few:
        few.add([5, -50, 30, -15])
        few.commit()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writer, "_FEW_PENDING", 1)
        patch.setattr(writer, "_PENDING_PER_PART", 0)
        with BucketWriter(dep, target(tmp_path, 1, attempt=1), 1) as many:
            many.add([1, -45, 15, -12, 40, 5])
            many.commit()
    parted = Parted(table_of(tmp_path, [0, 1]), SHUFFLE, 1, TaskMetrics(), most_whole=1 << 20, indexes=IndexCache())
    found = [list(chain.from_iterable(part)) for part in byparts.parts(parted, dep, 1, lambda frame: frame.records())]
    assert list(map(sorted, found)) == [[], [1, 5, 5], [15], [30, 40]]


def test_what_is_not_divided_must_be_little(tmp_path):
    dep = grouping(2)
    records = [[(i, i)] * 3 for i in range(50)]
    written(dep, tmp_path, records, 0, 0)
    written(dep, tmp_path, records, 1, 2)
    assert parts(tmp_path, dep, 2, 0, most_whole=100) is None
    assert parts(tmp_path, dep, 2, 0) is not None


def test_a_lost_output_is_lost(tmp_path):
    dep = grouping(2)
    for i in range(2):
        written(dep, tmp_path, [[(i, i)] * 3 for i in range(50)], i, 0)
    (tmp_path / "shuffle" / "shuffle-4-1-1.data").unlink()
    with pytest.raises(BlockLost, match="map output 1"):
        parts(tmp_path, dep, 2, 0)
    (tmp_path / "shuffle" / "shuffle-4-1-1.index").unlink()
    with pytest.raises(BlockLost, match="map output 1"):
        parts(tmp_path, dep, 2, 0)


def test_what_is_neither_sorted_nor_combined_is_not_divided():
    assert n_parts_of(keyed(2)) == n_parts_of(unkeyed(2)) == n_parts_of(by_function(2, len)) == 1
    assert [n_parts_of(grouping(n)) for n in (1, 2, 10, 16, 17, 100, 129, 1000)] == [16, 16, 16, 16, 15, 2, 1, 1]
    assert n_parts_of(sorting()) == 4
    function = by_function(2, len).partitioner
    assert isinstance(function, FunctionPartitioner)
    assert n_parts_of(ShuffleDependency(None, function, aggregator=GROUP)) == 1


def test_a_range_partitioner_places_alike_with_and_without_parts():
    for ascending in (True, False):
        fine = RangePartitioner(2, BOUNDS, ascending, None, n_parts=4)
        assert fine.finer is not None
        numbers = list(range(-60, 60))
        assert fine.place(numbers) == RangePartitioner(2, [-10], ascending, None).place(numbers)
        assert [place // 4 for place in fine.finer.place(numbers)] == fine.place(numbers)


def test_a_small_output_is_not_divided(tmp_path):
    write(sorting(), target(tmp_path), [[(i, i) for i in range(-60, 60)]])
    assert read_index(str(tmp_path / "shuffle" / "shuffle-4-0-1.index")).n_parts == 1
