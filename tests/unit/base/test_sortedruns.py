"""Runs merged by blocks: the order of a stable sort, whatever the blocks, and nothing lost."""

from __future__ import annotations

import math
from operator import itemgetter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rddlite.base.sortedruns import end_of, merge_runs

first = itemgetter(0)
key_lists = st.lists(st.lists(st.integers(-4, 4), max_size=30), max_size=6)
directions = st.booleans()
sizes = st.lists(st.integers(1, 7), min_size=1, max_size=5)


class OnlyLess:
    """A key that knows nothing but `<`, as sorting demands no more."""

    def __init__(self, value):
        self.value = value

    def __lt__(self, other):
        return self.value < other.value


def blocks(items, lengths):
    """The items in blocks of these lengths in turn, with an empty one now and then."""
    start = number = 0
    while start < len(items):
        length = lengths[number % len(lengths)]
        yield items[start : start + length]
        if length == 7:
            yield []
        start, number = start + length, number + 1


def runs_of(lists, lengths, descending, key=first):
    """Sorted runs of `(key, serial number)` that are numbered in order of arrival, and all of them as they came."""
    serial = iter(range(1000))
    arrived = [[(value, next(serial)) for value in values] for values in lists]
    runs = [blocks(sorted(items, key=key, reverse=descending), lengths) for items in arrived]
    return runs, [item for items in arrived for item in items]


@settings(max_examples=500)
@given(key_lists, sizes, directions)
def test_merging_is_a_stable_sort_of_everything(lists, lengths, descending):
    runs, arrived = runs_of(lists, lengths, descending)
    merged = list(merge_runs(runs, descending, first))
    assert [item for block in merged for item in block] == sorted(arrived, key=first, reverse=descending)
    assert all(merged)


@given(key_lists, sizes, directions)
def test_keys_need_nothing_but_less_than(lists, lengths, descending):
    wrapped = [[OnlyLess(value) for value in values] for values in lists]
    runs, arrived = runs_of(wrapped, lengths, descending)
    merged = [item for block in merge_runs(runs, descending, first) for item in block]
    assert merged == sorted(arrived, key=first, reverse=descending)


@given(st.lists(st.lists(st.text("ab", max_size=3), max_size=20), max_size=5), sizes, directions)
def test_items_may_be_their_own_keys(lists, lengths, descending):
    runs = [blocks(sorted(items, reverse=descending), lengths) for items in lists]
    merged = [item for block in merge_runs(runs, descending) for item in block]
    assert merged == sorted([item for items in lists for item in items], reverse=descending)


@given(st.lists(st.lists(st.sampled_from([math.nan, 1.0, 2.0, 3.0]), max_size=20), max_size=5), sizes, directions)
def test_what_does_not_compare_is_not_lost(lists, lengths, descending):
    runs = [blocks(sorted(items, reverse=descending), lengths) for items in lists]
    merged = [item for block in merge_runs(runs, descending) for item in block]
    assert sorted(map(repr, merged)) == sorted(repr(item) for items in lists for item in items)


@pytest.mark.parametrize("descending", [False, True])
def test_only_one_block_of_each_run_is_in_hand(descending):
    read = [0, 0]

    def run(number):
        for start in range(0, 100, 10):
            read[number] += 1
            block = list(range(start, start + 10))
            yield [-value for value in block] if descending else block

    handed_out = 0
    for block in merge_runs([run(0), run(1)], descending):
        assert 10 * sum(read) - handed_out <= 20
        handed_out += len(block)
    assert handed_out == 200


@given(st.lists(st.integers(-5, 5), max_size=30), st.integers(-6, 6), st.integers(0, 5), directions, st.booleans())
def test_the_end_of_what_stays_before_a_bound(values, bound, start, descending, inclusive):
    items = sorted(values, reverse=descending)
    start = min(start, len(items))

    def stays(value):
        return (inclusive and value == bound) or (value > bound if descending else value < bound)

    expected = start + sum(map(stays, items[start:]))
    assert end_of(items, bound, start, descending, inclusive, None) == expected
    assert end_of([(item,) for item in items], bound, start, descending, inclusive, first) == expected
