"""Operations by key, against plain Python."""

from __future__ import annotations

import operator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rddlite import ResultIterable, portable_hash
from tests.api.oracle import bag, counts, flat, groups, ints, keys, layout, pairs, parts_of, rdd_of, words

maybe_n = st.none() | counts


def check_placed(rdd, n):
    """Every key is where the partitioner says, and the number of partitions is what was asked for."""
    assert rdd.getNumPartitions() == n
    assert rdd.partitioner is not None
    assert rdd.partitioner.numPartitions == n
    for index, part in enumerate(layout(rdd)):
        assert all(rdd.partitioner(pair[0]) == index for pair in part)


@given(parts=parts_of(pairs))
def test_keys_and_values(sc, parts):
    rdd = rdd_of(sc, parts)
    assert rdd.keys().collect() == [k for k, _ in flat(parts)]
    assert rdd.values().collect() == [v for _, v in flat(parts)]


@given(parts=parts_of(pairs))
def test_map_values(sc, parts):
    assert rdd_of(sc, parts).mapValues(lambda v: v * 2).collect() == [(k, v * 2) for k, v in flat(parts)]


@given(parts=parts_of(st.tuples(keys, words)))
def test_flat_map_values(sc, parts):
    assert rdd_of(sc, parts).flatMapValues(list).collect() == [(k, c) for k, v in flat(parts) for c in v]


@given(parts=parts_of(pairs), n=counts)
def test_partition_by(sc, parts, n):
    placed = rdd_of(sc, parts).partitionBy(n)
    assert bag(placed.collect()) == bag(flat(parts))
    check_placed(placed, n)


def test_partition_by_is_python_modulo(sc):
    placed = sc.parallelize([(-1, "a"), (-3, "b"), (5, "c")]).partitionBy(3, lambda k: k)
    assert layout(placed) == [[(-3, "b")], [], [(-1, "a"), (5, "c")]]


def test_partition_by_the_same_again_is_the_rdd_itself(sc):
    placed = sc.parallelize([(1, 2)]).partitionBy(3)
    assert placed.partitionBy(3) is placed
    assert placed.partitionBy(3, portable_hash) is placed
    assert placed.partitionBy(4) is not placed

    def by_length(key):
        return key

    own = placed.partitionBy(3, by_length)
    assert own.partitionBy(3, by_length) is own
    assert own.partitionBy(3, lambda key: key) is not own


def test_minus_one_and_minus_two_share_a_partition(sc):
    assert portable_hash(-1) == portable_hash(-2)
    found = [part for part in layout(sc.parallelize([(-1, 0), (-2, 0)]).partitionBy(7)) if part]
    assert len(found) == 1


def test_none_is_placed_as_zero_and_tuples_by_their_items(sc):
    assert portable_hash(None) == 0
    assert portable_hash((None, 1)) == portable_hash((0, 1))
    assert portable_hash((None, 1)) & 0xFFFFFFFF == 219750521


@given(parts=parts_of(pairs), n=maybe_n)
def test_reduce_by_key(sc, parts, n):
    found = rdd_of(sc, parts).reduceByKey(operator.add, n)
    assert bag(found.collect()) == bag((k, sum(vs)) for k, vs in groups(flat(parts)).items())
    check_placed(found, len(parts) if n is None else n)


@given(parts=parts_of(st.tuples(keys, words)))
def test_reduce_by_key_keeps_the_order_of_values_in_a_partition(sc, parts):
    one = [flat(parts)]
    found = rdd_of(sc, one).reduceByKey(lambda a, b: a + b, 2)
    assert bag(found.collect()) == bag((k, "".join(vs)) for k, vs in groups(flat(one)).items())


@given(parts=parts_of(pairs), n=maybe_n)
def test_combine_by_key(sc, parts, n):
    found = rdd_of(sc, parts).combineByKey(lambda v: [v], lambda c, v: [*c, v], operator.add, n)
    assert {k: sorted(c) for k, c in found.collect()} == {k: sorted(v) for k, v in groups(flat(parts)).items()}
    check_placed(found, len(parts) if n is None else n)


@given(parts=parts_of(pairs), zero=st.integers(-3, 3))
def test_fold_by_key_counts_the_zero_once_per_key_and_partition(sc, parts, zero):
    found = rdd_of(sc, parts).foldByKey(zero, operator.add)
    expected = {
        k: sum(vs) + zero * sum(any(key == k for key, _ in part) for part in parts)
        for k, vs in groups(flat(parts)).items()
    }
    assert found.collectAsMap() == expected


@given(parts=parts_of(pairs))
def test_aggregate_by_key_with_a_zero_that_is_changed_in_place(sc, parts):
    def add(values, value):
        values.append(value)
        return values

    def join(values, more):
        values.extend(more)
        return values

    zero = []
    found = rdd_of(sc, parts).aggregateByKey(zero, add, join)
    assert {k: sorted(c) for k, c in found.collect()} == {k: sorted(v) for k, v in groups(flat(parts)).items()}
    assert zero == []


@given(parts=parts_of(pairs), n=maybe_n)
def test_group_by_key(sc, parts, n):
    found = rdd_of(sc, parts).groupByKey(n)
    assert {k: sorted(c) for k, c in found.collect()} == {k: sorted(v) for k, v in groups(flat(parts)).items()}
    check_placed(found, len(parts) if n is None else n)


def test_groups_can_be_iterated_twice_and_measured(sc):
    ((key, values),) = sc.parallelize([("a", 1), ("a", 2)], 1).groupByKey().collect()
    assert isinstance(values, ResultIterable)
    assert (key, len(values), list(values), list(values), values.data) == ("a", 2, [1, 2], [1, 2], [1, 2])


def test_groups_keep_the_order_of_arrival_in_a_partition(sc):
    pairs = [(i % 3, i) for i in range(30)]
    found = sc.parallelize(pairs, 1).groupByKey(2).mapValues(list).collectAsMap()
    assert found == groups(pairs)


def _mod(key):
    return key


@pytest.mark.parametrize("partition_func", [portable_hash, _mod], ids=["hash", "own"])
def test_by_key_again_in_place(sc, partition_func):
    pairs = [(i % 5, i) for i in range(40)]
    placed = sc.parallelize(pairs, 4).partitionBy(3, partition_func)
    sums = {k: sum(v) for k, v in groups(pairs).items()}

    def stages(rdd):
        return rdd.toDebugString().count(b"+-")

    reduced = placed.reduceByKey(operator.add, 3, partition_func)
    folded = placed.foldByKey(0, operator.add, 3, partition_func)
    combined = placed.combineByKey(lambda v: v, operator.add, operator.add, 3, partition_func)
    grouped = placed.groupByKey(3, partition_func).mapValues(sum)
    for rdd in (reduced, folded, combined, grouped):
        assert rdd.collectAsMap() == sums
        assert stages(rdd) == 1
        assert rdd.partitioner == placed.partitioner
    assert folded.mapValues(lambda v: v + 1).reduceByKey(max, 3, partition_func).collectAsMap() == {
        k: v + 1 for k, v in sums.items()
    }
    assert stages(placed.reduceByKey(operator.add, 4, partition_func)) == 2


def test_in_place_zeros_are_copies(sc):
    def add(values, value):
        values.append(value)
        return values

    placed = sc.parallelize([(0, 1), (2, 2), (0, 3)], 1).partitionBy(2)
    assert placed.aggregateByKey([], add, operator.add).collectAsMap() == {0: [1, 3], 2: [2]}
    assert placed.foldByKey(10, operator.add).collectAsMap() == {0: 14, 2: 12}


def test_nan_keys_stay_apart_and_are_not_lost(sc):
    nan = float("nan")
    pairs = [(nan, 1), (float("nan"), 2), (0.0, 3)]
    assert sorted(v for _, values in sc.parallelize(pairs, 3).groupByKey().collect() for v in values) == [1, 2, 3]
    assert sum(sc.parallelize(pairs, 3).reduceByKey(operator.add).values().collect()) == 6


def test_records_that_are_lists_of_two_are_pairs_too(sc):
    assert sc.parallelize([["a", 1], ["a", 2]], 2).reduceByKey(operator.add).collect() == [("a", 3)]
    assert sc.parallelize(["ab", "cd"], 1).mapValues(str.upper).collect() == [("a", "B"), ("c", "D")]


@given(left=parts_of(pairs), right=parts_of(pairs), n=maybe_n)
def test_cogroup(sc, left, right, n):
    found = rdd_of(sc, left).cogroup(rdd_of(sc, right), n)
    ours, theirs = groups(flat(left)), groups(flat(right))
    expected = {k: (sorted(ours.get(k, [])), sorted(theirs.get(k, []))) for k in {**ours, **theirs}}
    assert {k: tuple(map(sorted, both)) for k, both in found.collect()} == expected
    check_placed(found, len(left) + len(right) if n is None else n)


@given(several=st.lists(parts_of(pairs, 3), min_size=2, max_size=4))
def test_group_with(sc, several):
    first, *others = (rdd_of(sc, parts) for parts in several)
    found = first.groupWith(*others)
    dicts = [groups(flat(parts)) for parts in several]
    everything = {key for each in dicts for key in each}
    assert {k: [sorted(group) for group in each] for k, each in found.collect()} == {
        k: [sorted(each.get(k, [])) for each in dicts] for k in everything
    }
    assert found.getNumPartitions() == sum(map(len, several))


@given(left=parts_of(pairs), right=parts_of(pairs), n=maybe_n)
def test_subtract_by_key(sc, left, right, n):
    found = rdd_of(sc, left).subtractByKey(rdd_of(sc, right), n)
    gone = groups(flat(right))
    assert bag(found.collect()) == bag((k, v) for k, v in flat(left) if k not in gone)
    check_placed(found, len(left) + len(right) if n is None else n)


@given(parts=parts_of(pairs), key=keys)
def test_lookup(sc, parts, key):
    expected = [v for k, v in flat(parts) if k == key]
    rdd = rdd_of(sc, parts)
    assert rdd.lookup(key) == expected
    assert sorted(rdd.partitionBy(3).lookup(key)) == sorted(expected)
    assert sorted(rdd.partitionBy(3, lambda k: hash(k)).lookup(key)) == sorted(expected)


def test_lookup_in_nothing(sc):
    assert sc.emptyRDD().groupByKey().lookup(1) == []


@given(parts=parts_of(st.tuples(words, ints)), key=words)
def test_lookup_in_sorted_pairs(sc, parts, key):
    assert rdd_of(sc, parts).sortByKey(numPartitions=3).lookup(key) == [v for k, v in flat(parts) if k == key]


@given(parts=parts_of(pairs))
def test_collect_as_map(sc, parts):
    assert rdd_of(sc, parts).collectAsMap() == dict(flat(parts))


def test_functions_are_told_apart_from_what_they_capture(sc):
    totals = [sc.parallelize([(0, 1), (0, 2)], 2).mapValues(lambda v, f=f: v * f).reduceByKey(max) for f in (1, 5)]
    assert [rdd.collect() for rdd in totals] == [[(0, 2)], [(0, 10)]]
