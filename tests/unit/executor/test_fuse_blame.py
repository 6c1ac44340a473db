"""Errors of a loop: which operation, which record, what the traceback shows, what is said in plain words."""

from __future__ import annotations

import functools
import operator
import traceback

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rddlite.errors import StopIterationInTask, UnhashableKey
from rddlite.executor import consume, fuse
from rddlite.lineage.aggregator import GROUP, Aggregator
from rddlite.lineage.consumers import Apply, Collect, Count, Fold, Foreach, Reduce, Take
from rddlite.lineage.ops import (
    Filter,
    FlatMap,
    FlatMapValues,
    Glom,
    JoinPairs,
    KeyBy,
    Keys,
    Map,
    MapPartitions,
    MapValues,
    Values,
    describe,
)
from rddlite.serde.closures import dumps
from tests.helpers.chains import user
from tests.helpers.memory import combine


def fails_at_7(x):
    if x == 7 or x == (7, 7):
        raise KeyError("seven")
    return x


def adding(method="reduceByKey"):
    f = user(lambda a, b: fails_at_7(b) and a + b, method, 30)
    return Aggregator(None, f, f)


def collect(ops, batches):
    return consume.run(Collect(), ops, iter(batches), 0)


def stream(ops, batches):
    return list(fuse.stream(ops, iter(batches), 0))


def emit(ops, batches):
    return list(fuse.emit(ops, iter(batches), 0))


def count(ops, batches):
    return consume.run(Count(), ops, iter(batches), 0)


FORMS = [collect, stream, emit, count]


def blamed(run, *arguments, error=Exception):
    with pytest.raises(error) as caught:
        run(*arguments)
    return fuse.blame(caught.value), caught.value


BATCHES = [[1, 2], [6, 7, 8], [9]]
PAIRED = [[(x, x) for x in batch] for batch in BATCHES]
BAD = user(fails_at_7, "map", 5)
GOOD = user(lambda x: x, "map", 4)
SLOW = user(lambda x: [x][0], "map", 4)
BOUND = user(functools.partial(lambda _, x: fails_at_7(x), "bound"), "map", 5)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("after", [[], [Filter(SLOW), Map(SLOW)], [FlatMap(user(lambda x: [x]))]])
@pytest.mark.parametrize(
    ("op", "batches", "record"),
    [
        (Map(BAD), BATCHES, "7"),
        (Filter(BAD), BATCHES, "7"),
        (Map(BOUND), BATCHES, "7"),
        (Filter(BOUND), BATCHES, "7"),
        (MapValues(BOUND), PAIRED, "(7, 7)"),
        (KeyBy(BAD), BATCHES, "7"),
        (FlatMap(user(lambda x: [fails_at_7(x)], "flatMap", 5)), BATCHES, "7"),
        (FlatMap(user(lambda x: (fails_at_7(y) for y in [x]), "flatMap", 5)), BATCHES, "7"),
        (MapValues(BAD), PAIRED, "(7, 7)"),
        (FlatMapValues(user(lambda x: [fails_at_7(x)], "flatMapValues", 5)), PAIRED, "(7, 7)"),
    ],
)
def test_the_operation_and_its_record_are_found(form, after, op, batches, record):
    found, _ = blamed(form, [op, *after], batches, error=KeyError)
    assert (found.op, found.position, found.record) == (op, 0, record)
    assert found.operation == describe(op)
    assert found.call_site == "/home/ann/job.py:5"


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("before", [1, 2, 3, 20])
@pytest.mark.parametrize("kind", [Map, Filter, KeyBy])
def test_a_later_operation_is_blamed_with_the_record_that_it_got(form, before, kind):
    ops = [Map(user(lambda x: x + 1))] * before + [kind(BAD)]
    found, _ = blamed(form, ops, [[1 - before], [7 - before, 8]], error=KeyError)
    assert (found.op, found.position, found.record) == (ops[-1], before, "7")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("idiom", [lambda x: (x, 1), lambda x: (x, None), lambda x: x])
def test_written_out_idioms_hide_no_record(form, idiom):
    constant = idiom(0)
    ops = [Map(user(idiom)), Map(user(lambda r: 1 / (r not in (7, (7, 1), (7, None)))))]
    found, _ = blamed(form, ops, BATCHES, error=ZeroDivisionError)
    assert found.position == 1
    assert found.record == repr(idiom(7))
    assert constant is not None


@pytest.mark.parametrize("form", FORMS)
def test_in_a_chain_of_several_loops_positions_count_from_its_start(form):
    ops = [Map(SLOW)] * 450 + [Map(BAD)] + [Map(SLOW)] * 300
    found, _ = blamed(form, ops, BATCHES, error=KeyError)
    assert (found.position, found.record) == (450, "7")


@pytest.mark.parametrize("form", FORMS)
def test_between_partitions_the_right_loop_is_blamed(form):
    opening = MapPartitions(user(lambda it: (x for x in it), "mapPartitions", 8))
    ops = [Map(SLOW), opening, Map(BAD), opening, Map(SLOW)]
    found, _ = blamed(form, ops, BATCHES, error=KeyError)
    assert (found.op, found.position, found.record) == (ops[2], 2, "7")


def _raises_at_once(it):
    raise KeyError("at once")


def _raises_later(it):
    yield next(it)
    raise KeyError("later")


@pytest.mark.parametrize("form", [collect, emit, count])
@pytest.mark.parametrize("function", [_raises_at_once, _raises_later])
@pytest.mark.parametrize("after", [[], [Map(SLOW)], [FlatMap(user(lambda x: [x]))], [Glom()]])
def test_a_function_of_a_partition_is_blamed_without_a_record(form, function, after):
    op = MapPartitions(user(function, "mapPartitions", 8))
    found, _ = blamed(form, [Map(SLOW), op, *after], BATCHES, error=KeyError)
    assert (found.op, found.position, found.record) == (op, 1, None)
    assert found.operation == f"mapPartitions({function.__qualname__}) at job.py:8"


@pytest.mark.parametrize("ops", [[], [Map(SLOW)], [FlatMap(user(lambda x: [x]))]])
@pytest.mark.parametrize(
    "consumer",
    [
        Foreach(user(fails_at_7, "foreach", 9)),
        Reduce(user(lambda a, b: fails_at_7(b), "reduce", 9)),
        Fold(dumps(0), user(lambda a, b: fails_at_7(b), "fold", 9)),
    ],
)
def test_a_consumer_is_blamed_with_its_record(consumer, ops):
    found, _ = blamed(consume.run, consumer, ops, iter(BATCHES), 0, error=KeyError)
    assert (found.op, found.position, found.record) == (consumer, len(ops), "7")
    assert found.operation == describe(consumer)


@pytest.mark.parametrize("ops", [[], [Map(SLOW)]])
def test_a_partial_consumer_and_its_record_in_a_range_are_blamed(ops):
    consumer = Foreach(user(functools.partial(_ignores_first, "given"), "foreach", 9))
    found, _ = blamed(consume.run, consumer, ops, iter([range(5), range(5, 9)]), 0, error=KeyError)
    assert (found.op, found.position, found.record) == (consumer, len(ops), "7")


def _ignores_first(_, x):
    fails_at_7(x)


def test_what_is_no_pair_in_a_range_is_named():
    _, error = blamed(combine, adding(), [], iter([range(5, 9)]), 0, error=TypeError)
    assert "needs pairs (key, value), but a record is 5 (int)" in str(error)


@pytest.mark.parametrize("ops", [[Map(SLOW)], [Map(SLOW), Filter(SLOW)]])
def test_before_a_count_the_operation_and_its_record_are_blamed(ops):
    counting = [*ops, Map(user(fails_at_7)), Map(user(lambda x: (x, 1)))]
    for batches in (BATCHES, [range(5), range(5, 9)]):
        found, _ = blamed(combine, adding(), counting, iter(batches), 0, error=KeyError)
        assert (found.op, found.record) == (counting[-2], "7")


def test_the_function_of_apply_is_blamed():
    consumer = Apply(user(_raises_at_once, "top", 9))
    found, _ = blamed(consume.run, consumer, [Map(SLOW)], iter(BATCHES), 0)
    assert (found.op, found.position, found.record) == (consumer, 1, None)


@pytest.mark.parametrize("ops", [[], [Map(SLOW)], [MapValues(SLOW)], [MapPartitions(user(iter))], [Filter(SLOW)]])
@pytest.mark.parametrize("key", [1, 7])
def test_a_merge_is_blamed_with_key_and_value(ops, key):
    batches = [[(1, 1), (key, 2)], [(key, 3), (key, 7)]]
    found, _ = blamed(combine, adding(), ops, iter(batches), 0, error=KeyError)
    assert (found.position, found.record) == (len(ops), f"({key}, 7)")
    assert found.operation.startswith("reduceByKey(")


def test_what_no_operation_raised_is_nobodys_fault():
    def broken():
        yield [1]
        raise OSError("disk")

    for run in (collect, stream, emit, count):
        found, _ = blamed(run, [Map(SLOW)], broken(), error=OSError)
        assert found is None
    assert fuse.blame(ValueError("elsewhere")) is None


@given(st.lists(st.integers(0, 30), min_size=1, max_size=40), st.lists(st.integers(1, 9), min_size=1, max_size=3))
def test_the_blamed_record_is_always_the_first_bad_one(records, sizes):
    batches, rest = [], records
    while rest:
        for size in sizes:
            batches, rest = [*batches, rest[:size]], rest[size:]
    ops = [Map(user(lambda x: x - 1)), Filter(user(lambda x: x % 2)), Map(user(lambda x: 1 // (x % 5)))]
    first_bad = next((x - 1 for x in records if (x - 1) % 2 and not (x - 1) % 5), None)
    for form in FORMS:
        if first_bad is None:
            form(ops, [b for b in batches if b])
        else:
            found, _ = blamed(form, ops, [b for b in batches if b], error=ZeroDivisionError)
            assert found.record == repr(first_bad)


def stops(*arguments):
    raise StopIteration("mine")


STOPS = user(stops, "map", 5)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("before", [[], [Map(SLOW)], [FlatMap(user(lambda x: [x]))], [MapPartitions(user(iter))]])
@pytest.mark.parametrize("kind", [Map, Filter, FlatMap, KeyBy, MapValues, FlatMapValues, MapPartitions])
def test_stop_iteration_of_a_function_is_an_error(form, before, kind):
    op = kind(STOPS)
    found, error = blamed(form, [*before, op], PAIRED, error=StopIterationInTask)
    assert "Caught StopIteration thrown from user's code; failing the task" in str(error)
    assert isinstance(error.__cause__, StopIteration)
    assert (found.op, found.position) == (op, len(before))
    assert found.record == (None if kind is MapPartitions else "(1, 1)")


@pytest.mark.parametrize(
    "consumer",
    [Foreach(STOPS), Reduce(STOPS), Fold(dumps(0), STOPS), Apply(STOPS)],
)
def test_stop_iteration_of_a_consumers_function_is_an_error(consumer):
    found, _ = blamed(consume.run, consumer, [Map(SLOW)], iter(BATCHES), 0, error=StopIterationInTask)
    assert found.op is consumer


@pytest.mark.parametrize(
    "aggregator",
    [
        Aggregator(None, STOPS, STOPS),
        Aggregator(STOPS, GOOD, GOOD),
        Aggregator(None, STOPS, STOPS, zero=dumps(0)),
        Aggregator(None, STOPS, STOPS, zero=dumps([])),
    ],
)
def test_stop_iteration_of_an_aggregation_is_an_error(aggregator):
    found, _ = blamed(combine, aggregator, [], iter([[(1, 1), (1, 2)]]), 0, error=StopIterationInTask)
    assert found.op is aggregator


class StopsWhenHashed:
    def __hash__(self):
        raise StopIteration


@pytest.mark.parametrize(
    "ops", [[], [Map(user(lambda x: (x, 1)))], [FlatMap(user(lambda x: [x])), Map(user(lambda x: (x, 1)))]]
)
def test_stop_iteration_from_within_c_code_is_an_error(ops):
    record = StopsWhenHashed() if ops else (StopsWhenHashed(), 1)
    f = user(operator.add)
    blamed(combine, Aggregator(None, f, f), ops, iter([[record]]), 0, error=StopIterationInTask)


def test_an_iterator_that_a_function_returns_may_stop_as_it_likes():
    class Once:
        def __init__(self, x):
            self.items = [x]

        def __iter__(self):
            return self

        def __next__(self):
            if not self.items:
                raise StopIteration("done")
            return self.items.pop()

    for form in (collect, stream):
        assert form([FlatMap(user(Once))], BATCHES) == [1, 2, 6, 7, 8, 9]
        assert form([MapPartitions(user(lambda it: Once(5)))], BATCHES) == [5]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("after", [[], [Map(SLOW)]])
def test_a_flat_map_function_must_return_an_iterable(form, after):
    op = FlatMap(user(lambda x: [x] if x != 7 else 5, "flatMap", 5))
    found, error = blamed(form, [op, *after], BATCHES, error=TypeError)
    assert str(error).endswith("at job.py:5 must return an iterable, but returned 5 (int) for the record 7")
    assert str(error).startswith("flatMap(")
    assert (found.op, found.record) == (op, "7")


@pytest.mark.parametrize("form", FORMS)
def test_a_flat_map_values_function_must_return_an_iterable(form):
    op = FlatMapValues(user(lambda x: None, "flatMapValues", 5))
    _, error = blamed(form, [op], PAIRED, error=TypeError)
    assert "must return an iterable, but returned None (NoneType) for the record (1, 1)" in str(error)


def test_a_flat_map_into_a_count_must_return_an_iterable():
    f = user(operator.add)
    ops = [FlatMap(user(lambda x: 5, "flatMap", 5)), Map(user(lambda x: (x, 1)))]
    _, error = blamed(combine, Aggregator(None, f, f), ops, iter(BATCHES), 0, error=TypeError)
    assert "must return an iterable, but returned 5 (int) for the record 1" in str(error)


def test_type_errors_of_the_users_own_iterables_stay_what_they_are():
    class Odd:
        def __iter__(self):
            raise TypeError("not today")

    for form in FORMS:
        _, error = blamed(form, [FlatMap(user(lambda x: Odd()))], BATCHES, error=TypeError)
        assert str(error) == "not today"


@pytest.mark.parametrize("returned", [None, 5])
def test_a_map_partitions_function_must_return_an_iterable(returned):
    op = MapPartitions(user(lambda it: returned, "mapPartitions", 8))
    found, error = blamed(collect, [op], BATCHES, error=TypeError)
    assert "mapPartitions(" in str(error)
    assert f"at job.py:8 must return an iterable, but returned {returned!r}" in str(error)
    assert found.op is op


@pytest.mark.parametrize("op", [Keys(), Values(), MapValues(SLOW), FlatMapValues(SLOW)])
@pytest.mark.parametrize("form", FORMS)
def test_what_is_no_pair_is_named(form, op):
    found, error = blamed(form, [op], [[(1, [2])], [5]], error=TypeError)
    assert str(error).endswith("needs pairs (key, value), but a record is 5 (int)")
    assert found.op is op
    assert found.record == "5"


@pytest.mark.parametrize("ops", [[], [Map(GOOD)], [Map(SLOW)], [FlatMap(user(lambda x: [x]))], [Filter(SLOW)]])
@pytest.mark.parametrize(("record", "kind"), [(5, TypeError), ((1, 2, 3), ValueError), ("a", ValueError)])
@pytest.mark.parametrize("aggregator", [adding(), GROUP])
def test_a_combine_needs_pairs(ops, record, kind, aggregator):
    found, error = blamed(combine, aggregator, ops, iter([[(1, 2)], [(1, 3), record]]), 0, error=kind)
    assert "needs pairs (key, value), but" in str(error)
    assert repr(record) in str(error)
    assert found.record == repr(record)
    assert type(error) is kind


def test_errors_of_c_functions_are_not_taken_for_records_that_are_no_pairs():
    with pytest.raises(TypeError, match=r"object of type 'int' has no len"):
        combine(adding(), [Map(user(len))], iter([[5]]), 0)
    with pytest.raises(ValueError, match="invalid literal for int"):
        combine(adding(), [Map(user(int))], iter([["x"]]), 0)


@pytest.mark.parametrize("ops", [[], [Map(SLOW)], [MapValues(SLOW)], [MapPartitions(user(iter))]])
@pytest.mark.parametrize("aggregator", [adding(), GROUP, Aggregator(None, user(operator.add), user(operator.add))])
@pytest.mark.parametrize("key", [[1], (1, [2])])
def test_a_key_without_a_hash_is_named(ops, aggregator, key):
    found, error = blamed(combine, aggregator, ops, iter([[(1, 1)], [(key, 2)]]), 0, error=UnhashableKey)
    assert f"cannot use {key!r} ({type(key).__name__}) as a key: unhashable type: 'list'" in str(error)
    assert found.op is aggregator
    assert found.record == repr((key, 2))


@pytest.mark.parametrize("before", [[], [FlatMap(user(lambda x: x, "flatMap"))]])
@pytest.mark.parametrize("make", [lambda x: (x, 1), lambda x: (x, None)])
def test_a_key_without_a_hash_is_named_by_kernels_too(before, make):
    f = user(operator.add) if make(0)[1] else user(lambda a, b: a)
    batches = [[["a"], ["b", [1]]]] if before else [["a"], ["b", [1]]]
    _, error = blamed(
        combine, Aggregator(None, f, f), [*before, Map(user(make))], iter(batches), 0, error=UnhashableKey
    )
    assert "cannot use [1] (list) as a key: unhashable type: 'list'" in str(error)


def test_hashes_that_fail_in_the_users_own_code_stay_what_they_are():
    class Odd:
        def __hash__(self):
            raise TypeError("no hash today")

    with pytest.raises(TypeError, match="no hash today") as caught:
        combine(adding(), [], iter([[(Odd(), 1)]]), 0)
    assert not isinstance(caught.value, UnhashableKey)


@pytest.mark.parametrize("how", ["inner", "left", "right", "full"])
def test_a_join_that_fails_afterwards_names_the_joined_pair(how):
    ops = [JoinPairs(how), MapValues(user(lambda pair: 1 // (pair[1] - 7)))]
    for form in FORMS:
        found, _ = blamed(form, ops, [[(1, ([1], [2])), (2, ([5], [7]))]], error=ZeroDivisionError)
        assert (found.position, found.record) == (1, "(2, (5, 7))")


def test_tracebacks_show_the_source_of_the_loop():
    _, error = blamed(collect, [FlatMap(user(lambda x: [x])), Map(BAD)], BATCHES, error=KeyError)
    text = "".join(traceback.format_exception(error))
    assert 'File "<rddlite fused ' in text
    assert "= f1(r0)  # map" in text
    assert "fails_at_7" in text


def test_user_exceptions_pass_unchanged():
    class Mine(Exception):
        pass

    mine = Mine("as it was")

    def fails(x):
        raise mine

    for form in FORMS:
        _, error = blamed(form, [Map(user(fails))], BATCHES, error=Mine)
        assert error is mine
        assert error.__cause__ is None
        assert error.__context__ is None


def test_take_fails_only_if_it_gets_that_far():
    ops = [Map(BAD)]
    assert consume.run(Take(3), ops, iter(BATCHES), 0) == [1, 2, 6]
    found, _ = blamed(consume.run, Take(4), ops, iter(BATCHES), 0, error=KeyError)
    assert found.record == "7"
