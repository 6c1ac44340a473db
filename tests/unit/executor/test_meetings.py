"""Questions of workers at barriers: sent once, repeated after a registration, answered to those who still wait."""

from __future__ import annotations

from rddlite.base.meeting import ASK, Wish
from rddlite.executor.meetings import Meetings
from rddlite.net.messages import Meet, Met


def asked(*workers: int) -> Meetings:
    meetings = Meetings("a")
    for worker in workers:
        meetings.asks(worker, ASK.pack(100 + worker, 1, Wish.GATHER) + b"text")
    return meetings


def test_a_question_is_sent_once_and_again_after_a_registration() -> None:
    meetings = asked(3)
    meet = Meet("a", 103, 1, Wish.GATHER, b"text")
    assert list(meetings.unsent()) == [meet]
    assert list(meetings.unsent()) == []
    meetings.say_again()
    assert list(meetings.unsent()) == [meet]


def test_an_answer_is_for_those_who_wait_for_it() -> None:
    meetings = asked(1, 2, 3)
    assert meetings.answered(Met([101, 103], 2, "", [])) == []
    assert meetings.answered(Met([101, 103], 1, "", [])) == [1, 3]
    assert meetings.answered(Met([101, 103], 1, "", [])) == []
    assert [meet.attempt for meet in meetings.unsent()] == [102]


def test_nothing_is_asked_for_a_worker_that_has_ended() -> None:
    meetings = asked(1)
    meetings.ended(1)
    meetings.ended(2)
    meetings.say_again()
    assert list(meetings.unsent()) == []
