"""Sorting, and the smallest and largest, against plain Python."""

from __future__ import annotations

import heapq

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.api.oracle import bag, counts, flat, ints, jobs_run_by, layout, parts_of, rdd_of, words

maybe_n = st.none() | counts
numbered = st.tuples(st.integers(0, 9), ints)


@given(parts=parts_of(numbered), n=maybe_n, ascending=st.booleans())
def test_sort_by_key(sc, parts, n, ascending):
    rdd = rdd_of(sc, parts)
    found = rdd.sortByKey(ascending, n)
    # Stable: sorted() is, and pairs are compared by their keys only.
    assert found.collect() == sorted(flat(parts), key=lambda kv: kv[0], reverse=not ascending)
    if flat(parts):
        assert found.getNumPartitions() == (len(parts) if n is None else n)


@given(parts=parts_of(st.tuples(words, ints)), n=counts, ascending=st.booleans())
def test_sort_by_key_with_keyfunc(sc, parts, n, ascending):
    found = rdd_of(sc, parts).sortByKey(ascending, n, keyfunc=lambda k: (len(k), k))
    assert found.collect() == sorted(flat(parts), key=lambda kv: (len(kv[0]), kv[0]), reverse=not ascending)


def test_keyfunc_may_change_the_type(sc):
    pairs = [(str(n), n) for n in (10, 9, 100, 1, 55)]
    assert sc.parallelize(pairs, 3).sortByKey(numPartitions=2, keyfunc=int).values().collect() == [1, 9, 10, 55, 100]


@given(parts=parts_of(words), n=maybe_n, ascending=st.booleans())
def test_sort_by(sc, parts, n, ascending):
    found = rdd_of(sc, parts).sortBy(len, ascending, n)
    assert found.collect() == sorted(flat(parts), key=len, reverse=not ascending)


def test_sorted_partitions_are_even(sc):
    shuffled = sorted(range(10_000), key=lambda x: (x * 7919) % 10_007)
    sizes = [len(part) for part in layout(sc.parallelize(shuffled, 4).keyBy(lambda x: x).sortByKey(numPartitions=8))]
    assert len(sizes) == 8
    assert max(sizes) < 4 * 10_000 / 8


def test_sorting_counts_and_samples_at_the_call(sc):
    pairs = sc.parallelize([(i, i) for i in range(10)], 3)
    assert jobs_run_by(sc, pairs.sortByKey) == [3]
    assert jobs_run_by(sc, lambda: pairs.sortBy(str)) == [3]
    assert jobs_run_by(sc, lambda: pairs.sortBy(lambda x: x)) == [3]
    assert jobs_run_by(sc, lambda: pairs.sortByKey(numPartitions=1)) == []
    assert jobs_run_by(sc, lambda: pairs.coalesce(1).sortByKey()) == []


def test_an_empty_rdd_is_returned_itself(sc):
    empty = sc.parallelize([], 3)
    assert empty.sortByKey() is empty
    assert empty.sortBy(str).collect() == []
    assert sc.emptyRDD().sortByKey().collect() == []


def test_exactly_as_many_partitions_as_asked_for(sc):
    assert [len(part) for part in layout(sc.parallelize([(1, 1)], 1).sortByKey(numPartitions=4))].count(1) == 1
    assert sc.parallelize([(5, i) for i in range(9)], 2).sortByKey(numPartitions=4).getNumPartitions() == 4


def test_bounds_are_pyspark_s(sc):
    """All keys are sampled here: bounds are at len * (i + 1) // n of the sorted ones, and belong to the left."""
    pairs = [(i, None) for i in (3, 1, 2, 0, 5, 4, 7, 6, 9, 8)]
    in_order = sc.parallelize(pairs, 2).sortByKey(numPartitions=3)
    assert layout(in_order.keys()) == [[0, 1, 2, 3], [4, 5, 6], [7, 8, 9]]
    down = sc.parallelize(pairs, 2).sortByKey(False, 3)
    assert layout(down.keys()) == [[9, 8, 7], [6, 5, 4], [3, 2, 1, 0]]


def test_the_sample_is_the_same_each_time(sc):
    pairs = sc.parallelize(range(5000), 4).keyBy(lambda x: -x)
    assert layout(pairs.sortByKey(numPartitions=4)) == layout(pairs.sortByKey(numPartitions=4))


@given(parts=parts_of(ints), n=st.integers(0, 12))
def test_top(sc, parts, n):
    assert rdd_of(sc, parts).top(n) == heapq.nlargest(n, flat(parts))
    found = rdd_of(sc, parts).top(n, key=lambda x: -abs(x))
    assert [abs(x) for x in found] == sorted(map(abs, flat(parts)))[:n]


@given(parts=parts_of(ints), n=st.integers(0, 12))
def test_take_ordered(sc, parts, n):
    assert rdd_of(sc, parts).takeOrdered(n) == heapq.nsmallest(n, flat(parts))
    found = rdd_of(sc, parts).takeOrdered(n, key=lambda x: -abs(x))
    assert [abs(x) for x in found] == sorted(map(abs, flat(parts)), reverse=True)[:n]


def test_nothing_wanted_runs_nothing(sc):
    rdd = sc.range(10)
    assert jobs_run_by(sc, lambda: (rdd.top(0), rdd.takeOrdered(0), rdd.take(0))) == []


def test_keys_that_cannot_be_compared_are_an_error_at_the_call(sc):
    with pytest.raises(TypeError, match="not supported between"):
        sc.parallelize([(1, 1), ("a", 1)], 2).sortByKey()


def test_a_sort_above_a_sort(sc):
    rdd = sc.parallelize(range(20), 4).sortBy(lambda x: x % 5, numPartitions=3).sortBy(lambda x: x % 2, numPartitions=2)
    expected = sorted(sorted(range(20), key=lambda x: x % 5), key=lambda x: x % 2)
    assert rdd.collect() == expected
    assert bag(rdd.collect()) == bag(range(20))


def test_keys_of_a_class_that_nobody_can_import(sc):
    class Version:
        def __init__(self, number):
            self.number = number

        def __lt__(self, other):
            return self.number < other.number

    versions = sc.parallelize([Version(i * 7 % 20) for i in range(20)], 3)
    assert [each.number for each in versions.sortBy(lambda each: each).collect()] == list(range(20))
    pairs = versions.keyBy(lambda each: each).sortByKey(ascending=False, numPartitions=4)
    assert [key.number for key in pairs.keys().collect()] == list(range(20))[::-1]
