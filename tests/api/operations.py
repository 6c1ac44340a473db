"""Every operation and action of an RDD beside the same in plain Python: a table.

A case calls its operation on RDDs `a` and `b` of (key, int) pairs and gives back plain data; its oracle makes the same
of their partitions. What an oracle raises, the operation must raise too.
"""

from __future__ import annotations

import math
import operator
import statistics
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from heapq import nlargest, nsmallest
from typing import Any

from rddlite import RDD, StorageLevel, portable_hash
from tests.api import plain as p
from tests.api.oracle import bag, flat, groups, layout
from tests.api.plain import Oracle, add, appended, each, extended, parity, swap, value, values

Run = Callable[[RDD[Any], RDD[Any]], Any]
Same = Callable[[Any, Any], bool]


@dataclass(frozen=True)
class Case:
    """One use of a method. `same(found, expected)` says whether the answers agree."""

    method: str
    run: Run
    oracle: Oracle
    same: Same


def exactly(found: Any, expected: Any) -> bool:
    """In order, and of the same types: 1 is not True, and NaN is NaN."""
    return repr(found) == repr(expected)


def equal(found: Any, expected: Any) -> bool:
    """By `==`, as where equal keys became one."""
    return bool(found == expected)


def in_any_order(found: Any, expected: Any) -> bool:
    """The same records."""
    return bag(found) == bag(expected)


def grouped_alike(found: Any, expected: Any) -> bool:
    """The same keys once each, with the same values in any order, or several such groups of values."""
    assert len(found) == len(expected)
    return _sorted_groups(found) == _sorted_groups(expected)


def near(found: Any, expected: Any) -> bool:
    """Floats that were added up in another order."""
    both_nan = math.isnan(found) and math.isnan(expected)
    return both_nan or math.isclose(found, expected, rel_tol=1e-9, abs_tol=1e-9)


def drawn_from(found: Any, expected: Any) -> bool:
    """So many, and none more often than it is there; `expected` is (how many, of what)."""
    number, records = expected
    return len(found) == number and not bag(found) - bag(records)


def _sorted_groups(pairs: Any) -> dict[Any, Any]:
    return {key: [sorted(group) for group in each] for key, each in pairs}


CASES = [
    # One record at a time, and whole partitions: everything stays where it is, in its order.
    Case("map", lambda a, b: layout(a.map(swap)), each(swap), exactly),
    Case(
        "filter",
        lambda a, b: layout(a.filter(lambda kv: kv[1] % 3)),
        lambda a, b: [[kv for kv in part if kv[1] % 3] for part in a],
        exactly,
    ),
    Case(
        "flatMap",
        lambda a, b: layout(a.flatMap(lambda kv: [kv[0]] * (kv[1] % 3))),
        lambda a, b: [[k for k, v in part for _ in range(v % 3)] for part in a],
        exactly,
    ),
    Case("keyBy", lambda a, b: layout(a.keyBy(value)), each(lambda kv: (kv[1], kv)), exactly),
    Case("keys", lambda a, b: layout(a.keys()), each(lambda kv: kv[0]), exactly),
    Case("values", lambda a, b: layout(a.values()), each(value), exactly),
    Case("mapValues", lambda a, b: layout(a.mapValues(str)), each(lambda kv: (kv[0], str(kv[1]))), exactly),
    Case(
        "flatMapValues",
        lambda a, b: layout(a.flatMapValues(lambda v: range(v % 4))),
        lambda a, b: [[(k, i) for k, v in part for i in range(v % 4)] for part in a],
        exactly,
    ),
    Case(
        "mapPartitions",
        lambda a, b: a.mapPartitions(lambda part: [list(part)]).collect(),
        lambda a, b: a,
        exactly,
    ),
    Case(
        "mapPartitionsWithIndex",
        lambda a, b: a.mapPartitionsWithIndex(lambda i, part: [(i, list(part))]).collect(),
        lambda a, b: list(enumerate(a)),
        exactly,
    ),
    Case(
        "mapBatches",
        lambda a, b: layout(a.mapBatches(lambda some: [some], 3)),
        lambda a, b: [p.batches(part, 3) for part in a],
        exactly,
    ),
    Case("glom", lambda a, b: a.glom().collect(), lambda a, b: a, exactly),
    Case("pipe", lambda a, b: layout(a.values().pipe("cat")), each(lambda kv: str(kv[1])), exactly),
    Case("zip", lambda a, b: layout(a.zip(a.keys())), each(lambda kv: (kv, kv[0])), exactly),
    Case(
        "zipWithIndex",
        lambda a, b: a.zipWithIndex().collect(),
        lambda a, b: [(x, i) for i, x in enumerate(flat(a))],
        exactly,
    ),
    Case("zipWithUniqueId", lambda a, b: layout(a.zipWithUniqueId()), lambda a, b: p.numbered_by_step(a), exactly),
    Case("union", lambda a, b: layout(a.union(b)), lambda a, b: a + b, exactly),
    Case("__add__", lambda a, b: layout(a + b), lambda a, b: a + b, exactly),
    Case(
        "cartesian",
        lambda a, b: layout(a.keys().cartesian(b)),
        lambda a, b: [[(k, other) for k, _ in ours for other in theirs] for ours in a for theirs in b],
        exactly,
    ),
    Case("sample", lambda a, b: layout(a.sample(False, 0.4, 7)), p.sampled(0.4, 7), exactly),
    Case("sample", lambda a, b: layout(a.sample(False, 0.05, 7)), p.sampled(0.05, 7), exactly),
    Case("sample", lambda a, b: layout(a.sample(True, 1.5, 7)), p.sampled_again(1.5, 7), exactly),
    Case(
        "sampleByKey",
        lambda a, b: layout(a.map(parity).sampleByKey(False, {0: 1.0, 1: 0.3}, 3)),
        p.sampled_by_parity,
        exactly,
    ),
    Case("randomSplit", lambda a, b: [split.collect() for split in a.randomSplit([2, 5, 3], 11)], p.split, exactly),
    # Kept, and told of.
    Case("cache", lambda a, b: p.kept(a, lambda rdd: rdd.cache()), p.as_kept, exactly),
    Case("persist", lambda a, b: p.kept(a, lambda rdd: rdd.persist(StorageLevel.DISK_ONLY)), p.as_kept, exactly),
    Case("unpersist", lambda a, b: p.kept(a, lambda rdd: rdd.cache().unpersist()), p.as_kept, exactly),
    Case("cached", lambda a, b: p.kept_for_a_block(a), p.as_kept, exactly),
    Case("checkpoint", lambda a, b: p.kept(a, lambda rdd: rdd.checkpoint()), p.as_kept, exactly),
    Case("localCheckpoint", lambda a, b: p.kept(a, lambda rdd: rdd.localCheckpoint()), p.as_kept, exactly),
    Case("getNumPartitions", lambda a, b: a.getNumPartitions(), lambda a, b: len(a), exactly),
    # By hash or by range.
    Case("distinct", lambda a, b: a.distinct().collect(), lambda a, b: set(flat(a)), in_any_order),
    Case("distinct", lambda a, b: a.keys().distinct(2).collect(), lambda a, b: {k for k, _ in flat(a)}, in_any_order),
    Case(
        "intersection",
        lambda a, b: a.keys().intersection(b.keys()).collect(),
        lambda a, b: {k for k, _ in flat(a)} & {k for k, _ in flat(b)},
        in_any_order,
    ),
    Case(
        "subtract",
        lambda a, b: a.subtract(b, 3).collect(),
        lambda a, b: [x for x in flat(a) if x not in set(flat(b))],
        in_any_order,
    ),
    Case(
        "subtractByKey",
        lambda a, b: a.subtractByKey(b).collect(),
        lambda a, b: [(k, v) for k, v in flat(a) if k not in groups(flat(b))],
        in_any_order,
    ),
    Case(
        "coalesce",
        lambda a, b: [len(layout(a.coalesce(2))), a.coalesce(2).collect()],
        lambda a, b: [min(2, len(a)), flat(a)],
        exactly,
    ),
    Case("coalesce", lambda a, b: a.coalesce(3, shuffle=True).collect(), lambda a, b: flat(a), in_any_order),
    Case("repartition", lambda a, b: a.repartition(3).collect(), lambda a, b: flat(a), in_any_order),
    Case("repartition", lambda a, b: len(layout(a.repartition(3))), lambda a, b: 3, equal),
    Case(
        "partitionBy",
        lambda a, b: layout(a.partitionBy(3)),
        lambda a, b: p.placed(a, 3, portable_hash),
        lambda found, expected: list(map(bag, found)) == list(map(bag, expected)),
    ),
    Case(
        "partitionBy",
        lambda a, b: layout(a.map(swap).mapValues(str).partitionBy(4, lambda k: k // 2)),
        lambda a, b: p.placed([[(v, str(k)) for k, v in part] for part in a], 4, lambda k: k // 2),
        lambda found, expected: list(map(bag, found)) == list(map(bag, expected)),
    ),
    Case(
        "reduceByKey",
        lambda a, b: a.reduceByKey(operator.add, 3).collect(),
        lambda a, b: list(p.sums(a).items()),
        in_any_order,
    ),
    Case(
        "reduceByKey",
        lambda a, b: a.reduceByKey(lambda x, y: max(x, y)).collect(),
        lambda a, b: [(k, max(vs)) for k, vs in groups(flat(a)).items()],
        in_any_order,
    ),
    Case("foldByKey", lambda a, b: a.foldByKey(0, add).collect(), lambda a, b: list(p.sums(a).items()), in_any_order),
    Case(
        "aggregateByKey",
        lambda a, b: p.one_group(a.aggregateByKey([], appended, extended)),
        lambda a, b: p.groups_of(a),
        grouped_alike,
    ),
    Case(
        "combineByKey",
        lambda a, b: p.one_group(a.combineByKey(lambda v: [v], appended, extended, 2)),
        lambda a, b: p.groups_of(a),
        grouped_alike,
    ),
    Case("groupByKey", lambda a, b: p.one_group(a.groupByKey()), lambda a, b: p.groups_of(a), grouped_alike),
    Case(
        "groupBy",
        lambda a, b: p.one_group(a.values().groupBy(lambda v: v % 3, 2)),
        lambda a, b: p.groups_of([[(v % 3, v) for _, v in part] for part in a]),
        grouped_alike,
    ),
    Case("cogroup", lambda a, b: p.several_groups(a.cogroup(b)), lambda a, b: p.groups_of(a, b), grouped_alike),
    Case(
        "groupWith", lambda a, b: p.several_groups(a.groupWith(b, a)), lambda a, b: p.groups_of(a, b, a), grouped_alike
    ),
    Case("join", lambda a, b: a.join(b).collect(), p.joined(False, False), in_any_order),
    Case("leftOuterJoin", lambda a, b: a.leftOuterJoin(b, 3).collect(), p.joined(True, False), in_any_order),
    Case("rightOuterJoin", lambda a, b: a.rightOuterJoin(b, 3).collect(), p.joined(False, True), in_any_order),
    Case("fullOuterJoin", lambda a, b: a.fullOuterJoin(b).collect(), p.joined(True, True), in_any_order),
    Case(
        "topByKey",
        lambda a, b: a.topByKey(2).collectAsMap(),
        lambda a, b: {k: nlargest(2, vs) for k, vs in groups(flat(a)).items()},
        equal,
    ),
    Case(
        "sortBy",
        lambda a, b: a.sortBy(value, numPartitions=3).collect(),
        lambda a, b: sorted(flat(a), key=value),
        exactly,
    ),
    Case(
        "sortBy",
        lambda a, b: a.sortBy(lambda kv: repr(kv[0]), False).collect(),
        lambda a, b: sorted(flat(a), key=lambda kv: repr(kv[0]), reverse=True),
        equal,
    ),
    Case(
        "sortByKey",
        lambda a, b: a.map(swap).sortByKey().collect(),
        lambda a, b: sorted(map(swap, flat(a)), key=lambda kv: kv[0]),
        exactly,
    ),
    Case(
        "sortByKey",
        lambda a, b: a.map(swap).sortByKey(False, 2, abs).collect(),
        lambda a, b: sorted(map(swap, flat(a)), key=lambda kv: abs(kv[0]), reverse=True),
        exactly,
    ),
    Case(
        "repartitionAndSortWithinPartitions",
        lambda a, b: layout(a.map(swap).repartitionAndSortWithinPartitions(2, lambda v: v % 2, False)),
        lambda a, b: [
            sorted(part, key=lambda kv: kv[0], reverse=True)
            for part in p.placed([list(map(swap, part)) for part in a], 2, lambda v: v % 2)
        ],
        exactly,
    ),
    # Actions.
    Case("collect", lambda a, b: a.collect(), lambda a, b: flat(a), exactly),
    Case("collectAsMap", lambda a, b: a.collectAsMap(), lambda a, b: dict(flat(a)), equal),
    Case("collectWithJobGroup", lambda a, b: p.in_a_group(a), lambda a, b: flat(a), exactly),
    Case("toLocalIterator", lambda a, b: list(a.toLocalIterator()), lambda a, b: flat(a), exactly),
    Case("toLocalIterator", lambda a, b: list(a.toLocalIterator(True)), lambda a, b: flat(a), exactly),
    Case(
        "count",
        lambda a, b: [a.count(), a.filter(lambda kv: kv[1] > 0).count()],
        lambda a, b: [len(flat(a)), sum(v > 0 for v in values(a))],
        exactly,
    ),
    Case("isEmpty", lambda a, b: a.isEmpty(), lambda a, b: not flat(a), exactly),
    Case("first", lambda a, b: a.first(), lambda a, b: p.if_any(a, lambda: flat(a)[0]), exactly),
    Case("take", lambda a, b: a.take(5), lambda a, b: flat(a)[:5], exactly),
    Case("takeOrdered", lambda a, b: a.values().takeOrdered(4), lambda a, b: nsmallest(4, values(a)), exactly),
    Case("takeOrdered", lambda a, b: a.takeOrdered(4, value), lambda a, b: nsmallest(4, flat(a), value), exactly),
    Case("top", lambda a, b: a.values().top(4), lambda a, b: nlargest(4, values(a)), exactly),
    Case("top", lambda a, b: a.top(4, value), lambda a, b: nlargest(4, flat(a), value), exactly),
    Case("max", lambda a, b: a.values().max(), lambda a, b: p.if_any(a, lambda: max(values(a))), exactly),
    Case("max", lambda a, b: a.max(value), lambda a, b: p.if_any(a, lambda: max(flat(a), key=value)), exactly),
    Case(
        "quantiles",
        lambda a, b: a.values().quantiles([0.0, 0.5, 1.0]),
        lambda a, b: p.if_any(a, lambda: [sorted(values(a))[at] for at in (0, (len(values(a)) - 1) // 2, -1)]),
        exactly,
    ),
    Case(
        "frequentItems",
        lambda a, b: [n for _, n in a.values().frequentItems(0.5)],
        lambda a, b: sorted((n for n in Counter(values(a)).values() if 2 * n >= len(values(a))), reverse=True),
        exactly,
    ),
    Case("min", lambda a, b: a.values().min(), lambda a, b: p.if_any(a, lambda: min(values(a))), exactly),
    Case("min", lambda a, b: a.min(value), lambda a, b: p.if_any(a, lambda: min(flat(a), key=value)), exactly),
    Case("sum", lambda a, b: a.values().sum(), lambda a, b: sum(values(a)), exactly),
    Case(
        "mean",
        lambda a, b: a.values().mean(),
        lambda a, b: p.if_parts(a, lambda: statistics.fmean(values(a)) if flat(a) else 0.0),
        near,
    ),
    Case(
        "reduce",
        lambda a, b: a.values().map(str).reduce(add),
        lambda a, b: p.if_any(a, lambda: "".join(map(str, values(a)))),
        exactly,
    ),
    Case("fold", lambda a, b: a.values().fold(10, add), p.folded, exactly),
    Case(
        "aggregate",
        lambda a, b: a.aggregate(["z"], appended, extended),
        lambda a, b: ["z", *(x for part in a for x in ["z", *part])],
        exactly,
    ),
    Case(
        "treeReduce",
        lambda a, b: a.values().map(str).treeReduce(add),
        lambda a, b: p.if_any(a, lambda: "".join(map(str, values(a)))),
        exactly,
    ),
    Case("treeAggregate", lambda a, b: a.treeAggregate([], appended, extended, 3), lambda a, b: flat(a), exactly),
    Case("countByKey", lambda a, b: dict(a.countByKey()), lambda a, b: dict(bag(k for k, _ in flat(a))), equal),
    Case("countByValue", lambda a, b: dict(a.countByValue()), lambda a, b: dict(bag(flat(a))), equal),
    Case("reduceByKeyLocally", lambda a, b: a.reduceByKeyLocally(add), lambda a, b: p.sums(a), equal),
    Case("lookup", lambda a, b: a.lookup(None), lambda a, b: [v for k, v in flat(a) if k is None], exactly),
    Case(
        "lookup",
        lambda a, b: a.partitionBy(3).lookup("a"),
        lambda a, b: [v for k, v in flat(a) if k == "a"],
        in_any_order,
    ),
    Case(
        "foreach",
        lambda a, b: p.noted(a, lambda values, noted: values.foreach(noted.add)),
        lambda a, b: sum(values(a)),
        exactly,
    ),
    Case(
        "foreachPartition",
        lambda a, b: p.noted(a, lambda values, noted: values.foreachPartition(lambda part: noted.add(sum(part) + 100))),
        lambda a, b: sum(values(a)) + 100 * len(a),
        exactly,
    ),
    Case(
        "takeSample", lambda a, b: a.takeSample(False, 6, 5), lambda a, b: (min(6, len(flat(a))), flat(a)), drawn_from
    ),
    Case(
        "takeSample", lambda a, b: a.takeSample(True, 6, 5), lambda a, b: (6 if flat(a) else 0, flat(a) * 6), drawn_from
    ),
    Case(
        "saveAsTextFile",
        lambda a, b: p.written_and_read(
            a.values(), lambda rdd, path: rdd.saveAsTextFile(path), lambda sc, path: sc.textFile(path)
        ),
        lambda a, b: (len(a), list(map(str, values(a)))),
        exactly,
    ),
    Case(
        "saveAsPickleFile",
        lambda a, b: p.written_and_read(
            a, lambda rdd, path: rdd.saveAsPickleFile(path), lambda sc, path: sc.pickleFile(path)
        ),
        lambda a, b: (len(a), flat(a)),
        exactly,
    ),
    # Statistics, and what is near enough.
    Case(
        "stats",
        lambda a, b: p.number_stats(a.values()),
        lambda a, b: p.if_parts(
            a,
            lambda: (len(flat(a)), min(values(a), default=math.inf), max(values(a), default=-math.inf), sum(values(a))),
        ),
        equal,
    ),
    Case(
        "variance", lambda a, b: a.values().variance(), lambda a, b: p.if_parts(a, lambda: p.variance(values(a))), near
    ),
    Case(
        "stdev", lambda a, b: a.values().stdev(), lambda a, b: p.if_parts(a, lambda: p.variance(values(a)) ** 0.5), near
    ),
    Case(
        "sampleVariance",
        lambda a, b: a.values().sampleVariance(),
        lambda a, b: p.if_parts(a, lambda: p.sample_variance(values(a))),
        near,
    ),
    Case(
        "sampleStdev",
        lambda a, b: a.values().sampleStdev(),
        lambda a, b: p.if_parts(a, lambda: p.sample_variance(values(a)) ** 0.5),
        near,
    ),
    Case(
        "histogram",
        lambda a, b: a.values().histogram([-9, 0, 4, 11])[1],
        lambda a, b: p.in_histogram(values(a), [-9, 0, 4, 11]),
        exactly,
    ),
    Case("countApprox", lambda a, b: a.countApprox(600_000), lambda a, b: len(flat(a)), exactly),
    Case("sumApprox", lambda a, b: a.values().sumApprox(600_000), lambda a, b: float(sum(values(a))), near),
    Case(
        "meanApprox",
        lambda a, b: a.values().meanApprox(600_000),
        lambda a, b: statistics.fmean(values(a)) if flat(a) else 0.0,
        near,
    ),
    Case(
        "countApproxDistinct",
        lambda a, b: a.keys().countApproxDistinct(),
        lambda a, b: len({portable_hash(k) for k, _ in flat(a)}),
        exactly,
    ),
]

NOT_OF_RECORDS = frozenset({
    "context", "ctx", "id", "name", "setName", "toDebugString", "explain", "partitioner",
    "is_cached", "is_checkpointed", "isCheckpointed", "isLocallyCheckpointed", "getCheckpointFile", "getStorageLevel",
    "cleanShuffleDependencies", "has_resource_profile", "getResourceProfile", "withResources", "barrier",
    "mapPartitionsWithSplit",
})  # fmt: skip
"""What tells of an RDD, or where it runs, and says nothing of its records; and a deprecated name."""
