"""Arguments are checked at the call: what passes, and what the errors say."""

from __future__ import annotations

import functools
import threading

import numpy as np
import pytest

from rddlite.api.arguments import MOST_PARTITIONS, count, integer, own_function, partitions, pickled_zero, text
from rddlite.api.arguments import user_function as function
from rddlite.base.callsite import CallSite
from rddlite.errors import NotPicklable
from rddlite.serde.closures import loads

SITE = CallSite("method", "job.py", 3)


class Callable:
    def __call__(self):
        return 1

    def method(self):
        return 2


@pytest.mark.parametrize("f", [len, int, Callable(), Callable().method, functools.partial(max, 1), lambda: None])
def test_callables_of_any_kind(f):
    wrapped = function(f, SITE)
    assert wrapped.call is f
    assert wrapped.site is SITE
    assert wrapped.blob is None


@pytest.mark.parametrize(("f", "shown"), [(None, "NoneType"), (3, "int 3"), ("len", "str 'len'"), ("x" * 99, "str")])
def test_what_cannot_be_called(f, shown):
    with pytest.raises(TypeError) as caught:
        function(f, SITE, "func")
    assert str(caught.value) == f"method: func must be a function, not {shown}"


def test_own_functions_are_called_by_the_users_name():
    def parse(x):
        return x

    assert own_function(functools.partial(max, 1), SITE, parse).name.endswith("parse")
    assert own_function(functools.partial(max, 1), SITE).name == "method"


@pytest.mark.parametrize("n", [1, 7, np.int64(3), MOST_PARTITIONS])
def test_counts(n):
    assert count(n, SITE, "num", 1) == n
    assert partitions(n, SITE) == n
    assert type(partitions(n, SITE)) is int


@pytest.mark.parametrize("n", [None, 1.0, "1", True, np.float64(1), [1]])
def test_what_is_no_int(n):
    with pytest.raises(TypeError, match=r"^method: num must be an int, not "):
        integer(n, SITE, "num")


def test_counts_out_of_range():
    with pytest.raises(ValueError, match=r"^method: num must be 2 or more, not 1$"):
        count(1, SITE, "num", 2)
    with pytest.raises(ValueError, match=r"^method: numPartitions must be 10,000,000 or less, not 10,000,001$"):
        partitions(MOST_PARTITIONS + 1, SITE)
    assert integer(-5, SITE, "start") == -5


def test_text():
    assert text("a", SITE, "name") == "a"
    with pytest.raises(TypeError, match=r"^method: name must be a str, not bytes b'a'$"):
        text(b"a", SITE, "name")


def test_zeros():
    zero = [1]
    assert loads(pickled_zero(zero, SITE)) == [1]
    with pytest.raises(NotPicklable, match="zeroValue"):
        pickled_zero([threading.Lock()], SITE)
