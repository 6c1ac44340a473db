"""The reduce side: combined, grouped and sorted records from columns in map order."""

from __future__ import annotations

import operator
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rddlite.errors import StopIterationInTask
from rddlite.executor import fuse, merge
from rddlite.lineage.aggregator import GROUP, Aggregator
from rddlite.serde.closures import dumps
from tests.helpers.chains import SIZES, cut, user
from tests.unit.executor.test_consume import AGGREGATORS, ANY_AGGREGATOR, PAIRS, exact, naive_combine


def columns(pairs, sizes):
    return map(merge.split_pairs, cut(pairs, sizes))


@settings(max_examples=400)
@given(ANY_AGGREGATOR, PAIRS, SIZES)
def test_raw_values_are_merged_as_by_a_plain_loop(aggregator, pairs, sizes):
    table = merge.merge_combined(columns(pairs, sizes), aggregator, combined=False)
    assert exact(table) == exact(naive_combine(aggregator, pairs))


FUNCTIONS = [operator.add, max, min, lambda a, b: a, lambda a, b: b, lambda a, b: f"{a}{b}"]


@settings(max_examples=300)
@given(st.sampled_from(FUNCTIONS), PAIRS, SIZES)
def test_combined_values_are_merged_by_merge_combiners_alone(function, pairs, sizes):
    never = user(lambda *_: pytest.fail("not for combined values"))
    aggregator = Aggregator(never, never, user(function), zero=dumps(0))
    table = merge.merge_combined(columns(pairs, sizes), aggregator)
    reference = Aggregator(None, user(function), user(function))
    assert exact(table) == exact(naive_combine(reference, pairs))


@given(PAIRS, SIZES)
def test_grouped_values_come_in_map_order(pairs, sizes):
    expected = naive_combine(GROUP, pairs)
    assert exact(merge.merge_grouped(columns(pairs, sizes))) == exact(expected)
    lists = [(key, [value, value]) for key, value in pairs]
    doubled = merge.merge_combined(columns(lists, sizes), GROUP, combined=True)
    assert doubled == {key: [v for v in values for _ in range(2)] for key, values in expected.items()}


@given(PAIRS, SIZES, st.booleans())
def test_combined_batches_hold_every_pair_once(pairs, sizes, combined):
    aggregator = AGGREGATORS["reduce by add"]
    batches = list(merge.combined_batches(columns(pairs, sizes), aggregator, combined))
    assert [pair for batch in batches for pair in batch] == list(naive_combine(aggregator, pairs).items())
    assert all(batches)


NUMBERED = st.lists(st.integers(-3, 3), max_size=40).map(lambda keys: [(key, i) for i, key in enumerate(keys)])


@settings(max_examples=300)
@given(st.sampled_from([None, lambda x: x, abs, lambda k: -k, str]), st.sampled_from(["asc", "desc"]), NUMBERED, SIZES)
def test_sorting_is_stable_in_both_directions(keyfunc, order, pairs, sizes):
    key = (lambda p: p[0]) if keyfunc is None else (lambda p: keyfunc(p[0]))
    expected = sorted(pairs, key=key, reverse=order == "desc")
    assert merge.sort_pairs(columns(pairs, sizes), order, keyfunc) == expected
    assert [p for b in merge.sorted_batches(columns(pairs, sizes), order, keyfunc) for p in b] == expected


def test_values_are_never_compared():
    pairs = [(1, {}), (0, None), (1, 3), (0, "x")]
    assert merge.sort_pairs(columns(pairs, [2]), "asc") == [(0, None), (0, "x"), (1, {}), (1, 3)]


def stops(*_):
    raise StopIteration


def test_stop_iteration_of_the_users_functions_is_an_error():
    with pytest.raises(StopIterationInTask):
        merge.sort_pairs(columns([(1, 1), (2, 2)], [5]), "asc", stops)
    aggregator = Aggregator(None, user(stops, "reduceByKey"), user(stops, "reduceByKey"))
    with pytest.raises(StopIterationInTask) as caught:
        merge.merge_combined(columns([(1, 1), (1, 2)], [5]), aggregator)
    found = fuse.blame(caught.value)
    assert (found.operation, found.record) == ("reduceByKey(stops) at job.py:12", "(1, 2)")


def test_a_merge_that_fails_names_key_and_value():
    aggregator = Aggregator(None, user(operator.add, "reduceByKey"), user(operator.add, "reduceByKey"))
    with pytest.raises(TypeError) as caught:
        merge.merge_combined(columns([("a", 1), ("b", 1), ("a", "x")], [2]), aggregator)
    found = fuse.blame(caught.value)
    assert (found.op, found.record) == (aggregator, "('a', 'x')")


@given(st.lists(st.integers(), max_size=50), st.integers(1, 9))
def test_lists_and_dicts_are_handed_out_in_batches(items, size):
    batches = list(merge.batches_of(list(items), size))
    assert [item for batch in batches for item in batch] == items
    assert all(0 < len(batch) <= size for batch in batches)
    table = dict.fromkeys(items)
    batches = list(merge.batches_of(table, size))
    assert [item for batch in batches for item in batch] == list(table.items())
    assert all(0 < len(batch) <= size for batch in batches)


def test_what_was_handed_out_of_a_list_is_not_kept():
    records = [object() for _ in range(4)]
    first = records[0]
    batches = merge.batches_of(records, 2)
    next(batches)
    assert sys.getrefcount(first) <= 3
    assert records[0] is None
