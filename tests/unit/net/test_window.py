"""Bytes in flight: divided among those at work, bounded in all, and never nothing for one that has nothing."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rddlite.net.transfer import Chunk, Piece, Receiver, Wanted
from rddlite.net.window import LEAST, Window

LENGTH = 1 << 40


def entered(window: Window, n: int) -> list[Receiver]:
    receivers = [Receiver([Wanted("b", 0)]) for _ in range(n)]
    for receiver in receivers:
        window.enter(receiver)
    return receivers


def ask(window: Window, receiver: Receiver) -> int:
    credit = window.first(receiver)
    receiver.ask(1, credit)
    return credit


class Feed:
    """The sender's side of a receiver, with nothing but the sizes."""

    def __init__(self, receiver: Receiver) -> None:
        self.receiver = receiver
        self.offset = 0

    def send(self, size: int) -> None:
        piece = Piece(0, LENGTH, 1, self.offset, size)
        self.receiver.receive(Chunk(1, [piece]), memoryview(bytes(size)))
        self.offset += size


def test_one_transfer_gets_the_whole_window():
    window = Window(10 << 20)
    (receiver,) = entered(window, 1)
    assert ask(window, receiver) == 10 << 20
    assert window.more(receiver) == 0


def test_several_share_it():
    window = Window(10 << 20)
    receivers = entered(window, 5)
    assert [ask(window, receiver) for receiver in receivers] == [2 << 20] * 5
    assert window.occupied == 10 << 20


def test_credit_goes_out_in_large_steps():
    window = Window(1 << 20)
    (receiver,) = entered(window, 1)
    ask(window, receiver)
    feed = Feed(receiver)
    feed.send(400_000)
    receiver.take(200_000)
    assert window.more(receiver) == 0
    receiver.take(200_000)
    assert window.more(receiver) == 400_000


def test_those_that_are_over_leave_their_share_to_the_others():
    window = Window(10 << 20)
    first, second = entered(window, 2)
    ask(window, first)
    ask(window, second)
    window.leave(second)
    assert window.more(first) == 5 << 20


def test_one_that_comes_late_gets_a_little_at_once():
    window = Window(10 << 20)
    (first,) = entered(window, 1)
    ask(window, first)
    (second,) = entered(window, 1)
    assert ask(window, second) == LEAST
    assert window.more(second) == 0


@given(st.integers(1, 40), st.integers(1 << 16, 1 << 22), st.data())
def test_never_more_than_the_window_but_what_nobody_can_do_without(n, size, data):
    window = Window(size)
    receivers = entered(window, n)
    for receiver in receivers:
        ask(window, receiver)
    feeds = [Feed(receiver) for receiver in receivers]
    for _ in range(20):
        feed = data.draw(st.sampled_from(feeds))
        receiver = feed.receiver
        came = data.draw(st.integers(0, min(receiver.due, 100_000)))
        if came:
            feed.send(came)
        receiver.take(data.draw(st.integers(0, receiver.held)))
        more = window.more(receiver)
        receiver.grant(more)
        assert receiver.due or receiver.held
        assert window.occupied <= max(size, n * LEAST)
