"""Suspects: nothing is launched there, nothing computed again; when one returns, both sides agree on what runs."""

from __future__ import annotations

from rddlite.base.outcome import Killed
from rddlite.plan.model import MapStage
from rddlite.schedule import commands as cmd
from rddlite.schedule import events as ev
from tests.helpers.matching import like, of
from tests.helpers.scheduling import Rig, job, map_stage


def test_a_suspect_gets_no_tasks_and_loses_none() -> None:
    rig = Rig("a", "b", slots=1)
    rig.submit(job(0, 6, map_stage(0, 2)))
    assert rig.tell(ev.ExecutorSuspected("a", "cut")) == []
    commands = rig.finish(MapStage(0))
    assert {launch.executor for launch in of(cmd.Launch, commands)} == {"b"}
    assert {place[0] for place in rig.places(0)} == {"a", "b"}, "what it reports and holds still counts"


def test_suspicion_of_the_unknown_or_suspected_is_ignored() -> None:
    rig = Rig("a")
    rig.tell(ev.ExecutorSuspected("a", "cut"))
    assert rig.tell(ev.ExecutorSuspected("a", "cut"), ev.ExecutorSuspected("zz", "cut")) == []


def test_what_it_still_has_goes_on() -> None:
    rig = Rig("a")
    rig.submit(job(0, 2))
    rig.tell(ev.ExecutorSuspected("a", "cut"))
    assert rig.tell(ev.ExecutorReturned("a", frozenset({0, 1}))) == []
    assert rig.finish()[-1] == cmd.JobDone(0)


def test_what_it_does_not_have_is_launched_again_uncharged() -> None:
    rig = Rig("a", max_failures=1, max_deaths=1)
    rig.submit(job(0, 2))
    rig.tell(ev.ExecutorSuspected("a", "cut"))
    commands = rig.tell(ev.ExecutorReturned("a", frozenset({0})))
    assert commands == [
        like(cmd.AttemptEnded, attempt=1, status="not_there", accepted=False),
        like(cmd.Launch, executor="a", index=1, number=1),
    ]


def test_what_it_has_but_nobody_wants_is_killed() -> None:
    rig = Rig("a")
    rig.submit(job(0, 1))
    rig.tell(ev.JobCancelled(0, "stop"))
    commands = rig.tell(ev.ExecutorReturned("a", frozenset({0, 77, 78})))
    assert [kill.attempt for kill in of(cmd.Kill, commands)] == [0, 77, 78]


def test_a_kill_of_what_it_no_longer_has_needs_no_answer() -> None:
    rig = Rig("a", slots=1)
    rig.submit(job(0, 1))
    rig.tell(ev.JobCancelled(0, "stop"))
    rig.submit(job(1, 1))
    commands = rig.tell(ev.ExecutorReturned("a", frozenset()))
    assert of(cmd.Launch, commands) == [like(cmd.Launch, attempt=1)]


def test_one_that_was_never_suspected_is_reconciled_too() -> None:
    rig = Rig("a")
    rig.submit(job(0, 1))
    assert of(cmd.Launch, rig.tell(ev.ExecutorReturned("a", frozenset()))) == [like(cmd.Launch, number=1)]


def test_the_report_of_a_stray_is_taken_and_its_successor_killed() -> None:
    rig = Rig("a")
    rig.submit(job(0, 1))
    (stray,) = rig.running()
    rig.tell(ev.ExecutorReturned("a", frozenset()))
    successor = rig.all_launches[1]
    commands = rig.succeed(stray)
    assert of(cmd.DeliverResult, commands) == [like(cmd.DeliverResult, index=0)]
    assert of(cmd.Kill, commands) == [like(cmd.Kill, attempt=successor.attempt)]
    assert commands[-1] == cmd.JobDone(0)
    assert of(cmd.DeliverResult, rig.succeed(successor)) == []


def test_a_stray_that_succeeds_after_its_successor_is_forgotten() -> None:
    rig = Rig("a")
    rig.submit(job(0, 2, map_stage(0, 2)))
    stray, other = rig.running()
    rig.tell(ev.ExecutorReturned("a", frozenset({other.attempt})))
    rig.succeed(rig.all_launches[2])
    commands = rig.succeed(stray)
    assert of(cmd.ForgetOutput, commands) == [cmd.ForgetOutput("a", 0, stray.index, stray.attempt)]
    assert rig.finish()[-1] == cmd.JobDone(0)


def test_a_stray_that_is_there_after_all_is_killed() -> None:
    rig = Rig("a")
    rig.submit(job(0, 1))
    (stray,) = rig.running()
    rig.tell(ev.ExecutorReturned("a", frozenset()))
    successor = rig.all_launches[1]
    commands = rig.tell(ev.ExecutorReturned("a", frozenset({stray.attempt, successor.attempt})))
    assert commands == [cmd.Kill("a", stray.attempt, "another attempt took its place")]
    rig.end(stray, Killed("?"))
    assert rig.finish()[-1] == cmd.JobDone(0)


def test_strays_go_with_their_job() -> None:
    rig = Rig("a")
    rig.submit(job(0, 1))
    rig.tell(ev.ExecutorReturned("a", frozenset()))
    rig.tell(ev.JobCancelled(0, "stop"))
    (executor,) = rig.scheduler.parts()[1].table.members.values()
    assert list(executor.attempts) == [1], "only what is being killed"


def test_strays_go_with_their_executor() -> None:
    rig = Rig("a", "b", slots=1)
    rig.submit(job(0, 1))
    (stray,) = rig.running()
    rig.tell(ev.ExecutorReturned(stray.executor, frozenset()))
    rig.lose(stray.executor)
    assert rig.succeed(stray) == []
    assert rig.finish()[-1] == cmd.JobDone(0)


def test_one_that_was_declared_lost_is_told_to_go() -> None:
    rig = Rig("a", "b")
    rig.lose("a")
    for event in (ev.ExecutorReturned("a", frozenset()), ev.Heartbeat("a"), ev.ExecutorJoined("a", "h", 1)):
        assert rig.tell(event) == [like(cmd.DropExecutor, executor="a")]
    assert [each.id for each in rig.scheduler.executors()] == ["b"]


def test_one_that_nobody_knows_is_told_to_go_and_does_not_count_afterwards() -> None:
    rig = Rig()
    assert rig.tell(ev.ExecutorReturned("x", frozenset())) == [like(cmd.DropExecutor, executor="x")]
    assert rig.join("x") == [like(cmd.DropExecutor, executor="x")]
    assert rig.scheduler.executors() == ()


def test_a_loss_told_before_the_registration_counts() -> None:
    rig = Rig()
    assert rig.lose("x") == []
    assert rig.join("x") == [like(cmd.DropExecutor, executor="x")]


def test_registering_twice_changes_nothing() -> None:
    rig = Rig("a", slots=2)
    rig.submit(job(0, 9))
    assert rig.join("a", slots=99) == []
    assert [each.slots for each in rig.scheduler.executors()] == [2]
