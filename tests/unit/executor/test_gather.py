"""The reduce side: combined and grouped records from columns in map order."""

from __future__ import annotations

import operator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rddlite.errors import StopIterationInTask
from rddlite.executor import fuse, gather
from rddlite.executor.pacing import Groups
from rddlite.lineage.aggregator import GROUP, Aggregator
from rddlite.serde.closures import dumps
from tests.helpers.chains import SIZES, cut, user
from tests.helpers.memory import PLENTY, holder
from tests.unit.executor.test_consume import ANY_AGGREGATOR, PAIRS, exact, naive_combine


def columns(pairs, sizes):
    return map(gather.split_pairs, cut(pairs, sizes))


def gathered(columns, aggregator, combined=True, capacity=PLENTY):
    batches = list(gather.combined_batches(columns, aggregator, combined, holder(capacity)))
    assert all(batches)
    return dict(pair for batch in batches for pair in batch)


@settings(max_examples=400)
@given(ANY_AGGREGATOR, PAIRS, SIZES)
def test_raw_values_are_merged_as_by_a_plain_loop(aggregator, pairs, sizes):
    table = gathered(columns(pairs, sizes), aggregator, combined=False)
    assert exact(table) == exact(naive_combine(aggregator, pairs))


FUNCTIONS = [operator.add, max, min, lambda a, b: a, lambda a, b: b, lambda a, b: f"{a}{b}"]


@settings(max_examples=300)
@given(st.sampled_from(FUNCTIONS), PAIRS, SIZES)
def test_combined_values_are_merged_by_merge_combiners_alone(function, pairs, sizes):
    never = user(lambda *_: pytest.fail("not for combined values"))
    aggregator = Aggregator(never, never, user(function), zero=dumps(0))
    table = gathered(columns(pairs, sizes), aggregator)
    reference = Aggregator(None, user(function), user(function))
    assert exact(table) == exact(naive_combine(reference, pairs))


@given(PAIRS, SIZES)
def test_grouped_values_come_in_map_order(pairs, sizes):
    expected = naive_combine(GROUP, pairs)
    assert exact(grouped(columns(pairs, sizes))) == exact(expected)
    lists = [(key, [value, value]) for key, value in pairs]
    doubled = grouped(Groups(*some) for some in columns(lists, sizes))
    assert doubled == {key: [v for v in values for _ in range(2)] for key, values in expected.items()}


def grouped(parts):
    return {key: values for batch in gather.grouped_batches(parts, holder()) for key, values in batch}


def stops(*_):
    raise StopIteration


def test_stop_iteration_of_the_users_functions_is_an_error():
    aggregator = Aggregator(None, user(stops, "reduceByKey"), user(stops, "reduceByKey"))
    with pytest.raises(StopIterationInTask) as caught:
        gathered(columns([(1, 1), (1, 2)], [5]), aggregator)
    found = fuse.blame(caught.value)
    assert (found.operation, found.record) == ("reduceByKey(stops) at job.py:12", "(1, 2)")


def test_a_merge_that_fails_names_key_and_value():
    aggregator = Aggregator(None, user(operator.add, "reduceByKey"), user(operator.add, "reduceByKey"))
    with pytest.raises(TypeError) as caught:
        gathered(columns([("a", 1), ("b", 1), ("a", "x")], [2]), aggregator)
    found = fuse.blame(caught.value)
    assert (found.op, found.record) == (aggregator, "('a', 'x')")


def test_large_tables_are_handed_out_in_batches():
    pairs = [(i, i) for i in range(10_000)]
    batches = list(gather.grouped_batches(columns(pairs, [5000]), holder()))
    assert [(key, values) for batch in batches for key, values in batch] == [(i, [i]) for i in range(10_000)]
    assert max(map(len, batches)) == 4096


def test_a_record_that_is_no_pair_is_named():
    with pytest.raises(TypeError, match=r"not a \(key, value\) pair: 'abc'"):
        gather.split_pairs([(1, 2), "abc"])
