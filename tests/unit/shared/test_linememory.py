"""Memory by lines: which code is watched, what is counted, how it is merged. Sizes are whatever they are."""

from __future__ import annotations

import functools
import sys

import pytest

from rddlite.shared.linememory import WatchedLines, codes_of, merged


def doubled(x):
    inner = [each * 2 for each in x]
    return inner


def generated(n):
    yield from range(n)


class Callable:
    def __call__(self, x):
        return x

    def method(self, x):
        return x


def other(x):
    return x


@pytest.mark.parametrize(
    ("given", "names"),
    [
        (doubled, {"doubled"}),
        (functools.partial(doubled, key=other), {"doubled", "other"}),
        (functools.partial(codes_of, doubled), {"doubled"}),  # what is rddlite's own is not watched
        (Callable(), {"__call__"}),
        (Callable().method, {"method"}),
        (len, set()),
    ],
)
def test_the_code_that_is_watched(given, names):
    assert {code.co_name for code in codes_of([given])} - {"<listcomp>"} == names


def test_lines_are_counted_and_the_trace_function_is_put_back():
    before = sys.gettrace()
    with WatchedLines(codes_of([doubled, generated])) as watched:
        assert doubled([1, 2]) == [2, 4]
        assert list(generated(3)) == [0, 1, 2]
        assert other(1) == 1
    assert sys.gettrace() is before
    (lines,) = watched.found.values()
    first = doubled.__code__.co_firstlineno
    assert lines[first + 2][2] == 1
    assert {line for line in lines if line < first + 3} == {first + 1, first + 2}
    assert generated.__code__.co_firstlineno + 1 in lines
    assert other.__code__.co_firstlineno + 1 not in lines
    assert all(most > 0 for _, most, _ in lines.values())


def test_an_exception_ends_the_watch_too():
    before = sys.gettrace()
    with pytest.raises(TypeError), WatchedLines(codes_of([doubled])) as watched:
        doubled(None)
    assert sys.gettrace() is before
    assert watched.found


def test_merged():
    one = {"a.py": {1: (1.0, 5.0, 1)}}
    other = {"a.py": {1: (2.0, 4.0, 3), 2: (0.0, 1.0, 1)}, "b.py": {7: (0.5, 2.0, 1)}}
    assert merged(one, other) == {"a.py": {1: (3.0, 5.0, 4), 2: (0.0, 1.0, 1)}, "b.py": {7: (0.5, 2.0, 1)}}
