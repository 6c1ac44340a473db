"""Cogroups and joins against the obvious nested loops."""

from __future__ import annotations

import weakref
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rddlite.executor import consume, gather, joins
from rddlite.lineage.consumers import Collect
from rddlite.lineage.ops import JoinPairs
from rddlite.lineage.results import ResultIterable
from tests.helpers.chains import SIZES
from tests.helpers.memory import holder
from tests.unit.executor.test_gather import columns

HOWS = ["inner", "left", "right", "full"]
SIDE = st.lists(st.tuples(st.one_of(st.integers(0, 6), st.booleans(), st.just(1.0)), st.integers(0, 3)), max_size=25)
UNIQUE = SIDE.map(lambda side: list({key: (key, value) for key, value in side}.values()))
EITHER = st.one_of(SIDE, UNIQUE)


def naive_cogroup(sides):
    table = {}
    for place, side in enumerate(sides):
        for key, value in side:
            table.setdefault(key, tuple([] for _ in sides))[place].append(value)
    return table


@given(st.lists(EITHER, min_size=1, max_size=4), SIZES)
def test_cogroups(sides, sizes):
    expected = naive_cogroup(sides)
    batches = list(joins.cogrouped_batches([columns(side, sizes) for side in sides], holder()))
    assert [pair for batch in batches for pair in batch] == list(expected.items())
    assert all(batches)


@settings(max_examples=60)
@given(st.lists(EITHER, min_size=1, max_size=3), SIZES, st.integers(1, 3))
def test_cogroups_are_handed_on_in_pieces_as_users_see_them(sides, sizes, most):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(joins, "_AT_ONCE", most)
        wrapped = joins.cogrouped_batches([columns(side, sizes) for side in sides], holder(), joins.as_results)
        batches = list(wrapped)
    assert all(len(batch) <= most for batch in batches)
    pairs = [pair for batch in batches for pair in batch]
    assert all(type(values) is ResultIterable for _, groups in pairs for values in groups)
    assert [(key, tuple(map(list, groups))) for key, groups in pairs] == list(naive_cogroup(sides).items())


class Value:
    """Can be watched."""


def test_groups_go_when_they_have_been_used():
    values = [Value() for _ in range(6)]
    sides = [[(i, value) for i, value in enumerate(values)], [(9, 1)]]
    watched = [weakref.ref(value) for value in values]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(joins, "_AT_ONCE", 2)
        batches = joins.cogrouped_batches([iter([gather.split_pairs(side)]) for side in sides], holder())
        del values, sides
        for n_used in (0, 2, 4, 6):
            assert next(batches)
            assert [value() is None for value in watched[:n_used]] == [True] * n_used
    assert list(batches) == []


@settings(max_examples=300)
@given(st.sampled_from(HOWS), EITHER, EITHER, SIZES, st.booleans())
def test_joins_without_a_cogroup_give_the_same_pairs(how, left, right, sizes, small):
    cogroup = joins.cogrouped_batches([columns(left, sizes), columns(right, sizes)], holder())
    expected = consume.run(Collect(), [JoinPairs(how)], cogroup, 0)
    batches = list(joins.joined_batches(columns(left, sizes), columns(right, sizes), how, holder(), small))
    assert Counter(pair for batch in batches for pair in batch) == Counter(expected)
    assert all(batches)


@settings(max_examples=300)
@given(st.sampled_from(HOWS), st.sampled_from([1, 2, 5]), SIDE, SIDE, SIZES)
def test_skewed_joins_are_done_in_spans(how, most, left, right, sizes):
    cogroup = joins.cogrouped_batches([columns(left, sizes), columns(right, sizes)], holder())
    expected = consume.run(Collect(), [JoinPairs(how)], cogroup, 0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(joins, "_MOST_AT_ONCE", most)
        batches = list(joins.joined_batches(columns(left, sizes), columns(right, sizes), how, holder()))
    assert Counter(pair for batch in batches for pair in batch) == Counter(expected)


def test_a_hot_key_is_joined_in_pieces():
    hot = [(0, i) for i in range(100_000)]
    for left, right in ((hot, [(0, 1), (1, 2)]), ([(0, 1), (0, 2)], hot)):
        batches = joins.joined_batches(columns(left, [8192]), columns(right, [8192]), "inner", holder())
        sizes = [len(batch) for batch in batches]
        assert sum(sizes) == 100_000 * (2 if left != hot else 1)
        assert max(sizes) <= 2 * 8192


def test_missing_sides_are_none_even_for_false_values():
    left, right = [(0, None), (1, 0)], [(1, None), (2, 0)]
    batches = joins.joined_batches(columns(left, [9]), columns(right, [9]), "full", holder())
    assert sorted((pair for batch in batches for pair in batch), key=lambda p: p[0]) == [
        (0, (None, None)),
        (1, (0, None)),
        (2, (None, 0)),
    ]
