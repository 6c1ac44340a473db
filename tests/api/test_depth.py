"""Deep and wide lineage: long programs work, whatever Python's recursion limit."""

from __future__ import annotations

import functools
import operator

DEPTH = 10_000


def test_ten_thousand_operations(sc):
    rdd = sc.range(3, numSlices=2)
    for _ in range(DEPTH):
        rdd = rdd.map(lambda x: x + 1)
    assert rdd.collect() == [DEPTH, DEPTH + 1, DEPTH + 2]
    assert rdd.take(1) == [DEPTH]
    assert rdd.toDebugString()


def test_ten_thousand_operations_of_every_kind(sc):
    rdd = sc.parallelize([(0, 0)], 1)
    for i in range(DEPTH // 5):
        rdd = rdd.mapValues(lambda v: v + 1).filter(bool).keyBy(operator.itemgetter(0)).values().map(lambda kv: kv)
        if i % 500 == 0:
            rdd = rdd.flatMap(lambda kv: [kv])
    assert rdd.collect() == [(0, DEPTH // 5)]


def test_ten_thousand_unions(sc):
    rdd = sc.parallelize([0], 1)
    for i in range(DEPTH):
        rdd = rdd.union(sc.emptyRDD() if i % 10 else sc.parallelize([i], 1))
    assert rdd.getNumPartitions() == 1 + DEPTH // 10
    assert rdd.first() == 0
    assert rdd.map(lambda x: x + 1).sum() == sum(range(0, DEPTH, 10)) + 1 + DEPTH // 10


def test_ten_thousand_unions_on_the_right(sc):
    one = sc.emptyRDD()
    rdd = sc.parallelize([0], 1)
    for _ in range(DEPTH):
        rdd = one + rdd
    assert rdd.collect() == [0]


def test_a_union_of_ten_thousand(sc):
    one = sc.parallelize([1], 1)
    assert sc.union([one] * DEPTH).getNumPartitions() == DEPTH
    assert sc.union([one] * 500).sum() == 500


def test_thousands_of_unions_partition_by_partition(sc):
    placed = sc.parallelize([(1, 1), (2, 1)], 1).partitionBy(2)
    rdd = functools.reduce(lambda a, b: a.union(b), [placed] * 2000)
    assert rdd.partitioner == placed.partitioner
    assert rdd.reduceByKey(operator.add).collectAsMap() == {1: 2000, 2: 2000}


def test_a_thousand_shuffles(sc):
    rdd = sc.parallelize([(1, 0), (2, 0)], 1)
    for _ in range(1000):
        rdd = rdd.map(lambda kv: (kv[0], kv[1] + 1)).reduceByKey(max)
    assert sorted(rdd.collect()) == [(1, 1000), (2, 1000)]
    assert rdd.toDebugString()


def test_ten_thousand_map_partitions(sc):
    rdd = sc.parallelize([0], 1)
    for _ in range(DEPTH):
        rdd = rdd.mapPartitions(lambda part: (x + 1 for x in part))
    assert rdd.collect() == [DEPTH]


def test_a_diamond_is_not_unfolded(sc):
    rdd = sc.parallelize([(1, 1)], 1).partitionBy(2)
    for _ in range(12):
        rdd = rdd.join(rdd).mapValues(lambda vw: vw[0])
    assert rdd.collect() == [(1, 1)]
