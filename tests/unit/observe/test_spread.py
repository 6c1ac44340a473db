"""Medians: exact for few numbers, near for many, and memory that does not grow."""

from __future__ import annotations

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rddlite.observe.spread import Spread

numbers = st.floats(0, 1e15, allow_nan=False)


def filled(values) -> Spread:
    spread = Spread()
    for value in values:
        spread.add(value)
    return spread


@given(st.lists(numbers, max_size=500))
def test_exact_for_few(values):
    spread = filled(values)
    assert spread.median() == (statistics.median_low(values) if values else 0)
    assert spread.largest == max(values, default=0)


@given(st.lists(st.floats(1e-6, 1e15), min_size=1, max_size=30), st.integers(40, 60))
def test_within_a_few_percent_for_many(values, times):
    spread = filled(values * (times * 20))
    assert spread.median() == pytest.approx(statistics.median_low(values), rel=0.02)
    assert spread.largest == max(values)
    assert spread.median() <= spread.largest


def test_zeros_count():
    assert filled([0] * 600 + [5] * 300).median() == 0
    assert filled([0] * 300 + [5] * 600).median() == pytest.approx(5, rel=0.02)


def test_memory_is_bounded():
    spread = filled(range(100_000))
    assert spread._values == []
    assert len(spread._counts) < 1000
