"""Partitions that several executors are to keep: who is asked for a copy, and when."""

from __future__ import annotations

import logging

from rddlite.base.cached import Form
from rddlite.base.ids import ExecutorId
from rddlite.driver.cachetable import CacheTable
from rddlite.driver.copies import Copies
from rddlite.driver.roster import Roster
from rddlite.net.messages import BlocksChanged, CopyBlock, KeptBlock, Message, Register
from rddlite.net.wire import decode, encode


class Company:
    """Executors that do as they are told when `work` says so; those without an address cannot be asked."""

    def __init__(self, *names: str) -> None:
        self.roster = Roster()
        self.caches = CacheTable()
        self.asked: list[tuple[str, CopyBlock]] = []
        self.copies = Copies(self.caches, self.roster, self)
        for name in names:
            self.join(name)

    def send(self, executor: ExecutorId, message: Message) -> None:
        copy = decode(encode(message))
        assert isinstance(copy, CopyBlock)
        self.asked.append((executor, copy))

    def join(self, name: str, address: str | None = None) -> None:
        where = f"tcp://{name}" if address is None else address
        self.roster.join(Register(1, name, "host", 1, 2, [], "3", "1", "1", "/nowhere", [], where))
        self.copies.joined()

    def lose(self, name: str) -> None:
        executor = ExecutorId(name)
        self.roster.leave(executor)
        kept = self.caches.held_by(executor)
        self.caches.forget_executor(executor)
        self.copies.lost(executor, kept)

    def tell(self, name: str, *partitions: int, copies: int = 2, dropped: tuple[int, ...] = ()) -> None:
        kept = [KeptBlock(1, each, int(Form.FILE), 10, 0.5, copies) for each in partitions]
        message = BlocksChanged(name, False, kept, [[1, each] for each in dropped])
        self.caches.changed(ExecutorId(name), message)
        self.copies.changed(ExecutorId(name), message)

    def work(self) -> None:
        asked, self.asked = self.asked, []
        for name, wish in asked:
            self.tell(name, wish.partition, copies=wish.copies)

    def n_keepers(self, partition: int) -> int:
        return len(self.caches.keepers((1, partition)))


def test_others_are_asked_for_copies_in_turn() -> None:
    company = Company("a", "b", "c")
    company.tell("a", 0, 1, 2, 3)
    assert [(name, each.partition) for name, each in company.asked] == [("b", 0), ("c", 1), ("b", 2), ("c", 3)]
    assert {(each.source, each.address, each.seconds, each.copies) for _, each in company.asked} == {
        ("a", "tcp://a", 0.5, 2)
    }
    company.work()
    assert company.asked == []
    assert [company.n_keepers(i) for i in range(4)] == [2, 2, 2, 2]


def test_one_copy_needs_nobody() -> None:
    company = Company("a", "b")
    company.tell("a", 0, copies=1)
    company.lose("a")
    assert company.asked == []


def test_who_was_asked_is_not_asked_twice() -> None:
    company = Company("a", "b")
    company.tell("a", 0)
    company.tell("a", 0)
    assert len(company.asked) == 1
    company.tell("b", dropped=(0,))
    company.tell("a", 0)
    assert len(company.asked) == 1, "a copy that failed is not asked for again"


def test_missing_copies_wait_for_executors(caplog) -> None:
    caplog.set_level(logging.WARNING)
    company = Company("a")
    company.tell("a", 0, 1, copies=3)
    assert company.asked == []
    company.join("b")
    company.work()
    assert (company.n_keepers(0), company.n_keepers(1)) == (2, 2)
    company.join("c")
    company.work()
    assert (company.n_keepers(0), company.n_keepers(1)) == (3, 3)
    assert [each.message for each in caplog.records] == [
        "cached partitions are to be kept on 3 executors, and there is one: copies are made when more have joined"
    ]


def test_lost_copies_are_made_again() -> None:
    company = Company("a", "b", "c")
    company.tell("a", 0)
    company.work()
    company.lose("a")
    ((name, wish),) = company.asked
    assert (name, wish.source) == ("c", "b")
    company.lose("c")
    company.asked.clear()
    company.join("d")
    ((name, wish),) = company.asked
    assert (name, wish.source) == ("d", "b")


def test_nothing_is_left_of_what_nobody_keeps() -> None:
    company = Company("a", "b")
    company.tell("a", 0, 1)
    company.work()
    company.tell("a", dropped=(0, 1))
    company.tell("b", dropped=(0,))
    company.lose("b")
    assert (company.copies._asked, company.copies._short) == ({}, {})
    company.join("c")
    assert company.asked == []


def test_executors_without_an_address_take_no_part() -> None:
    company = Company("a")
    company.join("b", "")
    company.tell("a", 0)
    company.tell("b", 1)
    assert company.asked == []
