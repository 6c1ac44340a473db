"""The reduce side: combined and grouped records from columns in map order."""

from __future__ import annotations

import operator

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


def stops(*_):
    raise StopIteration


def test_stop_iteration_of_the_users_functions_is_an_error():
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
def test_tables_are_handed_out_in_batches(keys, size):
    table = dict.fromkeys(keys)
    batches = list(merge.batches_of(table, size))
    assert [item for batch in batches for item in batch] == list(table.items())
    assert all(0 < len(batch) <= size for batch in batches)
