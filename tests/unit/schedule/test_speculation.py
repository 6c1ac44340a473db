"""A second attempt of what is slow, on another executor: the first success counts, and nothing is charged twice."""

from __future__ import annotations

from typing import Any

import pytest

from rddlite.base.metrics import TaskMetrics
from rddlite.base.outcome import InlineResult, MapStatus, OutOfMemory, Success, WorkerDied
from rddlite.plan.model import JobPlan, MapStage, ResultStage, StagePlan
from rddlite.schedule import commands as cmd
from rddlite.schedule import events as ev
from tests.helpers.matching import like, of
from tests.helpers.scheduling import Rig, job, map_stage, raised, unreadable

DIED = WorkerDied(None, 9)


def succeed(rig: Rig, launch: cmd.Launch, seconds: float = 1.0, records: int = 1000) -> list[cmd.Command]:
    """An attempt does its work at the usual pace."""
    value: Any = InlineResult(b"")
    if isinstance(launch.key, MapStage):
        value = MapStatus(launch.executor, launch.attempt, b"", 1, 1)
    return rig.end(launch, Success(value, TaskMetrics(seconds=seconds, records_read=records)))


def progress(rig: Rig, launch: cmd.Launch, seconds: float, records: int = 0) -> list[cmd.Command]:
    """Its executor tells how far it is."""
    return rig.tell(ev.Heartbeat(launch.executor, ((launch.attempt, seconds, records),)))


def straggling(*, slots: int = 4, others: tuple[str, ...] = ("b",), **options: Any) -> tuple[Rig, cmd.Launch]:
    """A job of eight tasks of which all but one on executor `a` are done."""
    rig = Rig("a", *others, slots=slots, silence=1e6, **options)
    rig.submit(job(0, 8))
    slow = next(launch for launch in rig.running() if launch.executor == "a")
    while rest := [launch for launch in rig.running() if launch is not slow]:
        succeed(rig, rest[0])
    return rig, slow


def copied() -> tuple[Rig, cmd.Launch, cmd.Launch]:
    """The same, with a copy on `b`."""
    rig, slow = straggling()
    (copy,) = of(cmd.Launch, progress(rig, slow, 5.0))
    return rig, slow, copy


def test_a_slow_task_is_copied_to_another_executor() -> None:
    rig, slow = straggling()
    commands = progress(rig, slow, 5.0, records=1000)
    assert commands == [
        like(cmd.Launch, executor="b", index=slow.index, number=1, key=slow.key),
        cmd.TaskCopied(0, slow.index, 8, f"attempt {slow.attempt} is slow; others of its stage took 1 s"),
    ]
    assert progress(rig, slow, 9.0, records=1000) == [], "once"


@pytest.mark.parametrize("winner", [0, 1])
def test_the_first_success_counts_and_the_other_attempt_is_killed(winner: int) -> None:
    rig, *both = copied()
    first, second = both[winner], both[1 - winner]
    commands = succeed(rig, first)
    assert commands == [
        like(cmd.DeliverResult, index=first.index, executor=first.executor),
        like(cmd.AttemptEnded, attempt=first.attempt, accepted=True),
        like(cmd.Kill, attempt=second.attempt, executor=second.executor),
        like(cmd.StageEnded),
        cmd.JobDone(0),
    ]
    assert of(cmd.DeliverResult, succeed(rig, second)) == []


def test_in_the_middle_of_a_stage_nothing_else_happens_to_it() -> None:
    rig = Rig("a", "b", slots=4, silence=1e6)
    rig.submit(job(0, 8))
    slow, other, *rest = rig.running()
    for launch in rest:
        succeed(rig, launch)
    (copy,) = of(cmd.Launch, progress(rig, slow, 5.0))
    assert of(cmd.Kill, succeed(rig, copy)) == [like(cmd.Kill, attempt=slow.attempt)]
    assert succeed(rig, other)[-1] == cmd.JobDone(0)


def test_the_output_of_a_map_task_that_came_second_is_deleted() -> None:
    rig = Rig("a", "b", slots=4, silence=1e6)
    rig.submit(job(0, 1, map_stage(0, 8)))
    slow, *rest = rig.running()
    for launch in rest:
        succeed(rig, launch)
    (copy,) = of(cmd.Launch, progress(rig, slow, 5.0))
    succeed(rig, copy)
    assert rig.places(0)[slow.index] == (copy.executor, copy.attempt)
    late = succeed(rig, slow)
    assert of(cmd.ForgetOutput, late) == [cmd.ForgetOutput(slow.executor, 0, slow.index, slow.attempt)]


@pytest.mark.parametrize("outcome", [DIED, OutOfMemory(1, 2)])
@pytest.mark.parametrize("loser", [0, 1])
def test_while_one_runs_on_the_other_is_not_tried_again(outcome: Any, loser: int) -> None:
    rig, *both = copied()
    assert rig.end(both[loser], outcome) == [like(cmd.AttemptEnded, attempt=both[loser].attempt, accepted=False)]
    assert rig.end(both[1 - loser], DIED)[-1] == like(cmd.Launch, index=both[0].index, number=2)
    assert succeed(rig, rig.running()[0])[-1] == cmd.JobDone(0)


@pytest.mark.parametrize("executor", ["a", "b"])
def test_the_loss_of_one_executor_leaves_the_other_attempt(executor: str) -> None:
    rig, slow, copy = copied()
    commands = rig.lose(executor)
    assert of(cmd.Launch, commands) == []
    (left,) = rig.running()
    assert left is (copy if executor == "a" else slow)
    assert succeed(rig, left)[-1] == cmd.JobDone(0)


@pytest.mark.parametrize("executor", ["a", "b"])
def test_an_attempt_that_its_executor_does_not_have_leaves_the_other_one(executor: str) -> None:
    rig, slow, copy = copied()
    assert of(cmd.Launch, rig.tell(ev.ExecutorReturned(executor, frozenset()))) == []
    stray, left = (slow, copy) if executor == "a" else (copy, slow)
    assert of(cmd.Kill, succeed(rig, stray)) == [like(cmd.Kill, attempt=left.attempt)], "it reports all the same"


def test_both_may_be_overtaken_by_a_stray() -> None:
    rig = Rig("a", "b", "c", slots=4, silence=1e6)
    rig.submit(job(0, 1, map_stage(0, 8)))
    stray = rig.running()[0]
    rig.tell(ev.ExecutorReturned(stray.executor, frozenset(
        launch.attempt for launch in rig.running() if launch.executor == stray.executor and launch is not stray
    )))  # fmt: skip
    again = rig.all_launches[-1]
    assert again.index == stray.index
    for launch in [each for each in rig.running() if each not in (stray, again)]:
        succeed(rig, launch)
    (copy,) = of(cmd.Launch, progress(rig, again, 5.0))
    killed = of(cmd.Kill, succeed(rig, stray))
    assert {kill.attempt for kill in killed} == {again.attempt, copy.attempt}


def test_a_failed_fetch_of_one_loses_the_output_and_no_attempt_of_the_stage() -> None:
    rig = Rig("a", "b", slots=4, silence=1e6, stage_max_attempts=1)
    rig.submit(job(0, 8, map_stage(0, 2)))
    rig.finish(MapStage(0))
    slow, *rest = rig.running()
    for launch in rest:
        succeed(rig, launch)
    (copy,) = of(cmd.Launch, progress(rig, slow, 5.0))
    place = rig.places(0)[1]
    commands = rig.end(copy, unreadable(0, 1, place))
    assert of(cmd.MapOutputsLost, commands) == [like(cmd.MapOutputsLost, shuffle=0, count=1)]
    assert of(cmd.JobFailed, commands) == of(cmd.Launch, commands) == []
    assert succeed(rig, slow)[-1] == cmd.JobDone(0)


def test_inputs_are_computed_again_only_for_a_copy_of_what_is_stuck() -> None:
    rig = Rig("a", "b", slots=4, silence=1e6)
    rig.submit(job(0, 8, map_stage(0, 2)))
    rig.finish(MapStage(0))
    slow, *rest = rig.running()
    for launch in rest:
        succeed(rig, launch)
    place = rig.places(0)[1]
    rig.tell(ev.OutputsLost(place[0], 0, (1,), "gone"))
    assert of(cmd.Launch, progress(rig, slow, 3.0)) == [], "it may be done before them"
    commands = progress(rig, slow, 5.0)
    assert of(cmd.StageEnded, commands) == [like(cmd.StageEnded, stage=1)]
    assert of(cmd.Launch, commands) == [like(cmd.Launch, key=MapStage(0), index=1)]
    assert progress(rig, slow, 6.0) == []
    assert of(cmd.Launch, rig.finish(MapStage(0))) == [like(cmd.Launch, key=slow.key, index=slow.index)]
    assert succeed(rig, slow)[-1] == cmd.JobDone(0)


def test_no_inputs_are_computed_again_for_a_copy_that_has_no_place() -> None:
    rig = Rig("a", slots=16, silence=1e6)
    rig.submit(job(0, 8, map_stage(0, 2)))
    rig.finish(MapStage(0))
    slow, *rest = rig.running()
    for launch in rest:
        succeed(rig, launch)
    rig.tell(ev.OutputsLost("a", 0, (1,), "gone"))
    assert progress(rig, slow, 50.0) == []


def test_it_waits_for_a_free_slot_elsewhere() -> None:
    rig, slow = straggling()
    rig.submit(job(1, 7))
    assert of(cmd.Launch, progress(rig, slow, 5.0)) == [], "no room"
    succeed(rig, next(launch for launch in rig.running(ResultStage(1)) if launch.executor == "a"))
    assert rig.scheduler.parts()[1].n_copies == 0, "no room elsewhere"
    commands = succeed(rig, next(launch for launch in rig.running(ResultStage(1)) if launch.executor == "b"))
    assert of(cmd.Launch, commands) == [like(cmd.Launch, executor="b", index=slow.index, key=ResultStage(0))]


def test_an_attempt_that_became_faster_or_ended_is_not_copied_any_more() -> None:
    rig, slow = straggling(others=("b",), slots=4)
    rig.tell(ev.ExecutorSuspected("b", "cut"))
    assert progress(rig, slow, 5.0) == []
    assert list(rig.scheduler.parts()[1].slow) == [slow.attempt]
    progress(rig, slow, 6.0, records=5900)
    assert not rig.scheduler.parts()[1].slow
    progress(rig, slow, 15.0, records=6000)
    succeed(rig, slow)
    assert not rig.scheduler.parts()[1].slow
    assert of(cmd.Launch, rig.tell(ev.ExecutorReturned("b", frozenset()))) == []


def test_more_records_are_skew_and_told_once() -> None:
    rig, slow = straggling()
    assert progress(rig, slow, 5.0, records=4900) == [cmd.TaskSkewed(0, slow.index, slow.attempt, 4900, 1000)]
    assert progress(rig, slow, 6.0, records=5900) == []
    assert of(cmd.TaskCopied, progress(rig, slow, 30.0, records=6000)), "it may hang later all the same"


def test_too_few_are_done_to_compare_with() -> None:
    rig = Rig("a", "b", slots=4, silence=1e6)
    rig.submit(job(0, 8))
    slow, *rest = rig.running()
    for launch in rest[:5]:
        succeed(rig, launch)
    assert progress(rig, slow, 50.0) == []
    succeed(rig, rest[5])
    assert of(cmd.TaskCopied, progress(rig, slow, 50.0))


@pytest.mark.parametrize("options", [{"speculation": False}, {"speculation_minimum": 100.0}])
def test_options_that_forbid_it(options: dict[str, Any]) -> None:
    rig, slow = straggling(**options)
    assert progress(rig, slow, 50.0) == []


def test_with_one_executor_there_are_no_copies() -> None:
    rig, slow = straggling(others=(), slots=16)
    assert progress(rig, slow, 50.0) == []


def test_executors_that_are_excluded_or_leave_get_no_copies() -> None:
    rig, slow = straggling()
    rig.tell(ev.ExecutorDraining("b", "asked to"))
    assert of(cmd.TaskCopied, progress(rig, slow, 50.0)) == []


def test_a_task_that_failed_there_is_not_copied_there() -> None:
    rig = Rig("a", "b", slots=4, silence=1e6, exclude=False)
    rig.submit(job(0, 8))
    first = next(launch for launch in rig.running() if launch.executor == "b")
    rig.end(first, raised("r"))
    while rest := [launch for launch in rig.running() if launch.index != first.index]:
        succeed(rig, rest[0])
    (slow,) = rig.running()
    assert slow.executor == "a"
    assert progress(rig, slow, 50.0) == []
    assert of(cmd.Launch, rig.join("c")) == [like(cmd.Launch, executor="c", index=first.index)]


def test_stages_that_must_not_run_twice_do_not() -> None:
    rig = Rig("a", "b", slots=4, silence=1e6)
    plan = StagePlan(ResultStage(0), (), 8, can_copy=False)
    rig.submit(JobPlan(0, range(8), plan))
    slow, *rest = rig.running()
    for launch in rest:
        succeed(rig, launch)
    assert progress(rig, slow, 50.0) == []


def test_few_copies_run_at_once() -> None:
    rig = Rig("a", "b", slots=20, silence=1e6)
    rig.submit(job(0, 40))
    mine = [launch for launch in rig.running() if launch.executor == "a"]
    for launch in [launch for launch in rig.running() if launch.executor == "b"] + mine[:10]:
        succeed(rig, launch)
    rows = tuple((launch.attempt, 50.0, 0) for launch in mine[10:])
    (copied,) = of(cmd.TaskCopied, rig.tell(ev.Heartbeat("a", rows)))
    (copy,) = [launch for launch in rig.running() if launch.attempt == copied.attempt]
    assert of(cmd.TaskCopied, succeed(rig, copy)), "the next one follows"


def test_what_nobody_knows_and_what_a_suspect_says_is_no_matter() -> None:
    rig, slow = straggling()
    assert rig.tell(ev.Heartbeat("a", ((999, 50.0, 0),)), ev.Heartbeat("zz", ((slow.attempt, 50.0, 0),))) == []
    rig.tell(ev.ExecutorSuspected("a", "cut"))
    assert progress(rig, slow, 50.0) == []


def test_a_cancelled_job_kills_both() -> None:
    rig, slow, copy = copied()
    kills = of(cmd.Kill, rig.tell(ev.JobCancelled(0, "stop")))
    assert {kill.attempt for kill in kills} == {slow.attempt, copy.attempt}
    assert rig.scheduler.parts()[1].n_copies == 0
