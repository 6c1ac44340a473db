"""Each kind of bad input, with the class of its error and what the text says.

What needs a context of its own is in test_bad_input_own_context.py.
"""

from __future__ import annotations

import os
import pickle
import re
import threading

import pytest

from rddlite import Context
from rddlite.errors import (
    JobFailed,
    NestedRDD,
    NotPicklable,
    OutputExists,
    PathNotFound,
    StopIterationInTask,
    UnhashableKey,
    UnknownFilesystem,
    UsageError,
)


class Plain:
    """Hashed by its address."""


# Paths


def test_missing_path(sc, tmp_path):
    with pytest.raises(PathNotFound, match=f"Input path does not exist: {tmp_path}/none") as caught:
        sc.textFile(f"{tmp_path}/none").count()
    assert isinstance(caught.value, FileNotFoundError)


def test_a_pattern_without_match(sc, tmp_path):
    with pytest.raises(PathNotFound, match=r"Input Pattern .*/\*\.txt matches 0 files"):
        sc.textFile(f"{tmp_path}/*.txt").count()


def test_unreadable_file(sc, tmp_path):
    """A link to itself can be listed, but not be opened, not even by root."""
    (tmp_path / "loop.txt").symlink_to(tmp_path / "loop.txt")
    with pytest.raises(OSError, match=r"loop\.txt"):
        sc.textFile(f"{tmp_path}/loop.txt").count()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_forbidden_file(sc, tmp_path):
    (tmp_path / "a.txt").write_text("secret\n")
    (tmp_path / "a.txt").chmod(0)
    with pytest.raises((PermissionError, JobFailed), match=r"a\.txt"):
        sc.textFile(f"{tmp_path}/a.txt").count()


def test_a_damaged_archive(sc, tmp_path):
    (tmp_path / "a.gz").write_bytes(b"this is not gzip")
    with pytest.raises(JobFailed, match=r"a\.gz"):
        sc.textFile(f"{tmp_path}/a.gz").count()


def test_unknown_protocol(sc):
    with pytest.raises(UnknownFilesystem, match="nonsense://"):
        sc.textFile("nonsense://bucket/key").count()


def test_existing_output_directory(sc, tmp_path):
    with pytest.raises(OutputExists, match=f"{tmp_path} already exists") as caught:
        sc.range(3).saveAsTextFile(str(tmp_path))
    assert isinstance(caught.value, FileExistsError)


def test_unknown_codec(sc, tmp_path):
    with pytest.raises(UsageError, match="codec"):
        sc.range(3).saveAsTextFile(f"{tmp_path}/out", "com.example.Nonsense")
    assert list(tmp_path.iterdir()) == []


# Counts and types

PAIRS = "numPartitions"
COUNTS = {
    "parallelize": ("numSlices", lambda sc, n: sc.parallelize([1], n)),
    "range": ("numSlices", lambda sc, n: sc.range(0, 3, 1, n)),
    "textFile": ("minPartitions", lambda sc, n: sc.textFile("x", n)),
    "coalesce": (PAIRS, lambda sc, n: sc.range(3).coalesce(n)),
    "repartition": (PAIRS, lambda sc, n: sc.range(3).repartition(n)),
    "partitionBy": (PAIRS, lambda sc, n: _pairs(sc).partitionBy(n)),
    "reduceByKey": (PAIRS, lambda sc, n: _pairs(sc).reduceByKey(max, n)),
    "foldByKey": (PAIRS, lambda sc, n: _pairs(sc).foldByKey(0, max, n)),
    "aggregateByKey": (PAIRS, lambda sc, n: _pairs(sc).aggregateByKey(0, max, max, n)),
    "combineByKey": (PAIRS, lambda sc, n: _pairs(sc).combineByKey(str, max, max, n)),
    "groupByKey": (PAIRS, lambda sc, n: _pairs(sc).groupByKey(n)),
    "groupBy": (PAIRS, lambda sc, n: _pairs(sc).groupBy(str, n)),
    "distinct": (PAIRS, lambda sc, n: _pairs(sc).distinct(n)),
    "cogroup": (PAIRS, lambda sc, n: _pairs(sc).cogroup(_pairs(sc), n)),
    "join": (PAIRS, lambda sc, n: _pairs(sc).join(_pairs(sc), n)),
    "leftOuterJoin": (PAIRS, lambda sc, n: _pairs(sc).leftOuterJoin(_pairs(sc), n)),
    "rightOuterJoin": (PAIRS, lambda sc, n: _pairs(sc).rightOuterJoin(_pairs(sc), n)),
    "fullOuterJoin": (PAIRS, lambda sc, n: _pairs(sc).fullOuterJoin(_pairs(sc), n)),
    "subtractByKey": (PAIRS, lambda sc, n: _pairs(sc).subtractByKey(_pairs(sc), n)),
    "subtract": (PAIRS, lambda sc, n: _pairs(sc).subtract(_pairs(sc), n)),
    "sortByKey": (PAIRS, lambda sc, n: _pairs(sc).sortByKey(True, n)),
    "sortBy": (PAIRS, lambda sc, n: _pairs(sc).sortBy(str, True, n)),
    "repartitionAndSortWithinPartitions": (PAIRS, lambda sc, n: _pairs(sc).repartitionAndSortWithinPartitions(n)),
    "topByKey": (PAIRS, lambda sc, n: _pairs(sc).topByKey(1, numPartitions=n)),
    "wholeTextFiles": ("minPartitions", lambda sc, n: sc.wholeTextFiles("x", n)),
    "binaryFiles": ("minPartitions", lambda sc, n: sc.binaryFiles("x", n)),
    "pickleFile": ("minPartitions", lambda sc, n: sc.pickleFile("x", n)),
}
NON_NEGATIVE = {
    "take": ("num", lambda sc, n: sc.range(3).take(n)),
    "takeSample": ("num", lambda sc, n: sc.range(3).takeSample(False, n)),
    "top": ("num", lambda sc, n: sc.range(3).top(n)),
    "takeOrdered": ("num", lambda sc, n: sc.range(3).takeOrdered(n)),
}


def _pairs(sc):
    return sc.parallelize([(1, 2)], 1)


@pytest.mark.parametrize("method", COUNTS)
@pytest.mark.parametrize("n", [0, -1])
def test_zero_and_negative_counts(sc, method, n):
    parameter, call = COUNTS[method]
    with pytest.raises(ValueError, match=f"^{method}: {parameter} must be 1 or more, not {n}$"):
        call(sc, n)


@pytest.mark.parametrize("method", COUNTS)
def test_absurd_counts(sc, method):
    parameter, call = COUNTS[method]
    with pytest.raises(ValueError, match=f"^{method}: {parameter} must be 10,000,000 or less, not 1,000,000,000,000$"):
        call(sc, 10**12)


@pytest.mark.parametrize("method", sorted({*NON_NEGATIVE} - {"take", "top"}))
def test_negative_counts(sc, method):
    parameter, call = NON_NEGATIVE[method]
    with pytest.raises(ValueError, match=f"^{method}: {parameter} must be 0 or more, not -1$"):
        call(sc, -1)


def test_negative_counts_that_mean_none(sc):
    rdd = sc.range(3)
    assert (rdd.take(-1), rdd.top(-1), rdd.take(0), rdd.top(0)) == ([], [], [], [])


@pytest.mark.parametrize("method", [*COUNTS, *NON_NEGATIVE])
@pytest.mark.parametrize(("n", "shown"), [("2", "str '2'"), (2.0, r"float 2\.0"), (True, "True"), ([], r"list \[\]")])
def test_counts_of_the_wrong_type(sc, method, n, shown):
    parameter, call = {**COUNTS, **NON_NEGATIVE}[method]
    with pytest.raises(TypeError, match=f"^{method}: {parameter} must be an int, not {shown}$"):
        call(sc, n)


@pytest.mark.parametrize("method", [*NON_NEGATIVE, "coalesce", "repartition"])
def test_counts_that_are_needed(sc, method):
    parameter, call = {**COUNTS, **NON_NEGATIVE}[method]
    with pytest.raises(TypeError, match=f"^{method}: {parameter} must be an int, not NoneType$"):
        call(sc, None)


FUNCTIONS = {
    "map": ("f", lambda rdd, f: rdd.map(f)),
    "filter": ("f", lambda rdd, f: rdd.filter(f)),
    "flatMap": ("f", lambda rdd, f: rdd.flatMap(f)),
    "mapValues": ("f", lambda rdd, f: rdd.mapValues(f)),
    "flatMapValues": ("f", lambda rdd, f: rdd.flatMapValues(f)),
    "keyBy": ("f", lambda rdd, f: rdd.keyBy(f)),
    "mapPartitions": ("f", lambda rdd, f: rdd.mapPartitions(f)),
    "mapPartitionsWithIndex": ("f", lambda rdd, f: rdd.mapPartitionsWithIndex(f)),
    "groupBy": ("f", lambda rdd, f: rdd.groupBy(f)),
    "partitionBy": ("partitionFunc", lambda rdd, f: rdd.partitionBy(2, f)),
    "reduceByKey": ("func", lambda rdd, f: rdd.reduceByKey(f)),
    "foldByKey": ("func", lambda rdd, f: rdd.foldByKey(0, f)),
    "aggregateByKey": ("combFunc", lambda rdd, f: rdd.aggregateByKey(0, max, f)),
    "combineByKey": ("mergeValue", lambda rdd, f: rdd.combineByKey(str, f, max)),
    "sortByKey": ("keyfunc", lambda rdd, f: rdd.sortByKey(keyfunc=f)),
    "sortBy": ("keyfunc", lambda rdd, f: rdd.sortBy(f)),
    "mapBatches": ("f", lambda rdd, f: rdd.mapBatches(f, 1)),
    "topByKey": ("key", lambda rdd, f: rdd.topByKey(1, f)),
    "reduceByKeyLocally": ("func", lambda rdd, f: rdd.reduceByKeyLocally(f)),
    "repartitionAndSortWithinPartitions": (
        "keyfunc",
        lambda rdd, f: rdd.repartitionAndSortWithinPartitions(keyfunc=f),
    ),
    "reduce": ("f", lambda rdd, f: rdd.reduce(f)),
    "fold": ("op", lambda rdd, f: rdd.fold(0, f)),
    "aggregate": ("combOp", lambda rdd, f: rdd.aggregate(0, max, f)),
    "foreach": ("f", lambda rdd, f: rdd.foreach(f)),
    "foreachPartition": ("f", lambda rdd, f: rdd.foreachPartition(f)),
    "top": ("key", lambda rdd, f: rdd.top(1, f)),
    "takeOrdered": ("key", lambda rdd, f: rdd.takeOrdered(1, f)),
    "max": ("key", lambda rdd, f: rdd.max(f)),
    "min": ("key", lambda rdd, f: rdd.min(f)),
    "runJob": ("partitionFunc", lambda rdd, f: rdd.context.runJob(rdd, f)),
}


@pytest.mark.parametrize("method", FUNCTIONS)
def test_functions_that_are_none(sc, method):
    parameter, call = FUNCTIONS[method]
    with pytest.raises(TypeError, match=f"^{method}: {parameter} must be a function, not int 7$"):
        call(_pairs(sc), 7)


OTHERS = ["union", "join", "leftOuterJoin", "rightOuterJoin", "fullOuterJoin", "cogroup", "groupWith"]
OTHERS += ["subtract", "subtractByKey", "intersection"]


@pytest.mark.parametrize("method", OTHERS)
def test_others_that_are_no_rdds(sc, method):
    with pytest.raises(TypeError, match=f"^{method}: other must be an RDD, not list$"):
        getattr(_pairs(sc), method)([(1, 2)])


def test_rdd_plus_something_else(sc):
    with pytest.raises(TypeError, match="must be an RDD, not list"):
        sc.range(3).__add__([1])


WRONG = {
    "union of nothing": (lambda sc: sc.union([]), ValueError, "union: needs at least one RDD"),
    "union of lists": (lambda sc: sc.union([[1]]), TypeError, "union: needs RDDs, not list"),
    "union of an RDD": (lambda sc: sc.union(sc.range(3)), TypeError, "union: rdds must be a list of RDDs, not RDD"),
    "parallelize a number": (lambda sc: sc.parallelize(3), TypeError, "parallelize: c must be a collection, not int"),
    "parallelize an RDD": (lambda sc: sc.parallelize(sc.range(3)), TypeError, "not RDD"),
    "range of text": (lambda sc: sc.range("3"), TypeError, "range: start must be an int, not str '3'"),
    "range of floats": (lambda sc: sc.range(0, 2.5), TypeError, r"range: end must be an int, not float 2\.5"),
    "range without a step": (lambda sc: sc.range(0, 3, 0), ValueError, "range: step must not be 0"),
    "a number as a path": (lambda sc: sc.textFile(3), TypeError, "textFile: name must be a str, not int 3"),
    "save to a number": (lambda sc: sc.range(3).saveAsTextFile(3), TypeError, "saveAsTextFile: path must be a str"),
    "a codec that is no text": (lambda sc: sc.range(3).saveAsTextFile("x", 3), TypeError, "compressionCodecClass"),
    "runJob of a list": (lambda sc: sc.runJob([1], list), TypeError, "runJob: needs RDDs, not list"),
    "a partition too many": (lambda sc: sc.runJob(sc.range(3), list, [1]), ValueError, "there is no partition 1"),
    "a partition before the first": (lambda sc: sc.runJob(sc.range(3), list, [-1]), ValueError, "no partition -1"),
    "a partition by name": (lambda sc: sc.runJob(sc.range(3), list, ["0"]), TypeError, "must be an int"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_arguments(sc, case):
    call, error, text = WRONG[case]
    with pytest.raises(error, match=text):
        call(sc)


# The context and RDDs where they do not belong


def test_an_rdd_used_inside_a_task(sc):
    inner = sc.parallelize([1, 2])
    with pytest.raises(NestedRDD, match=r"the RDD of parallelize at test_bad_input\.py:\d+ was captured.*collect\(\)"):
        sc.range(2).map(lambda x: inner.count() + x).collect()


def test_the_context_used_inside_a_task(sc):
    with pytest.raises(NestedRDD, match=r"the context created at .*\.py:\d+ was captured by a function"):
        sc.range(2).map(lambda x: sc.parallelize([x]).count()).collect()


def test_the_path_to_a_captured_rdd_is_named(sc):
    class Job:
        def __init__(self):
            self.inner = sc.range(3)

    job = Job()
    with pytest.raises(NestedRDD, match=r"reached through .*'job'.*'inner'"):
        sc.range(2).map(lambda x: job.inner).collect()


def test_the_context_found_by_other_ways_inside_a_task(sc):
    with pytest.raises(JobFailed, match="used inside a task") as caught:
        sc.range(2).map(lambda x: Context.getOrCreate().range(x).count()).collect()
    assert isinstance(caught.value.__cause__, NestedRDD)


def test_pickling_an_rdd_or_the_context(sc):
    for thing in (sc, sc.range(3), sc.range(3).map(str), {"rdd": sc.range(3).union(sc.range(3))}):
        with pytest.raises(NestedRDD):
            pickle.dumps(thing)


def test_an_rdd_inside_the_data(sc):
    with pytest.raises(NestedRDD):
        sc.parallelize([sc.range(3)])


# Keys


@pytest.mark.parametrize(
    "method",
    ["reduceByKey", "groupByKey", "partitionBy", "join", "distinct", "countByKey", "countByValue"],
)
def test_an_unhashable_key(sc, method):
    rdd = sc.parallelize([([1], 2), ([1], 3)], 2)
    call = {
        "reduceByKey": lambda: rdd.reduceByKey(max).collect(),
        "groupByKey": lambda: rdd.groupByKey().collect(),
        "partitionBy": lambda: rdd.partitionBy(2).collect(),
        "join": lambda: rdd.join(rdd).collect(),
        "distinct": lambda: rdd.distinct().collect(),
        "countByKey": rdd.countByKey,
        "countByValue": rdd.map(lambda pair: pair[0]).countByValue,
    }[method]
    with pytest.raises(JobFailed, match=r"unhashable|cannot be placed") as caught:
        call()
    assert isinstance(caught.value.__cause__, TypeError)
    assert re.fullmatch(rf"{method}(\(max\))? at test_bad_input.py:\d+", caught.value.operation)


@pytest.mark.parametrize("method", ["reduceByKey", "groupByKey", "partitionBy", "join", "distinct", "countByValue"])
def test_a_key_whose_hash_is_its_address(sc, method):
    rdd = sc.range(2, numSlices=2).map(lambda x: (Plain(), x))
    call = {
        "reduceByKey": lambda: rdd.reduceByKey(max).collect(),
        "groupByKey": lambda: rdd.groupByKey().collect(),
        "partitionBy": lambda: rdd.partitionBy(2).collect(),
        "join": lambda: rdd.join(rdd).collect(),
        "distinct": lambda: rdd.keys().distinct().collect(),
        "countByValue": rdd.keys().countByValue,
    }[method]
    with pytest.raises(JobFailed, match="its hash is its address") as caught:
        call()
    assert isinstance(caught.value.__cause__, UnhashableKey)
    assert "Plain" in str(caught.value)
    assert re.fullmatch(rf"{method} at test_bad_input.py:\d+", caught.value.operation)


def test_a_key_that_cannot_be_looked_up(sc):
    placed = sc.parallelize([(1, 2)]).partitionBy(2)
    with pytest.raises(UnhashableKey, match="tuple"):
        placed.lookup([1])
    with pytest.raises(UnhashableKey, match="address"):
        placed.lookup(Plain())


# What functions do


def stop(x):
    if x == 2:
        raise StopIteration("enough")
    return x


@pytest.mark.parametrize(
    "use",
    [
        lambda rdd: rdd.map(stop),
        lambda rdd: rdd.filter(stop),
        lambda rdd: rdd.flatMap(lambda x: [stop(x)]),
        lambda rdd: rdd.keyBy(stop),
        lambda rdd: rdd.map(lambda x: (x, x)).mapValues(stop),
        lambda rdd: rdd.map(lambda x: (x, x)).flatMapValues(lambda x: [stop(x)]),
        lambda rdd: rdd.map(lambda x: (0, x)).reduceByKey(lambda a, b: stop(2)),
        lambda rdd: rdd.map(lambda x: (x, x)).combineByKey(stop, max, max),
        lambda rdd: rdd.map(lambda x: (x, 0)).partitionBy(2, stop),
        lambda rdd: rdd.mapPartitions(lambda part: stop(2)),
    ],
    ids=range(10),
)
def test_stop_iteration_never_ends_the_data(sc, use):
    for action in (lambda rdd: rdd.collect(), lambda rdd: rdd.take(100), lambda rdd: rdd.count()):
        with pytest.raises(JobFailed, match="StopIteration") as caught:
            action(use(sc.range(5, numSlices=1)))
        assert isinstance(caught.value.__cause__, (StopIterationInTask, StopIteration, RuntimeError))


@pytest.mark.parametrize(
    "act",
    [
        lambda rdd: rdd.reduce(lambda a, b: stop(2)),
        lambda rdd: rdd.fold(0, lambda a, b: stop(2)),
        lambda rdd: rdd.foreach(stop),
        lambda rdd: rdd.foreachPartition(lambda part: stop(2)),
        lambda rdd: rdd.max(key=stop),
        lambda rdd: rdd.top(1, key=stop),
        lambda rdd: rdd.sortBy(stop, numPartitions=1).collect(),
        lambda rdd: rdd.keyBy(lambda x: x).sortByKey(numPartitions=1, keyfunc=stop).collect(),
        lambda rdd: rdd.context.runJob(rdd, lambda part: [stop(x) for x in part]),
    ],
    ids=["reduce", "fold", "foreach", "foreachPartition", "max", "top", "sortBy", "sortByKey", "runJob"],
)
def test_stop_iteration_in_actions(sc, act):
    with pytest.raises(JobFailed, match="StopIteration"):
        act(sc.range(5, numSlices=1))


def test_stop_iteration_of_a_keyfunc_loses_nothing(sc):
    pairs = sc.parallelize([(x, x) for x in range(5)], 2)
    with pytest.raises(StopIteration):
        pairs.sortByKey(numPartitions=2, keyfunc=stop)  # the driver sorts the sample


@pytest.mark.parametrize("result", [None, 7, 1.5], ids=repr)
def test_flat_map_without_an_iterable(sc, result):
    with pytest.raises(JobFailed, match="flatMap") as caught:
        sc.range(3).flatMap(lambda x, r=result: r).collect()
    assert isinstance(caught.value.__cause__, TypeError)
    with pytest.raises(JobFailed, match="flatMapValues") as caught:
        sc.range(3).keyBy(str).flatMapValues(lambda x, r=result: r).collect()
    assert isinstance(caught.value.__cause__, TypeError)


@pytest.mark.parametrize("result", [None, 7], ids=repr)
def test_map_partitions_without_an_iterable(sc, result):
    with pytest.raises(JobFailed, match="mapPartitions") as caught:
        sc.range(3).mapPartitions(lambda part, r=result: r).collect()
    assert isinstance(caught.value.__cause__, TypeError)


def test_records_that_are_no_pairs(sc):
    for use in (
        lambda: sc.range(3).mapValues(str).collect(),
        lambda: sc.range(3).reduceByKey(max).collect(),
        lambda: sc.range(3).keys().collect(),
        lambda: sc.range(3).groupByKey().collect(),
    ):
        with pytest.raises(JobFailed) as caught:
            use()
        assert isinstance(caught.value.__cause__, TypeError)


@pytest.mark.parametrize("method", ["keys", "values", "groupByKey", "partitionBy", "countByKey"])
def test_operations_without_a_function_name_their_line_too(sc, method):
    call = {
        "keys": lambda: sc.range(3).keys().collect(),
        "values": lambda: sc.range(3).values().collect(),
        "groupByKey": lambda: sc.range(3).groupByKey().collect(),
        "partitionBy": lambda: sc.range(3).partitionBy(2).collect(),
        "countByKey": lambda: sc.range(3).countByKey(),
    }[method]
    with pytest.raises(JobFailed) as caught:
        call()
    assert re.fullmatch(rf"{method} at test_bad_input.py:\d+", caught.value.operation)


def test_a_function_that_cannot_be_pickled(sc):
    lock = threading.Lock()
    with pytest.raises(NotPicklable, match="'lock'"):
        sc.range(3).map(lambda x: lock).collect()
    with pytest.raises(NotPicklable, match="lock"):
        sc.range(3).fold(lock, max)
    with pytest.raises(NotPicklable, match="lock"):
        sc.range(3).keyBy(str).foldByKey(lock, max)
    with pytest.raises(NotPicklable, match="lock"):
        sc.parallelize([1, lock])


def test_a_result_that_cannot_be_pickled(sc):
    with pytest.raises(JobFailed, match="pickle") as caught:
        sc.range(3).map(lambda x: threading.Lock()).collect()
    assert isinstance(caught.value.__cause__, NotPicklable)


@pytest.mark.parametrize("method", ["partitionBy", "groupByKey", "sortBy"])
def test_what_cannot_be_pickled_for_a_shuffle_names_its_line(sc, method):
    locks = sc.range(3, numSlices=1).map(lambda x: (x % 2, threading.Lock()))
    call = {
        "partitionBy": lambda: locks.partitionBy(2).count(),
        "groupByKey": lambda: sc.range(6, numSlices=1).map(lambda x: (1, threading.Lock())).groupByKey(2).count(),
        "sortBy": lambda: locks.sortBy(lambda pair: pair[0], numPartitions=2).count(),
    }[method]
    with pytest.raises(JobFailed, match="pickle") as caught:
        call()
    assert re.fullmatch(rf"{method} at test_bad_input.py:\d+", caught.value.operation)


def test_the_error_names_record_operation_and_line(sc):
    with pytest.raises(JobFailed) as caught:
        sc.range(5, numSlices=1).map(lambda x: 1 // (3 - x)).collect()
    error = caught.value
    assert isinstance(error.__cause__, ZeroDivisionError)
    assert error.record == "3"
    assert "map" in (error.operation or "")
    assert "test_bad_input.py" in (error.operation or "")
