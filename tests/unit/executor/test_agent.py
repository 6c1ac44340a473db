"""The executor's agent: queue, workers, kills, registration, drain."""

from __future__ import annotations

import pytest

from rddlite.base.metrics import TaskMetrics
from rddlite.base.outcome import InlineResult, Killed, OutOfMemory, Success, TaskOutcome, WorkerDied
from rddlite.executor import commands as cmd
from rddlite.executor import events as ev
from rddlite.executor.agent import Agent
from rddlite.net.messages import RunTask
from rddlite.net.wire import pack_outcome, unpack_outcome

DONE = Success(InlineResult(b"x"), TaskMetrics())


def task(attempt: int) -> RunTask:
    return RunTask(attempt, 1, attempt, attempt, 0, "payload", "", b"")


class Driven:
    """An agent with a clock of its own, and what it said so far."""

    def __init__(self, slots: int = 2) -> None:
        self.now = 100.0
        self.agent = Agent(slots, self.now)
        self.said: list[cmd.Command] = self.agent.start(self.now)
        self.tasks_take = 1.0

    def tell(self, *events: ev.Event) -> list[cmd.Command]:
        answer = []
        for event in events:
            self.now += self.tasks_take if isinstance(event, ev.AttemptEnded) else 0.0
            answer += self.agent.handle(event, self.now)
        self.said += answer
        return answer

    def pass_time(self) -> list[cmd.Command]:
        deadline = self.agent.next_deadline()
        assert deadline is not None
        assert deadline > self.now
        self.now = deadline
        return self.tell(ev.Tick())

    def outcome_of(self, attempt: int) -> TaskOutcome:
        (report,) = [c for c in self.said if isinstance(c, cmd.Report) and c.attempt == attempt]
        return unpack_outcome(report.outcome)


def ended(worker: int, attempt: int, outcome: TaskOutcome = DONE) -> ev.AttemptEnded:
    return ev.AttemptEnded(worker, attempt, pack_outcome(outcome))


def died(worker: int, exit_code: int | None = None, signal: int | None = 9) -> ev.WorkerEnded:
    return ev.WorkerEnded(worker, exit_code, signal, 1000, "last words")


@pytest.fixture
def ready() -> Driven:
    driven = Driven()
    driven.tell(ev.Connected(), ev.WorkerReady(0, 500), ev.WorkerReady(1, 501), ev.Accepted(2.0, 15.0))
    driven.said.clear()
    return driven


def assign(*attempts: int) -> ev.Assigned:
    return ev.Assigned(tuple(map(task, attempts)))


# Registration


def test_it_registers_when_all_workers_are_ready_and_the_driver_is_there():
    driven = Driven()
    assert driven.said == [cmd.Spawn(0), cmd.Spawn(1)]
    assert driven.tell(ev.WorkerReady(1, 501)) == []
    assert driven.tell(ev.Connected()) == []
    assert driven.tell(ev.WorkerReady(0, 500)) == [cmd.Register(())]
    assert sorted(driven.agent.worker_pids()) == [500, 501]


def test_it_registers_again_until_it_is_answered():
    driven = Driven(1)
    driven.tell(ev.WorkerReady(0, 500), ev.Connected())
    assert driven.pass_time() == [cmd.Register(())]
    assert driven.pass_time() == [cmd.Register(())]
    assert not driven.agent.is_enrolled
    driven.tell(ev.Accepted(2.0, 15.0))
    assert driven.agent.is_enrolled
    assert driven.agent.next_deadline() is None


def test_it_registers_again_after_a_break_with_what_it_has(ready):
    ready.tell(assign(1, 2, 3))
    assert ready.tell(ev.Disconnected()) == []
    assert not ready.agent.is_enrolled
    assert ready.tell(ev.Connected()) == [cmd.Register((1, 2, 3))]


def test_it_leaves_when_the_driver_is_out_of_reach_for_too_long(ready):
    ready.tell(ev.Disconnected())
    assert ready.agent.next_deadline() == 115.0
    (command,) = ready.pass_time()
    assert isinstance(command, cmd.Exit)
    assert ready.tell(assign(1)) == []


def test_a_driver_that_never_answers_is_left():
    driven = Driven(1)
    driven.tell(ev.WorkerReady(0, 500))
    (command,) = driven.pass_time()
    assert isinstance(command, cmd.Exit)


# Running


def test_attempts_run_in_order_on_free_workers(ready):
    answer = ready.tell(assign(1, 2, 3, 4))
    assert [(c.task.attempt) for c in answer] == [1, 2]
    assert {c.worker for c in answer} == {0, 1}
    first = answer[0].worker
    assert ready.tell(ended(first, 1)) == [cmd.Report(1, pack_outcome(DONE)), cmd.Start(first, task(3))]
    assert ready.agent.attempts() == (2, 3, 4)


def test_running_attempts_are_told_with_their_seconds(ready):
    (start,) = ready.tell(assign(7))
    ready.now += 1.5
    assert ready.agent.running(ready.now) == [(start.worker, 7, 500 + start.worker, 1.5)]
    assert ready.agent.running_workers() == [(start.worker, 500 + start.worker)]


def test_what_comes_twice_is_ignored(ready):
    (start,) = ready.tell(assign(1))
    assert ready.tell(assign(1)) == []
    ready.tell(ended(start.worker, 1))
    assert ready.tell(ended(start.worker, 1)) == []
    assert ready.tell(ended(start.worker, 99), ended(99, 1), died(99), ev.WorkerSettled(0), ev.WorkerReady(0, 1)) == []


# Deaths


def test_the_death_of_a_worker_ends_its_attempt_and_makes_another_worker(ready):
    (start,) = ready.tell(assign(1))
    answer = ready.tell(died(start.worker, signal=11))
    assert ready.outcome_of(1) == WorkerDied(None, 11, 1000, "last words")
    assert answer[-1] == cmd.Spawn(2)
    ready.tell(ev.WorkerReady(2, 502))
    assert 502 in ready.agent.worker_pids()


def test_an_idle_worker_that_dies_is_replaced_and_given_nothing(ready):
    assert ready.tell(died(1)) == [cmd.Spawn(2)]
    assert [c.worker for c in ready.tell(assign(1, 2))] == [0]
    assert [c.worker for c in ready.tell(ev.WorkerReady(2, 502))] == [2]


def test_an_attempt_that_found_its_worker_gone_waits_again_before_all_others(ready):
    start, _ = ready.tell(assign(1, 2, 3, 4))
    assert ready.tell(ended(start.worker, 1))[-1] == cmd.Start(start.worker, task(3))
    assert ready.tell(ev.NotStarted(start.worker, 3)) == []
    assert ready.agent.attempts() == (2, 3, 4)
    assert ready.tell(died(start.worker)) == [cmd.Spawn(2)]
    assert ready.tell(ev.WorkerReady(2, 502)) == [cmd.Start(2, task(3))]
    assert ready.tell(ev.NotStarted(99, 3), ev.NotStarted(2, 99)) == []


def test_workers_that_never_start_end_the_executor(ready):
    said = []
    for worker in range(5):
        said = ready.tell(died(worker, exit_code=1, signal=None))
    (command,) = said
    assert isinstance(command, cmd.Exit)
    assert "last words" in command.why


def test_old_idle_workers_may_die_as_often_as_they_like(ready):
    for worker in range(20):
        ready.now += 60
        assert ready.tell(died(worker)) == [cmd.Spawn(worker + 2)]
        ready.tell(ev.WorkerReady(worker + 2, 502 + worker))


# Kills


def test_a_waiting_attempt_is_dropped_at_once(ready):
    ready.tell(assign(1, 2, 3))
    assert ready.tell(ev.KillAsked(3, "why")) == [cmd.Report(3, pack_outcome(Killed("why")), is_own=True)]
    assert ready.agent.attempts() == (1, 2)


def test_a_killed_attempt_is_interrupted_reported_and_its_worker_settles_before_it_works_again(ready):
    (start,) = ready.tell(assign(1))
    ready.tell(assign(2, 3))
    assert ready.tell(ev.KillAsked(1, "why")) == [cmd.Interrupt(start.worker, 1)]
    assert ready.tell(ev.KillAsked(1, "again")) == []
    answer = ready.tell(ended(start.worker, 1, Killed("stopped")))
    assert answer == [cmd.Report(1, pack_outcome(Killed("why")), is_own=True), cmd.Settle(start.worker)]
    assert ready.tell(ev.WorkerSettled(start.worker)) == [cmd.Start(start.worker, task(3))]
    assert ready.agent.next_deadline() is None


def test_an_attempt_that_was_faster_than_its_kill_did_succeed(ready):
    (start,) = ready.tell(assign(1))
    ready.tell(ev.KillAsked(1, "why"), ended(start.worker, 1))
    assert ready.outcome_of(1) == DONE


def test_what_a_killed_attempt_says_need_not_make_sense(ready):
    (start,) = ready.tell(assign(1))
    ready.tell(ev.KillAsked(1, "why"), ev.AttemptEnded(start.worker, 1, b"nonsense"))
    assert ready.outcome_of(1) == Killed("why")


def test_a_deaf_attempt_is_interrupted_once_more_and_then_its_worker_is_killed(ready):
    (start,) = ready.tell(assign(1))
    ready.tell(ev.KillAsked(1, "why"))
    assert ready.pass_time() == [cmd.Interrupt(start.worker, 1)]
    assert ready.pass_time() == [cmd.StopWorker(start.worker)]
    assert ready.now == 102.0
    assert ready.agent.next_deadline() is None
    ready.tell(died(start.worker))
    assert ready.outcome_of(1) == Killed("why")


def test_a_worker_that_does_not_settle_is_killed_and_its_attempt_was_reported(ready):
    (start,) = ready.tell(assign(1))
    ready.tell(ev.KillAsked(1, "why"), ended(start.worker, 1, Killed("stopped")))
    assert ready.pass_time() == [cmd.StopWorker(start.worker)]
    assert ready.tell(ev.WorkerSettled(start.worker)) == []
    assert ready.tell(died(start.worker)) == [cmd.Spawn(2)]
    assert ready.outcome_of(1) == Killed("why")


def test_a_worker_that_dies_of_a_kill_was_killed(ready):
    (start,) = ready.tell(assign(1))
    ready.tell(ev.KillAsked(1, "why"), died(start.worker, signal=11))
    assert ready.outcome_of(1) == Killed("why")


def test_an_unknown_attempt_cannot_be_killed(ready):
    assert ready.tell(ev.KillAsked(9, "why")) == []


# Memory


def test_a_worker_above_its_limit_is_killed_and_the_attempt_ran_out_of_memory(ready):
    (start,) = ready.tell(assign(1))
    note = "groupByKey at job.py:3\nit held about 700 B"
    assert ready.tell(ev.MemoryExceeded(start.worker, 800, 900, note)) == [cmd.StopWorker(start.worker)]
    assert ready.tell(ev.MemoryExceeded(start.worker, 800, 950), ev.KillAsked(1, "x")) == []
    ready.tell(died(start.worker))
    outcome = ready.outcome_of(1)
    assert isinstance(outcome, OutOfMemory)
    assert (outcome.limit, outcome.peak) == (800, 1000)
    assert (outcome.operation, outcome.detail) == ("groupByKey at job.py:3", "it held about 700 B")


def test_a_worker_that_left_no_note_ran_out_of_memory_all_the_same(ready):
    (start,) = ready.tell(assign(1))
    ready.tell(ev.MemoryExceeded(start.worker, 800, 900), died(start.worker))
    outcome = ready.outcome_of(1)
    assert isinstance(outcome, OutOfMemory)
    assert (outcome.operation, outcome.detail) == (None, "")


def test_memory_of_a_worker_without_an_attempt_is_nobodys_fault(ready):
    assert ready.tell(ev.MemoryExceeded(0, 800, 900)) == []


# The end


def test_the_order_to_leave_is_obeyed_at_once_and_nothing_matters_afterwards(ready):
    ready.tell(assign(1, 2, 3))
    assert ready.tell(ev.LeaveAsked("enough")) == [cmd.Exit("enough")]
    assert ready.tell(ev.LeaveAsked("enough"), died(0), assign(4)) == []


def test_a_draining_executor_ends_what_runs_and_takes_nothing_new(ready):
    start, _ = ready.tell(assign(1, 2, 3))
    asked, *answer = ready.tell(ev.DrainAsked("not needed"))
    assert asked == cmd.AskToLeave("not needed"), "the driver must know before it hears of what comes back"
    assert [c.attempt for c in answer] == [3]
    assert isinstance(ready.outcome_of(3), Killed)
    assert [c.attempt for c in ready.tell(assign(4))] == [4]
    assert [type(c) for c in ready.tell(ended(start.worker, 1))] == [cmd.Report]
    assert [type(c) for c in ready.tell(died(1 - start.worker))] == [cmd.Report]
    assert ready.tell(ev.LeaveAsked("nothing is needed from it")) == [cmd.Exit("nothing is needed from it")]


def test_a_draining_executor_asks_again_after_a_broken_connection(ready):
    assert ready.tell(ev.DrainAsked("not needed")) == [cmd.AskToLeave("not needed")]
    ready.tell(ev.Disconnected())
    assert [type(c) for c in ready.tell(ev.Connected())] == [cmd.Register]
    assert ready.tell(ev.Accepted(2.0, 15.0)) == [cmd.AskToLeave("not needed")]


def test_an_executor_that_nobody_knows_yet_leaves_at_once():
    driven = Driven()
    assert driven.tell(ev.DrainAsked("not needed")) == [cmd.Exit("not needed")]
