"""What the driver knows of cached partitions: who holds them, where tasks had better go, when nothing is left."""

from __future__ import annotations

from rddlite.base.cached import Form
from rddlite.base.ids import CacheId, ExecutorId
from rddlite.driver.cachetable import CacheInfo, CacheTable
from rddlite.net.messages import BlocksChanged, KeptBlock

A, B = ExecutorId("a"), ExecutorId("b")
ONE = CacheId(1)


def kept(partition: int, form: Form = Form.LIVE, size: int = 10) -> KeptBlock:
    return KeptBlock(1, partition, int(form), size, 0.5)


def say(
    table: CacheTable, executor: ExecutorId, *blocks: KeptBlock, dropped: tuple[int, ...] = (), is_all: bool = False
) -> None:
    rows = [[1, partition] for partition in dropped]
    table.changed(executor, BlocksChanged(executor, is_all, list(blocks), rows))


def test_holders_and_sizes() -> None:
    table = CacheTable()
    assert table.is_empty
    say(table, A, kept(0), kept(1, Form.FILE, 7))
    say(table, B, kept(0, Form.FRAMES))
    assert table.holders((1, 0)) == [B, A], "frames can be served"
    assert table.partitions(ONE) == {0, 1}
    assert table.on_disk(ONE) == {1}
    assert table.info(ONE) == CacheInfo(2, 20, 7)
    say(table, A, dropped=(0, 5))
    assert table.holders((1, 0)) == [B]
    table.forget_executor(B)
    table.forget_executor(A)
    assert table.is_empty
    assert table.info(ONE) == CacheInfo(0, 0, 0)


def test_what_fills_again_is_not_wanted() -> None:
    table = CacheTable()
    assert table.changed(A, BlocksChanged(A, False, [kept(0)], [])) == []
    table.unwanted(ONE)
    assert table.changed(A, BlocksChanged(A, False, [kept(1)], [[1, 0]])) == [ONE], "it is to be dropped as well"
    assert table.changed(A, BlocksChanged(A, False, [], [[1, 1]])) == []
    assert table.is_empty


def test_all_that_an_executor_has_replaces_what_it_had() -> None:
    table = CacheTable()
    say(table, A, kept(0), kept(1))
    say(table, A, kept(2), is_all=True)
    assert table.partitions(ONE) == {2}


def test_who_waits_until_nothing_is_left_is_told() -> None:
    table, told = CacheTable(), []
    table.when_empty(ONE, lambda: told.append("at once"))
    say(table, A, kept(0))
    say(table, B, kept(0))
    table.when_empty(ONE, lambda: told.append("later"))
    say(table, A, dropped=(0,))
    assert told == ["at once"]
    table.forget_executor(B)
    assert told == ["at once", "later"]


def test_hosts_of_tasks() -> None:
    table = CacheTable()
    say(table, A, kept(0), kept(1))
    say(table, B, kept(1))
    hosts = {A: "x", B: "y"}
    assert table.hosts(lambda i: [(1, i)], range(3), hosts) == (("x",), ("x", "y"), ())
    assert table.hosts(lambda i: [(2, i)], range(3), hosts) == ()


def test_rows_of_the_wrong_length_are_ignored() -> None:
    table = CacheTable()
    table.changed(A, BlocksChanged("a", False, [], [[1], [1, 2, 3], []]))
    assert table.is_empty
