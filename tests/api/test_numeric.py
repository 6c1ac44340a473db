"""Actions on numbers, against plain Python."""

from __future__ import annotations

import math
import statistics
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.api.oracle import flat, ints, parts_of, rdd_of, words

floats = st.floats(-1e6, 1e6)


@given(parts=parts_of(ints))
def test_sum_of_ints(sc, parts):
    assert rdd_of(sc, parts).sum() == sum(flat(parts))


@given(parts=parts_of(floats))
def test_sum_of_floats(sc, parts):
    assert math.isclose(rdd_of(sc, parts).sum(), math.fsum(flat(parts)), rel_tol=1e-9, abs_tol=1e-6)


@given(parts=parts_of(floats | ints))
def test_mean(sc, parts):
    rdd = rdd_of(sc, parts)
    if flat(parts):
        assert math.isclose(rdd.mean(), statistics.fmean(flat(parts)), rel_tol=1e-9, abs_tol=1e-6)
    elif parts:
        assert rdd.mean() == 0.0
    else:
        with pytest.raises(ValueError, match="mean: the RDD has no partitions"):
            rdd.mean()


@given(parts=parts_of(words))
def test_max_and_min(sc, parts):
    rdd, records = rdd_of(sc, parts), flat(parts)
    if records:
        assert (rdd.max(), rdd.min()) == (max(records), min(records))
        # The first of several, as max and min of Python's.
        assert (rdd.max(key=len), rdd.min(key=len)) == (max(records, key=len), min(records, key=len))
    else:
        for method in (rdd.max, rdd.min):
            with pytest.raises(ValueError, match="the RDD is empty"):
                method()


@pytest.mark.parametrize(
    "numbers",
    [[Decimal("1.5"), Decimal(2)], [Fraction(1, 3), Fraction(1, 6)], [1 + 2j, 3j], [True, False], [2**70, -(2**70)]],
    ids=str,
)
def test_numbers_of_any_kind(sc, numbers):
    rdd = sc.parallelize(numbers, 2)
    assert rdd.sum() == sum(numbers)
    assert rdd.mean() == sum(numbers) / len(numbers)


def test_arrays(sc):
    rows = [np.array([1, 2]), np.array([0.5, 3]), np.array([1, 1])]
    rdd = sc.parallelize(rows, 2)
    assert rdd.sum().tolist() == [2.5, 6.0]
    assert rdd.mean().tolist() == [2.5 / 3, 2.0]
    assert rdd.map(lambda row: row[0]).max() == 1


def test_nothing(sc):
    assert sc.emptyRDD().sum() == 0
    assert sc.parallelize([], 3).sum() == 0
