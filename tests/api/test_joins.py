"""Joins, against plain Python."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rddlite import portable_hash
from tests.api.oracle import bag, counts, flat, groups, keys, pairs, parts_of, rdd_of, words

maybe_n = st.none() | counts
texts = st.tuples(keys, words)


def joined(left, right, how):
    ours, theirs = groups(flat(left)), groups(flat(right))
    return [
        (key, (v, w))
        for key in {**ours, **theirs}
        for v in ours.get(key, [None] if how in ("right", "full") else [])
        for w in theirs.get(key, [None] if how in ("left", "full") else [])
    ]


METHODS = {"inner": "join", "left": "leftOuterJoin", "right": "rightOuterJoin", "full": "fullOuterJoin"}


@pytest.mark.parametrize("how", METHODS)
@given(left=parts_of(pairs), right=parts_of(texts), n=maybe_n)
def test_join(sc, how, left, right, n):
    found = getattr(rdd_of(sc, left), METHODS[how])(rdd_of(sc, right), n)
    assert bag(found.collect()) == bag(joined(left, right, how))
    assert found.getNumPartitions() == (len(left) + len(right) if n is None else n)
    assert found.partitioner is not None


@pytest.mark.parametrize("how", METHODS)
@given(left=parts_of(pairs), right=parts_of(texts))
def test_join_of_sides_that_are_placed_already(sc, how, left, right):
    here, there = rdd_of(sc, left).partitionBy(3), rdd_of(sc, right).partitionBy(3)
    found = getattr(here, METHODS[how])(there)
    assert bag(found.collect()) == bag(joined(left, right, how))
    assert found.getNumPartitions() == 3
    assert found.toDebugString().count(b"+-") == 2  # one shuffle for each side, none for the join


@pytest.mark.parametrize("how", METHODS)
@given(left=parts_of(pairs), right=parts_of(texts))
def test_join_of_one_side_that_is_placed_already(sc, how, left, right):
    found = getattr(rdd_of(sc, left).partitionBy(4), METHODS[how])(rdd_of(sc, right), 4)
    assert bag(found.collect()) == bag(joined(left, right, how))
    found = getattr(rdd_of(sc, left), METHODS[how])(rdd_of(sc, right).partitionBy(4), 4)
    assert bag(found.collect()) == bag(joined(left, right, how))


@pytest.mark.parametrize("how", METHODS)
@given(left=parts_of(pairs), right=parts_of(texts))
def test_join_of_a_cached_side(sc, how, left, right):
    here, there = rdd_of(sc, left).partitionBy(3).cache(), rdd_of(sc, right).partitionBy(3)
    for one, other, answer in ((here, there, joined(left, right, how)), (there, here, joined(right, left, how))):
        for _ in range(2):  # kept by the first job, read by the second
            assert bag(getattr(one.mapValues(identity), METHODS[how])(other).collect()) == bag(answer)
    assert bag(here.join(here).collect()) == bag(joined(left, left, "inner"))
    here.unpersist()


def identity(value):
    return value


def test_sides_that_share_any_partitioner_keep_it(sc):
    pairs = sc.parallelize([(i, i) for i in range(9)], 3)
    by_tens = pairs.partitionBy(5, lambda key: key // 2)
    both = by_tens.join(by_tens.mapValues(str))
    assert both.partitioner == by_tens.partitioner
    assert both.toDebugString().count(b"+-") == 1  # the shuffle that both sides stand on
    in_order = pairs.sortByKey(numPartitions=2)
    assert in_order.join(in_order.mapValues(str)).partitioner == in_order.partitioner
    assert sorted(in_order.join(in_order).keys().collect()) == list(range(9))


def test_duplicates_multiply(sc):
    left, right = sc.parallelize([("k", i) for i in range(3)], 2), sc.parallelize([("k", i) for i in range(4)], 3)
    assert bag(left.join(right).values().collect()) == bag((i, j) for i in range(3) for j in range(4))


def test_a_join_has_as_many_partitions_as_both_sides(sc):
    left, right = sc.parallelize([(1, 1)], 2), sc.parallelize([(1, 2)], 3)
    assert left.join(right).getNumPartitions() == 5
    assert left.join(right, 4).getNumPartitions() == 4


def test_join_with_itself(sc):
    rdd = sc.parallelize([(1, "a"), (2, "b")], 2)
    assert sorted(rdd.join(rdd).collect()) == [(1, ("a", "a")), (2, ("b", "b"))]


def test_iterated_joins_stay_right(sc):
    edges = sc.parallelize([(i, i + 1) for i in range(5)], 2)
    paths = edges
    for _ in range(3):
        swapped = paths.map(lambda pair: (pair[1], pair[0]))
        longer = swapped.join(edges, 3).map(lambda row: (row[1][0], row[1][1]))
        paths = paths.union(longer).distinct(3)
    assert paths.count() == 14  # all i < j <= i + 4 of 0..5


def test_none_on_a_side_is_a_value_like_any_other(sc):
    left, right = sc.parallelize([(None, None)], 1), sc.parallelize([(None, 1)], 1)
    assert left.join(right).collect() == [(None, (None, 1))]
    assert left.fullOuterJoin(right).collect() == [(None, (None, 1))]
    assert portable_hash(None) == 0
