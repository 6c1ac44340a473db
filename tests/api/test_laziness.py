"""What runs when, and which state of the program's variables tasks see."""

from __future__ import annotations

import os

import pytest

from rddlite.errors import PathNotFound
from tests.api.oracle import jobs_run_by


def boom(*_):
    raise AssertionError("computed too early")


def test_transformations_run_nothing(sc):
    numbers = sc.range(6, numSlices=3)
    pairs = numbers.map(lambda x: (x % 2, x))
    other = sc.parallelize([(0, "a")], 2)
    lazy = [
        lambda: numbers.map(boom).filter(boom).flatMap(boom).keyBy(boom).glom(),
        lambda: numbers.mapPartitions(boom).mapPartitionsWithIndex(boom).distinct().coalesce(2).repartition(3),
        lambda: pairs.mapValues(boom).flatMapValues(boom).keys().union(numbers.values()),
        lambda: pairs.map(boom).partitionBy(3).reduceByKey(boom).groupByKey().foldByKey(0, boom),
        lambda: pairs.combineByKey(boom, boom, boom).aggregateByKey(0, boom, boom).groupBy(boom),
        lambda: pairs.join(other).leftOuterJoin(other).rightOuterJoin(other).fullOuterJoin(other),
        lambda: pairs.cogroup(other).subtractByKey(other).subtract(other).intersection(other),
        lambda: sc.union([numbers, pairs, other]).getNumPartitions(),
        lambda: pairs.reduceByKey(boom).toDebugString(),
    ]
    for make in lazy:
        assert jobs_run_by(sc, make) == []


def test_each_action_is_one_job(sc):
    pairs = sc.range(6, numSlices=3).map(lambda x: (x % 2, x))
    actions = [
        pairs.collect,
        pairs.count,
        pairs.collectAsMap,
        pairs.countByKey,
        pairs.countByValue,
        pairs.values().sum,
        pairs.values().mean,
        pairs.max,
        pairs.min,
        lambda: pairs.top(2),
        lambda: pairs.takeOrdered(2),
        lambda: pairs.reduce(max),
        lambda: pairs.fold((0, 0), max),
        lambda: pairs.aggregate(0, lambda acc, kv: acc + kv[1], lambda a, b: a + b),
        lambda: pairs.foreach(lambda kv: None),
        lambda: pairs.foreachPartition(lambda part: None),
        lambda: pairs.lookup(1),
    ]
    for action in actions:
        assert jobs_run_by(sc, action) == [3]


def test_lookup_of_a_placed_key_runs_one_task(sc):
    placed = sc.range(30, numSlices=3).keyBy(lambda x: x % 5).partitionBy(4)
    assert jobs_run_by(sc, lambda: placed.lookup(3)) == [1]
    assert jobs_run_by(sc, lambda: placed.sortByKey(numPartitions=2).lookup(3))[-1] == 1
    own = placed.partitionBy(4, lambda key: key)
    assert jobs_run_by(sc, lambda: own.lookup(3)) == [1, 1]  # one asks where the key belongs


def test_shuffle_output_is_used_again(sc, tmp_path):
    def note(x, path=str(tmp_path / "log")):
        with open(path, "a") as file:
            file.write(".")
        return (x % 2, 1)

    counts = sc.range(6, numSlices=2).map(note).reduceByKey(lambda a, b: a + b)
    for _ in range(3):
        assert sorted(counts.collect()) == [(0, 3), (1, 3)]
    assert sorted(counts.mapValues(str).collect()) == [(0, "3"), (1, "3")]
    assert (tmp_path / "log").read_text() == "." * 6


def test_what_was_not_shuffled_is_computed_again(sc, tmp_path):
    def note(x, path=str(tmp_path / "log")):
        with open(path, "a") as file:
            file.write(".")
        return x

    numbers = sc.range(3).map(note)
    numbers.count()
    numbers.count()
    assert (tmp_path / "log").read_text() == "." * 6


def test_a_captured_variable_counts_as_it_is_at_the_first_use(sc):
    factor = 1
    values = [1]
    rdd = sc.parallelize([1, 2], 1).map(lambda x: x * factor + values[0])
    factor, values[0] = 10, 5
    assert rdd.collect() == [15, 25]
    factor, values[0] = 100, 0
    assert rdd.collect() == [15, 25]
    assert rdd.map(lambda x: x + factor).collect() == [115, 125]


def test_what_tasks_change_is_seen_by_nobody(sc):
    seen = []
    rdd = sc.parallelize([1, 2], 2).map(lambda x: seen.append(x) or len(seen))
    assert rdd.collect() == [1, 1]
    assert rdd.collect() == [1, 1]
    assert seen == []


def test_a_missing_path_is_an_error_when_partitions_are_needed(sc, tmp_path):
    lines = sc.textFile(str(tmp_path / "none")).map(str.upper)
    for need in (lines.getNumPartitions, lines.count, lines.toDebugString, lines.toLocalIterator, lines.distinct):
        with pytest.raises(PathNotFound, match="Input path does not exist"):
            need()


def test_a_number_of_partitions_that_is_given_needs_no_listing(sc, tmp_path):
    lines = sc.textFile(str(tmp_path / "none"))
    later = lines.keyBy(len).reduceByKey(max, 3).join(lines.keyBy(len), 2).sortByKey(numPartitions=1)
    assert later.coalesce(5) is not None
    (tmp_path / "none").write_text("abc\nde\n")
    assert later.keys().collect() == [2, 3]


def test_inline_tasks_run_in_the_thread_that_waits(sc):
    import threading

    here = (os.getpid(), threading.get_ident())
    assert sc.range(2).map(lambda x: (os.getpid(), threading.get_ident())).collect() == [here, here]


def test_an_interrupted_task_is_not_left_to_the_next_job(sc):
    class Enough(BaseException):
        pass

    def interrupt(x):
        raise Enough

    for _ in range(20):
        with pytest.raises(Enough):
            sc.range(2, numSlices=2).foreach(interrupt)
        assert sc.range(4).count() == 4
