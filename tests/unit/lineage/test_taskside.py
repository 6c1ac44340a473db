"""Functions of rddlite's own that run in tasks."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rddlite.errors import UnhashableKey
from rddlite.lineage import idioms, taskside


def test_they_are_pickled_by_name():
    for name, value in vars(taskside).items():
        if callable(value) and getattr(value, "__module__", "") == taskside.__name__:
            assert pickle.loads(pickle.dumps(value)) is value, name


def test_the_simplest_are_recognised_as_idioms():
    assert idioms.unary(taskside.with_none) == "pair_none"
    assert idioms.unary(taskside.with_one) == "pair_one"
    assert idioms.unary(taskside.identity) == "identity"
    assert idioms.binary(taskside.keep_last) == "right"


@given(st.lists(st.integers()))
def test_extremes(records):
    assert taskside.maximum(None, iter(records)) == ([max(records)] if records else [])
    assert taskside.minimum(abs, iter(records)) == ([min(records, key=abs)] if records else [])
    assert taskside.largest(3, None, iter(records)) == sorted(records, reverse=True)[:3]
    assert taskside.smallest(3, None, iter(records)) == sorted(records)[:3]
    assert taskside.sum_and_count(iter(records)) == (sum(records), len(records))


def test_counting_refuses_what_cannot_be_merged():
    assert taskside.mergeable({"a": 2, "b": 1}) == {"a": 2, "b": 1}
    with pytest.raises(UnhashableKey, match="address"):
        taskside.mergeable({object(): 1, object(): 1})


def test_number_from():
    assert list(taskside.number_from([0, 5], 1, iter("ab"))) == [("a", 5), ("b", 6)]


def test_drain_runs_generators_and_ignores_the_rest():
    seen = []
    taskside.drain(lambda part: (seen.append(x) for x in part), iter([1, 2]))
    taskside.drain(lambda part: 7, iter([3]))
    assert seen == [1, 2]


def test_sides_of_a_cogroup():
    assert taskside.left_only(([1, 1], [])) == [1, 1]
    assert taskside.left_only(([1], [2])) == []
    assert taskside.is_in_both(("k", ([1], [2])))
    assert not taskside.is_in_both(("k", ([1], [])))
    assert [list(group) for group in taskside.as_results(([1], [2]))] == [[1], [2]]
    assert taskside.has_key("k", ("k", 1))
