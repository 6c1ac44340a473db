"""Sizes and durations as people write and read them."""

from __future__ import annotations

from itertools import islice
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rddlite.base.backoff import delays
from rddlite.base.units import parse_bytes, parse_seconds, show_bytes, show_count, show_seconds


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("1k", 1024),
        ("1kb", 1024),
        ("1 KiB", 1024),
        ("1.5m", 3 << 19),
        ("2G", 2 << 30),
        ("3t", 3 << 40),
        (7, 7),
    ],
)
def test_bytes(text: str | int, size: int) -> None:
    assert parse_bytes(text) == size


@pytest.mark.parametrize("text", ["", "k", "1x", "-1", "1 2", "0x10", "1kk"])
def test_bad_bytes(text: str) -> None:
    with pytest.raises(ValueError, match="not a size in bytes"):
        parse_bytes(text)


@pytest.mark.parametrize(("text", "seconds"), [("1", 1), ("250ms", 0.25), ("2min", 120), ("1h", 3600), (0.5, 0.5)])
def test_seconds(text: str | float, seconds: float) -> None:
    assert parse_seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "s", "1 fortnight", "-1s"])
def test_bad_seconds(text: str) -> None:
    with pytest.raises(ValueError, match="not a duration"):
        parse_seconds(text)


@given(st.integers(0, 1 << 60))
def test_shown_sizes_stay_short(n: int) -> None:
    assert len(show_bytes(n)) <= 14


def test_shown_durations() -> None:
    assert [show_seconds(s) for s in (0.0004, 0.5, 2.34, 60, 3700)] == [
        "0 ms",
        "500 ms",
        "2.3 s",
        "1 min 0 s",
        "1 h 1 min",
    ]
    assert show_count(1000) == "1,000"


def test_delays_grow_to_the_longest_and_jitter_only_shortens() -> None:

    plain = list(islice(delays(0.1, 3, 2.0), 6))
    shaken = list(islice(delays(0.1, 3, 2.0, Random(1)), 6))
    assert plain[-1] == 2.0
    assert plain == sorted(plain)
    assert all(p / 2 <= s <= p for p, s in zip(plain, shaken, strict=True))
