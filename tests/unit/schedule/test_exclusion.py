"""Executors on which much fails get nothing new for a while; the fault of a task is not theirs."""

from __future__ import annotations

from typing import Any

import pytest

from rddlite.base.outcome import Killed, OutOfMemory, WorkerDied
from rddlite.plan.model import ResultStage
from rddlite.schedule import commands as cmd
from rddlite.schedule import events as ev
from tests.helpers.matching import like, of
from tests.helpers.scheduling import Rig, job, map_stage, raised

DIED = WorkerDied(None, 9)


def on(rig: Rig, executor: str) -> list[cmd.Launch]:
    """What runs there."""
    return [launch for launch in rig.running() if launch.executor == executor]


def fail_on(rig: Rig, executor: str, count: int, outcome: Any = DIED) -> list[cmd.Command]:
    """That many tasks fail there, one after another."""
    commands: list[cmd.Command] = []
    for _ in range(count):
        commands += rig.end(on(rig, executor)[0], outcome)
    return commands


def three(*executors: str, **options: Any) -> Rig:
    """Some executors with three slots each, and more tasks than they can run."""
    rig = Rig(*executors, slots=3, **{"exclude_half_life": 60.0, "silence": 1e6, "retry_wait": 1e6, **options})
    rig.submit(job(0, 40))
    return rig


def test_three_failures_of_different_tasks_exclude_an_executor() -> None:
    rig = three("a", "b")
    assert of(cmd.ExecutorExcluded, fail_on(rig, "a", 2)) == []
    (note,) = of(cmd.ExecutorExcluded, fail_on(rig, "a", 1))
    assert note == like(cmd.ExecutorExcluded, executor="a", seconds=pytest.approx(60.0))
    assert note.why == "3 tasks failed on executor a on host-a and on no other"
    assert [each.state for each in rig.scheduler.executors()] == ["excluded", "alive"]
    n_before = len(on(rig, "a"))
    rig.succeed(*on(rig, "a"))
    assert (n_before, on(rig, "a")) == (2, []), "what runs there may end, and nothing follows"
    assert rig.scheduler.next_deadline() == pytest.approx(60.0)
    commands = rig.silence()
    assert {launch.executor for launch in of(cmd.Launch, commands)} == {"a"}, "then it is used again"


def test_failures_of_long_ago_count_less() -> None:
    rig = three("a", "b")
    fail_on(rig, "a", 1)
    rig.now += 60.0
    assert of(cmd.ExecutorExcluded, fail_on(rig, "a", 2)), "half of the first, and two"
    other = three("a", "b")
    fail_on(other, "a", 2)
    other.now += 180.0
    assert of(cmd.ExecutorExcluded, fail_on(other, "a", 2)) == []


def test_more_failures_make_it_last_longer() -> None:
    rig = three("a", "b")
    fail_on(rig, "a", 3)
    fail_on(rig, "a", 2)
    deadline = rig.scheduler.next_deadline()
    assert deadline is not None
    assert deadline > 90.0


@pytest.mark.parametrize("outcome", [DIED, OutOfMemory(1, 2), raised("r")], ids=["died", "memory", "raised"])
def test_every_kind_of_failure_that_is_charged_counts(outcome: Any) -> None:
    rig = three("a", "b")
    outcomes = [outcome, outcome, outcome]
    found = [of(cmd.ExecutorExcluded, rig.end(on(rig, "a")[0], each)) for each in outcomes]
    assert found[-1] == [like(cmd.ExecutorExcluded, executor="a")]


def test_a_kill_by_nobody_is_not_the_executors_fault() -> None:
    rig = three("a", "b", max_deaths=9)
    assert of(cmd.ExecutorExcluded, fail_on(rig, "a", 9, Killed("?"))) == []


def test_a_task_that_fails_elsewhere_too_is_to_blame_itself() -> None:
    rig = three("a", "b")
    victims = [launch.index for launch in on(rig, "a")]
    fail_on(rig, "a", 2)
    again = [launch for launch in on(rig, "b") if launch.index in victims]
    while not again:
        rig.succeed(on(rig, "b")[0])
        again = [launch for launch in on(rig, "b") if launch.index in victims]
    rig.end(again[0], DIED)
    assert of(cmd.ExecutorExcluded, fail_on(rig, "a", 1)) == [], "one of the three does not count any more"


def test_an_executor_is_used_again_when_its_failures_turn_out_to_be_the_tasks_fault() -> None:
    rig = three("a", "b", exclude_after=1.0)
    (victim,) = (launch.index for launch in on(rig, "a")[:1])
    assert of(cmd.ExecutorExcluded, fail_on(rig, "a", 1))
    rig.succeed(*on(rig, "a"))
    rig.succeed(on(rig, "b")[0])
    (again,) = (launch for launch in on(rig, "b") if launch.index == victim)
    commands = rig.end(again, DIED)
    assert "a" in {launch.executor for launch in of(cmd.Launch, commands)}


def test_code_that_fails_its_job_is_to_blame_itself() -> None:
    rig = three("a", "b")
    fail_on(rig, "a", 2, raised("r1"))
    rig.submit(job(1, 40))
    hopeless = raised("r2", retryable=False)
    assert of(cmd.JobFailed, rig.end(on(rig, "b")[0], hopeless)) == [like(cmd.JobFailed, job_id=0)]
    for launch in rig.running(ResultStage(0)):
        rig.end(launch, Killed("as asked"))
    assert of(cmd.ExecutorExcluded, fail_on(rig, "a", 2)) == [], "nothing of the other job is held against it"


def test_the_last_usable_executor_is_not_excluded() -> None:
    rig = three("a")
    assert of(cmd.ExecutorExcluded, fail_on(rig, "a", 4)) == []
    assert on(rig, "a")


def test_of_two_bad_executors_the_less_bad_is_used() -> None:
    rig = three("a", "b")
    fail_on(rig, "a", 3)
    rig.now += 30.0
    commands = fail_on(rig, "b", 3)
    assert of(cmd.ExecutorExcluded, commands) == [like(cmd.ExecutorExcluded, executor="b")]
    assert {launch.executor for launch in of(cmd.Launch, commands)[-1:]} == {"a"}
    other = three("a", "b")
    fail_on(other, "a", 4)
    assert of(cmd.ExecutorExcluded, fail_on(other, "b", 3)) == [], "it is the best there is"


def test_when_the_last_usable_executor_goes_an_excluded_one_is_used() -> None:
    rig = three("a", "b", "c")
    fail_on(rig, "a", 4)
    fail_on(rig, "b", 3)
    commands = rig.lose("c")
    assert {launch.executor for launch in of(cmd.Launch, commands)} == {"b"}


def test_an_excluded_executor_may_be_lost_suspected_and_come_back() -> None:
    rig = three("a", "b", "c")
    fail_on(rig, "a", 3)
    fail_on(rig, "b", 3)
    rig.tell(ev.ExecutorSuspected("a", "cut"))
    attempts = frozenset(launch.attempt for launch in on(rig, "a"))
    assert of(cmd.Launch, rig.tell(ev.ExecutorReturned("a", attempts))) == [], "it is excluded still"
    rig.lose("a")
    rig.lose("b")
    assert rig.scheduler.watchers()[0].until == {}
    assert rig.finish()[-1] == cmd.JobDone(0)


def test_it_can_be_switched_off() -> None:
    rig = three("a", "b", exclude=False, max_deaths=99)
    assert of(cmd.ExecutorExcluded, fail_on(rig, "a", 20)) == []


def test_the_same_task_counts_once() -> None:
    """The stage begins anew each time, so the task has no memory of where it failed."""
    rig = Rig("a", "b", slots=1, silence=1e6)
    for number in range(4):
        rig.submit(job(number, 1, map_stage(0, 1)))
        launch = rig.running()[0]
        rig.end(launch, DIED)
        rig.tell(ev.JobCancelled(number, "stop"))
        for each in rig.running():
            rig.end(each, Killed("as asked"))
    assert rig.scheduler.watchers()[0].until == {}
