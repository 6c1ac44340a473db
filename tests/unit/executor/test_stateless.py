"""Which stages may be made once for all tasks of a worker: where nobody can tell."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from typing import Any

import pytest

from rddlite.base.callsite import CallSite
from rddlite.executor.payloads import Stages, load_stage
from rddlite.executor.stateless import keeps_nothing
from rddlite.lineage import taskside
from rddlite.lineage.consumers import Apply, Count
from rddlite.lineage.ops import Map, UserFunction
from rddlite.lineage.sources import Range
from rddlite.serde.closures import dumps_function, loads_function
from tests.unit.driver.test_payloads import mapped, payload

SITE = CallSite("map", "job.py", 1)
SOURCE = """
import functools, math, operator, random
LIMIT, TABLE, COUNT = 3, {}, 0
def plain(x): return x + LIMIT
def calls(x): return math.sqrt(plain(x))
def nested(x): return [y * LIMIT for y in range(x) if (lambda z: z)(y)]
def default(x, y=(1, "a")): return x, y
def counts(x):
    global COUNT
    COUNT += 1
    return COUNT
def looks(x): return TABLE.setdefault(x, len(TABLE))
def collects(x, seen=[]):
    seen.append(x)
    return len(seen)
def marks(x):
    marks.last = x
def marks_another(x):
    plain.last = x
def round_about(x): globals()["COUNT"] = x
def by_code(x): exec("COUNT = 1", plain.__globals__)
def recursive(x): return x and recursive(x - 1)
@functools.lru_cache
def cached(x): return x
def uses_cached(x): return cached(x)
def counter():
    n = 0
    def count(x):
        nonlocal n
        n += 1
        return n
    return count
def captures(value): return lambda x: (x, value)
def inner_state(x):
    n = 0
    def count():
        nonlocal n
        n += 1
    count()
    return n
PARTS, SET, POWERS = (plain, 1), frozenset({plain}), functools.partial(pow, 2)
def by_tuple(x): PARTS[0].last = x
def by_set(x):
    for f in SET: del f.last
def by_partial(x): POWERS.last = x
def by_keywords(x): POWERS.keywords["mod"] = x
def by_default(x, f=plain): f.last = x
by_argument = functools.partial(by_default, f=plain)
def by_annotations(x): plain.__annotations__["last"] = x
change, take, mark = setattr, operator.attrgetter("__dict__"), operator.methodcaller("__setattr__", "last", 1)
def by_builtin(x): change(plain, "last", x)
def by_getter(x): take(plain)["last"] = x
def by_caller(x): mark(plain)
cover = functools.update_wrapper
def by_wrapping(x): cover(plain, calls)
class Kept:
    n = 0
def uses_class(x): Kept.n += 1
"""
"""Of a program: what is defined in it travels by value."""


@pytest.fixture(scope="module")
def program() -> dict[str, Any]:
    found: dict[str, Any] = {"__name__": "__main__"}
    exec(SOURCE, found)
    return found


def is_shared(f: Callable[..., Any]) -> bool:
    """As a worker sees the function."""
    return keeps_nothing([Map(UserFunction(loads_function(dumps_function(f, "f")), SITE))])


@pytest.mark.parametrize("name", ["plain", "calls", "nested", "default", "recursive"])
def test_functions_that_keep_nothing_are_shared(program, name):
    assert is_shared(program[name])


@pytest.mark.parametrize(
    "name",
    [
        "counts", "looks", "collects", "marks", "marks_another", "round_about", "by_code", "cached", "uses_cached",
        "inner_state", "uses_class",
    ],
)  # fmt: skip
def test_functions_that_may_keep_something_are_not(program, name):
    assert not is_shared(program[name])


def test_what_closures_hold_decides(program):
    captures = program["captures"]
    assert all(is_shared(captures(value)) for value in (1, "a", None, (1, (b"b", 2.5)), frozenset({1}), len))
    assert not any(is_shared(captures(value)) for value in ([], {}, (1, []), object(), bytearray(), program["Kept"]()))
    assert not is_shared(program["counter"]())


def test_what_every_process_finds_by_name_is_shared_anyway():
    assert all(map(is_shared, (len, operator.add, str, operator.itemgetter(1), taskside.identity, functools.reduce)))


def test_what_cannot_be_looked_at_is_not_shared(program):
    f = loads_function(dumps_function(program["plain"], "plain"))
    assert keeps_nothing([Map(UserFunction(f, SITE))])
    f.__module__ = ["no name"]
    assert not keeps_nothing([Map(UserFunction(f, SITE))])


def test_partial_functions_are_what_they_hold(program):
    drain = taskside.drain
    assert is_shared(functools.partial(drain, program["plain"]))
    assert not is_shared(functools.partial(drain, program["collects"]))
    assert not is_shared(functools.partial(drain, []))


@pytest.mark.parametrize(
    "name",
    [
        "by_tuple", "by_set", "by_partial", "by_keywords", "by_default", "by_argument", "by_annotations", "by_builtin",
        "by_getter", "by_caller", "by_wrapping",
    ],
)  # fmt: skip
def test_nothing_is_left_in_functions_however_they_are_reached(program, name):
    assert not is_shared(program[name])


def test_a_worker_makes_such_a_stage_once_from_its_second_task_on(program):
    one = payload(mapped(Range(SITE, range(4), 2), program["plain"]), Count())
    stages, blobs = Stages(), {one.digest: one.data}
    first, second, third = (stages.for_task(one.digest, blobs) for _ in range(3))
    assert first is not second
    assert second is third
    other = payload(mapped(Range(SITE, range(4), 2), program["calls"]), Count())
    stages.for_task(other.digest, {other.digest: other.data})
    assert stages.for_task(one.digest, blobs) is not third, "it was forgotten with its payload"


def test_a_worker_makes_any_other_stage_for_each_task(program):
    one = payload(Range(SITE, range(4), 2), Apply(UserFunction(program["collects"], SITE)))
    stages, blobs = Stages(), {one.digest: one.data}
    functions = [stages.for_task(one.digest, blobs).consumer.f.call for _ in range(4)]
    assert [f(0) for f in functions] == [1, 1, 1, 1]
    assert load_stage(one.data).consumer.f.call(0) == 1
