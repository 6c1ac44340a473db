"""Barrier stages: all tasks at once or none, all again when one is no more, and what happens when slots are missing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from rddlite.base.outcome import OutOfMemory, WorkerDied
from rddlite.plan.model import JobPlan, MapStage, ResultStage, StagePlan
from rddlite.schedule import commands as cmd
from rddlite.schedule import events as ev
from tests.helpers.matching import of
from tests.helpers.scheduling import Rig, job, map_stage, raised, unreadable


def gang(plan: StagePlan) -> StagePlan:
    return replace(plan, is_barrier=True, can_copy=False)


def gang_job(job_id: int = 0, n_tasks: int = 3, *maps: StagePlan) -> JobPlan:
    plan = job(job_id, n_tasks, *maps)
    return replace(plan, result=gang(plan.result))


def cause(commands: list[cmd.Command]) -> Any:
    (failed,) = of(cmd.JobFailed, commands)
    return failed.cause


def test_all_tasks_start_at_once_and_say_so() -> None:
    rig = Rig("a", "b", slots=2)
    commands = rig.submit(gang_job(0, 3))
    launches = of(cmd.Launch, commands)
    (started,) = of(cmd.GangStarted, commands)
    assert [each.index for each in sorted(launches, key=lambda each: each.index)] == [0, 1, 2]
    places = {each.index: (each.attempt, each.executor) for each in launches}
    assert list(zip(started.attempts, started.executors, strict=True)) == [places[i] for i in range(3)]


def test_nothing_starts_before_there_is_a_free_slot_for_each() -> None:
    rig = Rig("a", "b", slots=2)
    rig.submit(job(0, 2))
    assert of(cmd.Launch, rig.submit(gang_job(1, 3))) == []
    first, second = rig.running()
    commands = rig.succeed(first)
    assert len(of(cmd.Launch, commands)) == 3
    assert second in rig.running()


def test_younger_jobs_get_no_slots_while_a_gang_waits_for_busy_ones() -> None:
    rig = Rig("a", "b", slots=2)
    rig.submit(job(0, 3))
    rig.submit(gang_job(1, 4))
    assert of(cmd.Launch, rig.submit(job(2, 4))) == []
    for launch in rig.running(ResultStage(0)):
        rig.succeed(launch)
    assert len(rig.running(ResultStage(1))) == 4
    assert rig.running(ResultStage(2)) == []
    rig.succeed(*rig.running(ResultStage(1)))
    assert len(rig.running(ResultStage(2))) == 4


def test_older_jobs_go_on_while_a_gang_waits() -> None:
    rig = Rig("a", slots=2)
    rig.submit(job(0, 4))
    rig.submit(gang_job(1, 2))
    rig.succeed(rig.running()[0])
    assert len(rig.running(ResultStage(0))) == 2
    assert rig.running(ResultStage(1)) == []


def test_a_gang_that_lacks_slots_keeps_none_from_others() -> None:
    rig = Rig("a", slots=2)
    commands = rig.submit(gang_job(0, 3))
    assert of(cmd.GangWaits, commands) == [cmd.GangWaits(0, 3, 2)]
    assert len(of(cmd.Launch, rig.submit(job(1, 2)))) == 2
    rig.finish(ResultStage(1))
    assert len(of(cmd.Launch, rig.join("b", slots=1))) == 3


def test_two_gangs_never_have_a_part_of_the_slots_each() -> None:
    rig = Rig("a", "b", slots=2)
    rig.submit(gang_job(0, 3))
    assert of(cmd.Launch, rig.submit(gang_job(1, 3))) == []
    rig.succeed(*rig.running())
    assert len(rig.running(ResultStage(1))) == 3


def test_it_fails_when_slots_were_missing_for_too_long() -> None:
    rig = Rig("a", slots=2, barrier_wait=60.0, silence=1e9)
    rig.submit(gang_job(0, 3))
    rig.tell(after=59.0)
    assert rig.scheduler.next_deadline() == 60.0
    assert cause(rig.tell(ev.Tick(), after=1.0)) == cmd.TooFewSlots(0, "result 0", 3, 2, 60.0)


def test_the_wait_begins_anew_when_there_were_enough_slots() -> None:
    rig = Rig("a", "b", slots=2, barrier_wait=60.0, silence=1e9, grace=1e9)
    rig.submit(job(0, 4))
    rig.submit(gang_job(1, 4))
    rig.tell(after=30.0)
    assert rig.scheduler.next_deadline() != 60.0
    rig.lose("b")
    assert rig.scheduler.next_deadline() == 90.0
    rig.tell(ev.DriverDelayed(5.0))
    assert rig.scheduler.next_deadline() == 95.0
    rig.join("c")
    rig.finish()
    assert not rig.scheduler.parts()[0].jobs


def test_what_can_never_be_fails_before_anything_runs() -> None:
    rig = Rig("a", slots=2, most_slots=2)
    commands = rig.submit(gang_job(0, 3, map_stage(0)))
    assert cause(commands) == cmd.TooFewSlots(1, "result 0", 3, 2, 0.0)
    assert of(cmd.Launch, commands) == []


def test_when_a_task_fails_all_start_again_and_results_are_delivered_again() -> None:
    rig = Rig("a", "b", slots=2)
    rig.submit(gang_job(0, 4))
    first, second, *others = rig.running()
    assert of(cmd.DeliverResult, rig.succeed(first))
    commands = rig.end(second, raised())
    assert sorted(each.attempt for each in of(cmd.Kill, commands)) == [each.attempt for each in others]
    assert of(cmd.StageEnded, commands)[0].why == f"task {second.index} failed on executor {second.executor}"
    assert of(cmd.Launch, commands) == []  # those that are being killed hold their slots
    commands = [command for each in others for command in rig.tell(rig.ended(each, rig.success_of(each)))]
    assert of(cmd.DeliverResult, commands) == []
    again = of(cmd.Launch, commands)
    assert sorted(each.index for each in again) == [0, 1, 2, 3]
    assert {each.number for each in again} == {1}
    assert len(of(cmd.DeliverResult, rig.succeed(*again))) == 4


def test_a_lost_executor_breaks_it_and_outputs_of_before_never_count() -> None:
    rig = Rig("a", "b", "c", slots=1)
    rig.submit(job(0, 1, gang(map_stage(0, 2))))
    first, second = rig.running()
    rig.succeed(first)
    commands = rig.lose(second.executor)
    assert of(cmd.MapOutputsLost, commands)[0].count == 1
    assert sorted(each.index for each in of(cmd.Launch, commands)) == [0, 1]
    rig.finish()
    assert not rig.scheduler.parts()[0].jobs


def test_a_lost_output_takes_all_of_its_gang_with_it() -> None:
    rig = Rig("a", "b", slots=1)
    rig.submit(job(0, 1, gang(map_stage(0, 2))))
    rig.finish(MapStage(0))
    (reader,) = rig.running()
    commands = rig.end(reader, unreadable(0, 0, rig.places(0)[0]))
    assert sorted(each.index for each in of(cmd.Launch, commands)) == [0, 1]


def test_a_cancelled_gang_leaves_nothing_behind_that_a_next_job_would_take() -> None:
    rig = Rig("a", "b", slots=1)
    maps = gang(map_stage(0, 2))
    rig.submit(job(0, 1, maps))
    first, second = rig.running()
    rig.succeed(first)
    rig.tell(ev.JobCancelled(0, "a user"))
    rig.submit(job(1, 1, maps))
    commands = rig.tell(rig.ended(second, rig.success_of(second)))
    assert of(cmd.ForgetOutput, commands)
    assert sorted(each.index for each in of(cmd.Launch, commands)) == [0, 1]


def test_an_executor_that_comes_back_without_a_task_breaks_its_gang() -> None:
    rig = Rig("a", "b", slots=1)
    rig.submit(gang_job(0, 2))
    first, second = rig.running()
    rig.tell(ev.ExecutorSuspected(first.executor, "?"))
    commands = rig.tell(ev.ExecutorReturned(first.executor, frozenset()))
    assert [each.attempt for each in of(cmd.Kill, commands)] == [second.attempt]


def test_it_is_not_tried_for_ever_and_the_error_is_that_of_the_last_task() -> None:
    rig = Rig("a", "b", slots=1, stage_max_attempts=2, max_deaths=9)
    rig.submit(gang_job(0, 1))
    rig.end(rig.running()[0], WorkerDied(None, 9))
    failed = cause(rig.end(rig.running()[0], WorkerDied(None, 9)))
    assert isinstance(failed, cmd.TaskFailedForGood)
    assert failed.note.startswith("its stage was broken off 2 times")


def test_it_is_not_tried_for_ever_when_executors_are_lost() -> None:
    rig = Rig("a", "b", "c", slots=1, stage_max_attempts=2)
    rig.submit(gang_job(0, 1))
    rig.lose(rig.running()[0].executor)
    failed = cause(rig.lose(rig.running()[0].executor))
    assert isinstance(failed, cmd.GangGaveUp)
    assert len(failed.reasons) == 2
    assert "signal 9" in failed.reasons[0]


def test_what_ran_out_of_memory_does_not_run_alone() -> None:
    rig = Rig("a", slots=2)
    rig.submit(gang_job(0, 2))
    first, second = rig.running()
    rig.end(first, OutOfMemory(100, 101))
    rig.launched.pop(second.attempt)
    commands = rig.tell(rig.ended(second, rig.success_of(second)))
    assert len(of(cmd.Launch, commands)) == 2
