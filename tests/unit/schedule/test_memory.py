"""A task that ran out of memory gets one more attempt, with an executor to itself."""

from __future__ import annotations

from rddlite.base.outcome import Killed, OutOfMemory
from rddlite.plan.model import MapStage, ResultStage
from rddlite.schedule import commands as cmd
from rddlite.schedule import events as ev
from tests.helpers.matching import like, of
from tests.helpers.scheduling import Rig, job, map_stage, raised

TOO_MUCH = OutOfMemory(100, 120)


def test_it_waits_until_its_executor_is_empty_and_nothing_joins_it_there() -> None:
    rig = Rig("a", slots=3)
    rig.submit(job(0, 9))
    first, second, third = rig.running()
    assert of(cmd.Launch, rig.end(first, TOO_MUCH)) == []
    assert of(cmd.Launch, rig.succeed(second)) == []
    assert of(cmd.Launch, rig.succeed(third)) == [like(cmd.Launch, index=first.index, number=1)]
    (alone,) = rig.running()
    commands = rig.succeed(alone)
    assert len(of(cmd.Launch, commands)) == 3, "afterwards the executor is as before"
    assert rig.finish()[-1] == cmd.JobDone(0)


def test_the_second_time_is_the_last() -> None:
    rig = Rig("a")
    rig.submit(job(0, 1))
    rig.end(rig.running()[0], TOO_MUCH)
    (failed,) = of(cmd.JobFailed, rig.end(rig.running()[0], TOO_MUCH))
    note = "it ran out of memory again with the executor to itself"
    assert failed.cause == like(cmd.TaskFailedForGood, number=1, outcome=TOO_MUCH, note=note)


def test_others_go_on_elsewhere_meanwhile() -> None:
    rig = Rig("a", "b", slots=2)
    rig.submit(job(0, 20))
    victim = rig.running()[0]
    rig.end(victim, TOO_MUCH)
    reserved = next(each for each in rig.scheduler.parts()[1].table.members.values() if each.is_exclusive)
    other = {"a": "b", "b": "a"}[reserved.id]
    while not any(launch.index == victim.index for launch in rig.running()):
        rig.succeed(rig.running()[0])
        assert all(launch.executor == other for launch in rig.all_launches[4:] if launch.index != victim.index)
    (alone,) = [launch for launch in rig.running() if launch.index == victim.index]
    assert alone.executor == reserved.id
    assert [launch.executor for launch in rig.running()].count(reserved.id) == 1


def test_an_idle_executor_is_taken_at_once() -> None:
    rig = Rig("a", "b", slots=1)
    rig.submit(job(0, 1))
    (launch,) = rig.running()
    commands = rig.end(launch, TOO_MUCH)
    assert of(cmd.Launch, commands) == [like(cmd.Launch, index=0, number=1)]


def test_several_get_an_executor_each() -> None:
    rig = Rig("a", "b", slots=2)
    rig.submit(job(0, 4))
    victims = rig.running()[:3]
    for victim in victims:
        rig.end(victim, TOO_MUCH)
    rig.succeed(rig.all_launches[3])
    assert sorted(launch.executor for launch in rig.running()) == ["a", "b"]
    assert rig.finish()[-1] == cmd.JobDone(0)


def test_an_executor_that_was_emptied_for_nothing_is_used_again() -> None:
    rig = Rig("a", slots=3)
    rig.submit(job(0, 2))
    rig.submit(job(1, 3))
    rig.end(rig.running(ResultStage(0))[0], TOO_MUCH)
    assert rig.running(ResultStage(1)) == [like(cmd.Launch, index=0)]
    rig.tell(ev.JobCancelled(0, "stop"))
    assert len(rig.running(ResultStage(1))) == 2


def test_the_reserved_executor_may_be_lost() -> None:
    rig = Rig("a", "b", slots=2)
    rig.submit(job(0, 4))
    rig.end(rig.running()[0], TOO_MUCH)
    reserved = next(each for each in rig.scheduler.parts()[1].table.members.values() if each.is_exclusive)
    rig.lose(reserved.id)
    assert rig.finish()[-1] == cmd.JobDone(0)


def test_the_reserved_executor_may_be_suspected() -> None:
    rig = Rig("a", "b", slots=2)
    rig.submit(job(0, 4))
    rig.end(rig.running()[0], TOO_MUCH)
    reserved = next(each.id for each in rig.scheduler.parts()[1].table.members.values() if each.is_exclusive)
    rig.tell(ev.ExecutorSuspected(reserved, "cut"))
    members = rig.scheduler.parts()[1].table.members
    assert not members[reserved].is_exclusive
    assert members[{"a": "b", "b": "a"}[reserved]].is_exclusive
    rig.tell(ev.ExecutorReturned(reserved, frozenset(members[reserved].attempts)))
    assert rig.finish()[-1] == cmd.JobDone(0)


def test_any_later_attempt_is_alone_too() -> None:
    rig = Rig("a", slots=2, max_failures=3)
    rig.submit(job(0, 5))
    first, second = rig.running()
    rig.end(first, TOO_MUCH)
    rig.succeed(second)
    (alone,) = rig.running()
    rig.end(alone, raised())
    assert rig.running() == [like(cmd.Launch, index=first.index, number=2)]


def test_a_killed_one_keeps_the_executor_until_it_has_ended() -> None:
    rig = Rig("a", slots=2)
    rig.submit(job(0, 1))
    rig.end(rig.running()[0], TOO_MUCH)
    (alone,) = rig.running()
    rig.tell(ev.JobCancelled(0, "stop"))
    assert of(cmd.Launch, rig.submit(job(1, 2))) == []
    assert len(of(cmd.Launch, rig.end(alone, Killed("stop")))) == 2


def test_a_lost_output_after_running_out_of_memory_is_made_alone_again() -> None:
    rig = Rig("a", "b", slots=1)
    rig.submit(job(0, 1, map_stage(0, 5)))
    victim = rig.running()[0]
    rig.end(victim, TOO_MUCH)
    again = next(launch for launch in rig.running() if launch.index == victim.index)
    rig.succeed(again)
    assert rig.running(MapStage(0))
    rig.lose(again.executor)
    assert rig.turn.rows["task", "DONE", "ALONE"] == 1
    assert rig.finish()[-1] == cmd.JobDone(0)


def test_an_interrupted_stage_gives_its_reservations_back() -> None:
    rig = Rig("a", slots=3)
    rig.submit(job(0, 3, map_stage(0, 1)))
    rig.finish(MapStage(0))
    rig.submit(job(1, 5))
    rig.end(rig.running(ResultStage(0))[0], TOO_MUCH)
    (executor,) = rig.scheduler.parts()[1].table.members.values()
    assert executor.is_exclusive
    rig.tell(ev.OutputsLost("a", 0, (0,), "gone"))
    assert not executor.is_exclusive
    assert rig.finish()[-1] == cmd.JobDone(1)
