"""Whether records can be shared: whatever could be changed by somebody who was handed it must be found."""

from __future__ import annotations

import datetime
import enum
from collections import namedtuple
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from rddlite.lineage.results import ResultIterable
from rddlite.storage.immutable import all_immutable

Point = namedtuple("Point", "x y")
VIEWS = frozenset({ResultIterable})


class Loose(namedtuple("Loose", "x")):
    """A named tuple that has a `__dict__`."""


class Colour(enum.Enum):
    RED = 1


@dataclass(frozen=True)
class Frozen:
    x: Any


@dataclass(frozen=True)
class FrozenSlots:
    __slots__ = ("x",)
    x: Any


@dataclass
class Thawed:
    x: int


class Subclass(Frozen):
    """Not a dataclass itself: what it adds is unknown."""


@dataclass(frozen=True)
class Hidden:
    x: int
    more: list[int] = field(default_factory=list, repr=False, compare=False)


class Text(str):
    """Instances have a `__dict__`."""


SAFE = [
    1, 2.5, 1j, True, "text", b"bytes", None, ..., range(3), (), (1, "a"), (1, (2, (3, None))), frozenset({1, (2, 3)}),
    datetime.date(2020, 1, 1), datetime.timedelta(1), Point(1, (2,)), Colour.RED, Frozen(1), Frozen((1, Frozen("a"))),
    FrozenSlots(3), np.float64(1.5), np.int32(3), ResultIterable([1, (2, 3)]),
]  # fmt: skip
UNSAFE = [
    [], {}, set(), bytearray(b"x"), [1], (1, [2]), (1, (2, ({},))), frozenset({(1, Thawed)}) and Thawed(1), object(),
    Frozen([1]), Frozen((1, {})), FrozenSlots([]), Hidden(1), Subclass(1), Loose(1), Text("x"), Point(1, []),
    np.zeros(3), np.zeros(1, dtype=[("a", "i4")])[0], ResultIterable([[1]]), iter([]), (x for x in ()), lambda: 1,
]  # fmt: skip


@pytest.mark.parametrize("record", SAFE, ids=repr)
def test_safe(record: Any) -> None:
    assert all_immutable([record], VIEWS)
    assert all_immutable([1, (record, record), "x", record], VIEWS)


@pytest.mark.parametrize("record", UNSAFE, ids=lambda record: type(record).__name__)
def test_unsafe(record: Any) -> None:
    assert not all_immutable([record], VIEWS)
    assert not all_immutable([1, (2, (record,)), "x"], VIEWS)
    assert not all_immutable([Frozen(record)], VIEWS)


def test_views_count_only_where_they_are_named() -> None:
    assert not all_immutable([ResultIterable([1])])


def test_nesting_has_an_end() -> None:
    nested: Any = ()
    for _ in range(60):
        nested = (nested,)
    assert not all_immutable([nested])


def test_what_was_added_to_a_frozen_instance_counts() -> None:
    instance = Frozen(1)
    object.__setattr__(instance, "cache", [])
    assert not all_immutable([instance])


def test_no_records_at_all() -> None:
    assert all_immutable([])


@pytest.mark.parametrize("record", SAFE, ids=repr)
def test_many_that_are_alike_are_safe(record: Any) -> None:
    for row in ((record,), (record, 1), ("a", (1, (record, 2.5)))):
        assert all_immutable([row] * 20, VIEWS)
        assert all_immutable([row] * 20 + [(1, 2, 3)], VIEWS)


@pytest.mark.parametrize("record", UNSAFE, ids=lambda record: type(record).__name__)
@pytest.mark.parametrize("place", [0, 7, 19])
def test_one_among_many_that_are_alike_is_found(record: Any, place: int) -> None:
    def rows(row: Any, odd: Any) -> list[Any]:
        return [odd if i == place else row for i in range(20)]

    assert not all_immutable(rows(("a", 1), ("a", record)), VIEWS)
    assert not all_immutable(rows(("a", 1), (1, 2, record)), VIEWS)
    assert not all_immutable(rows(("a", 1), record), VIEWS)
    assert not all_immutable(rows(("a", (1, (2,))), ("a", (1, (record,)))), VIEWS)
    assert not all_immutable(rows(("a", (1, 2)), ("a", record)), VIEWS)


@pytest.mark.parametrize("width", [1, 2, 15, 16, 17, 40])
def test_tuples_of_any_length_are_looked_at(width: int) -> None:
    row = tuple(range(width))
    assert all_immutable([row] * 5)
    for i in range(width):
        assert not all_immutable([row] * 5 + [(*row[:i], [], *row[i + 1 :])])


def test_a_list_in_the_place_of_a_tuple_is_found() -> None:
    assert not all_immutable([(1, (2, 3)), (1, [2, 3])])
    assert not all_immutable([(1, 2), [1, 2]])
