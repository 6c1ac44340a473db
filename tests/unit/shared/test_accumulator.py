"""Accumulators in tasks and on the driver, and their updates on the way."""

from __future__ import annotations

import gc
import pickle
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from typing import Any, NoReturn

import numpy
import pytest

from rddlite.base.callsite import CallSite
from rddlite.errors import DriverOnly, JobError, NotPicklable, UsageError
from rddlite.serde.closures import dumps, loads
from rddlite.shared.accumulator import (
    INT_ACCUMULATOR_PARAM,
    Accumulator,
    AccumulatorParam,
    accumulator_on_driver,
    next_accumulator_id,
)
from rddlite.shared.current import CurrentTask, current_task
from rddlite.shared.updates import MOST_BYTES, add_updates, pack_updates

SITE = CallSite("accumulator", "job.py", 3)


class Lists(AccumulatorParam[list[Any]]):
    def zero(self, value: list[Any]) -> list[Any]:
        return []

    def addInPlace(self, value1: list[Any], value2: list[Any]) -> list[Any]:
        value1 += value2
        return value1


def make(value: Any = 0, param: Any = INT_ACCUMULATOR_PARAM) -> Accumulator[Any]:
    return Accumulator(next_accumulator_id(), value, param, SITE)


@contextmanager
def task(attempt: int = 0) -> Iterator[CurrentTask]:
    current = CurrentTask(0, 0, 0, attempt)
    token = current_task.set(current)
    try:
        yield current
    finally:
        current_task.reset(token)
        for gathered in current.updates.values():
            gathered.task_ended()


def in_a_task(blob: bytes, *terms: Any) -> bytes:
    """What a task packs that unpickles an accumulator and adds these."""
    with task() as current:
        part = loads(blob)
        for term in terms:
            part.add(term)
        return pack_updates(current.updates)


def test_on_the_driver_it_is_a_variable() -> None:
    acc = make(1)
    acc += 2
    acc.add(3)
    assert acc.value == 6
    acc.value = 10
    assert acc.value == 10
    assert "job.py:3" in repr(acc)


def test_what_a_task_adds_is_added_on_the_driver() -> None:
    acc = make(100)
    blob = dumps(acc)
    updates = [in_a_task(blob, 1, 2), in_a_task(blob, 3)]
    assert acc.value == 100
    add_updates(updates)
    assert acc.value == 106


def test_a_task_that_adds_nothing_sends_nothing() -> None:
    assert in_a_task(dumps(make())) == b""


def test_a_zero_that_can_be_changed_is_new_in_each_task() -> None:
    acc = make([], Lists())
    blob = dumps(acc)
    add_updates([in_a_task(blob, [1], [2]), in_a_task(blob, [3])])
    assert acc.value == [1, 2, 3]


def test_two_copies_in_one_task_are_one_accumulator() -> None:
    acc = make([], Lists())
    blob = dumps(acc)
    with task() as current:
        first, second = loads(blob), loads(blob)
        first.add([1])
        second.add([2])
        first.add([3])
        packed = pack_updates(current.updates)
    add_updates([packed])
    assert acc.value == [1, 2, 3]


def test_the_drivers_own_object_in_a_task_adds_to_the_task() -> None:
    acc = make([5], Lists())
    with task() as current:
        acc.add([1])
        assert current.updates[acc.aid].value == [1]
    assert acc.value == [5]


def test_a_copy_that_outlives_its_task_belongs_to_the_next_one() -> None:
    acc = make()
    with task(1) as first:
        part = loads(dumps(acc))
        part.add(1)
    with task(2) as second:
        part.add(10)
    assert (first.updates[acc.aid].value, second.updates[acc.aid].value) == (1, 10)


@pytest.mark.parametrize("terms", [[1, 2.5, True], [1, Fraction(1, 2), 2], [Fraction(1, 3)], [0]], ids=repr)
def test_numbers_of_all_kinds_are_added_up(terms: list[Any]) -> None:
    acc = make()
    add_updates([in_a_task(dumps(acc), *terms)])
    assert acc.value == sum(terms)


def test_arrays_that_are_added_to_a_number_are_not_changed() -> None:
    acc, array = make(), numpy.array([1, 2])
    with task() as current:
        part = loads(dumps(acc))
        part.add(array)
        part.add(array)
        part.add(3)
        assert current.updates[acc.aid].value.tolist() == [5, 7]
    assert array.tolist() == [1, 2]


@pytest.mark.parametrize("terms", [(1, 2.5), (Fraction(1, 2), 1), (True, 1)])
def test_what_is_kept_of_it_adds_to_the_task_that_runs(terms: tuple[Any, ...]) -> None:
    acc = make()
    with task() as first:
        part = loads(dumps(acc))
        part.add(1)
        add = part.add  # as a callback that a module keeps from one task to the next
    with task(1) as second:
        for term in terms:
            add(term)
            part.add(term)
    add(100)
    assert [each.updates[acc.aid].value for each in (first, second)] == [1, 2 * sum(terms)]


def test_any_kind_that_is_kept_adds_to_the_task_that_runs() -> None:
    acc = make([], Lists())
    with task() as first:
        part = loads(dumps(acc))
        part.add([1])
        add = part.add
    with task(1) as second:
        add([2])
        part.add([3])
    assert [each.updates[acc.aid].value for each in (first, second)] == [[1], [2, 3]]


def test_a_thread_that_outlives_its_task_leaves_the_next_one_alone() -> None:
    acc = make()
    with task() as first:
        part = loads(dumps(acc))
        part.add(1)
    late = threading.Thread(target=part.add, args=(100,))
    late.start()
    late.join()
    with task(1) as second:
        part.add(2)
    assert [each.updates[acc.aid].value for each in (first, second)] == [1, 2]


def test_threads_of_a_task_add_to_it() -> None:
    acc = make()
    with task() as current:
        part = loads(dumps(acc))

        def add_many() -> None:
            for _ in range(500):
                part.add(1)

        threads = [threading.Thread(target=add_many) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert current.updates[acc.aid].value == 2000


def test_the_value_is_for_the_driver_only() -> None:
    acc = make()
    with task():
        part = loads(dumps(acc))
        with pytest.raises(DriverOnly, match="cannot be accessed inside tasks"):
            part.value  # noqa: B018
        with pytest.raises(DriverOnly, match="set on the driver"):
            part.value = 1
        assert "in a task" in repr(part)
    with pytest.raises(RuntimeError):
        part.value  # noqa: B018


def test_back_on_the_driver_it_is_itself() -> None:
    acc = make()
    assert loads(dumps(acc)) is acc
    with task():
        part = loads(dumps(acc))
        again = dumps(part)
    assert loads(again) is acc


def test_in_a_process_that_does_not_know_it_nothing_can_be_added() -> None:
    acc = make()
    blob, aid = dumps(acc), acc.aid
    del acc
    gc.collect()
    assert accumulator_on_driver(aid) is None
    stray = loads(blob)
    with pytest.raises(DriverOnly, match="another process"):
        stray.add(1)
    add_updates([in_a_task(blob, 1)])


def test_sums_of_classes_of_the_program_travel() -> None:
    class Most(AccumulatorParam[Any]):
        def zero(self, value: Any) -> Any:
            return None

        def addInPlace(self, value1: Any, value2: Any) -> Any:
            return value2 if value1 is None else max(value1, value2)

    acc = make(None, Most())
    blob = dumps(acc)
    add_updates([in_a_task(blob, "b", "a"), in_a_task(blob, "c")])
    assert acc.value == "c"


def test_a_sum_that_cannot_travel_is_named() -> None:
    blob = dumps(make([], Lists()))
    with pytest.raises(NotPicklable, match=r"accumulator \d+ \(accumulator at job.py:3\)"):
        in_a_task(blob, [threading.Lock()])


def test_a_sum_that_is_too_large_is_refused() -> None:
    blob = dumps(make([], Lists()))
    with pytest.raises(UsageError, match="at most 8"):
        in_a_task(blob, [bytes(MOST_BYTES)])


def test_an_error_on_the_driver_is_told_and_stops_no_other() -> None:
    class Picky(Lists):
        def addInPlace(self, value1: list[Any], value2: list[Any]) -> list[Any]:
            if value1 == ["the driver's"]:
                raise ArithmeticError("not here")
            return super().addInPlace(value1, value2)

    picky, other = make(["the driver's"], Picky()), make()
    with task() as current:
        loads(dumps(picky)).add([1])
        loads(dumps(other)).add(7)
        packed = pack_updates(current.updates)
    with pytest.raises(JobError, match="not here") as caught:
        add_updates([packed, in_a_task(dumps(other), 1)])
    assert isinstance(caught.value.__cause__, ArithmeticError)
    assert other.value == 8


class Half:
    def zero(self, value: Any) -> NoReturn:
        raise ValueError("no zero")


def test_a_zero_that_raises_raises_when_it_is_pickled() -> None:
    with pytest.raises(ValueError, match="no zero"):
        dumps(make(0, Half()))


class Locked(Lists):
    def __init__(self) -> None:
        self.lock = threading.Lock()


def test_what_of_it_cannot_be_pickled_is_named() -> None:
    with pytest.raises(NotPicklable) as caught:
        dumps(make([], Locked()))
    text = str(caught.value)
    assert "(accumulator at job.py:3) cannot be sent to other processes: cannot pickle '_thread.lock' object" in text
    assert "reached through its Locked -> attribute 'lock'. Leave it out" in text

    class Zero(Lists):
        def zero(self, value: Any) -> Any:
            return [threading.Lock()]

    with pytest.raises(NotPicklable, match=r"reached through its zero -> \[0\]"):
        dumps(make([], Zero()))


def test_params_say_what_they_lack() -> None:
    param: AccumulatorParam[Any] = AccumulatorParam()
    with pytest.raises(NotImplementedError, match="zero"):
        param.zero(1)
    with pytest.raises(NotImplementedError, match="addInPlace"):
        param.addInPlace(1, 2)


def test_plain_pickle_takes_it_too() -> None:
    acc = make()
    assert pickle.loads(pickle.dumps(acc)) is acc
