"""Sorting with much memory and with hardly any: always the answer of `sorted`."""

from __future__ import annotations

import os
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rddlite.base.config import Settings
from rddlite.base.metrics import TaskMetrics
from rddlite.errors import StopIterationInTask
from rddlite.executor import sorting
from rddlite.executor.budget import Budget
from tests.helpers.chains import SIZES, cut


def columns(pairs, sizes):
    return (([key for key, _ in part], [value for _, value in part]) for part in cut(pairs, sizes))


NUMBERED = st.lists(st.integers(-3, 3), max_size=40).map(lambda keys: [(key, i) for i, key in enumerate(keys)])
KEYFUNCS = [None, lambda x: x, abs, lambda k: -k, str]
PLENTY = 1 << 30
budgets = st.sampled_from([1, 300, 3000, PLENTY])
"""Bytes that sorting may hold: nearly nothing, so that every batch becomes a run, up to more than it needs."""


@pytest.fixture(scope="module")
def holder(tmp_path_factory):
    scratch = tmp_path_factory.mktemp("scratch")
    (scratch / "spill").mkdir()

    def of(capacity, metrics=None):
        budget = Budget(Settings({"memory.operators": capacity}), PLENTY, str(scratch))
        return budget.holder("sortByKey", metrics or TaskMetrics())

    return of


def flat(batches):
    return [record for batch in batches for record in batch]


@settings(max_examples=400)
@given(st.sampled_from(KEYFUNCS), st.booleans(), NUMBERED, SIZES, budgets)
def test_pairs_are_sorted_stably_however_little_memory_there_is(holder, keyfunc, descending, pairs, sizes, capacity):
    key = (lambda p: p[0]) if keyfunc is None else (lambda p: keyfunc(p[0]))
    batches = list(sorting.sorted_pairs(columns(pairs, sizes), descending, keyfunc, holder(capacity)))
    assert flat(batches) == sorted(pairs, key=key, reverse=descending)
    assert all(batches)


@settings(max_examples=200)
@given(st.booleans(), NUMBERED, SIZES, budgets)
def test_values_come_in_the_order_of_their_keys(holder, descending, pairs, sizes, capacity):
    batches = sorting.sorted_values(columns(pairs, sizes), descending, holder(capacity))
    assert flat(batches) == [value for _, value in sorted(pairs, key=lambda p: p[0], reverse=descending)]


@settings(max_examples=300)
@given(st.sampled_from([*KEYFUNCS, len]), st.booleans(), st.lists(st.text("abc", max_size=4)), SIZES, budgets)
def test_records_are_sorted_by_themselves_or_by_a_function(holder, keyfunc, descending, records, sizes, capacity):
    if keyfunc is not None and keyfunc not in (str, len):
        keyfunc = str.upper
    batches = sorting.sorted_records(iter(cut(records, sizes)), descending, keyfunc, holder(capacity))
    assert flat(batches) == sorted(records, key=keyfunc, reverse=descending)


@pytest.mark.parametrize("capacity", [1, 3000, PLENTY])
def test_the_function_is_called_once_per_record(holder, capacity):
    seen = []

    def keyfunc(key):
        seen.append(key)
        return -key

    pairs = [(i % 7, i) for i in range(300)]
    list(sorting.sorted_pairs(columns(pairs, [10]), False, keyfunc, holder(capacity)))
    assert seen == [key for key, _ in pairs]


@pytest.mark.parametrize("descending", [False, True])
def test_many_runs_are_merged_in_steps(holder, descending):
    metrics = TaskMetrics()
    pairs = [(i * 7919 % 997, i) for i in range(5000)]
    batches = sorting.sorted_pairs(columns(pairs, [20]), descending, None, holder(1, metrics))
    assert flat(batches) == sorted(pairs, key=lambda p: p[0], reverse=descending)
    assert metrics.spill_runs == 250 + 4
    assert metrics.bytes_spilled > 0
    assert metrics.spilled_by == "sortByKey"


def test_nothing_is_written_where_memory_suffices(holder):
    metrics = TaskMetrics()
    list(sorting.sorted_pairs(columns([(i, i) for i in range(5000)], [500]), False, None, holder(PLENTY, metrics)))
    assert metrics == TaskMetrics()


@pytest.mark.parametrize("capacity", [1, PLENTY])
def test_values_are_never_compared(holder, capacity):
    pairs = [(1, {}), (0, None), (1, 3), (0, "x")]
    sorted_pairs = flat(sorting.sorted_pairs(columns(pairs, [2]), False, None, holder(capacity)))
    assert sorted_pairs == [(0, None), (0, "x"), (1, {}), (1, 3)]


def stops(*_):
    raise StopIteration


class Stops:
    __lt__ = stops


@pytest.mark.parametrize("capacity", [1, PLENTY])
def test_stop_iteration_of_the_users_code_is_an_error(holder, capacity):
    with pytest.raises(StopIterationInTask):
        list(sorting.sorted_pairs(columns([(1, 1), (2, 2)], [5]), False, stops, holder(capacity)))
    with pytest.raises(StopIterationInTask):
        list(sorting.sorted_pairs(columns([(Stops(), 1), (Stops(), 2)], [5]), False, None, holder(capacity)))


def test_an_iterator_that_is_given_up_has_let_go_of_its_file_and_its_share(holder):
    mine = holder(1)
    batches = sorting.sorted_pairs(columns([(i, i) for i in range(100)], [10]), False, None, mine)
    before = set(os.listdir("/proc/self/fd"))
    next(batches)
    assert len(os.listdir("/proc/self/fd")) == len(before) + 1
    batches.close()
    assert set(os.listdir("/proc/self/fd")) == before
    assert mine.guess == 0


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
