"""Samples against plain Python, with PySpark's streams of random numbers: a seed gives the same records."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rddlite.errors import JobFailed
from tests.api.oracle import bag, copies_in_a_sample, flat, ints, parts_of, rdd_of, sample_stream

seeds = st.integers(0, 2**40)
fractions = st.sampled_from([0, 0.0, 0.3, 0.5, 1, 1.0])


@given(parts=parts_of(ints), fraction=fractions, seed=seeds)
def test_sample(sc, parts, fraction, seed):
    expected = []
    for index, part in enumerate(parts):
        stream = sample_stream(seed, index)
        expected += [record for record in part if stream.random() < fraction]
    assert rdd_of(sc, parts).sample(False, fraction, seed).collect() == expected


@given(parts=parts_of(ints), mean=st.sampled_from([0.0, 0.4, 1.0, 2.5]), seed=seeds)
def test_sample_with_replacement(sc, parts, mean, seed):
    expected = []
    for index, part in enumerate(parts):
        stream = sample_stream(seed, index)
        expected += [record for record in part for _ in range(copies_in_a_sample(stream, mean))]
    assert rdd_of(sc, parts).sample(True, mean, seed).collect() == expected


def test_many_copies_of_each(sc):
    counts = Counter(sc.range(200, numSlices=3).sample(True, 30.0, 5).collect())
    assert 25 < sum(counts.values()) / 200 < 35


def test_a_sample_stays_what_it_is(sc):
    for sample in (sc.range(1000).sample(False, 0.5), sc.range(1000).sample(True, 0.5)):
        assert sample.collect() == sample.collect()
        assert sample.count() == len(sample.collect())


def test_samples_without_a_seed_differ(sc):
    numbers = sc.range(1000)
    assert numbers.sample(False, 0.5).collect() != numbers.sample(False, 0.5).collect()


@given(parts=parts_of(ints), weights=st.lists(st.integers(0, 5), min_size=1, max_size=4), seed=seeds)
def test_random_split_leaves_nothing_out(sc, parts, weights, seed):
    rdd = rdd_of(sc, parts)
    if not any(weights):
        with pytest.raises(ValueError, match="the sum of the weights must be above 0"):
            rdd.randomSplit(weights, seed)
        return
    splits = rdd.randomSplit(weights, seed)
    assert len(splits) == len(weights)
    assert bag(record for split in splits for record in split.collect()) == bag(flat(parts))
    assert all(not split.collect() for split, weight in zip(splits, weights, strict=True) if weight == 0)


def test_random_split_has_the_proportions(sc):
    sizes = [split.count() for split in sc.range(10_000, numSlices=4).randomSplit([0.7, 0.2, 0.1], seed=1)]
    assert sum(sizes) == 10_000
    assert 6700 < sizes[0] < 7300
    assert 1700 < sizes[1] < 2300


@given(parts=parts_of(ints), num=st.integers(0, 30), seed=st.none() | seeds)
def test_take_sample(sc, parts, num, seed):
    records = flat(parts)
    taken = rdd_of(sc, parts).takeSample(False, num, seed)
    assert len(taken) == min(num, len(records))
    assert not bag(taken) - bag(records)
    again = rdd_of(sc, parts).takeSample(True, num, seed)
    assert len(again) == (num if records else 0)
    assert set(again) <= set(records)


def test_take_sample_repeats_with_its_seed(sc):
    numbers = sc.range(1000, numSlices=4)
    assert numbers.takeSample(False, 10, 3) == numbers.takeSample(False, 10, 3)
    assert numbers.takeSample(True, 10, 3) == numbers.takeSample(True, 10, 3)
    assert numbers.takeSample(False, 10, 3) != numbers.takeSample(False, 10, 4)
    everything = numbers.takeSample(False, 1000, 3)
    assert everything != sorted(everything) == list(range(1000))


@pytest.mark.parametrize("with_replacement", [False, True])
def test_sample_by_key(sc, with_replacement):
    pairs = [(key, n) for n in range(40) for key in (None, "a", 1.5)]
    fractions = {None: 0.0, "a": 0.5, 1.5: 1.0}
    expected = []
    for index in range(3):
        stream = sample_stream(9, index)
        for key, value in pairs[index * 40 : (index + 1) * 40]:
            fraction = fractions[key]
            times = copies_in_a_sample(stream, fraction) if with_replacement else stream.random() < fraction
            expected += [(key, value)] * times
    sampled = sc.parallelize(pairs, 3).sampleByKey(with_replacement, fractions, 9)
    assert sampled.collect() == expected


def test_a_key_without_a_fraction(sc):
    with pytest.raises(JobFailed, match="sampleByKey") as caught:
        sc.parallelize([("a", 1), ("b", 2)]).sampleByKey(False, {"a": 0.5}).collect()
    assert isinstance(caught.value.__cause__, KeyError)


def test_samples_keep_the_partitioner(sc):
    placed = sc.parallelize([(1, 2), (2, 3)]).partitionBy(3)
    assert placed.sample(False, 0.5).partitioner == placed.partitioner
    assert placed.sampleByKey(True, {}).partitioner == placed.partitioner
    assert [split.partitioner for split in placed.randomSplit([1, 1])] == [placed.partitioner] * 2


def test_bad_arguments(sc):
    rdd = sc.range(3)
    for fraction in (-0.1, math.nan, math.inf):
        with pytest.raises(ValueError, match=r"^sample: fraction must be"):
            rdd.sample(False, fraction)
    with pytest.raises(TypeError, match=r"^sample: fraction must be a number, not str 'x'$"):
        rdd.sample(False, "x")
    with pytest.raises(TypeError, match=r"^sample: seed must be an int, not float 1\.5$"):
        rdd.sample(False, 0.5, 1.5)
    with pytest.raises(ValueError, match=r"^randomSplit: weights must be 0 or more, not -1"):
        rdd.randomSplit([1, -1])
    with pytest.raises(ValueError, match=r"^takeSample: num must be 0 or more, not -1$"):
        rdd.takeSample(False, -1)
    with pytest.raises(AssertionError, match=r"^sampleByKey: the fraction of 'a' must be 0 or more, not -1"):
        rdd.keyBy(str).sampleByKey(False, {"a": -1})
    with pytest.raises(TypeError, match=r"^sampleByKey: fractions must be a dict, not list$"):
        rdd.keyBy(str).sampleByKey(False, [1])
