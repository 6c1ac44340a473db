"""The sample of keys that tells which of them many records have."""

from __future__ import annotations

import random

import pytest

from rddlite.shuffle.hotsample import HotSample


def sampled(keys, batch=1000) -> HotSample:
    sample = HotSample()
    for start in range(0, len(keys), batch):
        sample.took(keys[start : start + batch])
    return sample


def zipf(n, seed=0):
    return random.Random(seed).choices(["the", "of", *range(5000)], [2500, 1000, *[1] * 5000], k=n)


@pytest.mark.parametrize(("n", "error"), [(300, 0.5), (5_000, 0.4), (50_000, 0.25), (400_000, 0.1)])
@pytest.mark.parametrize("batch", [100, 4096])
def test_estimates_are_near_the_truth(n, error, batch) -> None:
    found = sampled(zipf(n), batch).hottest()
    assert [key for key, _ in found[:1]] == ["'the'"]
    assert found[0][1] == pytest.approx(n * 2500 / 8500, rel=error)


def test_the_order_of_records_does_not_matter_much() -> None:
    keys = sorted(map(str, zipf(200_000)))
    assert [key for key, _ in sampled(keys).hottest(2)] == ["'the'", "'of'"]


@pytest.mark.parametrize("period", [2000, 1024, 256 * 5, 257 * 8])
@pytest.mark.parametrize("batch", [4096, 1000])
def test_what_repeats_itself_has_no_hot_keys(period, batch) -> None:
    keys = [i % period for i in range(300_000)]
    assert sampled(keys, batch).hottest() == []


def test_few_keys_are_all_about_equally_hot() -> None:
    found = sampled([i % 4 for i in range(100_000)]).hottest()
    assert sorted(key for key, _ in found) == ["0", "1", "2", "3"]
    assert all(count == pytest.approx(25_000, rel=0.25) for _, count in found)


@pytest.mark.parametrize("n", [1, 50, 1000, 100_000])
def test_keys_that_are_all_different_are_not_hot(n) -> None:
    assert sampled(list(range(n))).hottest() == []


def test_all_records_may_have_one_key() -> None:
    for n in (10, 1000, 30_000):
        assert sampled(["x"] * n).hottest() == [("'x'", n)]


def test_memory_is_bounded() -> None:
    sample = sampled([f"{i:05}" + "x" * 5000 for i in range(3000)] * 5, 500)
    assert all(type(key) is tuple for key in sample._counts)
    sample = sampled(list(range(2_000_000)), 8192)
    assert len(sample._counts) + len(sample._waiting) <= 2048


def test_long_keys_are_told_apart_and_shown_short() -> None:
    a, b = ("x" * 5000 + letter + "x" * 5000 for letter in "ab")
    (first, n_first), (second, n_second) = sampled([a, a, b] * 100).hottest()
    assert len(first) <= 40
    assert len(second) <= 40
    assert n_first > n_second > 50


def test_keys_are_shown_without_what_a_terminal_would_obey() -> None:
    class Loud:
        def __repr__(self):
            return "\x1b[31mred\n"

    key = Loud()
    assert sampled([key] * 100).hottest() == [("?[31mred ", 100)]


class Raises:
    def __hash__(self):
        raise RuntimeError("no")


@pytest.mark.parametrize("key", [[], Raises()], ids=["list", "raises"])
def test_keys_without_a_hash_have_no_sample(key) -> None:
    assert sampled([key] * 1000 + ["a"] * 1000).hottest() == []


def test_groups_are_counted_where_they_are_large() -> None:
    sample = HotSample()
    sample.took_groups(["a", "b", *range(100)], [300, 200, *[5] * 100])
    sample.took_groups(["a"], [600])
    assert sample.hottest() == [("'a'", 900), ("'b'", 200)]
    sample.took_groups([], [])
    sample.took_groups([[]], [10_000])
    assert sample.hottest() == []
