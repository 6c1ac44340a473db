"""Sorting chunks and cutting them puts every record where looking up its own place would."""

from __future__ import annotations

import datetime
import math
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rddlite.base.callsite import CallSite
from rddlite.lineage.ops import UserFunction
from rddlite.lineage.partitioner import RangePartitioner
from rddlite.shuffle import ranges
from rddlite.shuffle.ranges import RangeDealer, has_total_order

floats = st.one_of(st.sampled_from([math.nan, math.inf, -math.inf, 0.0, 10.0**300]), st.floats(-3, 3))
columns_of_keys = st.one_of(
    st.lists(st.integers(-5, 5)),
    st.lists(floats),
    st.lists(st.one_of(st.integers(-3, 3), floats, st.booleans())),
    st.lists(st.text("abc", max_size=3)),
    st.lists(st.tuples(st.integers(0, 2), st.text("ab", max_size=2))),
    st.lists(st.tuples(floats, st.integers(0, 2))),
    st.lists(st.fractions(-2, 2)),
    st.lists(st.lists(st.integers(0, 2), max_size=2)),
)


def dealt(partitioner, records, sizes=(7,)):
    """The buckets, with pairs as pairs, after batches of these sizes in turn."""
    dealer = RangeDealer(partitioner, [[] for _ in range(partitioner.n)])
    start = number = 0
    while start < len(records):
        batch = records[start : start + sizes[number % len(sizes)]]
        if partitioner.keyed:
            dealer.add([key for key, _ in batch], [value for _, value in batch])
        else:
            dealer.add(batch)
        start, number = start + len(batch), number + 1
    dealer.deal()
    if not partitioner.keyed:
        return list(dealer.keys)
    return [list(zip(*columns, strict=True)) for columns in zip(dealer.keys, dealer.values, strict=True)]


def plainly(partitioner, records):
    buckets = [[] for _ in range(partitioner.n)]
    keys = [key for key, _ in records] if partitioner.keyed else records
    for place, record in zip(partitioner.place(keys), records, strict=True):
        buckets[place].append(record)
    return buckets


def bounds_of(keys, n):
    some = sorted(key for key in keys if key == key)
    return [some[len(some) * (i + 1) // n] for i in range(n - 1)] if some else []


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(ranges, "_CHUNK", 10)


@settings(max_examples=600)
@given(columns_of_keys, st.integers(1, 5), st.booleans(), st.lists(st.integers(1, 30), min_size=1, max_size=3))
def test_every_pair_goes_where_its_place_is(keys, n, ascending, sizes):
    records = [(key, i) for i, key in enumerate(keys)]
    partitioner = RangePartitioner(n, bounds_of(keys, n), ascending, None)
    buckets = dealt(partitioner, records, sizes)
    expected = plainly(partitioner, records)
    for mine, theirs in zip(buckets, expected, strict=True):
        assert sorted(mine, key=lambda pair: pair[1]) == theirs
        try:
            in_order = sorted(theirs, key=lambda pair: pair[0], reverse=not ascending)
        except TypeError:
            continue
        if not any(pair[0] != pair[0] for pair in theirs) and not any(nan_inside(pair[0]) for pair in theirs):
            assert sorted(mine, key=lambda pair: pair[0], reverse=not ascending) == in_order


def nan_inside(key):
    return isinstance(key, tuple) and any(item != item for item in key)


@given(st.lists(st.integers(-9, 9)), st.integers(1, 5), st.booleans())
def test_records_may_be_their_own_keys(records, n, ascending):
    partitioner = RangePartitioner(n, bounds_of(records, n), ascending, None, keyed=False)
    buckets = dealt(partitioner, records)
    assert list(map(sorted, buckets)) == list(map(sorted, plainly(partitioner, records)))


@pytest.mark.parametrize("keyed", [True, False])
@pytest.mark.parametrize("ascending", [True, False])
def test_a_function_of_keys_is_called_once_for_each(keyed, ascending):
    seen = []

    def keyfunc(key):
        seen.append(key)
        return -key

    function = UserFunction(keyfunc, CallSite("m", "f", 1))
    partitioner = RangePartitioner(3, [-14, -7], ascending, function, keyed)
    records = [(key, None) for key in range(22)] if keyed else list(range(22))
    buckets = dealt(partitioner, records)
    assert seen == list(range(22))
    assert list(map(sorted, buckets)) == list(map(sorted, plainly(partitioner, records)))


@pytest.mark.parametrize("ascending", [True, False])
def test_no_bounds_mean_one_range(ascending):
    partitioner = RangePartitioner(3, [], ascending, None, keyed=False)
    assert dealt(partitioner, [3, 1, 2]) == ([[1, 2, 3], [], []] if ascending else [[], [], [3, 2, 1]])


def test_dates_that_do_not_compare_are_placed_by_the_bounds_that_do():
    now = datetime.datetime(2024, 1, 1)
    mixed = [now, now.replace(tzinfo=datetime.timezone.utc)]
    assert dealt(RangePartitioner(2, [], True, None, keyed=False), mixed) == [mixed, []]


@pytest.mark.parametrize(
    ("keys", "is_total"),
    [
        ([1, 2.5, True], True),
        ([1.0, math.nan], False),
        ([math.inf, -math.inf], True),
        ([10**400, 1.5], True),
        ([10**400, math.nan], False),
        (["a", "b"], True),
        (["a", b"b"], False),
        ([None, None], False),
        ([{1}, {2}], False),
        ([Fraction(1)], False),
        ([(1, "a"), (2, "b")], True),
        ([(1, math.nan), (2, 0.0)], False),
        ([(1,), (1, 2)], False),
        ([((((((1,),),),),),)], False),
        ([()], True),
        ([], True),
    ],
)
def test_total_orders_are_known_by_type(keys, is_total):
    assert has_total_order(keys) is is_total
