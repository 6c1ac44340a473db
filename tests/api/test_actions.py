"""Actions, against plain Python."""

from __future__ import annotations

import functools
import operator
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rddlite.errors import JobFailed
from tests.api.oracle import bag, flat, ints, jobs_run_by, keys, pairs, parts_of, rdd_of, words


@given(parts=parts_of(keys))
def test_collect(sc, parts):
    assert rdd_of(sc, parts).collect() == flat(parts)


@given(parts=parts_of(ints))
def test_count(sc, parts):
    rdd = rdd_of(sc, parts)
    assert rdd.count() == len(flat(parts))
    assert rdd.filter(lambda x: x > 0).count() == len([x for x in flat(parts) if x > 0])


@given(parts=parts_of(keys))
def test_count_by_value(sc, parts):
    counts = rdd_of(sc, parts).countByValue()
    assert dict(counts) == dict(bag(flat(parts)))
    assert counts["never there"] == 0


@given(parts=parts_of(pairs))
def test_count_by_key(sc, parts):
    counts = rdd_of(sc, parts).countByKey()
    assert dict(counts) == dict(bag(k for k, _ in flat(parts)))
    assert counts["never there"] == 0


@given(parts=parts_of(ints), n=st.integers(0, 45))
def test_take(sc, parts, n):
    assert rdd_of(sc, parts).take(n) == flat(parts)[:n]


@given(parts=parts_of(ints))
def test_first_and_is_empty(sc, parts):
    rdd = rdd_of(sc, parts)
    assert rdd.isEmpty() == (not flat(parts))
    if flat(parts):
        assert rdd.first() == flat(parts)[0]
    else:
        with pytest.raises(ValueError, match="first: the RDD is empty"):
            rdd.first()


def test_take_looks_at_one_partition_then_at_four_times_as_many(sc):
    last = sc.range(20, numSlices=20).filter(lambda x: x == 19)
    assert jobs_run_by(sc, lambda: last.take(1)) == [1, 4, 15]
    assert jobs_run_by(sc, lambda: sc.range(20, numSlices=20).take(1)) == [1]
    assert jobs_run_by(sc, lambda: sc.range(20, numSlices=20).take(3)) == [1, 3]  # int(1.5 * 3 * 1 / 1) - 1
    assert jobs_run_by(sc, lambda: sc.range(20, numSlices=20).take(100)) == [1, 4, 15]
    assert jobs_run_by(sc, lambda: sc.range(0, numSlices=20).isEmpty()) == [1, 4, 15]


def test_take_computes_no_more_than_it_needs(sc):
    def only_three(x):
        assert x < 3, "too far"
        return x

    rdd = sc.range(1_000_000, numSlices=2).map(only_three)
    assert rdd.take(3) == [0, 1, 2]
    assert rdd.first() == 0
    assert rdd.flatMap(lambda x: [x, x]).take(4) == [0, 0, 1, 1]
    assert rdd.mapPartitions(lambda part: part).take(2) == [0, 1]


@given(parts=parts_of(words))
def test_reduce_respects_order(sc, parts):
    rdd = rdd_of(sc, parts)
    if flat(parts):
        assert rdd.reduce(operator.add) == "".join(flat(parts))
    else:
        with pytest.raises(ValueError, match="reduce: the RDD is empty"):
            rdd.reduce(operator.add)


def test_reduce_of_one_record_calls_nothing(sc):
    assert sc.parallelize([7], 3).reduce(lambda a, b: 1 / 0) == 7


@given(parts=parts_of(ints), zero=st.integers(-5, 5))
def test_fold_counts_the_zero_once_per_partition_and_once_more(sc, parts, zero):
    assert rdd_of(sc, parts).fold(zero, operator.add) == sum(flat(parts)) + zero * (len(parts) + 1)


@given(parts=parts_of(words))
def test_fold_respects_order(sc, parts):
    assert rdd_of(sc, parts).fold("", operator.add) == "".join(flat(parts))


@given(parts=parts_of(ints))
def test_aggregate_with_a_zero_that_is_changed_in_place(sc, parts):
    def add(values, value):
        values.append(value)
        return values

    def join(values, more):
        values.extend(more)
        return values

    zero = ["z"]
    expected = ["z", *(item for part in parts for item in ["z", *part])]
    assert rdd_of(sc, parts).aggregate(zero, add, join) == expected
    assert zero == ["z"]


@pytest.mark.parametrize("depth", [1, 2, 3])
@given(parts=st.lists(st.lists(st.text("abc", max_size=2), max_size=3), min_size=1, max_size=12))
def test_trees_respect_order_and_count_the_zero_once_per_partition(sc, depth, parts):
    def add(values, value):
        values.append(value)
        return values

    def join(values, more):
        values.extend(more)
        return values

    rdd, zero = rdd_of(sc, parts), ["z"]
    assert rdd.treeAggregate(zero, add, join, depth) == [item for part in parts for item in ["z", *part]]
    assert zero == ["z"]
    if flat(parts):
        assert rdd.treeReduce(operator.add, depth=depth) == "".join(flat(parts))
    else:
        with pytest.raises(ValueError, match="treeReduce: the RDD is empty"):
            rdd.treeReduce(operator.add, depth=depth)


def test_trees_of_many_partitions(sc):
    many = sc.range(100, numSlices=50)
    assert many.treeReduce(operator.add) == many.treeReduce(operator.add, 3) == 4950
    assert many.treeAggregate(1, operator.add, operator.add) == 5000
    assert sc.emptyRDD().treeAggregate([1], operator.add, operator.add) == [1]
    for call in (lambda: many.treeReduce(max, 0), lambda: many.treeAggregate(0, max, max, depth=0)):
        with pytest.raises(ValueError, match="depth must be 1 or more, not 0"):
            call()


def test_zero_values(sc):
    three = sc.parallelize([1, 2, 3], 3)
    assert three.fold(10, operator.add) == 46
    assert three.aggregate(10, operator.add, operator.add) == 46
    assert sc.emptyRDD().fold(10, operator.add) == 10
    assert sc.emptyRDD().aggregate([1], operator.add, operator.add) == [1]


@given(parts=parts_of(ints))
def test_foreach(sc, parts, tmp_path_factory):
    log = tmp_path_factory.mktemp("foreach") / "log"
    log.touch()

    def note(x, path=str(log)):
        with open(path, "a") as file:
            file.write(f"{x}\n")

    assert rdd_of(sc, parts).foreach(note) is None
    assert [int(line) for line in log.read_text().splitlines()] == flat(parts)


def test_foreach_partition_runs_generators_to_their_end(sc, tmp_path):
    def note(part, path=str(tmp_path / "log")):
        for x in part:
            with open(path, "a") as file:
                file.write(f"{x} ")
            yield x

    assert sc.range(4, numSlices=2).foreachPartition(note) is None
    assert (tmp_path / "log").read_text() == "0 1 2 3 "


@pytest.mark.parametrize("result", [None, 7, "text", [1], {}], ids=repr)
def test_foreach_partition_takes_any_result(sc, result):
    assert sc.range(2).foreachPartition(lambda part, r=result: r) is None


def test_foreach_partition_raises_what_the_function_raises(sc):
    with pytest.raises(JobFailed) as caught:
        sc.range(2).foreachPartition(lambda part: len(part))
    assert isinstance(caught.value.__cause__, TypeError)


@pytest.mark.parametrize("ahead", [False, True])
@given(parts=parts_of(ints))
def test_to_local_iterator(sc, ahead, parts):
    assert list(rdd_of(sc, parts).toLocalIterator(ahead)) == flat(parts)


def test_to_local_iterator_runs_a_job_per_partition_when_it_comes_to_it(sc):
    numbers = sc.range(6, numSlices=3)
    assert jobs_run_by(sc, numbers.toLocalIterator) == []
    stream = numbers.toLocalIterator()
    assert jobs_run_by(sc, lambda: [next(stream), next(stream)]) == [1]
    assert jobs_run_by(sc, lambda: next(stream)) == [1]
    assert jobs_run_by(sc, stream.close) == []


@pytest.mark.parametrize("ahead", [False, True])
def test_to_local_iterator_raises_when_it_comes_to_the_failing_partition(sc, ahead):
    stream = sc.range(3, numSlices=3).map(lambda x: 1 // (2 - x)).toLocalIterator(ahead)
    assert [next(stream), next(stream)] == [0, 1]
    with pytest.raises(JobFailed) as caught:
        next(stream)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_prefetching_jobs_belong_to_the_group_of_the_caller(sc):
    before = {job.id for job in sc.jobs()}
    sc.setJobGroup("stream", "partition by partition")
    try:
        assert list(sc.range(6, numSlices=3).toLocalIterator(prefetchPartitions=True)) == list(range(6))
    finally:
        sc.setLocalProperty("spark.jobGroup.id", None)
        sc.setJobDescription(None)
    assert [job.group for job in sc.jobs() if job.id not in before] == ["stream"] * 3


def test_a_prefetching_iterator_that_is_dropped_leaves_no_thread(sc):
    stream = sc.range(10, numSlices=10).toLocalIterator(prefetchPartitions=True)
    assert next(stream) == 0
    stream.close()
    for thread in threading.enumerate():
        if thread.name == "rddlite-prefetch":
            thread.join(30)
            assert not thread.is_alive()


def test_results_come_in_the_order_of_partitions(sc):
    assert sc.range(100, numSlices=10).collect() == list(range(100))


def test_actions_of_several_threads(sc):
    found = {}

    def run(n):
        found[n] = sc.range(n, numSlices=3).map(lambda x: x * n).sum()

    threads = [threading.Thread(target=run, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert found == {n: n * sum(range(n)) for n in range(8)}


def test_any_callable_will_do(sc):
    class Plus:
        def __init__(self, n):
            self.n = n

        def __call__(self, x):
            return x + self.n

        def minus(self, x):
            return x - self.n

        @staticmethod
        def double(x):
            return 2 * x

    numbers = sc.range(3)
    assert numbers.map(Plus(5)).collect() == [5, 6, 7]
    assert numbers.map(Plus(5).minus).collect() == [-5, -4, -3]
    assert numbers.map(Plus.double).collect() == [0, 2, 4]
    assert numbers.map(functools.partial(operator.add, 10)).collect() == [10, 11, 12]
    assert numbers.map(str).collect() == ["0", "1", "2"]
    assert numbers.map(operator.neg).collect() == [0, -1, -2]


def test_a_plus_is_never_done_in_place(sc):
    shared = [1]
    rdd = sc.parallelize([0, 1], 1).map(lambda x: ("k", shared)).reduceByKey(lambda a, b: a + b)
    assert rdd.collect() == [("k", [1, 1])]
    assert sc.parallelize([[1], [2]], 1).map(lambda x: [x]).flatMap(lambda x: x + x).collect() == [[1], [1], [2], [2]]
