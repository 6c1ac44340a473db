"""Where tasks of barrier stages meet: numbers, repeats, attempts of before, and everything that cannot be."""

from __future__ import annotations

import pytest

from rddlite.base.meeting import Wish
from rddlite.driver.meetings import Meetings
from rddlite.net.messages import Meet, Met
from rddlite.plan.model import ResultStage
from rddlite.schedule.commands import AttemptEnded, GangStarted, StageEnded

EXECUTORS = {10: "a", 11: "b", 12: "a"}


@pytest.fixture
def meetings() -> Meetings:
    made = Meetings(lambda executor: f"host-{executor}:1")
    made.started(GangStarted(0, (10, 11, 12), ("a", "b", "a")))
    return made


def ask(meetings: Meetings, attempt: int, wish: Wish, number: int = 1, brought: bytes = b"") -> list[tuple[str, Met]]:
    executor = EXECUTORS.get(attempt, "a")
    return meetings.asked(executor, Meet(executor, attempt, number, wish, brought))


def ended(attempt: int, *, accepted: bool = True) -> AttemptEnded:
    return AttemptEnded(0, ResultStage(0), attempt - 10, attempt, EXECUTORS[attempt], "success", accepted, None)


def test_the_last_one_lets_all_go_and_what_they_brought_is_in_order(meetings: Meetings) -> None:
    assert ask(meetings, 12, Wish.GATHER, brought=b"z") == []
    assert ask(meetings, 10, Wish.GATHER, brought=b"x") == []
    answers = ask(meetings, 11, Wish.GATHER, brought=b"y")
    assert answers == [("a", Met([10, 12], 1, "", [b"x", b"y", b"z"])), ("b", Met([11], 1, "", [b"x", b"y", b"z"]))]


def test_what_comes_twice_is_answered_twice_and_what_is_older_is_ignored(meetings: Meetings) -> None:
    for attempt in EXECUTORS:
        ask(meetings, attempt, Wish.GATHER, brought=b"%d" % attempt)
    assert ask(meetings, 10, Wish.GATHER) == [("a", Met([10], 1, "", [b"10", b"11", b"12"]))]
    assert ask(meetings, 10, Wish.BARRIER, 2) == []
    assert ask(meetings, 10, Wish.BARRIER, 2) == []
    ask(meetings, 11, Wish.BARRIER, 2)
    assert len(ask(meetings, 12, Wish.BARRIER, 2)) == 2
    assert ask(meetings, 10, Wish.GATHER, 1) == []


def test_attempts_of_before_and_strangers_are_ignored(meetings: Meetings) -> None:
    ask(meetings, 10, Wish.BARRIER)
    meetings.started(GangStarted(0, (20, 21), ("a", "b")))
    assert ask(meetings, 11, Wish.BARRIER) == []
    assert ask(meetings, 99, Wish.BARRIER) == []
    assert meetings.asked("b", Meet("b", 20, 1, Wish.BARRIER, b"")) == []
    assert meetings.asked("a", Meet("a", 20, 1, 77, b"")) == []
    meetings.stage_ended(StageEnded(0, 0))
    assert ask(meetings, 20, Wish.BARRIER) == []


def test_places_are_told_at_once(meetings: Meetings) -> None:
    places = [b"host-a:1", b"host-b:1", b"host-a:1"]
    assert ask(meetings, 11, Wish.PLACES, -1) == [("b", Met([11], -1, "", places))]


def test_different_calls_are_an_error_for_all_that_wait_and_whoever_comes(meetings: Meetings) -> None:
    ask(meetings, 10, Wish.BARRIER)
    (first, second) = ask(meetings, 11, Wish.GATHER)
    assert first[1].attempts == [10]
    assert second[1].attempts == [11]
    assert first[1].error == second[1].error
    assert first[1].error.startswith("partition 1 called allGather(), but partitions 0 called barrier(): all tasks")
    ((_, later),) = ask(meetings, 12, Wish.BARRIER)
    assert later.error == first[1].error


def test_a_task_that_ends_while_others_wait_is_an_error(meetings: Meetings) -> None:
    ask(meetings, 10, Wish.BARRIER)
    assert meetings.attempt_ended(ended(11, accepted=False)) == []
    ((executor, met),) = meetings.attempt_ended(ended(11))
    assert (executor, met.attempts) == ("a", [10])
    assert met.error.startswith("partition 1 has ended, while partitions 0 waited for it in barrier()")
    ((_, later),) = ask(meetings, 12, Wish.BARRIER)
    assert later.error == met.error


def test_a_call_after_the_end_of_another_task_is_an_error(meetings: Meetings) -> None:
    assert meetings.attempt_ended(ended(11)) == []
    ((_, met),) = ask(meetings, 12, Wish.GATHER)
    assert "partition 1 has ended" in met.error


def test_who_gives_up_tells_all_who_had_come(meetings: Meetings) -> None:
    ask(meetings, 10, Wish.GATHER)
    answers = ask(meetings, 12, Wish.GIVE_UP)  # its question before was lost
    assert [met.attempts for _, met in answers] == [[10, 12]]
    assert "partitions 0, 2 had come, partitions 1 had not" in answers[0][1].error
    assert "barrier.sync.timeout" in answers[0][1].error


def test_who_gives_up_too_late_is_let_go(meetings: Meetings) -> None:
    for attempt in EXECUTORS:
        ask(meetings, attempt, Wish.BARRIER)
    assert ask(meetings, 10, Wish.GIVE_UP) == [("a", Met([10], 1, "", []))]
