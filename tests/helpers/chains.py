"""Chains of record operations for tests: made at random, and done the obvious way on plain lists."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Iterator
from typing import Any

from hypothesis import strategies as st

from rddlite.base.callsite import CallSite
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
    Op,
    UserFunction,
    Values,
)


def user(call: Callable[..., Any], method: str = "map", line: int = 12) -> UserFunction:
    """A function as tasks get it, given by the user in line `line` of job.py."""
    return UserFunction(call, CallSite(method, "/home/ann/job.py", line))


def naive(ops: list[Op], records: list[Any], index: int = 0) -> list[Any]:
    """What a chain means."""
    for op in ops:
        records = _one_op(op, records, index)
    return records


def _one_op(op: Op, records: list[Any], index: int) -> list[Any]:
    match op:
        case Map(f):
            return [f.call(r) for r in records]
        case Filter(f):
            return [r for r in records if f.call(r)]
        case FlatMap(f):
            return [x for r in records for x in f.call(r)]
        case MapValues(f):
            return [(r[0], f.call(r[1])) for r in records]
        case FlatMapValues(f):
            return [(r[0], x) for r in records for x in f.call(r[1])]
        case KeyBy(f):
            return [(f.call(r), r) for r in records]
        case Keys():
            return [r[0] for r in records]
        case Values():
            return [r[1] for r in records]
        case MapPartitions(f, with_index):
            return list(f.call(index, iter(records)) if with_index else f.call(iter(records)))
        case Glom():
            return [list(records)]
        case JoinPairs(how):
            return [pair for r in records for pair in _joined(how, *r)]
    raise AssertionError(op)


def _joined(how: str, key: Any, sides: tuple[list[Any], list[Any]]) -> list[Any]:
    left, right = sides
    if how in ("right", "full"):
        left = left or [None]
    if how in ("left", "full"):
        right = right or [None]
    return [(key, (v, w)) for v in left for w in right]


def cut(records: list[Any], sizes: list[int]) -> Iterator[list[Any]]:
    """Records in batches of the given sizes, over and over."""
    at = 0
    while at < len(records):
        for size in sizes:
            if at < len(records):
                yield records[at : at + size]
                at += size


def weight(x: Any) -> int:
    """A number for anything."""
    return len(str(type(x))) if isinstance(x, (list, tuple, dict)) else len(repr(x))


def short(x: Any) -> str:
    """A few characters for anything."""
    return type(x).__name__[:2] if isinstance(x, (list, tuple, dict)) else repr(x)[:3]


def _generate(x: Any) -> Iterator[Any]:
    yield x
    if weight(x) % 2:
        yield (x, x)


class Callable2:
    """A callable object, which is no function."""

    def __call__(self, x: Any) -> Any:
        return (weight(x) % 5, x)

    def method(self, x: Any) -> Any:
        return weight(x) % 3


def _beside(*given: Any, last: Any = None) -> Any:
    return [given, last] if last else given


def _is_in(remainders: tuple[int, ...], x: Any) -> bool:
    return weight(x) % 3 in remainders


_TO_ANY = [
    weight,
    lambda x: x,
    short,
    Callable2().method,
    lambda x: [x],
    lambda x: (x, weight(x) % 2),
    functools.partial(_beside, "a", "b"),
    functools.partial(functools.partial(_beside, 1), 2),
    functools.partial(_beside, 1, last=2),
    functools.partial(_beside, *range(20)),
    functools.partial(weight),
]
_TO_PAIR = [
    lambda x: (x, 1),
    lambda x: (x, None),
    lambda x: (x, 1.0),
    lambda x: (weight(x) % 3, x),
    Callable2(),
    functools.partial(_beside, 0),
]
_OF_PAIR = [lambda p: p[0], lambda p: p[1], operator.itemgetter(0), operator.itemgetter(1), weight, lambda p: p]
_PAIR_TO_PAIR = [lambda p: (p[1], p[0]), lambda p: p, lambda p: (p[0], weight(p))]
_TESTS = [lambda x: weight(x) % 2, lambda x: x, lambda x: True, weight, functools.partial(_is_in, (1, 2))]
_TO_MANY = [
    lambda x: [x, x],
    lambda x: (),
    lambda x: (x, 1, x),
    _generate,
    short,
    lambda x: range(weight(x) % 4),
    lambda x: {weight(x): x},
    lambda x: [x] * (weight(x) % 3),
    functools.partial(_beside, 0),
]
_TO_SIDES = [
    lambda x: (weight(x) % 3, ([x] * (weight(x) % 3), [1, 2][: weight(x) % 2])),
    lambda x: (x, ([], [x])),
    lambda x: (x, ([x], [])),
]
_PARTITIONS = [
    lambda it: (x for x in it),
    list,
    lambda it: [x for x in it if weight(x) % 2],
    iter,
    lambda it: (),
    lambda it: [sum(1 for _ in it)],
    lambda it: {"a": 1, "b": list(it)},
]


@st.composite
def chains(draw: st.DrawFn, most: int = 7, with_partitions: bool = True) -> list[Op]:
    """A chain that can be done on any records."""
    ops: list[Op] = []
    is_pair = False
    growing = 0
    for _ in range(draw(st.integers(0, most))):
        new, is_pair = draw(_steps(is_pair, with_partitions, growing < 3))
        growing += isinstance(new[-1], (FlatMap, FlatMapValues, JoinPairs))
        ops += new
    return ops


@st.composite
def _steps(draw: st.DrawFn, is_pair: bool, with_partitions: bool, may_grow: bool) -> tuple[list[Op], bool]:
    def pick(functions: list[Any]) -> UserFunction:
        return user(draw(st.sampled_from(functions)))

    kinds = ["any", "filter", "pair", "key"]
    kinds += ["many", "join"] if may_grow else []
    kinds += ["partition", "glom", "indexed"] if with_partitions else []
    kinds += ["keys", "values", "of pair", "pair to pair", "value"] * 2 if is_pair else []
    kinds += ["many values"] * 2 if is_pair and may_grow else []
    match draw(st.sampled_from(kinds)):
        case "any":
            return [Map(pick(_TO_ANY))], False
        case "filter":
            return [Filter(pick(_TESTS))], is_pair
        case "many":
            return [FlatMap(pick(_TO_MANY))], False
        case "pair":
            return [Map(pick(_TO_PAIR))], True
        case "key":
            return [KeyBy(pick(_TO_ANY))], True
        case "join":
            how = draw(st.sampled_from(["inner", "left", "right", "full"]))
            return [Map(pick(_TO_SIDES)), JoinPairs(how)], True
        case "partition":
            return [MapPartitions(pick(_PARTITIONS))], False
        case "indexed":
            return [MapPartitions(user(lambda i, it: [(i, x) for x in it]), with_index=True)], True
        case "glom":
            return [Glom()], False
        case "keys":
            return [Keys()], False
        case "values":
            return [Values()], False
        case "of pair":
            return [Map(pick(_OF_PAIR))], False
        case "pair to pair":
            return [Map(pick(_PAIR_TO_PAIR))], True
        case "value":
            return [MapValues(pick(_TO_ANY + _TO_PAIR))], True
        case "many values":
            return [FlatMapValues(pick(_TO_MANY))], True
    raise AssertionError


RECORDS = st.lists(
    st.one_of(
        st.integers(-9, 9), st.text(max_size=3), st.booleans(), st.none(), st.tuples(st.integers(0, 3), st.text())
    ),
    max_size=25,
)
SIZES = st.lists(st.integers(1, 30), min_size=1, max_size=4)
