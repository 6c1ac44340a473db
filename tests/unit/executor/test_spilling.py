"""With hardly any memory everything is written out and read back, and the answers stay the same."""

from __future__ import annotations

import gc
import pickle
from collections import Counter
from itertools import chain, cycle
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rddlite.base.metrics import TaskMetrics
from rddlite.errors import NotPicklable, UnhashableKey
from rddlite.executor import gather, grouping, joins, subbuckets
from rddlite.executor.consume import combined_tables
from rddlite.executor.pacing import Groups, TableWeight
from rddlite.executor.sizing import weight
from rddlite.executor.subbuckets import SpilledValues
from rddlite.lineage.aggregator import GROUP, Aggregator
from rddlite.lineage.results import ResultIterable
from tests.helpers.chains import SIZES, cut, naive, user
from tests.helpers.memory import PLENTY, holder
from tests.unit.executor.test_consume import ANY_AGGREGATOR, BEFORE_PAIRS, exact, naive_combine
from tests.unit.executor.test_joins import HOWS, naive_cogroup

NAN = st.builds(lambda: float("inf") - float("inf"))
"""A new object each: equal to nothing, as when records come from files."""
FLAT = st.one_of(
    st.sampled_from([None, True, False, 0, 1, 1.0, 0.0, -0.0, -1, -2, "", "a", "ä", "\N{SNOWMAN}", b"a", 2**61 - 1]),
    st.integers(-3, 30),
    st.text(max_size=2),
)
KEYS = st.one_of(FLAT, NAN, st.tuples(FLAT, FLAT), st.frozensets(FLAT, max_size=2))
NUMBERED = st.lists(KEYS, max_size=30).map(lambda keys: [(key, i) for i, key in enumerate(keys)])
SMALL = st.sampled_from([1, 2_000, 20_000])
"""Bytes: nothing fits, little fits, and nearly everything does."""


def columns(pairs, sizes):
    """Columns as they come from files: the objects of each are its own."""
    return (pickle.loads(pickle.dumps(gather.split_pairs(batch))) for batch in cut(pairs, sizes))


def shown(pairs):
    """What can be compared whatever the keys are: the keys as they are written, with what belongs to them."""
    return Counter((written(key), repr(value)) for key, value in pairs)


def written(key):
    return f"frozenset{sorted(map(repr, key))}" if isinstance(key, frozenset) else repr(key)


def lists(value):
    return list(value) if isinstance(value, SpilledValues) else value


def flat(batches):
    batches = list(batches)
    assert all(batches)
    return list(chain.from_iterable(batches))


@settings(max_examples=150)
@given(NUMBERED, SIZES, SMALL)
def test_groups(pairs, sizes, capacity):
    groups = flat(gather.grouped_batches(columns(pairs, sizes), holder(capacity)))
    assert shown((key, lists(values)) for key, values in groups) == shown(naive_combine(GROUP, pairs).items())


@settings(max_examples=150)
@given(ANY_AGGREGATOR, st.booleans(), NUMBERED, SIZES, SMALL)
def test_combined_values(aggregator, combined, pairs, sizes, capacity):
    if combined:
        functions = aggregator.merge_combiners
        pairs = [(key, f"{value}") for key, value in pairs]
        aggregator = Aggregator(None, None, functions and user(lambda a, b: f"{a}{b}"))
        expected = Aggregator(None, aggregator.merge_combiners, None)
        if functions is None:
            return
    else:
        expected = aggregator
    found = flat(gather.combined_batches(columns(pairs, sizes), aggregator, combined, holder(capacity)))
    assert shown((key, lists(value)) for key, value in found) == shown(naive_combine(expected, pairs).items())
    keys = flat(gather.combined_batches(columns(pairs, sizes), aggregator, combined, holder(capacity), keys_only=True))
    assert Counter(map(written, keys)) == Counter(written(key) for key, _ in found)


@settings(max_examples=100)
@given(st.lists(NUMBERED, min_size=1, max_size=4), SIZES, SMALL)
def test_cogroups(sides, sizes, capacity):
    found = flat(joins.cogrouped_batches([columns(side, sizes) for side in sides], holder(capacity)))
    expected = shown(naive_cogroup(sides).items())
    assert shown((key, tuple(map(lists, groups))) for key, groups in found) == expected
    given_out = joins.cogrouped_batches([columns(side, sizes) for side in sides], holder(capacity), joins.as_results)
    assert shown((key, tuple(map(list, groups))) for key, groups in flat(given_out)) == expected


@settings(max_examples=150)
@given(st.sampled_from(HOWS), NUMBERED, NUMBERED, SIZES, SMALL, st.booleans())
def test_joins(how, left, right, sizes, capacity, small):
    plenty = flat(joins.joined_batches(columns(left, sizes), columns(right, sizes), how, holder(), small))
    found = flat(joins.joined_batches(columns(left, sizes), columns(right, sizes), how, holder(capacity), small))
    # Of equal keys of different types that meet, a join shows the one of the side that passes by the other.
    assert shown((hash(k) if k == k else "nan", v) for k, v in found) == shown(
        (hash(k) if k == k else "nan", v) for k, v in plenty
    )


@settings(max_examples=150)
@given(ANY_AGGREGATOR, st.sampled_from(BEFORE_PAIRS), NUMBERED, SIZES, SMALL)
def test_map_side_tables_together_are_the_plain_one(aggregator, ops, pairs, sizes, capacity):
    """What is combined in several tables, merged in their order, is what one would hold."""
    pairs = [(key, value) for key, value in pairs if key == key]
    merged = {}
    for table in combined_tables(aggregator, ops, cut(pairs, sizes), 0, holder(capacity)):
        for key, value in table.items():
            merged.setdefault(key, []).append(value)
        table.clear()
    records = naive(ops, pairs)
    expected = naive_combine(aggregator, records)
    assert list(merged) == list(expected)
    assert Counter(records and [key for key, _ in records]).keys() == expected.keys()
    for key, values in merged.items():
        if len(values) == 1:
            assert repr(values[0]) == repr(expected[key])
        elif aggregator.grouping:
            assert list(chain.from_iterable(values)) == expected[key]


@settings(max_examples=200)
@given(st.sampled_from(BEFORE_PAIRS), NUMBERED, SIZES, SMALL, st.sampled_from([1, 4, 16]))
def test_groups_of_map_tasks(ops, pairs, sizes, capacity, early):
    """What a map task hands on, in groups and as pairs, is what there was, in order for each key."""
    pairs = [(key, value) for key, value in pairs if key == key]
    values = {}
    with patch.multiple(grouping, EARLY=early, LATE=2 * early):
        for part in grouping.grouped(ops, cut(pairs, sizes), 0, holder(capacity)):
            groups = zip(*part, strict=True) if isinstance(part, Groups) else [(key, [value]) for key, value in part]
            for key, some in groups:
                values.setdefault(key, []).extend(some)
    assert exact(values) == exact(naive_combine(GROUP, naive(ops, pairs)))


@settings(max_examples=150)
@given(NUMBERED, SIZES, SMALL, st.lists(st.booleans(), min_size=1, max_size=9))
def test_groups_of_both_forms(pairs, sizes, capacity, forms):
    """Outputs of map tasks that are grouped, and others that are not."""
    parts = [
        Groups(*pickle.loads(pickle.dumps(by_key(some)))) if form else some
        for some, form in zip(columns(pairs, sizes), cycle(forms), strict=False)
    ]
    groups = flat(gather.grouped_batches(parts, holder(capacity)))
    assert shown((key, lists(values)) for key, values in groups) == shown(naive_combine(GROUP, pairs).items())


def by_key(some):
    table = naive_combine(GROUP, zip(*some, strict=True))
    return list(table), list(table.values())


def hot(n=50_000, key="hot", others=300):
    """One key with nearly all values, in order, among a few others."""
    pairs = [(key, i) for i in range(n)]
    for i in range(others):
        pairs[i * (n // others)] = (i, i)
    return pairs


def test_a_group_larger_than_memory_is_a_view_that_can_be_read_again():
    metrics = TaskMetrics()
    pairs = hot()
    found = dict(flat(gather.grouped_batches(columns(pairs, [4096]), holder(100_000, metrics))))
    expected = naive_combine(GROUP, pairs)
    view = found["hot"]
    assert isinstance(view, SpilledValues)
    assert len(view) == len(expected["hot"])
    assert list(view) == list(view) == expected["hot"]
    assert pickle.loads(pickle.dumps(view)) == expected["hot"]
    first, second = iter(view), iter(view)
    assert [next(first) for _ in range(5)] == [next(second) for _ in range(5)]
    assert all(type(values) is list for key, values in found.items() if key != "hot")
    assert metrics.bytes_spilled > 100_000
    assert metrics.spill_runs >= 1
    assert metrics.spilled_by == "test"


def test_a_view_keeps_its_file_and_pickles_as_part_of_a_result():
    (_, view), *_ = flat(gather.grouped_batches(columns(hot(others=0, n=9000), [500]), holder(10_000)))
    gc.collect()
    result = ResultIterable(view)
    assert (len(result), result.maxindex, result.data) == (9000, 9000, [i for _, i in hot(others=0, n=9000)])
    again = pickle.loads(pickle.dumps(result))
    assert list(again) == result.data


def test_keys_that_share_their_hash_are_told_apart():
    assert hash(-1) == hash(-2)
    pairs = [(-1 - i % 2, i) for i in range(40_000)]
    found = dict(flat(gather.grouped_batches(columns(pairs, [4096]), holder(50_000))))
    assert {key: list(values) for key, values in found.items()} == naive_combine(GROUP, pairs)
    left, right = pairs, [(-1, "x"), (-2, "y"), (-3, "z")]
    joined = flat(joins.joined_batches(columns(left, [999]), columns(right, [999]), "full", holder(50_000)))
    assert Counter(joined) == Counter([*((key, (i, "xy"[-1 - key])) for key, i in pairs), (-3, (None, "z"))])


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("n_right", [0, 1, 30])
def test_a_hot_key_is_joined_in_chunks(how, n_right):
    left, right = hot(n=3000), [("hot", -i) for i in range(n_right)] + [("right only", 1)]
    metrics = TaskMetrics()
    plenty = flat(joins.joined_batches(columns(left, [100]), columns(right, [7]), how, holder()))
    found = flat(joins.joined_batches(columns(left, [100]), columns(right, [7]), how, holder(20_000, metrics)))
    assert Counter(found) == Counter(plenty)
    swapped = flat(joins.joined_batches(columns(right, [100]), columns(left, [7]), how, holder(20_000)))
    assert Counter(swapped) == Counter(
        flat(joins.joined_batches(columns(right, [100]), columns(left, [7]), how, holder()))
    )
    assert metrics.spill_runs or how == "left"


def test_both_sides_of_a_hot_key_are_larger_than_memory():
    left, right = [("hot", i) for i in range(2000)], [("hot", i) for i in range(500)]
    n_records, total = 0, 0
    for batch in joins.joined_batches(columns(left, [100]), columns(right, [70]), "inner", holder(20_000)):
        n_records += len(batch)
        total += sum(1000 * a + b for _, (a, b) in batch)
    assert n_records == 1_000_000
    assert total == 1000 * 500 * sum(range(2000)) + 2000 * sum(range(500))


def test_functions_are_called_once_for_each_value_and_in_order():
    calls = []

    def merge(a, b):
        calls.append(b)
        return a + b

    pairs = [(i % 7, [i]) for i in range(2000)]
    aggregator = Aggregator(user(lambda v: v), user(merge), user(merge))
    found = dict(flat(gather.combined_batches(columns(pairs, [50]), aggregator, False, holder(3000))))
    assert found == {key: [i for i in range(2000) if i % 7 == key] for key in range(7)}
    assert len(calls) == 2000 - 7
    for key in range(7):
        assert [b for (b,) in calls if b % 7 == key] == [i for i in range(2000) if i % 7 == key][1:]


def test_one_combined_value_that_is_larger_than_memory_is_made_all_the_same():
    aggregator = Aggregator(user(lambda v: [v]), user(lambda c, v: [*c, v]), user(lambda c, d: c + d))
    pairs = [("only", i) for i in range(500)]
    found = flat(gather.combined_batches(columns(pairs, [10]), aggregator, False, holder(1)))
    assert found == [("only", list(range(500)))]


def test_large_records_do_not_wait_for_thousands_of_others(monkeypatch):
    written = []
    real = subbuckets.Part.add

    def add(self, keys, values):
        written.append(sum(map(len, values)))
        real(self, keys, values)

    monkeypatch.setattr(subbuckets.Part, "add", add)
    pairs = [(i % 5, bytes(100_000)) for i in range(100)]
    found = flat(gather.grouped_batches(columns(pairs, [10]), holder(1_000_000)))
    assert sorted((key, len(values)) for key, values in found) == [(key, 20) for key in range(5)]
    assert max(written) < 1_000_000


def test_what_cannot_be_used_as_a_key_is_told_as_ever():
    pairs = [(i, i) for i in range(100)] + [([1], 1)]
    with pytest.raises(UnhashableKey, match=r"test cannot use \[1\] \(list\) as a key"):
        flat(gather.grouped_batches(columns(pairs, [10]), holder(1)))


def test_what_cannot_be_pickled_is_told_when_memory_is_short():
    aggregator = Aggregator(user(lambda v: (x for x in v)), user(lambda c, v: c), user(lambda c, v: c))
    pairs = [(i, [i]) for i in range(100)]
    assert len(flat(gather.combined_batches(columns(pairs, [10]), aggregator, False, holder()))) == 100
    with pytest.raises(NotPicklable, match="generator"):
        flat(gather.combined_batches(columns(pairs, [10]), aggregator, False, holder(1)))


def test_nothing_is_written_where_memory_suffices():
    metrics = TaskMetrics()
    flat(gather.grouped_batches(columns(hot(), [4096]), holder(PLENTY, metrics)))
    flat(joins.joined_batches(columns(hot(), [4096]), columns(hot(10, "x", 5), [4]), "full", holder(PLENTY, metrics)))
    assert (metrics.bytes_spilled, metrics.spill_runs, metrics.spilled_by) == (0, 0, "")


def test_a_hot_key_is_written_once():
    metrics = TaskMetrics()
    pairs = hot(100_000, others=2000)
    n_bytes = len(pickle.dumps(gather.split_pairs(pairs), 5))
    found = dict(flat(gather.grouped_batches(columns(pairs, [4096]), holder(200_000, metrics))))
    assert len(found) == 2001
    assert metrics.bytes_spilled < 2 * n_bytes


def test_values_that_grow_are_noticed():
    """A combined value may outgrow memory while the number of keys stays the same."""
    table = {"only": []}
    weigh = TableWeight(table)
    seen = []
    for i in range(40):
        table["only"] += [f"{i} {j}" for j in range(1000)]
        seen.append(weigh())
    assert all(later > 1.5 * earlier for earlier, later in zip(seen, seen[2::2], strict=False) if earlier < 100_000)
    assert seen[-1] > 0.8 * weight(table["only"])


def test_a_table_that_was_emptied_is_weighed_anew():
    table = {"only": ["x" * 1000] * 1000}
    weigh = TableWeight(table)
    assert weigh() > 1_000_000
    table["only"] = ["x"]
    weigh.emptied()
    assert weigh() < 1000


def test_keys_are_grouped_while_they_repeat():
    def n_values(pairs):
        parts = list(grouping.grouped([], cut(pairs, [5000]), 0, holder()))
        return [part.n_values if isinstance(part, Groups) else 0 for part in parts]

    n = 4 * grouping.LATE
    few, cycling, new = ([(f"k{i % m}", i) for i in range(n)] for m in (1000, 100_003, n))
    assert sum(n_values(few)) == sum(n_values(cycling)) == n
    assert max(n_values(few)) <= 20_000
    assert sum(n_values(new)) == 0
    assert sum(n_values(few[: n // 2] + new[: 3 * n])) < n
    hot = [(i % 100 and f"k{i % 20_000}", i) for i in range(n)]
    assert sum(n_values(hot)) == n
    assert max(n_values(hot)) <= 20_000
