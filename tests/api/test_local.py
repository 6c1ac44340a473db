"""A selection of operations in worker processes, against plain Python: the same answers as inline."""

from __future__ import annotations

import operator
import os
import threading
import time

import numpy as np
import pytest
from hypothesis import given, settings

from rddlite import Context, portable_hash
from rddlite.errors import JobCancelled, JobFailed, NestedRDD, PathNotFound, UnhashableKey
from tests.api.oracle import bag, flat, groups, jobs_run_by, layout, pairs, parts_of, rdd_of

pytestmark = pytest.mark.local


@pytest.fixture(scope="module")
def sc():
    with Context("local[2]", "tests") as context:
        yield context


@settings(max_examples=8)
@given(parts=parts_of(pairs))
def test_by_key(sc, parts):
    rdd, expected = rdd_of(sc, parts), groups(flat(parts))
    assert bag(rdd.reduceByKey(operator.add, 3).collect()) == bag((k, sum(vs)) for k, vs in expected.items())
    grouped = rdd.groupByKey(3)
    assert {k: sorted(vs) for k, vs in grouped.collect()} == {k: sorted(vs) for k, vs in expected.items()}
    for index, part in enumerate(layout(grouped)):
        assert all(grouped.partitioner(key) == index for key, _ in part)  # the driver places as executors do


@settings(max_examples=8)
@given(left=parts_of(pairs, 3), right=parts_of(pairs, 3))
def test_join_and_distinct(sc, left, right):
    ours, theirs = groups(flat(left)), groups(flat(right))
    joined = [(k, (v, w)) for k in ours for v in ours[k] for w in theirs.get(k, [])]
    assert bag(rdd_of(sc, left).join(rdd_of(sc, right)).collect()) == bag(joined)
    assert bag((rdd_of(sc, left) + rdd_of(sc, right)).distinct().collect()) == bag({*flat(left), *flat(right)})


@settings(max_examples=8)
@given(parts=parts_of(pairs))
def test_actions(sc, parts):
    rdd, records = rdd_of(sc, parts), flat(parts)
    assert rdd.collect() == records
    assert rdd.count() == len(records)
    assert rdd.take(3) == records[:3]
    assert dict(rdd.countByKey()) == dict(bag(k for k, _ in records))
    assert rdd.values().fold(10, operator.add) == sum(v for _, v in records) + 10 * (len(parts) + 1)
    assert rdd.zipWithIndex().values().collect() == list(range(len(records)))


def test_sort(sc):
    numbers = [(x * 7919) % 1009 for x in range(1000)]
    rdd = sc.parallelize(numbers, 4)
    assert rdd.sortBy(lambda x: x % 100, False, 3).collect() == sorted(numbers, key=lambda x: x % 100, reverse=True)
    assert rdd.top(5) == sorted(numbers)[-5:][::-1]
    assert rdd.takeOrdered(5) == sorted(numbers)[:5]


def test_repartition(sc):
    rdd = sc.range(1000, numSlices=3).repartition(7)
    assert sorted(rdd.collect()) == list(range(1000))
    assert {len(part) for part in layout(rdd)} <= set(range(142, 146))


def test_text_in_and_out(sc, tmp_path):
    sc.range(100, numSlices=3).map(str).saveAsTextFile(str(tmp_path / "out"))
    assert sorted(os.listdir(tmp_path / "out")) == ["_SUCCESS", "part-00000", "part-00001", "part-00002"]
    assert sorted(map(int, sc.textFile(str(tmp_path / "out")).collect())) == list(range(100))


def test_tasks_run_in_other_processes(sc):
    pids = set(sc.range(8, numSlices=8).map(lambda x: os.getpid()).collect())
    assert os.getpid() not in pids
    assert pids <= {pid for executor in sc.executors for pid in executor.workers}


def test_what_tasks_change_is_seen_by_nobody(sc):
    seen = []
    rdd = sc.parallelize([1, 2, 3, 4], 4).map(lambda x: seen.append(x) or len(seen))
    assert rdd.collect() == [1, 1, 1, 1]
    assert rdd.collect() == [1, 1, 1, 1]
    assert seen == []


def test_text_keys_are_placed_alike_by_driver_and_workers(sc):
    names = [f"name-{i}" for i in range(50)]
    placed = sc.parallelize([(name, 1) for name in names], 3).partitionBy(5)
    where = placed.mapPartitionsWithIndex(lambda i, part: [(key, i) for key, _ in part]).collectAsMap()
    assert where == {name: portable_hash(name) % 5 for name in names}
    assert jobs_run_by(sc, lambda: placed.lookup("name-7")) == [1]
    assert placed.lookup("name-7") == [1]


def test_functions_place_by_a_part_of_the_key(sc):
    pairs = [((f"name-{i % 7}", i), i) for i in range(30)]
    placed = sc.parallelize(pairs, 3).repartitionAndSortWithinPartitions(4, lambda key: portable_hash(key[0]))
    assert placed.glom().collect() == [
        sorted(pair for pair in pairs if portable_hash(pair[0][0]) % 4 == part) for part in range(4)
    ]


def test_lookup_where_only_an_executor_knows_the_place(sc):
    """`hash` of text depends on the process; the driver's is not the executors'."""
    placed = sc.parallelize([(f"name-{i}", i) for i in range(50)], 3).partitionBy(5, lambda key: hash(key))
    assert [placed.lookup(f"name-{i}") for i in range(10)] == [[i] for i in range(10)]


class Point:
    """A class of this test module, whose hash the driver cannot know."""

    def __init__(self, x):
        self.x = x

    def __eq__(self, other):
        return isinstance(other, Point) and self.x == other.x

    def __hash__(self):
        return hash(("point", str(self.x)))


def test_lookup_of_an_object_with_a_hash_of_its_own(sc):
    placed = sc.parallelize([(Point(i), i) for i in range(10)], 2).reduceByKey(max, 4)
    assert [placed.lookup(Point(i)) for i in range(4)] == [[0], [1], [2], [3]]


def test_large_records_and_results(sc):
    arrays = sc.range(4, numSlices=4).map(lambda i: np.full(500_000, i)).collect()
    assert [int(array.sum()) for array in arrays] == [0, 500_000, 1_000_000, 1_500_000]
    total = sc.range(4, numSlices=4).map(lambda i: (0, np.full(100_000, i))).reduceByKey(operator.add).collect()
    assert int(total[0][1][0]) == 6


def test_jobs_of_several_threads(sc):
    found = {}

    def run(n):
        found[n] = sc.range(n, numSlices=3).map(lambda x: (x % 3, x)).reduceByKey(operator.add).values().sum()

    threads = [threading.Thread(target=run, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert found == {n: sum(range(n)) for n in range(8)}


@pytest.mark.parametrize("ahead", [False, True])
def test_local_iterator(sc, ahead):
    assert list(sc.range(20, numSlices=5).toLocalIterator(ahead)) == list(range(20))
    stream = sc.range(20, numSlices=5).toLocalIterator(ahead)
    assert next(stream) == 0
    del stream


def test_errors_are_the_users_own(sc):
    with pytest.raises(JobFailed) as caught:
        sc.range(10, numSlices=2).map(lambda x: 1 // (7 - x)).collect()
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert caught.value.partition == 1
    assert caught.value.record == "7"
    with pytest.raises(JobFailed) as caught:
        sc.range(4, numSlices=2).map(lambda x: (object(), x)).groupByKey().collect()
    assert isinstance(caught.value.__cause__, UnhashableKey)
    with pytest.raises(PathNotFound):
        sc.textFile("/no/such/path").count()
    with pytest.raises(NestedRDD):
        sc.range(2).map(lambda x: sc.range(x).count()).collect()
    assert sc.range(3).count() == 3


@pytest.mark.parametrize("how", ["group", "all"])
def test_cancel_stops_sleeping_tasks(sc, how, tmp_path):
    errors = []

    def nap(x, path=str(tmp_path / "started")):
        open(path, "w").close()
        time.sleep(300)

    def run():
        sc.setJobGroup("doomed", "sleeps")
        try:
            sc.range(2, numSlices=2).foreach(nap)
        except JobCancelled as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    while not (tmp_path / "started").exists():
        time.sleep(0.01)
    sc.cancelJobGroup("doomed") if how == "group" else sc.cancelAllJobs()
    thread.join(60)
    assert len(errors) == 1
    assert "cancelled" in str(errors[0])
    assert sc.range(10, numSlices=4).sum() == 45


def test_a_thousand_operations_and_unions(sc):
    rdd = sc.range(3, numSlices=2)
    for _ in range(1000):
        rdd = rdd.map(lambda x: x + 1)
    assert rdd.collect() == [1000, 1001, 1002]
    assert sc.union([sc.parallelize([i], 1) for i in range(300)]).sum() == sum(range(300))


def test_memory_files_are_refused(sc):
    with pytest.raises(ValueError, match="memory://"):
        sc.textFile("memory://somewhere").count()
