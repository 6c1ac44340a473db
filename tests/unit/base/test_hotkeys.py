"""What map tasks tell of their hottest keys, added up."""

from __future__ import annotations

import pytest

from rddlite.base.hotkeys import HotKey, HotKeys, pack_hot


def test_counts_of_all_tasks_are_added_up() -> None:
    hot = HotKeys()
    hot.add(pack_hot(4, [("'a'", 30), ("'b'", 20)]))
    hot.add(pack_hot(4, [("'b'", 20), ("'c'", 1)]))
    assert hot.hottest(100, 2) == (HotKey("'b'", 40, 0.4), HotKey("'a'", 30, 0.3))
    assert [str(each) for each in hot.hottest(100)] == ["'b' 40%", "'a' 30%", "'c' 1%"]


def test_no_key_no_news() -> None:
    assert pack_hot(4, []) == ""
    assert HotKeys().hottest(100) == ()
    assert not HotKeys().is_skewed(100)


def test_a_share_is_never_more_than_all() -> None:
    hot = HotKeys()
    hot.add(pack_hot(4, [("1", 30)]))
    assert hot.hottest(20)[0].share == 1.0
    assert hot.hottest(0) == ()


@pytest.mark.parametrize(
    ("partitions", "count", "is_skewed"),
    [(1, 100, False), (2, 100, True), (2, 90, False), (8, 14, False), (8, 15, True), (1000, 1, True)],
)
def test_one_key_that_doubles_its_partition_is_skew(partitions, count, is_skewed) -> None:
    hot = HotKeys()
    hot.add(pack_hot(partitions, [("1", count)]))
    assert hot.is_skewed(100) is is_skewed


@pytest.mark.parametrize(
    "text", ["", "{}", "[1]", "[1, 2]", "[1, [[1, 2]]]", '[1, [["a", -1]]]', '["a", []]', "[" * 100_000, '[1, [["a"]]]']
)
def test_what_cannot_be_read_is_no_news(text) -> None:
    hot = HotKeys()
    hot.add(text)
    assert hot.hottest(10) == ()


def test_keys_are_short_and_few() -> None:
    hot = HotKeys()
    for i in range(1000):
        hot.add(pack_hot(4, [(f"{i}" + "x" * 1000, 1), ("hot", 10)]))
    assert len(hot._counts) <= 260
    assert max(map(len, hot._counts)) <= 100
    assert hot.hottest(20_000)[0] == HotKey("hot", 10_000, 0.5)
