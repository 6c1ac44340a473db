"""Sorting of pairs from columns in map order."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rddlite.errors import StopIterationInTask
from rddlite.executor import sorting
from rddlite.executor.merge import split_pairs
from tests.helpers.chains import SIZES, cut


def columns(pairs, sizes):
    return map(split_pairs, cut(pairs, sizes))


NUMBERED = st.lists(st.integers(-3, 3), max_size=40).map(lambda keys: [(key, i) for i, key in enumerate(keys)])


@settings(max_examples=300)
@given(st.sampled_from([None, lambda x: x, abs, lambda k: -k, str]), st.sampled_from(["asc", "desc"]), NUMBERED, SIZES)
def test_sorting_is_stable_in_both_directions(keyfunc, order, pairs, sizes):
    key = (lambda p: p[0]) if keyfunc is None else (lambda p: keyfunc(p[0]))
    expected = sorted(pairs, key=key, reverse=order == "desc")
    assert sorting.sort_pairs(columns(pairs, sizes), order, keyfunc) == expected
    assert [p for b in sorting.sorted_batches(columns(pairs, sizes), order, keyfunc) for p in b] == expected


def test_values_are_never_compared():
    pairs = [(1, {}), (0, None), (1, 3), (0, "x")]
    assert sorting.sort_pairs(columns(pairs, [2]), "asc") == [(0, None), (0, "x"), (1, {}), (1, 3)]


def stops(*_):
    raise StopIteration


def test_stop_iteration_of_the_users_function_is_an_error():
    with pytest.raises(StopIterationInTask):
        sorting.sort_pairs(columns([(1, 1), (2, 2)], [5]), "asc", stops)


@given(st.lists(st.integers(), max_size=50), st.integers(1, 9))
def test_lists_are_handed_out_in_batches(items, size):
    batches = list(sorting.handed_out(list(items), size))
    assert [item for batch in batches for item in batch] == items
    assert all(0 < len(batch) <= size for batch in batches)


def test_what_was_handed_out_of_a_list_is_not_kept():
    records = [object() for _ in range(4)]
    first = records[0]
    batches = sorting.handed_out(records, 2)
    next(batches)
    assert sys.getrefcount(first) <= 3
    assert records[0] is None
