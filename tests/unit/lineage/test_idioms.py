"""What is recognised, and what only looks like it."""

from __future__ import annotations

import functools
import operator

import pytest

from rddlite.lineage.idioms import binary, unary

ONE = 1


def documented(word: str) -> tuple[str, int]:
    """One occurrence."""
    return (word, 1)


def documented_add(left: int, right: int) -> int:
    """Their sum."""
    return left + right


def plain(x):
    return x


def returns_its_docstring(x):
    "a"
    return (x, "a")


def with_none(x):
    "a"
    return (x, None)


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("identity", lambda x: x),
        ("identity", plain),
        ("pair_one", lambda word: (word, 1)),
        ("pair_one", documented),
        ("pair_none", lambda x: (x, None)),
        ("pair_none", with_none),
        ("first", lambda kv: kv[0]),
        ("first", operator.itemgetter(0)),
        ("second", lambda kv: kv[1]),
        ("second", operator.itemgetter(1)),
        ("swap", lambda kv: (kv[1], kv[0])),
    ],
)
def test_functions_of_one_record(name, function):
    assert unary(function) == name
    assert binary(function) is None


@pytest.mark.parametrize(
    "function",
    [
        lambda x: (x, 1.0),
        lambda x: (x, True),
        lambda x: (x, 2),
        lambda x: (x, "a"),
        lambda x: (x, ONE),
        lambda x: (1, x),
        lambda x: [x, 1],
        lambda x, y=1: (x, 1),
        lambda x, *, y=1: x,
        lambda *x: x,
        lambda **x: x,
        lambda x: x[True],
        lambda x: x[-1],
        lambda x: x[2],
        lambda x: (x[0], x[1]),
        lambda x: (yield x),
        lambda: None,
        returns_its_docstring,
        operator.itemgetter(True),
        operator.itemgetter(0, 1),
        operator.itemgetter("0"),
        functools.partial(lambda x: x),
        [].append,
        len,
        str,
        plain.__call__,
        None,
    ],
)
def test_other_functions_of_one_record(function):
    assert unary(function) is None


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("add", operator.add),
        ("add", lambda a, b: a + b),
        ("add", documented_add),
        ("mul", operator.mul),
        ("mul", lambda x, y: x * y),
        ("max", max),
        ("min", min),
        ("left", lambda a, b: a),
        ("left", lambda x, _: x),
        ("right", lambda a, b: b),
    ],
)
def test_functions_that_merge(name, function):
    assert binary(function) == name
    assert unary(function) is None


def closing_over(b):
    return lambda a, c: a + b


@pytest.mark.parametrize(
    "function",
    [
        operator.iadd,
        operator.sub,
        lambda a, b: b + a,
        lambda a, b: a - b,
        lambda a, b, c=0: a + b,
        lambda a, b: max(a, b),
        lambda a, b: a + b + 0,
        closing_over(1),
        sum,
        functools.partial(operator.add, 1),
    ],
)
def test_other_functions_that_merge(function):
    assert binary(function) is None


def test_a_docstring_set_later_deceives_nobody():
    function = eval("lambda x: (x, 'a')")
    function.__doc__ = "a"
    assert unary(function) is None
    function = eval("lambda x: (x, 1)")
    function.__doc__ = "a"
    assert unary(function) == "pair_one"
