"""Records in messages: short, on one line, and never an error."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rddlite.serde.shortrepr import LIMIT, short_repr, type_name


class Raising:
    def __repr__(self) -> str:
        raise RuntimeError("no repr")


class Disguised(list):
    """reprlib finds its method by the name of the type alone."""


Disguised.__name__ = "array"


@given(st.recursive(st.none() | st.text() | st.binary() | st.integers(), lambda x: st.lists(x) | st.tuples(x, x)))
def test_short_and_on_one_line(obj: Any) -> None:
    text = short_repr(obj)
    assert len(text) <= LIMIT + 3
    assert "\n" not in text


@pytest.mark.parametrize("obj", ["short", 12, ("k", [1, 2]), {"a": 1}, None, b"ab", 2.5])
def test_small_records_are_shown_whole(obj: Any) -> None:
    assert short_repr(obj) == repr(obj)


def test_large_records_are_cut_before_they_are_printed() -> None:
    assert len(short_repr("x" * 10_000_000)) < 100
    assert short_repr(bytes(10_000_000)).endswith("(10000000 bytes)")
    assert short_repr(bytearray(10_000)).endswith("(10000 bytes))")
    assert short_repr(10**10_000) == "<int of 33220 bits>"
    assert len(short_repr([list(range(1000))] * 1000)) <= LIMIT + 3
    assert "..." in short_repr(dict.fromkeys(range(100), "y" * 1000))


def test_a_repr_that_raises() -> None:
    assert short_repr(Raising()).startswith("<Raising instance")
    assert short_repr(("k", Raising())).startswith("('k', <Raising instance")
    assert short_repr(Disguised([1])) == "[1]"


def test_endless_records() -> None:
    loop: list[Any] = []
    loop.append(loop)
    assert "..." in short_repr(loop)


def test_type_names() -> None:
    assert type_name(int) == "int"
    assert type_name(Raising) == f"{__name__}.Raising"
