"""Timers: silence, the driver's own delays, and jobs that wait without any executor."""

from __future__ import annotations

import math

from rddlite.schedule import commands as cmd
from rddlite.schedule import events as ev
from tests.helpers.matching import like, of
from tests.helpers.scheduling import Rig, job, map_stage


def test_silence_makes_an_executor_lost_and_dropped() -> None:
    rig = Rig("a", silence=15.0)
    rig.submit(job(0, 1))
    assert rig.scheduler.next_deadline() == 15.0
    assert rig.tell(ev.Tick(), after=14.9) == []
    commands = rig.tell(ev.Tick(), after=0.1)
    assert cmd.DropExecutor("a", "it was silent for too long") in commands
    assert of(cmd.AttemptEnded, commands) == [like(cmd.AttemptEnded, status="executor_lost")]
    assert rig.scheduler.executors() == ()


def test_heartbeats_keep_it_alive() -> None:
    rig = Rig("a", "b", silence=15.0)
    for _ in range(10):
        rig.tell(ev.Heartbeat("a"), ev.Heartbeat("b"), after=5.0)
    assert rig.scheduler.next_deadline() == 65.0
    rig.tell(ev.Heartbeat("b"), after=10.0)
    assert of(cmd.DropExecutor, rig.tell(ev.Tick(), after=5.0)) == [like(cmd.DropExecutor, executor="a")]
    assert rig.scheduler.next_deadline() == 75.0


def test_a_suspect_cannot_put_its_end_off_by_heartbeats() -> None:
    """It has to register again, or else it would be suspect for ever."""
    rig = Rig("a", silence=15.0)
    rig.tell(ev.ExecutorSuspected("a", "cut"), after=5.0)
    rig.tell(ev.Heartbeat("a"), ev.ExecutorJoined("a", "host-a", 2), after=9.0)
    assert rig.scheduler.next_deadline() == 15.0
    rig.tell(ev.ExecutorReturned("a", frozenset()), after=0.5)
    assert rig.scheduler.next_deadline() == 29.5


def test_timers_fire_on_ticks_only_so_that_what_has_arrived_comes_first() -> None:
    rig = Rig("a", silence=15.0)
    rig.tell(ev.Heartbeat("nobody"), after=20.0)
    assert [each.id for each in rig.scheduler.executors()] == ["a"]
    assert of(cmd.DropExecutor, rig.tell(ev.Heartbeat("a"), ev.Tick())) == []


def test_the_next_deadline_is_always_in_the_future() -> None:
    rig = Rig("a", silence=15.0)
    rig.tell(ev.Heartbeat("nobody"), after=20.0)
    assert rig.scheduler.next_deadline() == math.nextafter(20.0, math.inf)
    assert Rig().scheduler.next_deadline() is None


def test_time_never_goes_back() -> None:
    rig = Rig("a")
    rig.tell(ev.Heartbeat("a"), after=10.0)
    rig.scheduler.handle(ev.Heartbeat("a"), 3.0)
    assert rig.scheduler.now == 10.0


def test_a_delay_of_the_driver_is_nobodys_silence() -> None:
    rig = Rig("a", silence=15.0)
    assert rig.tell(ev.DriverDelayed(20.0), ev.Tick(), after=30.0) == []
    assert rig.scheduler.next_deadline() == 35.0


# Nobody there


def test_executors_are_asked_for_when_a_job_has_none() -> None:
    rig = Rig()
    assert of(cmd.WantExecutors, rig.submit(job(0, 1))) == [cmd.WantExecutors("jobs wait and no executor is there")]
    assert of(cmd.WantExecutors, rig.submit(job(1, 1))), "each job asks once"
    assert of(cmd.WantExecutors, rig.tell(ev.Heartbeat("x"), after=1.0)) == []


def test_a_lost_executor_is_replaced_while_there_is_work() -> None:
    rig = Rig("a", "b", "c")
    assert of(cmd.WantExecutors, rig.lose("a")) == []
    rig.submit(job(0, 1))
    assert of(cmd.WantExecutors, rig.lose("b")) == [like(cmd.WantExecutors)]
    assert of(cmd.WantExecutors, rig.lose("c")) == [like(cmd.WantExecutors)]


def test_the_end_of_a_process_that_was_counted_on_asks_again() -> None:
    """The provider may have started nobody, because what was lost had not ended yet; or the replacement ends early."""
    rig = Rig("a", grace=30.0)
    rig.submit(job(0, 1))
    assert of(cmd.WantExecutors, rig.lose("a"))
    assert of(cmd.WantExecutors, rig.lose("a")) == [like(cmd.WantExecutors)]
    assert of(cmd.WantExecutors, rig.tell(ev.ExecutorLost("b", "signal 9"))) == [like(cmd.WantExecutors)]
    losses = (cmd.ExecutorGone("a", "host-a", "signal 9"), cmd.ExecutorGone("b", "", "signal 9"))
    assert rig.silence()[0] == cmd.JobFailed(0, cmd.NoExecutorsLeft(30.0, losses))
    assert of(cmd.WantExecutors, rig.lose("c")) == [], "nothing to do"


def test_after_the_grace_period_waiting_jobs_fail_with_what_happened() -> None:
    rig = Rig("a", grace=30.0)
    rig.submit(job(0, 1))
    rig.tell(ev.ExecutorLost("a", "signal 9"), after=1.0)
    assert rig.scheduler.next_deadline() == 31.0
    assert rig.silence() == [
        cmd.JobFailed(0, cmd.NoExecutorsLeft(30.0, (cmd.ExecutorGone("a", "host-a", "signal 9"),))),
        like(cmd.StageEnded, why="job 0 failed"),
    ]
    assert rig.scheduler.next_deadline() is None


def test_each_job_has_its_own_grace_period() -> None:
    rig = Rig(grace=30.0)
    rig.submit(job(0, 1))
    rig.now = 20.0
    rig.submit(job(1, 1))
    assert [each.job_id for each in of(cmd.JobFailed, rig.silence())] == [0]
    assert rig.now == 30.0
    assert [each.job_id for each in of(cmd.JobFailed, rig.silence())] == [1]
    assert rig.now == 50.0


def test_an_executor_that_comes_in_time_ends_the_wait() -> None:
    rig = Rig(grace=30.0, silence=100.0)
    rig.submit(job(0, 1))
    rig.tell(ev.ExecutorJoined("a", "h", 1), after=29.0)
    assert rig.scheduler.next_deadline() == 129.0
    assert of(cmd.JobFailed, rig.tell(ev.Tick(), after=5.0)) == []


def test_an_executor_that_comes_with_the_last_tick_is_in_time() -> None:
    rig = Rig(grace=30.0)
    rig.submit(job(0, 1))
    commands = rig.tell(ev.ExecutorJoined("a", "h", 1), ev.Tick(), after=30.0)
    assert of(cmd.JobFailed, commands) == []
    assert len(of(cmd.Launch, commands)) == 1


def test_a_suspect_is_somebody() -> None:
    rig = Rig("a", grace=1.0, silence=50.0)
    rig.submit(job(0, 1))
    rig.tell(ev.ExecutorSuspected("a", "cut"))
    assert of(cmd.JobFailed, rig.tell(ev.Tick(), after=20.0)) == []


def test_the_drivers_delay_is_not_waiting() -> None:
    rig = Rig(grace=30.0)
    rig.submit(job(0, 1))
    assert rig.tell(ev.DriverDelayed(40.0), ev.Tick(), after=41.0) == []
    assert rig.scheduler.next_deadline() == 70.0


def test_a_provider_that_gives_up_ends_the_wait_at_once() -> None:
    rig = Rig("a")
    rig.submit(job(0, 1, map_stage(0, 1)))
    assert rig.tell(ev.ProviderFailed("no machines")) == [], "somebody is there"
    rig.lose("a")
    commands = rig.tell(ev.ProviderFailed("no machines"), after=2.0)
    cause = cmd.NoExecutorsLeft(2.0, (cmd.ExecutorGone("a", "host-a", "signal 9"), "no machines"))
    assert commands[0] == cmd.JobFailed(0, cause)


def test_a_provider_that_gives_up_with_the_last_executor_just_coming_is_not_believed() -> None:
    rig = Rig()
    rig.submit(job(0, 1))
    commands = rig.tell(ev.ProviderFailed("no machines"), ev.ExecutorJoined("a", "h", 1))
    assert of(cmd.JobFailed, commands) == []
    assert len(of(cmd.Launch, commands)) == 1


def test_giving_up_without_jobs_is_no_matter() -> None:
    rig = Rig()
    assert rig.tell(ev.ProviderFailed("no machines")) == []
    assert of(cmd.WantExecutors, rig.submit(job(0, 1)))
