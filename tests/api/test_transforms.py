"""Transformations of any RDD, against plain Python."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.api.oracle import bag, counts, flat, groups, ints, jobs_run_by, keys, layout, parts_of, rdd_of, words


@given(parts=parts_of(ints))
def test_map(sc, parts):
    assert layout(rdd_of(sc, parts).map(lambda x: (x, x * 2))) == [[(x, x * 2) for x in part] for part in parts]


@given(parts=parts_of(ints))
def test_filter(sc, parts):
    assert layout(rdd_of(sc, parts).filter(lambda x: x % 3)) == [[x for x in part if x % 3] for part in parts]


@given(parts=parts_of(words))
def test_flat_map(sc, parts):
    assert layout(rdd_of(sc, parts).flatMap(list)) == [[c for word in part for c in word] for part in parts]


@pytest.mark.parametrize("make", [list, tuple, iter, lambda x: {x: 1}, lambda x: (c for c in x), lambda x: x])
def test_flat_map_takes_any_iterable(sc, make):
    assert sc.parallelize(["a", ""], 2).flatMap(lambda x: make(x) if x else []).collect() == ["a"]


@given(parts=parts_of(ints))
def test_map_partitions(sc, parts):
    assert rdd_of(sc, parts).mapPartitions(lambda part: [sum(part)]).collect() == [sum(part) for part in parts]


@given(parts=parts_of(ints))
def test_map_partitions_with_index(sc, parts):
    found = rdd_of(sc, parts).mapPartitionsWithIndex(lambda i, part: [(i, list(part))]).collect()
    assert found == list(enumerate(parts))


def test_map_partitions_may_be_a_generator_and_may_stop_early(sc):
    def two(part):
        for _ in range(2):
            yield next(part)

    assert sc.range(10, numSlices=2).mapPartitions(two).map(lambda x: -x).collect() == [0, -1, -5, -6]


def test_map_partitions_inside_map_partitions(sc):
    rdd = sc.range(9, numSlices=3)
    for _ in range(5):
        rdd = rdd.mapPartitions(lambda part: (x + 1 for x in part)).filter(lambda x: True)
    assert rdd.collect() == [x + 5 for x in range(9)]


@given(parts=parts_of(ints))
def test_glom(sc, parts):
    assert rdd_of(sc, parts).glom().collect() == parts


@given(parts=parts_of(words))
def test_key_by(sc, parts):
    assert rdd_of(sc, parts).keyBy(len).collect() == [(len(x), x) for x in flat(parts)]


@given(parts=parts_of(keys), n=st.none() | counts)
def test_distinct(sc, parts, n):
    found = rdd_of(sc, parts).distinct(n)
    assert bag(found.collect()) == bag(set(flat(parts)))
    assert found.count() == len(set(flat(parts)))
    assert found.getNumPartitions() == (len(parts) if n is None else n)


@given(left=parts_of(ints), right=parts_of(words))
def test_union(sc, left, right):
    both = rdd_of(sc, left).union(rdd_of(sc, right))
    assert layout(both) == left + right
    assert layout(rdd_of(sc, left) + rdd_of(sc, right)) == left + right


@given(several=st.lists(parts_of(ints, 3), min_size=1, max_size=5))
def test_union_of_many(sc, several):
    assert layout(sc.union([rdd_of(sc, parts) for parts in several])) == [part for parts in several for part in parts]


def test_union_of_unlike_rdds(sc, tmp_path):
    (tmp_path / "a.txt").write_text("x\ny\n")
    lines = sc.textFile(str(tmp_path / "a.txt"), 1)
    pairs = sc.parallelize([(1, 2)], 1).reduceByKey(max)
    both = lines.union(sc.range(2, numSlices=1)).union(pairs).union(lines.zipWithIndex())
    assert both.collect() == ["x", "y", 0, 1, (1, 2), ("x", 0), ("y", 1)]


def test_union_with_itself(sc):
    rdd = sc.parallelize([1, 2], 2)
    assert layout(rdd + rdd) == [[1], [2], [1], [2]]


def test_union_of_equally_placed_rdds_goes_partition_by_partition(sc):
    left = sc.parallelize([(i, "l") for i in range(6)]).partitionBy(3)
    right = sc.parallelize([(i, "r") for i in range(3)]).partitionBy(3)
    both = left.union(right)
    assert both.partitioner == left.partitioner
    assert layout(both) == [a + b for a, b in zip(layout(left), layout(right), strict=True)]
    assert layout(both.union(left)) == [
        a + b + c for a, b, c in zip(layout(left), layout(right), layout(left), strict=True)
    ]


def test_union_of_unlike_places_forgets_them(sc):
    left = sc.parallelize([(1, 1)]).partitionBy(3)
    assert left.union(sc.parallelize([(1, 1)]).partitionBy(2)).partitioner is None
    assert left.union(sc.parallelize([(1, 1)], 1)).partitioner is None


@given(left=parts_of(keys), right=parts_of(keys))
def test_intersection(sc, left, right):
    found = rdd_of(sc, left).intersection(rdd_of(sc, right))
    assert bag(found.collect()) == bag(set(flat(left)) & set(flat(right)))


@given(left=parts_of(keys), right=parts_of(keys), n=st.none() | counts)
def test_subtract(sc, left, right, n):
    found = rdd_of(sc, left).subtract(rdd_of(sc, right), n)
    gone = set(flat(right))
    assert bag(found.collect()) == bag(x for x in flat(left) if x not in gone)
    assert found.getNumPartitions() == (len(left) + len(right) if n is None else n)


@given(parts=parts_of(words))
def test_zip_with_index(sc, parts):
    assert rdd_of(sc, parts).zipWithIndex().collect() == [(x, i) for i, x in enumerate(flat(parts))]


def test_zip_with_index_counts_all_partitions_but_the_last(sc):
    assert jobs_run_by(sc, sc.parallelize(list(range(9)), 3).zipWithIndex) == [2]
    assert jobs_run_by(sc, sc.range(9, numSlices=3).filter(bool).zipWithIndex) == [2]
    assert jobs_run_by(sc, sc.parallelize(list(range(9)), 1).zipWithIndex) == []


@given(start=st.integers(-5, 5), n=st.integers(0, 12), step=st.sampled_from([-3, 1, 2]), slices=counts)
def test_zip_with_index_counts_nothing_where_the_numbers_are_known(sc, start, n, step, slices):
    numbers = range(start, start + n * step, step)
    rdd = sc.range(numbers.start, numbers.stop, step, slices).map(lambda x: (x, x)).mapValues(str).keys()
    found = []
    assert jobs_run_by(sc, lambda: found.append(rdd.zipWithIndex())) == []
    assert found[0].collect() == [(x, i) for i, x in enumerate(numbers)]


@given(parts=parts_of(ints, 8), n=counts)
def test_coalesce(sc, parts, n):
    merged = layout(rdd_of(sc, parts).coalesce(n))
    assert len(merged) == min(n, len(parts))
    assert flat(merged) == flat(parts)
    sizes = iter(parts)
    for part in merged:  # neighbours, whole
        rest = list(part)
        while rest:
            taken = next(sizes)
            assert rest[: len(taken)] == taken
            rest = rest[len(taken) :]


@given(parts=parts_of(ints), n=counts)
def test_repartition(sc, parts, n):
    for spread in (rdd_of(sc, parts).repartition(n), rdd_of(sc, parts).coalesce(n, shuffle=True)):
        found = layout(spread)
        assert len(found) == n
        assert bag(flat(found)) == bag(flat(parts))


def test_repartition_is_even(sc):
    sizes = [len(part) for part in layout(sc.parallelize(range(1000), 1).repartition(8))]
    assert max(sizes) - min(sizes) <= 1


def test_coalesce_goes_with_what_is_below(sc):
    rdd = sc.range(12, numSlices=6).map(lambda x: x + 1).coalesce(3).map(lambda x: x * 10).coalesce(2)
    assert layout(rdd) == [[10, 20, 30, 40], [50, 60, 70, 80, 90, 100, 110, 120]]


@given(parts=parts_of(ints), n=st.none() | counts)
def test_group_by(sc, parts, n):
    found = rdd_of(sc, parts).groupBy(lambda x: x % 4, n)
    expected = groups((x % 4, x) for x in flat(parts))
    assert {key: sorted(values) for key, values in found.collect()} == {k: sorted(v) for k, v in expected.items()}
    assert found.getNumPartitions() == (len(parts) if n is None else n)


def test_promised_partitioning_is_kept_and_else_forgotten(sc):
    placed = sc.parallelize([(1, 2)]).partitionBy(3)
    for kept in (
        placed.map(lambda kv: kv, True),
        placed.flatMap(lambda kv: [kv], preservesPartitioning=True),
        placed.mapPartitions(lambda part: part, True),
        placed.mapPartitionsWithIndex(lambda i, part: part, True),
        placed.filter(bool),
        placed.mapValues(str),
        placed.flatMapValues(lambda v: [v]),
    ):
        assert kept.partitioner == placed.partitioner
    for lost in (
        placed.map(lambda kv: kv),
        placed.flatMap(lambda kv: [kv]),
        placed.mapPartitions(lambda part: part),
        placed.keys(),
        placed.values(),
        placed.keyBy(str),
        placed.glom(),
        placed.coalesce(2),
        placed.repartition(3),
        placed.zipWithIndex(),
        placed.distinct(),
    ):
        assert lost.partitioner is None
