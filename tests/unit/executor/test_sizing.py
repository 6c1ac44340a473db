"""Guesses of sizes are near the truth for what is common, and never raise."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from rddlite.executor.sizing import weight, weight_each, weight_of_table
from rddlite.lineage.results import ResultIterable


class Point:
    def __init__(self, x: float, label: str) -> None:
        self.x, self.label = x, label


class Liar:
    def __sizeof__(self) -> int:
        raise RuntimeError


MAKES: list[Callable[[int], Any]] = [
    lambda i: 1000 + i,
    lambda i: i + 0.5,
    lambda i: f"word-{i}",
    lambda i: (f"word-{i}", i + 300),
    lambda i: [i + 300.5, f"{i}", (f"x{i}", 0.5 + i)],
    lambda i: Point(i + 0.5, f"label {i}"),
    lambda i: np.arange(i % 7, 100),
]


def allocated(make: Callable[[], Any]) -> tuple[int, Any]:
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        made = make()
        return tracemalloc.get_traced_memory()[0] - before, made
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("make", MAKES)
def test_items_of_lists(make: Callable[[int], Any]) -> None:
    size, items = allocated(lambda: [make(i) for i in range(2000)])
    assert 0.6 < 2000 * weight_each(items) / size < 1.7


@pytest.mark.parametrize("make", MAKES)
def test_tables(make: Callable[[int], Any]) -> None:
    size, table = allocated(lambda: {f"key{i}": make(i) for i in range(3000)})
    assert 0.6 < weight_of_table(table) / size < 1.7


def test_a_hot_key_does_not_make_all_others_look_large() -> None:
    table: dict[int, list[int]] = {i: [i] for i in range(1000)}
    table[0] = list(range(10**5))
    assert weight_of_table(table) < 10**6


def test_what_everybody_has_weighs_nothing() -> None:
    assert weight(None) == weight(True) == weight(7) == 0


def test_empty_things() -> None:
    assert weight_each([]) == weight_of_table({}) == 0
    assert weight([]) > 0


def test_objects_that_raise_when_asked() -> None:
    assert weight(Liar()) > 0


class Slotted:
    __slots__ = ("text", "unset")


class BelowSlotted(Slotted):
    __slots__ = ("more",)


def test_what_is_in_slots_counts() -> None:
    values = ["x" * 100] * 1000
    assert weight(ResultIterable(values)) == pytest.approx(weight(values), rel=0.01)
    assert weight(("key", ResultIterable(values))) > weight(values)
    both = BelowSlotted()
    both.text, both.more = "x" * 1000, "y" * 1000
    assert 2000 < weight(both) < 2300
