"""Executors and driver of a broadcast in a world of rounds, without a network: what everybody uploads is counted."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rddlite.base.ids import BroadcastId, ExecutorId
from rddlite.shared import swarm
from rddlite.shared.swarm import SEED, Downloads, Holder, Holders, HoldersAnswer, HoldersAsk

ID = BroadcastId(1)


def name(n: int) -> ExecutorId:
    return ExecutorId(str(n))


def keep_order(pieces: list[int]) -> None:
    """In this world the order is that of the pieces."""


class World:
    """Rounds in which every executor that is not complete asks, plans, and gets what it asked for, in turns."""

    def __init__(
        self, n_executors: int, n_pieces: int, seed: int = 0, dead: frozenset[ExecutorId] = frozenset()
    ) -> None:
        self.holders = Holders(n_pieces)
        self.random = Random(seed)
        self.dead = dead
        self.lost: set[ExecutorId] = set()
        self.uploads: Counter[ExecutorId] = Counter()
        self.now = 0.0
        self.n_rounds = 0
        self.downloads = {
            name(n): Downloads([False] * n_pieces, Random(f"{seed} {n}").shuffle) for n in range(n_executors)
        }

    def place_of(self, executor: ExecutorId) -> tuple[str, str, str]:
        return ("", "", "") if executor in self.lost else ("/scratch", f"tcp://{executor}", "")

    def ask(self, executor: ExecutorId) -> HoldersAnswer:
        ask = HoldersAsk(ID, executor, self.downloads[executor].have, self.downloads[executor].bad)
        return swarm.unpack_answer(
            swarm.pack_answer(self.holders.asked(swarm.unpack_ask(swarm.pack_ask(ask)), self.place_of, self.now))
        )

    def turn(self, executor: ExecutorId) -> None:
        mine = self.downloads[executor]
        for holder, pieces in mine.next_round(self.ask(executor)).items():
            if holder in self.dead:
                mine.failed(holder)
                continue
            for piece in pieces:
                assert holder == SEED or self.downloads[holder].have[piece] == "1"
                assert mine.have[piece] == "0"
                mine.got(piece)
                self.uploads[holder] += 1

    def run(self) -> None:
        waiting = [each for each in self.downloads if each not in self.dead]
        while waiting:
            self.n_rounds += 1
            self.now += 0.05
            assert self.n_rounds < 10_000
            self.random.shuffle(waiting)
            for executor in waiting:
                self.turn(executor)
            done = [each for each in waiting if "0" not in self.downloads[each].have]
            for executor in done:
                self.ask(executor)
            waiting = [each for each in waiting if each not in done]


def test_one_executor_gets_everything_from_the_driver() -> None:
    world = World(1, 25)
    world.run()
    assert world.uploads == {SEED: 25}
    assert world.n_rounds <= 5


@pytest.mark.parametrize("n_executors", [2, 4, 16, 100])
@pytest.mark.parametrize("n_pieces", [1, 3, 25, 100])
def test_the_driver_uploads_little_more_than_one_copy(n_executors: int, n_pieces: int) -> None:
    world = World(n_executors, n_pieces)
    world.run()
    assert world.uploads[SEED] == n_pieces
    assert sum(world.uploads.values()) == n_executors * n_pieces


def test_nobody_carries_much_more_than_others() -> None:
    world = World(50, 100)
    world.run()
    most = max(count for holder, count in world.uploads.items() if holder != SEED)
    assert most <= 6 * 100


def test_many_executors_need_few_rounds() -> None:
    world = World(400, 10)
    world.run()
    assert world.uploads[SEED] == 10
    assert world.n_rounds <= 40


@given(st.integers(1, 12), st.integers(1, 40), st.integers(0, 1 << 30))
def test_everybody_gets_everything(n_executors: int, n_pieces: int, seed: int) -> None:
    world = World(n_executors, n_pieces, seed)
    world.run()
    assert all("0" not in downloads.have for downloads in world.downloads.values())


def test_holders_that_are_dead_but_not_known_to_be_cost_a_try_each() -> None:
    world = World(6, 30, dead=frozenset({name(0), name(1)}))
    for executor in sorted(world.dead):
        for piece in range(30):
            world.downloads[executor].got(piece)
        world.ask(executor)
    world.run()
    assert world.uploads[SEED] == 30


def test_an_executor_that_is_gone_is_not_named() -> None:
    world = World(3, 4)
    for piece in range(4):
        world.downloads[name(0)].got(piece)
    world.ask(name(0))
    assert [holder.executor for holder in world.ask(name(1)).holders] == ["0"]
    world.lost.add(name(0))
    assert world.ask(name(1)).holders == ()


def test_what_nobody_has_is_given_to_one_each() -> None:
    world = World(4, 14)
    given = [world.ask(name(n)).seed for n in range(4)]
    assert list(map(len, given)) == [8, 4, 2, 0]
    assert sorted(piece for pieces in given for piece in pieces) == list(range(14))
    assert len(world.ask(name(1)).seed) == 4, "it did not get them, and asks again"
    world.lost.add(name(0))
    assert len(world.ask(name(3)).seed) == 4, "those of the first are free again"
    world.now += 6
    assert len(world.ask(name(2)).seed) == 4, "nor does anybody wait for ever"


def test_who_has_everything_needs_nobody() -> None:
    holders = Holders(2)
    complete = HoldersAsk(ID, name(1), "11")
    assert holders.asked(complete, lambda _: ("a", "b", "c"), 0.0) == HoldersAnswer(True, (), ())


def test_after_unpersist_nobody_has_anything() -> None:
    world = World(2, 2)
    world.downloads[name(0)].got(1)
    world.ask(name(0))
    assert world.ask(name(1)).holders
    world.holders.forget_all()
    assert not world.ask(name(1)).holders


def test_nonsense_about_pieces_is_not_noted() -> None:
    world = World(2, 3)
    world.holders.asked(HoldersAsk(ID, name(0), "1"), world.place_of, 0.0)
    assert not world.ask(name(1)).holders


def holder(n: int, have: str) -> Holder:
    return Holder(name(n), f"tcp://{n}", "", "", have)


def test_pieces_come_from_those_who_have_them_and_the_rest_from_the_driver() -> None:
    downloads = Downloads([True, False, False, False], keep_order)
    answer = HoldersAnswer(True, (3, 0, 99), (holder(1, "0101"), holder(2, "1010")))
    assert downloads.next_round(answer) == {name(1): [1], name(2): [2], SEED: [3]}
    downloads.failed(name(2))
    assert downloads.next_round(answer) == {name(1): [1], SEED: [3]}
    downloads.got(1)
    downloads.failed(SEED)
    assert downloads.next_round(answer) == {name(1): [3]}
    downloads.failed(name(1))
    assert downloads.next_round(answer) == {}
    assert not downloads.is_complete


def test_load_is_spread_over_holders() -> None:
    downloads = Downloads([False] * 8, keep_order)
    answer = HoldersAnswer(True, (), (holder(1, "1" * 8), holder(2, "1" * 8)))
    assert downloads.next_round(answer) == {name(1): [0, 2, 4, 6], name(2): [1, 3, 5, 7]}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b"[1, 2, 3]",
        b'["1", "2", "3"]',
        b'[1, "2", "12", []]',
        b"\xff",
        b"[" * 5000,
        b'[1, "e", "0", []] x',
    ],
)
def test_what_is_no_question_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"not a row|JSON|0 and 1"):
        swarm.unpack_ask(body)


@given(st.binary() | st.text().map(str.encode))
def test_any_bytes_are_an_answer_or_refused(body: bytes) -> None:
    for unpack in (swarm.unpack_ask, swarm.unpack_answer):
        try:
            unpack(body)
        except ValueError:
            continue


def test_too_much_is_refused() -> None:
    with pytest.raises(ValueError, match="too many"):
        swarm.unpack_answer(b" " * (2 << 20))
