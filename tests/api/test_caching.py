"""Cached RDDs: the same answers as without, computed once, dropped when asked; on each level, inline and in workers.

Objects belong to the worker that made them, and another one makes them again rather than wait for it. So what is
counted is counted with one worker. With two there are answers, and counts of what is kept as bytes.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from operator import add
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rddlite import Context, StorageLevel
from tests.helpers.cluster import wait_until

LEVELS = [
    StorageLevel.MEMORY_ONLY,
    StorageLevel.MEMORY_AND_DISK,
    StorageLevel.MEMORY_AND_DISK_DESER,
    StorageLevel.OFF_HEAP,
    StorageLevel.DISK_ONLY,
]


@pytest.fixture(scope="module", params=["inline", pytest.param("local[1]", marks=pytest.mark.local)])
def sc(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Context]:
    local_dir = str(tmp_path_factory.mktemp("scratch"))
    with Context(request.param, "caching", {"local.dir": local_dir, "progress.show": "false"}) as context:
        yield context


TWO = pytest.param("local[2]", marks=pytest.mark.local)
several_workers = pytest.mark.parametrize("sc", ["inline", TWO], indirect=True)


def totals(sc: Context, field: str) -> int:
    """A counter of the last job, over its stages."""
    return sum(getattr(stage, field) for stage in sc.jobs()[-1].stages)


RECORDS = {"tuples": lambda x: (x, str(x)), "lists": lambda x: [x, {"x": x}]}


@pytest.mark.parametrize("level", LEVELS, ids=str)
@pytest.mark.parametrize("record", RECORDS.values(), ids=RECORDS)
def test_partitions_are_computed_once_at_every_level(sc: Context, level: StorageLevel, record: Any) -> None:
    assert_computed_once(sc, level, record)


@pytest.mark.parametrize("sc", [TWO], indirect=True)
@pytest.mark.parametrize(
    ("level", "record"),
    [
        *((level, RECORDS["lists"]) for level in LEVELS),
        *((level, RECORDS["tuples"]) for level in (StorageLevel.OFF_HEAP, StorageLevel.DISK_ONLY)),
    ],
)
def test_what_is_kept_as_bytes_is_read_by_all_workers(sc: Context, level: StorageLevel, record: Any) -> None:
    assert_computed_once(sc, level, record)


def assert_computed_once(sc: Context, level: StorageLevel, record: Any) -> None:
    calls = sc.accumulator(0)

    def counted(x: int) -> Any:
        calls.add(1)
        return record(x)

    kept = sc.range(1000, numSlices=3).map(counted).persist(level)
    expected = [record(x) for x in range(1000)]
    assert kept.collect() == expected
    assert kept.collect() == expected
    assert kept.map(lambda r: r[0]).sum() == sum(range(1000))
    assert calls.value == 1000
    assert totals(sc, "cache_hits") == 3
    kept.unpersist(blocking=True)
    assert kept.collect() == expected
    assert calls.value == 2000


def test_tuples_are_kept_without_pickling_and_read_without_any(sc: Context) -> None:
    kept = sc.range(50_000, numSlices=4).map(lambda x: (x, (str(x), None))).cache()
    kept.count()
    stored = sc.jobs()[-1].stages[-1]
    assert (stored.cache_stored, stored.cache_bytes_pickled) == (4, 0)
    assert stored.cache_bytes > 50_000 * 100
    for _ in range(3):
        assert kept.map(lambda record: record[0]).sum() == sum(range(50_000))
        read = sc.jobs()[-1].stages[-1]
        assert (read.cache_hits, read.cache_stored, read.cache_bytes_pickled) == (4, 0, 0)
    kept.unpersist()


@several_workers
def test_what_can_be_changed_is_pickled(sc: Context) -> None:
    kept = sc.range(1000, numSlices=2).map(lambda x: [x]).cache()
    kept.count()
    assert totals(sc, "cache_bytes_pickled") > 0

    def spoil(record: list[int]) -> int:
        record.append(7)
        return len(record)

    assert set(kept.map(spoil).collect()) == {2}
    assert set(kept.map(spoil).collect()) == {2}, "a task changed what is kept"
    kept.unpersist()


def test_live_keeps_whatever_it_is(sc: Context) -> None:
    kept = sc.range(10, numSlices=1).map(lambda x: [x]).cache(live=True)
    kept.count()
    assert totals(sc, "cache_bytes_pickled") == 0
    kept.foreach(lambda record: record.append(0))
    assert kept.map(len).sum() == 20
    kept.unpersist()


@several_workers
def test_kept_batches_are_not_changed_by_whatever_consumes_them(sc: Context) -> None:
    records = [(x * 7919 % 101, x) for x in range(3000)]
    kept = sc.parallelize(records, 3).map(lambda record: record).cache()
    kept.count()
    for _ in range(2):
        assert kept.sortBy(lambda record: record).collect() == sorted(records)
        assert sorted(kept.sortByKey(numPartitions=1).collect()) == sorted(records)
        assert kept.coalesce(1).glom().collect() == [records]
        assert kept.top(3) == sorted(records)[:-4:-1]
        assert kept.distinct().count() == len(records)
        assert kept.repartition(5).count() == len(records)
        assert dict(kept.reduceByKey(add).collect())[0] == sum(x for k, x in records if k == 0)
        assert kept.groupByKey().mapValues(len).values().sum() == len(records)
        assert kept.join(kept).count() == sum(1 for a in records for b in records if a[0] == b[0])
        assert kept.cogroup(kept).count() == 101
        assert kept.union(kept).count() == 2 * len(records)
        assert kept.mapPartitions(lambda part: [sum(1 for _ in part)]).collect() == [1000, 1000, 1000]
        assert kept.collect() == records
    kept.unpersist()


@several_workers
def test_a_kept_partition_is_not_sorted_in_place(sc: Context) -> None:
    records = [(x * 7919 % 101, x) for x in range(3000)]
    kept = sc.parallelize(records, 1).map(lambda record: record).cache()
    kept.count()
    for _ in range(2):
        assert kept.sortByKey().collect() == sorted(records, key=lambda record: record[0])
        assert kept.sortBy(lambda record: -record[1], numPartitions=1).collect() == records[::-1]
        assert kept.keys().cache().sortBy(lambda key: key).collect() == sorted(key for key, _ in records)
        assert kept.collect() == records
    kept.unpersist()


@several_workers
def test_arrays_are_kept_without_a_copy_for_each_reader(sc: Context) -> None:
    kept = sc.range(4, numSlices=2).map(lambda i: np.full(200_000, i)).cache()

    def spoil(array: np.ndarray) -> int:
        array += 1
        return int(array[0]) + int(not array.flags.owndata) * 100

    assert kept.count() == 4
    for _ in range(2):
        assert kept.map(spoil).collect() == [101, 102, 103, 104]
    kept.unpersist()


def test_a_task_that_stops_early_keeps_nothing(sc: Context) -> None:
    kept = sc.range(100_000, numSlices=1).map(lambda x: x + 1).cache()
    assert kept.first() == 1
    info = {each.id: each for each in sc.getRDDStorageInfo()}[kept.id()]
    assert info.numCachedPartitions == 0
    assert kept.count() == 100_000
    info = {each.id: each for each in sc.getRDDStorageInfo()}[kept.id()]
    assert (info.numCachedPartitions, info.isCached) == (1, True)
    kept.unpersist()


@several_workers
def test_shuffled_and_grouped_records_are_kept_and_shuffles_of_cached_rdds_use_them(sc: Context) -> None:
    calls = sc.accumulator(0)

    def pair(x: int) -> tuple[int, int]:
        calls.add(1)
        return (x % 10, x)

    kept = sc.range(1000, numSlices=3).map(pair).groupByKey(2).cache()
    sums = {k: sum(x for x in range(1000) if x % 10 == k) for k in range(10)}
    for _ in range(3):
        assert dict(kept.mapValues(sum).collect()) == sums
        assert totals(sc, "cache_bytes_pickled") == 0
    assert dict(kept.flatMapValues(list).reduceByKey(add, 3).collect()) == sums
    assert calls.value == 1000
    kept.unpersist()


def test_caching_after_a_shuffle_has_run_is_seen_by_it(sc: Context) -> None:
    calls = sc.accumulator(0)

    def counted(x: int) -> tuple[int, int]:
        calls.add(1)
        return (x % 3, 1)

    pairs = sc.range(90, numSlices=2).map(counted)
    first = pairs.reduceByKey(add, 2)
    assert dict(first.collect()) == {0: 30, 1: 30, 2: 30}
    pairs.cache().count()
    assert dict(pairs.reduceByKey(add, 3).collect()) == {0: 30, 1: 30, 2: 30}
    assert calls.value == 180
    pairs.unpersist()


def test_a_chain_of_hundreds_of_cached_rdds(sc: Context) -> None:
    rdd = sc.range(10, numSlices=1)
    links = [rdd]
    for _ in range(400):
        links.append(links[-1].map(lambda x: x + 1).cache())
    assert links[-1].collect() == list(range(400, 410))
    assert links[200].collect() == list(range(200, 210))
    for each in links[1:]:
        each.unpersist()


def test_levels_are_told_and_refused(sc: Context) -> None:
    rdd = sc.range(3)
    assert not rdd.is_cached
    assert rdd.getStorageLevel() == StorageLevel.NONE
    assert rdd.cache() is rdd
    assert rdd.is_cached
    assert rdd.persist(StorageLevel.MEMORY_ONLY) is rdd
    with pytest.raises(ValueError, match="unpersist"):
        rdd.persist(StorageLevel.DISK_ONLY)
    with pytest.raises(TypeError, match="StorageLevel"):
        rdd.persist("MEMORY_ONLY")  # type: ignore[arg-type]
    assert rdd.unpersist() is rdd
    assert not rdd.is_cached
    with pytest.raises(ValueError, match="nowhere"):
        rdd.persist(StorageLevel.NONE)
    assert b"Memory Serialized 1x Replicated" in rdd.cache().toDebugString()
    assert rdd.id() in sc.getPersistentRDDs()
    assert sc.getPersistentRDDs()[rdd.id()].collect() == [0, 1, 2]
    rdd.unpersist()
    assert rdd.id() not in sc.getPersistentRDDs()


@several_workers
def test_what_nothing_refers_to_is_dropped(sc: Context) -> None:
    kept = sc.range(1000, numSlices=2).map(lambda x: x).cache()
    kept.count()
    mark = kept._node.cached
    assert mark is not None
    cache_id = mark.id
    del kept, mark
    gc.collect()
    wait_until(lambda: sc._live_driver().cache_info([cache_id])[0].partitions == 0, "dropped")


@several_workers
def test_files_go_with_unpersist(sc: Context) -> None:
    kept = sc.range(100, numSlices=2).persist(StorageLevel.DISK_ONLY)
    kept.count()
    root = Path(str(sc.getConf().get("local.dir")))
    assert len(list(root.glob("**/cache/cached-*"))) == 2
    kept.unpersist(blocking=True)
    wait_until(lambda: not list(root.glob("**/cache/cached-*")), "files removed")


def test_a_union_of_cached_unions_uses_them(sc: Context) -> None:
    calls = sc.accumulator(0)

    def counted(x: int) -> int:
        calls.add(1)
        return x

    left = sc.range(10, numSlices=2).map(counted).union(sc.range(5, numSlices=1).map(counted)).cache()
    left.count()
    assert left.union(sc.range(3)).sum() == 45 + 10 + 3
    assert calls.value == 15
    left.unpersist()
