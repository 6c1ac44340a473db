"""An attempt and its copy: however one of them ends, the task does not wait for the other one if that one hangs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from rddlite.base.metrics import TaskMetrics
from rddlite.base.outcome import InlineResult, Killed, OutOfMemory, Success, WorkerDied
from rddlite.plan.model import MapStage
from rddlite.schedule import commands as cmd
from rddlite.schedule import events as ev
from rddlite.schedule.taskset import MOST_COPIES
from tests.helpers.matching import like, of
from tests.helpers.scheduling import Rig, job, map_stage, raised, unreadable

N_TASKS = 8
ORIGINAL, COPY = 0, 1
Ending = Callable[[Rig, cmd.Launch], list[cmd.Command]]


def succeed(rig: Rig, launch: cmd.Launch) -> list[cmd.Command]:
    """An attempt does its work at the usual pace."""
    return rig.end(launch, Success(InlineResult(b""), TaskMetrics(seconds=1.0, records_read=1000)))


def hang(rig: Rig, launch: cmd.Launch) -> list[cmd.Command]:
    """Its executor tells that it gets nowhere."""
    return rig.tell(ev.Heartbeat(launch.executor, ((launch.attempt, 50.0, 0),)), after=1.0)


def copy_of(rig: Rig, launch: cmd.Launch) -> cmd.Launch:
    """The copy that it gets because it hangs, after its inputs if they were lost."""
    commands = [*hang(rig, launch), *rig.finish(MapStage(0))]
    (copy,) = [each for each in of(cmd.Launch, commands) if each.key == launch.key]
    assert copy.index == launch.index
    assert copy.executor != launch.executor
    return copy


def pair(*others: str, **options: Any) -> tuple[Rig, cmd.Launch, cmd.Launch]:
    """The last task of a job, on two executors."""
    rig = Rig("a", "b", *others, slots=8, silence=1e6, **options)
    rig.submit(job(0, N_TASKS, map_stage(0, 2)))
    rig.finish(MapStage(0))
    slow, *rest = rig.running()
    for launch in rest:
        succeed(rig, launch)
    return rig, slow, copy_of(rig, slow)


def ends(outcome: Any) -> Ending:
    """An outcome is reported."""
    return lambda rig, launch: rig.end(launch, outcome)


def loses_its_executor(rig: Rig, launch: cmd.Launch) -> list[cmd.Command]:
    return rig.lose(launch.executor)


def is_not_there(rig: Rig, launch: cmd.Launch) -> list[cmd.Command]:
    return rig.tell(ev.ExecutorReturned(launch.executor, frozenset()))


def is_given_back(rig: Rig, launch: cmd.Launch) -> list[cmd.Command]:
    rig.tell(ev.ExecutorDraining(launch.executor, "asked to"))
    return rig.end(launch, Killed("this executor leaves"))


def misses_an_input(rig: Rig, launch: cmd.Launch) -> list[cmd.Command]:
    return rig.end(launch, unreadable(0, 1, rig.places(0)[1]))


UNCHARGED: dict[str, Ending] = {
    "is out of memory": ends(OutOfMemory(1, 2)),
    "loses its executor": loses_its_executor,
    "is not there": is_not_there,
    "is given back": is_given_back,
    "misses an input": misses_an_input,
}
RETRYABLE: dict[str, Ending] = {
    "raises": ends(raised("r")),
    "dies": ends(WorkerDied(None, 9)),
    "is killed": ends(Killed("by whom?")),
}
FATAL: dict[str, Ending] = {"cannot be helped": ends(raised("r", retryable=False))}
FAILURES = {**UNCHARGED, **RETRYABLE, **FATAL}
EITHER = pytest.mark.parametrize("who", [ORIGINAL, COPY], ids=["original", "copy"])


def by_name(endings: dict[str, Ending]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("end", endings.values(), ids=endings)


@EITHER
def test_the_success_of_one_is_the_end_of_both(who: int) -> None:
    rig, *both = pair("c")
    commands = succeed(rig, both[who])
    assert of(cmd.Kill, commands) == [like(cmd.Kill, attempt=both[1 - who].attempt)]
    assert commands[-1] == cmd.JobDone(0)


@EITHER
@by_name({**UNCHARGED, **RETRYABLE})
def test_when_one_ends_the_other_runs_on_and_gets_a_copy_if_it_hangs(who: int, end: Ending) -> None:
    rig, *both = pair("c")
    commands = end(rig, both[who])
    left = both[1 - who]
    assert of(cmd.JobFailed, commands) == []
    assert [each for each in of(cmd.Launch, commands) if each.index == left.index and each.key == left.key] == []
    assert succeed(rig, copy_of(rig, left))[-1] == cmd.JobDone(0)
    assert rig.scheduler.parts()[1].n_copies == 0


@by_name(FATAL)
def test_a_copy_that_cannot_be_helped_ends_nothing(end: Ending) -> None:
    rig, slow, copy = pair("c")
    assert of(cmd.JobFailed, end(rig, copy)) == []
    assert succeed(rig, copy_of(rig, slow))[-1] == cmd.JobDone(0)


@by_name(FATAL)
def test_an_original_that_cannot_be_helped_ends_its_job_although_a_copy_runs(end: Ending) -> None:
    """As without the copy, which may hang."""
    rig, slow, copy = pair("c")
    commands = end(rig, slow)
    assert of(cmd.JobFailed, commands) == [like(cmd.JobFailed, job_id=0)]
    assert of(cmd.Kill, commands) == [like(cmd.Kill, attempt=copy.attempt)]
    assert rig.scheduler.parts()[1].n_copies == 0


@by_name(RETRYABLE)
def test_an_original_is_charged_as_if_there_were_no_copy(end: Ending) -> None:
    rig, slow, copy = pair(max_failures=2, max_deaths=2, fail_fast=False)
    assert of(cmd.JobFailed, end(rig, slow)) == []
    assert of(cmd.JobFailed, end(rig, copy)) == [like(cmd.JobFailed, job_id=0)]


@by_name(RETRYABLE)
def test_a_copy_is_not_charged(end: Ending) -> None:
    rig, slow, copy = pair(max_failures=2, max_deaths=2, fail_fast=False)
    end(rig, copy)
    assert of(cmd.JobFailed, end(rig, slow)) == []
    assert of(cmd.JobFailed, end(rig, rig.running()[-1])) == [like(cmd.JobFailed, job_id=0)]


def test_memory_is_charged_when_nothing_of_the_task_runs_on() -> None:
    rig, slow, copy = pair()
    assert of(cmd.Launch, rig.end(slow, OutOfMemory(1, 2))) == []
    rig.end(copy, OutOfMemory(1, 2))
    (alone,) = rig.running()
    assert of(cmd.Launch, hang(rig, alone)) == [], "it has to be alone"
    assert of(cmd.JobFailed, rig.end(alone, OutOfMemory(1, 2))) == [like(cmd.JobFailed, job_id=0)]


@pytest.mark.parametrize("end", [RETRYABLE["raises"], RETRYABLE["dies"], FATAL["cannot be helped"]])
def test_the_next_copy_is_elsewhere(end: Ending) -> None:
    rig, slow, copy = pair()
    end(rig, copy)
    assert of(cmd.Launch, hang(rig, slow)) == [], "it failed on b, and runs on a"
    assert of(cmd.Launch, rig.join("c")) == [like(cmd.Launch, executor="c", index=slow.index)]


@EITHER
@by_name(FAILURES)
def test_a_task_is_copied_only_so_often(who: int, end: Ending) -> None:
    """One after another ends in this way until no more copies are made; the last attempt runs on."""
    rig, slow, copy = pair(max_failures=99, max_deaths=99, fail_fast=False, exclude=False)
    for n in range(MOST_COPIES):
        rig.join(f"new-{n}")
        if of(cmd.JobFailed, end(rig, (slow, copy)[who])):
            return
        slow = (slow, copy)[1 - who]
        if n < MOST_COPIES - 1:
            copy = copy_of(rig, slow)
    assert of(cmd.Launch, hang(rig, slow)) == []
    assert not rig.scheduler.parts()[1].slow
    assert rig.scheduler.parts()[1].n_copies == 0
    assert succeed(rig, slow)[-1] == cmd.JobDone(0)
