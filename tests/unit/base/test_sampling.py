"""Samples: PySpark's streams of random numbers; as many items as wanted, from everywhere."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rddlite.base.sampling import SpreadSample, generator, quantiles


def test_ten_draws_are_thrown_away():
    stream = random.Random(17 ^ 3)
    for _ in range(10):
        stream.randint(0, 1)
    assert generator(17, 3).random() == stream.random()


def sample_of(n, size, lengths=(7,), seed=1, bytes_each=1):
    """A sample of `range(n)` in batches of these lengths in turn."""
    sample = SpreadSample(size, seed, 0)
    start = number = 0
    while start < n:
        batch = range(n)[start : start + lengths[number % len(lengths)]]
        sample.keep([batch[i] for i in sample.indexes(len(batch))], bytes_each)
        start, number = start + len(batch), number + 1
    return sample


@given(st.integers(0, 3000), st.integers(1, 50), st.lists(st.integers(1, 500), min_size=1, max_size=4))
def test_as_many_as_wanted_of_as_many_as_came(n, size, lengths):
    sample = sample_of(n, size, lengths)
    assert sample.count == n
    assert sample.kept == sorted(set(sample.kept))
    assert min(n, size // 2) <= len(sample.kept) < 2 * size
    if n < 2 * size:
        assert sample.kept == list(range(n))


@given(st.integers(20, 200), st.integers(0, 99))
def test_the_sample_is_spread_evenly(size, seed):
    kept = sample_of(20_000, size, (300, 4000), seed).kept
    gaps = [after - before for before, after in pairwise(kept)]
    assert max(gaps) <= 4 * 20_000 / len(kept)
    assert kept[0] <= 4 * 20_000 / len(kept)
    assert 20_000 - kept[-1] <= 4 * 20_000 / len(kept)


def test_the_sample_is_the_same_for_the_same_seed():
    assert sample_of(9999, 10).kept == sample_of(9999, 10).kept
    assert sample_of(9999, 10).kept != sample_of(9999, 10, seed=2).kept


def test_of_heavy_items_few_are_kept():
    assert len(sample_of(5000, 1000, bytes_each=1 << 20).kept) < 40


@pytest.mark.parametrize("n", [1, 2, 3, 7])
def test_quantiles_of_equal_weights_are_at_equal_places(n):
    keys = [9, 3, 5, 1, 7, 0, 2, 8, 4, 6]
    assert quantiles(keys, [1.0] * 10, n) == [10 * part // n for part in range(1, n)]


def test_heavy_keys_count_more():
    assert quantiles([1, 2, 3, 4], [1.0, 1.0, 1.0, 7.0], 2) == [4]
    assert quantiles([1, 2, 3, 4], [7.0, 1.0, 1.0, 1.0], 2) == [1]


def test_there_are_no_quantiles_of_nothing():
    assert quantiles([], [], 5) == []
