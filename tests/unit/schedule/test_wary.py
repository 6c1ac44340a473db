"""A task that failed on an executor is tried elsewhere, if that is possible without waiting for ever."""

from __future__ import annotations

from rddlite.base.outcome import Killed, OutOfMemory, WorkerDied
from rddlite.plan.model import MapStage
from rddlite.schedule import commands as cmd
from rddlite.schedule import events as ev
from tests.helpers.matching import like, of
from tests.helpers.scheduling import Rig, job, map_stage, raised, unreadable

DIED = WorkerDied(None, 9)


def test_it_goes_to_another_executor_with_a_free_slot() -> None:
    rig = Rig("a", "b", slots=2)
    rig.submit(job(0, 2))
    first = next(launch for launch in rig.running() if launch.executor == "a")
    assert of(cmd.Launch, rig.end(first, DIED)) == [like(cmd.Launch, executor="b", index=first.index, number=1)]


def test_it_waits_for_one_and_others_take_the_slot_meanwhile() -> None:
    rig = Rig("a", "b", slots=1)
    rig.submit(job(0, 4))
    first, second = rig.running()
    assert of(cmd.Launch, rig.end(first, raised("r"))) == [like(cmd.Launch, executor="a", index=2)]
    assert of(cmd.Launch, rig.succeed(second)) == [like(cmd.Launch, executor="b", index=first.index, number=1)]


def test_its_slot_stays_free_for_a_while_and_then_it_takes_it() -> None:
    rig = Rig("a", "b", slots=1, retry_wait=10.0, silence=100.0)
    rig.submit(job(0, 2))
    first = rig.running()[0]
    rig.now = 3.0
    assert of(cmd.Launch, rig.end(first, raised("r"))) == []
    assert rig.scheduler.next_deadline() == 13.0
    assert of(cmd.Launch, rig.silence()) == [like(cmd.Launch, executor="a", index=first.index, number=1)]
    assert rig.scheduler.next_deadline() == 100.0


def test_with_one_executor_it_is_tried_again_there() -> None:
    rig = Rig("a", slots=1)
    rig.submit(job(0, 3))
    first = rig.running()[0]
    assert of(cmd.Launch, rig.end(first, raised("r"))) == [like(cmd.Launch, executor="a", index=first.index)]


def test_it_is_tried_again_there_when_the_others_go() -> None:
    rig = Rig("a", "b", slots=1)
    rig.submit(job(0, 2))
    first = rig.running()[0]
    rig.end(first, raised("r"))
    launches = of(cmd.Launch, rig.lose("b"))
    assert launches[0] == like(cmd.Launch, executor="a")
    assert rig.finish()[-1] == cmd.JobDone(0)


def test_where_it_failed_everywhere_it_goes_anywhere() -> None:
    rig = Rig("a", "b", slots=1, max_deaths=9)
    rig.submit(job(0, 1))
    for number in range(5):
        (launch,) = rig.running()
        assert launch.number == number
        rig.end(launch, DIED)
    assert rig.running()


def test_an_executor_that_joins_gets_it() -> None:
    rig = Rig("a", "b", slots=1)
    rig.submit(job(0, 2))
    first = rig.running()[0]
    rig.end(first, raised("r"))
    assert of(cmd.Launch, rig.join("c", slots=1)) == [like(cmd.Launch, executor="c", index=first.index)]


def test_a_host_that_it_prefers_is_no_reason_to_go_back() -> None:
    rig = Rig("a", "b", slots=1)
    rig.submit(job(0, 2, hosts=(("host-a",), ("host-b",))))
    first, second = rig.running()
    assert of(cmd.Launch, rig.end(first, raised("r"))) == []
    assert of(cmd.Launch, rig.succeed(second)) == [like(cmd.Launch, executor="b", index=first.index)]


def test_it_queues_at_another_executor_where_others_do() -> None:
    rig = Rig("a", "b", slots=1, launch_ahead=2)
    rig.submit(job(0, 40))
    first = rig.running()[0]
    (again,) = of(cmd.Launch, rig.end(first, raised("r")))
    assert again.executor == first.executor, "the other one is full, so another task comes first"
    rig.succeed(next(launch for launch in rig.running() if launch.executor != first.executor))
    assert rig.all_launches[-1] == like(cmd.Launch, index=first.index, number=1)


def test_a_lost_input_or_executor_is_no_reason_to_go_elsewhere() -> None:
    rig = Rig("a", "b", slots=2)
    rig.submit(job(0, 2, map_stage(0, 2)))
    rig.finish(MapStage(0))
    reader = rig.running()[0]
    rig.end(reader, unreadable(0, 0, rig.places(0)[0]))
    assert rig.finish()[-1] == cmd.JobDone(0)
    assert rig.turn.rows["task", "RUNNING", "WARY"] == 0


def test_what_a_leaving_executor_gives_back_is_not_charged_and_goes_elsewhere() -> None:
    rig = Rig("a", "b", slots=1, launch_ahead=1, max_deaths=1)
    rig.submit(job(0, 5))
    rig.tell(ev.ExecutorDraining("a", "asked to"))
    for launch in [launch for launch in rig.running() if launch.executor == "a"]:
        assert of(cmd.JobFailed, rig.end(launch, Killed("it leaves"))) == []
    assert rig.finish()[-1] == cmd.JobDone(0)
    assert all(launch.executor == "b" for launch in rig.all_launches[4:])


def test_one_that_must_run_alone_prefers_an_executor_where_it_did_not_fail() -> None:
    rig = Rig("a", "b", slots=1)
    rig.submit(job(0, 1))
    (first,) = rig.running()
    assert of(cmd.Launch, rig.end(first, OutOfMemory(1, 2))) == [like(cmd.Launch, index=0, executor="b")]


def test_a_late_success_settles_a_task_that_waits_for_another_executor() -> None:
    rig = Rig("a", "b", slots=1)
    rig.submit(job(0, 1, map_stage(0, 2)))
    stray = next(launch for launch in rig.running() if launch.executor == "a")
    rig.tell(ev.ExecutorReturned("a", frozenset()))
    again = next(launch for launch in rig.running() if launch.index == stray.index and launch is not stray)
    rig.end(again, raised("r"))
    assert rig.turn.rows["task", "RUNNING", "WARY"] == 1
    rig.succeed(stray)
    assert rig.turn.rows["task", "WARY", "DONE"] == 1
    assert rig.scheduler.next_deadline() == 15.0, "nothing waits any more"
    assert rig.finish()[-1] == cmd.JobDone(0)


def test_a_stage_that_is_interrupted_keeps_it_waiting() -> None:
    rig = Rig("a", "b", slots=1, retry_wait=5.0, silence=100.0)
    rig.submit(job(0, 3, map_stage(0, 2)))
    rig.finish(MapStage(0))
    first = rig.running()[0]
    rig.end(first, raised("r"))
    place = rig.places(0)[0]
    rig.tell(ev.OutputsLost(place[0], 0, (0,), "gone"))
    rig.finish(MapStage(0))
    assert rig.finish()[-1] == cmd.JobDone(0)


def test_the_number_that_is_looked_at_in_a_pass_is_bounded() -> None:
    rig = Rig("a", slots=50, max_deaths=9, exclude=False, retry_wait=5.0)
    rig.submit(job(0, 200))
    rig.join("b", slots=1)
    for launch in [launch for launch in rig.running() if launch.executor == "a"]:
        rig.launched.pop(launch.attempt)
        rig.scheduler.handle(rig.ended(launch, DIED), rig.now)
    tasks = rig.scheduler.parts()[0].jobs[0].result.tasks
    assert tasks is not None
    assert len(tasks.wary) == 50
