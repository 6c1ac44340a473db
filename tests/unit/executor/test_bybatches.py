"""What is done list by list is what the functions themselves do, however the records are cut into batches."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rddlite.base import samplers
from rddlite.base.callsite import CallSite
from rddlite.executor.fuse import emit, stream
from rddlite.executor.kernels import MOST_RECORDS
from rddlite.lineage import taskside
from rddlite.lineage.ops import Map, MapPartitions, UserFunction

SITE = CallSite("tests", "job.py", 1)


def doubled(batch: list[int]) -> Any:
    return (x for x in batch for _ in range(2))


FUNCTIONS = {
    "numbers": (partial(taskside.number_from, [0, 0, 7]), True),
    "steps": (partial(taskside.number_by_step, 3), True),
    "lists": (partial(taskside.in_batches, lambda batch: [batch], 3), False),
    "some": (partial(taskside.in_batches, lambda batch: [x for x in batch if x % 3], 2), False),
    "generators": (partial(taskside.in_batches, doubled, 4), False),
    "tenth": (partial(samplers.below, 0.1, 5), True),
    "half": (partial(samplers.below, 0.5, 5), True),
    "between": (partial(samplers.between, 0.2, 0.7, 5), True),
}


@pytest.mark.parametrize("name", FUNCTIONS)
@given(batches=st.lists(st.lists(st.integers(0, 99), min_size=1, max_size=9), max_size=6))
def test_as_one_by_one(name: str, batches: list[list[int]]) -> None:
    function, with_index = FUNCTIONS[name]
    ops = [
        Map(UserFunction(lambda x: x + 1, SITE)),
        MapPartitions(UserFunction(function, SITE), with_index),
        Map(UserFunction(lambda x: (x, 0), SITE)),
    ]
    found = [record for batch in emit(ops, iter(batches), 2) for record in batch]
    assert found == list(stream(ops, iter(batches), 2))


def test_large_answers_come_in_parts() -> None:
    op = MapPartitions(UserFunction(partial(taskside.in_batches, lambda batch: range(3 * MOST_RECORDS), 5), SITE))
    sizes = [len(batch) for batch in emit([op], iter([[1, 2]]), 0)]
    assert sizes == [MOST_RECORDS] * 3


def test_a_function_above_that_may_stop_gets_records_one_by_one() -> None:
    seen: list[int] = []
    ops = [
        Map(UserFunction(lambda x: seen.append(x) or x, SITE)),
        MapPartitions(UserFunction(partial(taskside.number_from, [0]), SITE), True),
        MapPartitions(UserFunction(lambda part: [next(iter(part))], SITE)),
    ]
    assert [record for batch in emit(ops, iter([[4, 5, 6]]), 0) for record in batch] == [(4, 0)]
    assert seen == [4]


@pytest.mark.parametrize("bounds", [(0.0, 0.0), (0.0, 1.0), (0.0, 1 / 256), (0.25, 0.5), (0.1, 0.10001), (0.999, 1.0)])
def test_draws_are_those_of_random(bounds: tuple[float, float]) -> None:
    low, high = bounds
    draw = samplers.generator(9, 4).random
    expected = [x for x in range(20_000) if low <= draw() < high]
    assert list(samplers.between(low, high, 9, 4, range(20_000))) == expected
