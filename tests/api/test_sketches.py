"""Quantiles and frequent records by sketches: exact while they are few, within their bounds where they are many."""

from __future__ import annotations

import collections
import math
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rddlite import RDD
from rddlite.errors import ExtraMissing, JobFailed
from tests.api.oracle import flat, ints, parts_of, rdd_of

probabilities = st.lists(st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0]), max_size=4)


def at(records, probability):
    """The record of that rank among all."""
    ordered = sorted(records)
    return ordered[max(0, math.ceil(probability * len(ordered)) - 1)]


@given(parts=parts_of(ints), wanted=probabilities)
def test_quantiles_of_few(sc, parts, wanted):
    records = flat(parts)
    rdd = rdd_of(sc, parts)
    if not records and wanted:
        with pytest.raises(ValueError, match=r"^quantiles: there is no record$"):
            rdd.quantiles(wanted)
        return
    assert rdd.quantiles(wanted) == [at(records, each) for each in wanted]


@given(parts=parts_of(ints), support=st.sampled_from([0.05, 0.2, 0.5]))
def test_frequent_records_of_few(sc, parts, support):
    counts = collections.Counter(flat(parts))
    found = rdd_of(sc, parts).frequentItems(support)
    least = support * counts.total()
    assert set(found) == {(record, n) for record, n in counts.items() if n >= least}
    assert [n for _, n in found] == sorted((n for _, n in found), reverse=True)


def test_many(sc):
    n = 20_000
    rdd = sc.range(n, numSlices=30)
    found = rdd.map(lambda x: (x * 7919) % 20_000).quantiles([0.0, 0.1, 0.5, 0.99, 1.0], error=0.02)
    assert (found[0], found[-1]) == (0, n - 1)
    # Four times what is said with 99 % certainty.
    assert all(abs(got - p * n) <= 4 * 0.02 * n for got, p in zip(found, [0.0, 0.1, 0.5, 0.99, 1.0], strict=True))
    often = rdd.map(lambda x: x if x % 2 else -1 - x % 3).frequentItems(0.1)
    assert {record for record, _ in often} == {-1, -2, -3}
    assert all(abs(count - n / 6) <= 0.01 * n for _, count in often)


def test_records_of_any_kind(sc):
    words = sc.parallelize(["b", None, "a", "c", "a"], 3)
    assert words.quantiles([0.5]) == ["a"]
    assert words.frequentItems(0.4) == [("a", 2)]
    assert sc.parallelize([2.5, math.nan, 1.5], 2).quantiles((1, 0)) == [2.5, 1.5]
    assert sc.parallelize([(2, "x"), (1, "y")], 2).quantiles([0.0]) == [(1, "y")]
    assert sc.parallelize([None, None]).frequentItems() == []
    assert sc.emptyRDD().frequentItems() == []
    assert sc.emptyRDD().quantiles([]) == []


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda rdd: rdd.quantiles(0.5), TypeError, r"quantiles: probabilities must be numbers in a list, not 0\.5"),
        (lambda rdd: rdd.quantiles(["a"]), TypeError, r"quantiles: probabilities must be a number"),
        (lambda rdd: rdd.quantiles([1.5]), ValueError, r"probabilities must be from 0 to 1, not 1\.5"),
        (lambda rdd: rdd.quantiles([math.nan]), ValueError, r"probabilities must be from 0 to 1"),
        (lambda rdd: rdd.quantiles([0.5], 0), ValueError, r"error must be more than 0"),
        (lambda rdd: rdd.quantiles([0.5], 1e-9), ValueError, r"no sketch is as exact .* sortBy"),
        (lambda rdd: rdd.frequentItems(1), ValueError, r"support must be more than 0 and less than 1, not 1"),
        (lambda rdd: rdd.frequentItems(1e-12), ValueError, r"no sketch is exact enough .* countByValue"),
        (lambda rdd: rdd.map(lambda x: [x]).frequentItems(), JobFailed, r"hash"),
        (lambda rdd: rdd.flatMap(lambda x: [x, "a"]).quantiles([0.5]), JobFailed, r"'<' not supported"),
    ],
)
def test_what_cannot_be(sc, call, error, text):
    with pytest.raises(error, match=text):
        call(sc.range(10, numSlices=1))


@pytest.mark.parametrize("call", [RDD.frequentItems, lambda rdd: rdd.quantiles([0.5])])
def test_without_the_package(sc, monkeypatch, call):
    monkeypatch.setitem(sys.modules, "datasketches", None)
    with pytest.raises(ExtraMissing, match=r"pip install 'rddlite\[sketches\]'") as caught:
        call(sc.range(3))
    assert isinstance(caught.value, ImportError)
