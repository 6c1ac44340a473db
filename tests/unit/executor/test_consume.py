"""What takes the records of a partition: values as PySpark gives them, and aggregation by key in the loop."""

from __future__ import annotations

import functools
import itertools
import operator
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rddlite.executor import consume, fuse
from rddlite.executor.inputs import Pipeline
from rddlite.lineage.aggregator import GROUP, Aggregator
from rddlite.lineage.consumers import Apply, Collect, Count, CountEach, Fold, Foreach, Reduce, Sample, SaveLines, Take
from rddlite.lineage.ops import Filter, FlatMap, FlatMapValues, Keys, Map, MapPartitions
from rddlite.serde.closures import dumps
from tests.helpers.chains import RECORDS, SIZES, chains, cut, naive, user, weight
from tests.helpers.memory import PLENTY, combine, holder


def run(consumer, ops, records, sizes):
    return consume.run(consumer, ops, cut(records, sizes), 3)


def is_hashable(record: Any) -> bool:
    try:
        hash(record)
    except TypeError:
        return False
    return True


def join_text(a: Any, b: Any) -> str:
    return f"{a}{b}"


MERGES = [join_text, lambda a, b: a, lambda a, b: b]


def portions_of(batches, times=10.0):
    return Pipeline(cut(list(range(1000)), [100]), [], lambda n: (iter(batches), times))


def test_a_sample_of_portions_stands_for_all():
    source = portions_of([[i] * 10 for i in range(15)])
    assert consume.sampled(Sample(100, 1, ()), source, 0) == (1500, [i for i in range(15) for _ in range(10)])


@pytest.mark.parametrize("portions", [[[1] * 99], []], ids=["few", "none"])
def test_all_is_read_where_portions_give_too_few(portions):
    count, kept = consume.sampled(Sample(100, 1, ()), portions_of(portions), 0)
    assert count == 1000
    assert 100 <= len(kept) <= 200
    assert max(b - a for a, b in itertools.pairwise(kept)) < 20


@settings(max_examples=300)
@given(chains(), RECORDS, SIZES, st.sampled_from(MERGES))
def test_consumers_give_what_they_mean(ops, records, sizes, merge):
    expected = naive(ops, records, 3)
    assert run(Collect(), ops, records, sizes) == expected
    assert run(Count(), ops, records, sizes) == len(expected)
    if all(map(is_hashable, expected)):
        for capacity in (PLENTY, 1):
            source = Pipeline(cut(records, sizes), ops)
            counts = consume.counted(CountEach(user(dict)), source, 3, holder(capacity))
            assert exact(counts) == exact(dict(Counter(expected)))
    assert run(Reduce(user(merge)), ops, records, sizes) == ([functools.reduce(merge, expected)] if expected else [])
    assert run(Fold(dumps("zero"), user(merge)), ops, records, sizes) == functools.reduce(merge, expected, "zero")
    assert run(Take(2), ops, records, sizes) == expected[:2]
    assert run(Apply(user(list)), ops, records, sizes) == expected
    assert run(Apply(user(lambda i, it: (i, list(it))), with_index=True), ops, records, sizes) == (3, expected)
    seen: list[Any] = []
    assert run(Foreach(user(seen.append)), ops, records, sizes) is None
    assert seen == expected
    seen = []
    assert run(Foreach(user(functools.partial(map_into, seen, "a"))), ops, records, sizes) is None
    assert seen == [("a", record) for record in expected]


def map_into(seen: list[Any], *arguments: Any) -> None:
    seen.append(arguments)


@settings(max_examples=200)
@given(chains(), st.builds(range, st.integers(-9, 9), st.integers(-9, 30), st.integers(1, 3)), st.integers(1, 9))
def test_a_range_is_read_as_a_list_of_its_numbers(ops, numbers, size):
    def pieces():
        return (numbers[at : at + size] for at in range(0, len(numbers), size))

    expected = naive(ops, list(numbers), 3)
    seen: list[Any] = []
    for consumer, value in {Collect(): expected, Count(): len(expected), Foreach(user(seen.append)): None}.items():
        assert consume.run(consumer, ops, pieces(), 3) == value
    assert seen == expected
    assert consume.run(Apply(user(list)), ops, pieces(), 3) == expected
    batches = list(fuse.emit(ops, pieces(), 3))
    assert [record for batch in batches for record in batch] == expected
    assert all(type(batch) is list and batch for batch in batches)
    assert list(fuse.stream(ops, pieces(), 3)) == expected
    keyed = [*ops, Map(user(lambda x: (weight(x) % 5, weight(x))))]
    by_key = exact(naive_combine(AGGREGATORS["first"], naive(keyed, list(numbers), 3)))
    assert exact(combine(AGGREGATORS["first"], keyed, pieces(), 3)) == by_key


def test_a_pair_that_is_reduced_leaves_its_key_alone():
    ops = [Map(user(lambda x: (x, 1))), FlatMapValues(user(lambda v: [v, 2, 3]))]
    expected = naive(ops, [7, 8])
    assert run(Reduce(user(join_text)), ops, [7, 8], [2]) == [functools.reduce(join_text, expected)]


NUMBERS = st.lists(st.one_of(st.integers(-5, 5), st.floats(allow_nan=True), st.booleans()), max_size=20)


@pytest.mark.parametrize("merge", [operator.add, operator.mul, max, min, lambda a, b: a + b, lambda x, y: x * y])
@given(numbers=NUMBERS, sizes=SIZES)
def test_recognised_merges_do_what_a_call_does(merge, numbers, sizes):
    for ops in ([], [Map(user(lambda x: [x][0]))], [FlatMap(user(lambda x: [x, x]))]):
        expected = naive(ops, numbers)
        reduced = run(Reduce(user(merge)), ops, numbers, sizes)
        assert repr(reduced) == repr([functools.reduce(merge, expected)] if expected else [])
        folded = run(Fold(dumps(1), user(merge)), ops, numbers, sizes)
        assert repr(folded) == repr(functools.reduce(merge, expected, 1))


@pytest.mark.parametrize("merge", [max, min])
def test_of_equal_values_the_first_is_kept_as_max_and_min_do(merge):
    (kept,) = run(Reduce(user(merge)), [], [1, 1.0, True], [1])
    assert kept is merge(merge(1, 1.0), True)


def test_an_addition_never_changes_the_users_objects():
    first = [1]
    assert run(Reduce(user(operator.add)), [], [first, [2], [3]], [2]) == [[1, 2, 3]]
    assert first == [1]
    values = [("a", [1]), ("a", [2])]
    f = user(operator.add)
    assert combine(Aggregator(None, f, f), [], iter([values]), 0) == {"a": [1, 2]}
    assert values == [("a", [1]), ("a", [2])]


def test_every_task_has_its_own_zero():
    fold = Fold(dumps([]), user(lambda acc, x: acc.append(x) or acc))
    assert run(fold, [], [1, 2], [5]) == [1, 2]
    assert run(fold, [], [3], [5]) == [3]
    assert run(fold, [], [], [5]) == []


@pytest.mark.parametrize("n", [0, -1])
def test_take_of_nothing_asks_for_nothing(n):
    opened = []
    ops = [MapPartitions(user(lambda it: opened.append(1) or it))]
    assert consume.run(Take(n), ops, iter([[1]]), 0) == []
    assert opened == []


def test_take_asks_for_no_more_than_it_needs():
    asked = []

    def batches():
        for i in range(10):
            asked.append(i)
            yield [i]

    assert consume.run(Take(3), [], batches(), 0) == [0, 1, 2]
    assert asked == [0, 1, 2]
    mapped = []
    ops = [FlatMap(user(range)), Map(user(lambda x: mapped.append(x)))]
    assert consume.run(Take(1), ops, iter([[1000]]), 0) == [None]
    assert mapped == [0]


def test_lines_are_written_elsewhere():
    with pytest.raises(TypeError, match="written by"):
        run(SaveLines("/tmp"), [], [], [1])


def naive_combine(aggregator, pairs):
    table: dict[Any, Any] = {}
    for key, value in pairs:
        if aggregator.grouping:
            table.setdefault(key, []).append(value)
        elif key in table:
            table[key] = aggregator.merge_value.call(table[key], value)
        elif aggregator.zero is not None:
            table[key] = aggregator.merge_value.call(consume.loads(aggregator.zero), value)
        else:
            table[key] = value if aggregator.create is None else aggregator.create.call(value)
    return table


def exact(table):
    """With types, key objects and order, which `==` overlooks."""
    return [(type(key), repr(key), type(value), repr(value)) for key, value in table.items()]


KEYS = st.one_of(
    st.integers(-2, 2),
    st.booleans(),
    st.sampled_from([0.0, -0.0, 1.0, 2.0, "a", "", None, b"a", (), (1, 1.0), (True, 1), frozenset([1])]),
    st.text(max_size=2),
)
VALUES = st.one_of(st.integers(-3, 3), st.booleans(), st.floats(allow_nan=False, width=16))
PAIRS = st.lists(st.tuples(KEYS, VALUES), max_size=40)


def appended(acc, x):
    acc.append(x)
    return acc


MERGE_ADD = user(operator.add)
AGGREGATORS = {
    "reduce by a call": Aggregator(None, user(join_text), user(join_text)),
    "reduce by add": Aggregator(None, MERGE_ADD, MERGE_ADD),
    "reduce by a lambda that adds": Aggregator(None, user(lambda a, b: a + b), MERGE_ADD),
    "reduce by mul": Aggregator(None, user(operator.mul), MERGE_ADD),
    "reduce by max": Aggregator(None, user(max), MERGE_ADD),
    "reduce by min": Aggregator(None, user(min), MERGE_ADD),
    "first": Aggregator(None, user(lambda a, b: a), MERGE_ADD),
    "last": Aggregator(None, user(lambda a, b: b), MERGE_ADD),
    "group": GROUP,
    "create": Aggregator(user(lambda v: [v]), user(appended), MERGE_ADD),
    "create and add": Aggregator(user(float), MERGE_ADD, MERGE_ADD),
    "create and max": Aggregator(user(float), user(max), MERGE_ADD),
    "create and first": Aggregator(user(float), user(lambda a, b: a), MERGE_ADD),
    "create and last": Aggregator(user(float), user(lambda a, b: b), MERGE_ADD),
    "zero": Aggregator(None, MERGE_ADD, MERGE_ADD, zero=dumps(0)),
    "zero and max": Aggregator(None, user(max), user(max), zero=dumps(0.0)),
    "zero and min": Aggregator(None, user(min), user(min), zero=dumps(True)),
    "zero and first": Aggregator(None, user(lambda a, b: a), MERGE_ADD, zero=dumps(5)),
    "zero and last": Aggregator(None, user(lambda a, b: b), MERGE_ADD, zero=dumps(5)),
    "zero and a call": Aggregator(None, user(join_text), MERGE_ADD, zero=dumps(("a", 1))),
    "mutable zero": Aggregator(None, user(appended), MERGE_ADD, zero=dumps([])),
    "mutable zero and last": Aggregator(None, user(lambda a, b: b), MERGE_ADD, zero=dumps([])),
    "hidden mutable zero": Aggregator(None, user(lambda acc, x: (appended(acc[0], x),)), MERGE_ADD, zero=dumps(([],))),
}


ANY_AGGREGATOR = st.sampled_from(list(AGGREGATORS.values()))
BEFORE_PAIRS = [
    [],
    [Map(user(lambda p: (p[0], p[1])))],
    [MapPartitions(user(iter))],
    [FlatMap(user(lambda p: [p, p]))],
]


@settings(max_examples=600)
@given(ANY_AGGREGATOR, st.sampled_from(BEFORE_PAIRS), PAIRS, SIZES)
def test_a_combine_gives_the_same_keys_values_and_types_as_the_plain_loop(aggregator, ops, pairs, sizes):
    table = combine(aggregator, ops, cut(pairs, sizes), 0)
    assert exact(table) == exact(naive_combine(aggregator, naive(ops, pairs)))


BEFORE_KEYS = [
    [],
    [Map(user(lambda k: k)), Filter(user(bool)), Map(user(lambda k: (k, 0)))],
    [Map(user(lambda k: (k, 0))), Keys()],
    [FlatMap(user(lambda k: [k, k]))],
    [FlatMap(user(lambda k: iter((k, 1))))],
    [MapPartitions(user(iter))],
]
COUNTED = [AGGREGATORS["reduce by add"], AGGREGATORS["reduce by a lambda that adds"], AGGREGATORS["first"]]


@settings(max_examples=600)
@given(
    st.one_of(st.sampled_from(COUNTED), ANY_AGGREGATOR),
    st.sampled_from([lambda x: (x, 1), lambda x: (x, None), lambda x: (x, 1.0)]),
    st.sampled_from(BEFORE_KEYS),
    st.lists(KEYS, max_size=40),
    SIZES,
)
def test_kernels_give_the_same_keys_values_and_types_as_the_plain_loop(aggregator, make, before, keys, sizes):
    ops = [*before, Map(user(make))]
    try:
        expected = exact(naive_combine(aggregator, naive(ops, keys)))
    except TypeError:
        with pytest.raises(TypeError):
            combine(aggregator, ops, cut(keys, sizes), 0)
    else:
        assert exact(combine(aggregator, ops, cut(keys, sizes), 0)) == expected


@given(chains(), RECORDS, SIZES)
def test_combines_after_any_chain(ops, records, sizes):
    ops = [*ops, Map(user(lambda x: (weight(x) % 5, weight(x))))]
    for aggregator in (AGGREGATORS["reduce by add"], AGGREGATORS["reduce by a call"], GROUP):
        table = combine(aggregator, ops, cut(records, sizes), 3)
        assert exact(table) == exact(naive_combine(aggregator, naive(ops, records, 3)))


def test_pairs_need_not_be_tuples():
    table = combine(GROUP, [], iter([[["a", 1], "a2", ("a", 3), iter(["a", 4])]]), 0)
    assert table == {"a": [1, "2", 3, 4]}


class CountsEquals:
    """Two of them are equal; what a loop asks of keys must not depend on the form it takes."""

    def __init__(self, name):
        self.name = name

    def __hash__(self):
        return 1

    def __eq__(self, other):
        return isinstance(other, CountsEquals)


def test_the_first_key_object_stays():
    first, second = CountsEquals("first"), CountsEquals("second")
    for ops, records in (([], [(first, 1), (second, 1)]), ([Map(user(lambda x: (x, 1)))], [first, second])):
        table = combine(AGGREGATORS["reduce by add"], ops, iter([records]), 0)
        assert [(key.name, value) for key, value in table.items()] == [("first", 2)]
