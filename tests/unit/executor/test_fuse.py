"""Chains as iterators: what comes out, when things are computed, and what happens at Python's limits."""

from __future__ import annotations

import functools
import inspect
import itertools
import operator
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rddlite.executor import consume, fuse
from rddlite.executor.chain import token, values_of
from rddlite.lineage.consumers import Collect, Count
from rddlite.lineage.ops import Filter, FlatMap, Glom, JoinPairs, KeyBy, Keys, Map, MapPartitions, MapValues
from rddlite.lineage.results import ResultIterable
from tests.helpers.chains import RECORDS, SIZES, chains, cut, naive, user


@settings(max_examples=300)
@given(chains(), RECORDS, SIZES)
def test_stream_gives_what_the_chain_means(ops, records, sizes):
    assert list(fuse.stream(ops, cut(records, sizes), 3)) == naive(ops, records, 3)


@settings(max_examples=300)
@given(chains(), RECORDS, SIZES)
def test_emit_gives_what_the_chain_means_in_batches_that_are_not_empty(ops, records, sizes):
    batches = list(fuse.emit(ops, cut(records, sizes), 3))
    assert [record for batch in batches for record in batch] == naive(ops, records, 3)
    assert all(type(batch) is list and batch for batch in batches)


def logging(ops, log):
    """The same operations, whose functions note what they are called with."""

    def logged(position, call):
        def noting(*arguments):
            log.append((position, repr(arguments[-1])))
            return call(*arguments)

        return noting

    def wrap(position, op):
        return type(op)(user(logged(position, op.f.call))) if hasattr(op, "f") else op

    return [wrap(position, op) for position, op in enumerate(ops)]


@given(chains(with_partitions=False), RECORDS, SIZES)
def test_functions_are_called_once_per_record_and_in_order(ops, records, sizes):
    calls = {}
    for name, run in {
        "naive": lambda ops: naive(ops, records),
        "stream": lambda ops: list(fuse.stream(ops, cut(records, sizes), 0)),
        "emit": lambda ops: list(fuse.emit(ops, cut(records, sizes), 0)),
        "collect": lambda ops: consume.run(Collect(), ops, cut(records, sizes), 0),
        "count": lambda ops: consume.run(Count(), ops, cut(records, sizes), 0),
    }.items():
        log = []
        run(logging(ops, log))
        # Which operation comes first is free, the order for each of them is not.
        calls[name] = sorted(log, key=lambda call: call[0])
    assert all(log == calls["naive"] for log in calls.values())


def test_a_stream_computes_nothing_that_is_not_asked_for():
    asked = []

    def batches():
        for i in itertools.count():
            asked.append(i)
            yield [i * 10, i * 10 + 1]

    mapped = []
    ops = [FlatMap(user(lambda x: [x, -x])), Map(user(lambda x: mapped.append(x) or x))]
    records = fuse.stream(ops, batches(), 0)
    assert asked == mapped == []
    assert next(records) == 0
    assert (asked, mapped) == ([0], [0])
    assert list(itertools.islice(records, 3)) == [0, 1, -1]
    assert (asked, mapped) == ([0], [0, 0, 1, -1])


def test_map_partitions_gets_an_iterator_that_computes_on_demand():
    mapped = []
    ops = [
        Map(user(lambda x: mapped.append(x) or x)),
        MapPartitions(user(lambda it: (x for x in itertools.islice(it, 2)), "mapPartitions")),
        Map(user(lambda x: x + 1)),
    ]
    assert list(fuse.emit(ops, iter([[1, 2, 3], [4]]), 0)) == [[2], [3]]
    assert mapped == [1, 2]


def test_a_chain_of_nothing_hands_on_the_very_batches():
    batches = [[1], [2, 3]]
    assert all(out is batch for out, batch in zip(fuse.emit([], iter(batches), 0), batches, strict=True))


def test_operations_after_a_users_iterator_see_each_record_before_the_next_is_made():
    def reuses_one_list(it):
        buffer = []
        for x in it:
            buffer[:] = [x]
            yield buffer

    ops = [MapPartitions(user(reuses_one_list)), Map(user(tuple))]
    assert [r for b in fuse.emit(ops, iter([[1, 2, 3]]), 0) for r in b] == [(1,), (2,), (3,)]
    ops = [FlatMap(user(lambda x: reuses_one_list(range(x)))), Map(user(tuple))]
    assert [r for b in fuse.emit(ops, iter([[2, 1]]), 0) for r in b] == [(0,), (1,), (0,)]


@pytest.mark.parametrize(
    "ops",
    [
        [FlatMap(user(range))],
        [FlatMap(user(lambda n: list(range(n))))],
        [FlatMap(user(range)), Map(user(lambda x: x))],
        [FlatMap(user(range)), Map(user(str)), Filter(user(len))],
        [Map(user(lambda n: (0, ([1], list(range(n)))))), JoinPairs("inner"), MapValues(user(sum))],
        [Map(user(lambda n: (0, (list(range(n)), [1])))), JoinPairs("full")],
        [FlatMap(user(lambda n: [n])), FlatMap(user(range)), MapValues(user(str))][:2],
        [MapPartitions(user(lambda it: iter(range(next(it)))))],
        [MapPartitions(user(lambda it: iter(range(next(it))))), Map(user(str))],
        [MapPartitions(user(lambda it: list(range(next(it)))))],
    ],
)
def test_an_exploding_record_is_handed_on_in_pieces(ops):
    longest, total = 0, 0
    for batch in fuse.emit(ops, iter([[200_000]]), 0):
        longest, total = max(longest, len(batch)), total + len(batch)
    assert total == 200_000
    assert longest <= 2 * 4096


def test_an_exploding_record_is_made_bit_by_bit():
    made = []

    def explode(n):
        for i in range(n):
            made.append(i)
            yield i

    batches = fuse.emit([FlatMap(user(explode)), Map(user(str))], iter([[1_000_000]]), 0)
    for _ in range(6):
        next(batches)
    assert len(made) < 20_000


def test_batches_of_large_records_are_short():
    sizes = [len(b) for b in fuse.emit([Map(user(lambda i: bytes(1 << 20)))], iter([list(range(40))]), 0)]
    assert sum(sizes) == 40
    assert max(sizes) <= 8
    sizes = [len(b) for b in fuse.emit([Map(user(lambda i: (i, bytes(1 << 20))))], iter([list(range(40))]), 0)]
    assert max(sizes) <= 8


class Unweighable:
    def __sizeof__(self):
        raise RuntimeError("no size")


def test_what_a_record_weighs_is_never_a_users_error():
    batches = fuse.emit([Map(user(lambda i: Unweighable()))], iter([list(range(1000))]), 0)
    assert sum(map(len, batches)) == 1000


def test_glom_gives_one_list_even_of_nothing():
    assert list(fuse.emit([Glom()], iter([]), 0)) == [[[]]]
    assert list(fuse.emit([Glom(), Map(user(len))], iter([[1], [2, 3]]), 0)) == [[3]]


def test_an_index_reaches_the_function_of_the_partition():
    op = MapPartitions(user(lambda i, it: [(i, list(it))]), with_index=True)
    assert list(fuse.stream([op, Keys()], iter([[1]]), 7)) == [7]


@pytest.mark.parametrize("n", [200, 10_000])
def test_very_long_chains(n):
    ops = [Map(user(lambda x: x + 1)), Filter(user(lambda x: x > 0))] * (n // 2)
    assert list(fuse.stream(ops, iter([[0, 1]]), 0)) == [n // 2, n // 2 + 1]
    assert [r for b in fuse.emit(ops, iter([[0, 1]]), 0) for r in b] == [n // 2, n // 2 + 1]
    assert consume.run(Count(), ops, iter([[0, 1]]), 0) == 2


@pytest.mark.parametrize("n", [13, 14, 15, 16, 17, 18, 200])
def test_many_nested_flat_maps(n):
    ops = [FlatMap(user(lambda x: [x + 1]))] * n
    assert list(fuse.stream(ops, iter([[0, 1]]), 0)) == [n, n + 1]
    assert [r for b in fuse.emit(ops, iter([[0, 1]]), 0) for r in b] == [n, n + 1]
    assert consume.run(Collect(), ops, iter([[0, 1]]), 0) == [n, n + 1]


@pytest.mark.parametrize("n", [6, 7, 8, 50])
def test_many_nested_joins(n):
    sides = Map(user(lambda x: (1, ([0, 1], [2])[:2] if x == 0 else ([3], []))))
    ops = [sides, JoinPairs("full")] * n
    expected = naive(ops, [0])
    assert list(fuse.stream(ops, iter([[0]]), 0)) == expected
    assert [r for b in fuse.emit(ops, iter([[0]]), 0) for r in b] == expected


def test_nested_map_partitions_take_few_frames_each():
    ops = [MapPartitions(user(lambda it: (x for x in it)))] * 150
    usual, frames = sys.getrecursionlimit(), len(inspect.stack(0))
    sys.setrecursionlimit(frames + 150 * 5)
    try:
        assert list(fuse.stream(ops, iter([[1, 2]]), 0)) == [1, 2]
    finally:
        sys.setrecursionlimit(usual)


class Subscriptable:
    def __getitem__(self, index):
        return ("item", index)

    def __repr__(self):
        return "Subscriptable()"


ODD_RECORDS = ["ab", [1, 2], {0: 1, 1: 2}, {"a": 1}, (), (1,), (1, 2, 3), 5, None, Subscriptable(), "", "a"]
IDIOMS = [
    lambda x: x,
    lambda x: (x, 1),
    lambda x: (x, None),
    lambda x: x[0],
    lambda x: x[1],
    lambda x: (x[1], x[0]),
]


def outcome(run):
    try:
        return repr(run())
    except (TypeError, IndexError, KeyError) as error:
        return type(error), str(error)


@pytest.mark.parametrize("record", ODD_RECORDS, ids=repr)
@pytest.mark.parametrize("idiom", IDIOMS)
@pytest.mark.parametrize("after", [[], [Filter(user(lambda x: [x]))], [FlatMap(user(lambda x: [x, x]))]])
def test_idioms_do_what_their_functions_do_to_any_record(record, idiom, after):
    for make in (Map, KeyBy, Filter):
        written_out, called = ([make(user(f)), *after] for f in (idiom, functools.partial(idiom)))
        for run in (
            lambda ops: list(fuse.stream(ops, iter([[record]]), 0)),
            lambda ops: list(fuse.emit(ops, iter([[record]]), 0)),
            lambda ops: consume.run(Collect(), ops, iter([[record]]), 0),
        ):
            assert outcome(lambda: run(written_out)) == outcome(lambda: run(called))  # noqa: B023


@pytest.mark.parametrize("function", [len, sum, list, tuple, set, frozenset, sorted, max, min, any, all])
@given(groups=st.lists(st.lists(st.one_of(st.integers(), st.booleans(), st.just(0.5)), min_size=1), max_size=5))
def test_built_in_functions_of_groups_give_the_same_of_lists(function, groups):
    records = list(enumerate(groups))
    groups_of_users = [MapValues(user(ResultIterable))]
    plain = consume.run(Collect(), [*groups_of_users, MapValues(user(lambda each: function(each)))], iter([records]), 0)
    opened = fuse.flow([*groups_of_users, MapValues(user(function))], iter([records]), 0)
    assert len(opened.ops) == 1
    assert [repr(record) for batch in opened.emit() for record in batch] == [repr(record) for record in plain]


def test_what_a_function_returns_is_never_the_list_of_a_group_itself():
    values = [1, 2]
    (found,) = fuse.stream([MapValues(user(ResultIterable)), MapValues(user(list))], iter([[("a", values)]]), 0)
    assert found == ("a", values)
    assert found[1] is not values


@pytest.mark.parametrize(
    ("function", "is_opened"),
    [
        (functools.partial(operator.add, 1), True),
        (functools.partial(functools.partial(max, 1), 2, 3), True),
        (functools.partial(int, base=10), False),
        (functools.partial(max, *range(9)), False),
        (type("Own", (functools.partial,), {"__call__": lambda self, x: x})(operator.add, 1), False),
    ],
)
def test_plain_partials_are_opened(function, is_opened):
    op = Map(user(function))
    assert values_of(op, token(op)) == ((function.func, *function.args) if is_opened else (function,))


def test_a_stream_that_is_left_early_closes_what_it_reads():
    closed = []

    def batches():
        try:
            yield [1, 2]
        finally:
            closed.append(True)

    records = fuse.stream([FlatMap(user(lambda x: [x, x]))], batches(), 0)
    assert next(records) == 1
    del records
    assert closed == [True]
