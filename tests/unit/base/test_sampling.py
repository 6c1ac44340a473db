"""Samples are PySpark's: the same stream for the same seed and partition."""

from __future__ import annotations

import random

from rddlite.base.sampling import generator, sample_keys


def test_ten_draws_are_thrown_away():
    stream = random.Random(17 ^ 3)
    for _ in range(10):
        stream.randint(0, 1)
    assert generator(17, 3).random() == stream.random()


def test_a_sample_is_a_subsequence_of_about_the_right_size():
    pairs = [(i, None) for i in range(10_000)]
    keys = sample_keys(0.1, 1, 0, iter(pairs))
    assert keys == sorted(keys)
    assert 900 < len(keys) < 1100
    assert keys == sample_keys(0.1, 1, 0, iter(pairs))
    assert keys != sample_keys(0.1, 1, 1, iter(pairs))


def test_everything():
    assert sample_keys(1.0, 1, 0, iter([(1, 2), (3, 4)])) == [1, 3]
