"""Tasks that are sent to a worker before it has ended the one that it runs."""

from __future__ import annotations

import pytest

from rddlite.base.outcome import Killed, OutOfMemory, WorkerDied
from rddlite.executor import commands as cmd
from rddlite.executor import events as ev
from tests.unit.executor.test_agent import Driven, assign, died, ended, task


@pytest.fixture
def one() -> Driven:
    """One worker, which runs 2 and has 3 and 4 ahead."""
    driven = Driven(1)
    driven.tasks_take = 0.001
    driven.tell(ev.Connected(), ev.WorkerReady(0, 500), ev.Accepted(2.0, 15.0), assign(1, 2, 3, 4), ended(0, 1))
    assert started(driven) == [(0, 1, False), (0, 2, False), (0, 3, True), (0, 4, True)]
    driven.said.clear()
    return driven


def started(driven: Driven) -> list[tuple[int, int, bool]]:
    return [(c.worker, c.task.attempt, c.is_ahead) for c in driven.said if isinstance(c, cmd.Start)]


def test_long_tasks_are_not_sent_ahead():
    driven = Driven(1)
    driven.tell(ev.Connected(), ev.WorkerReady(0, 500), ev.Accepted(2.0, 15.0), assign(1, 2, 3), ended(0, 1))
    assert started(driven) == [(0, 1, False), (0, 2, False)]


def test_they_begin_by_themselves(one):
    one.tell(ended(0, 2))
    assert one.agent.running(one.now) == [(0, 3, 500, 0.0)]
    one.tell(ended(0, 3), ended(0, 4))
    assert started(one) == []
    assert one.agent.attempts() == ()


def test_a_worker_that_is_free_gets_what_waits_at_another():
    driven = Driven(2)
    driven.tasks_take = 0.001
    driven.tell(ev.Connected(), ev.WorkerReady(0, 500), ev.WorkerReady(1, 501), ev.Accepted(2.0, 15.0))
    driven.tell(assign(1, 2, 3, 4, 5))
    first, second = (start.worker for start in driven.said if isinstance(start, cmd.Start))
    driven.tell(ended(first, 1))
    assert started(driven)[2:] == [(first, 3, False), (second, 4, True), (first, 5, True)]
    driven.said.clear()
    assert cmd.Recall(second) not in driven.tell(ended(first, 3))
    assert cmd.Recall(second) in driven.tell(ended(first, 5))
    driven.tell(ev.Recalled(second, (4,)))
    assert started(driven) == [(first, 4, False)]


def test_nothing_waits_behind_a_task_that_takes_long():
    driver = Driven(2)
    driver.tasks_take = 0.001
    driver.tell(ev.Connected(), ev.WorkerReady(0, 500), ev.WorkerReady(1, 501), ev.Accepted(2.0, 15.0))
    driver.tell(assign(*range(1, 12)))
    quick, slow = (start.worker for start in driver.said if isinstance(start, cmd.Start))
    driver.tell(ended(quick, 1))
    behind = [attempt for worker, attempt, is_ahead in started(driver) if worker == slow and is_ahead]
    assert behind
    driver.tell(ended(quick, 3))
    driver.now += 1.0
    assert cmd.Recall(slow) in driver.tell(ended(quick, 5))
    driver.tell(ended(quick, 7))
    driver.said.clear()
    driver.tell(ev.Recalled(slow, tuple(behind)), assign(20, 21))
    assert [worker for worker, _, _ in started(driver) if worker == slow] == []


def test_of_tiny_tasks_many_are_sent_ahead_and_nobody_listens_for_a_moment():
    driven = Driven(1)
    driven.tasks_take = 0.0001
    driven.tell(ev.Connected(), ev.WorkerReady(0, 500), ev.Accepted(2.0, 15.0), assign(*range(100)))
    for attempt in range(10):
        driven.tell(ended(0, attempt))
        assert not driven.agent.pause, "their pace is not known yet"
    for attempt in range(10, 20):
        driven.tell(ended(0, attempt))
    assert driven.agent.pause
    driven.said.clear()
    for attempt in range(20, 100):
        driven.tell(ended(0, attempt))
        assert not driven.agent.pause or driven.agent.n_waiting >= 10, "the worker would have nothing to do"
    assert driven.agent.attempts() == ()
    assert not driven.agent.pause


def test_of_others_few_are_sent_ahead_and_their_ends_are_heard_at_once():
    driven = Driven(1)
    driven.tasks_take = 0.005
    driven.tell(ev.Connected(), ev.WorkerReady(0, 500), ev.Accepted(2.0, 15.0), assign(*range(100)))
    for attempt in range(50):
        driven.tell(ended(0, attempt))
        assert not driven.agent.pause
    assert len([start for start in started(driven) if start[2]]) == 50 + 7


def test_what_is_killed_is_taken_back_first(one):
    assert one.tell(ev.KillAsked(3, "enough")) == [cmd.Recall(0)]
    one.tell(ev.Recalled(0, (3, 4)))
    assert one.outcome_of(3) == Killed("enough")
    assert one.agent.attempts() == (2, 4)


def test_one_that_has_begun_meanwhile_is_interrupted(one):
    assert one.tell(ev.KillAsked(3, "enough"), ev.KillAsked(4, "enough")) == [cmd.Recall(0)]
    answer = one.tell(ended(0, 2), ev.Recalled(0, (4,)))
    assert cmd.Interrupt(0, 3) in answer
    assert one.outcome_of(4) == Killed("enough")
    one.tell(ended(0, 3, Killed("stopped")), ev.WorkerSettled(0))
    assert one.outcome_of(3) == Killed("enough")


def test_before_a_running_one_is_interrupted_the_others_are_taken_back(one):
    assert one.tell(ev.KillAsked(2, "enough")) == [cmd.Recall(0)]
    assert one.tell(ev.Recalled(0, (3, 4))) == [cmd.Interrupt(0, 2)]
    assert one.agent.attempts() == (2, 3, 4)


def test_one_that_is_believed_to_run_may_be_taken_back(one):
    one.tell(ev.KillAsked(4, "enough"))
    one.tell(ended(0, 2), ev.Recalled(0, (3, 4)))
    assert one.outcome_of(4) == Killed("enough")
    assert started(one) == [(0, 3, False)]


def test_a_death_concerns_the_one_that_had_begun(one):
    one.tell(ended(0, 2), died(0)._replace(unbegun=(4,)))
    assert isinstance(one.outcome_of(3), WorkerDied)
    assert one.agent.attempts() == (4,)
    one.tell(ev.WorkerReady(1, 501))
    assert started(one) == [(1, 4, False)]


def test_a_death_between_two_concerns_neither(one):
    one.tell(ended(0, 2), died(0)._replace(unbegun=(3, 4)))
    assert [c for c in one.said if isinstance(c, cmd.Report) and c.is_own] == []
    assert one.agent.attempts() == (3, 4)


def test_too_much_memory_is_of_the_task_that_took_it(one):
    exceeded = ev.MemoryExceeded(0, 1000, 2000)
    assert one.tell(exceeded) == [cmd.Recall(0)]
    answer = one.tell(ended(0, 2), ev.Recalled(0, (4,)))
    assert cmd.StopWorker(0) not in answer, "it has ended, and 3 is to be measured"
    assert one.tell(exceeded) == [cmd.Recall(0)]
    assert cmd.StopWorker(0) in one.tell(ev.Recalled(0, (4,)))
    one.tell(died(0))
    assert isinstance(one.outcome_of(3), OutOfMemory)


def test_who_drains_gives_back_what_has_not_begun(one):
    assert cmd.Recall(0) in one.tell(ev.DrainAsked("bye"))
    one.tell(ev.Recalled(0, (3, 4)))
    assert one.outcome_of(3) == one.outcome_of(4) == Killed("the executor is leaving: bye")
    assert one.agent.attempts() == (2,)


def test_one_that_could_not_be_sent_is_reported(one):
    one.tell(ended(0, 3))
    assert [c.attempt for c in one.said if isinstance(c, cmd.Report)] == [3]
    assert one.agent.attempts() == (2, 4)


def test_a_worker_that_keeps_what_it_has_not_begun_is_ended(one):
    one.tell(ev.KillAsked(3, "enough"))
    assert cmd.StopWorker(0) in one.tell(ev.Recalled(0, (4,)))


def test_a_worker_that_is_being_ended_is_asked_for_nothing_more():
    driven = Driven(2)
    driven.tasks_take = 0.001
    driven.tell(ev.Connected(), ev.WorkerReady(0, 500), ev.WorkerReady(1, 501), ev.Accepted(2.0, 15.0))
    driven.tell(assign(1, 2, 3, 4, 5))
    first, second = (start.worker for start in driven.said if isinstance(start, cmd.Start))
    driven.tell(ended(first, 1), ended(first, 3))
    assert cmd.Recall(second) in driven.tell(ended(first, 5))
    assert driven.tell(ev.Recalled(second, ())) == [cmd.StopWorker(second)], (
        "a recall would be answered at once, for ever"
    )
    driven.tell(died(second))
    assert driven.agent.running(driven.now)[0][:2] == (first, 4)


def test_waiting_are_all_that_have_not_begun(one):
    assert one.agent.n_waiting == 2
    assert one.tell(ev.Assigned((task(3), task(4)))) == []
    assert one.agent.n_waiting == 2
