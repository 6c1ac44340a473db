"""Which executor gets which task: free slots first, then queues, and hosts where a stage prefers some."""

from __future__ import annotations

from collections import Counter

from rddlite.base.metrics import TaskMetrics
from rddlite.base.outcome import InlineResult, Success
from rddlite.plan.model import MapStage, ResultStage
from rddlite.schedule import commands as cmd
from rddlite.schedule import events as ev
from tests.helpers.matching import like, of
from tests.helpers.scheduling import Rig, job, map_stage, raised


def spread(commands: list[cmd.Command]) -> Counter[str]:
    """How many launches each executor got."""
    return Counter(launch.executor for launch in of(cmd.Launch, commands))


def test_tasks_spread_over_executors_with_free_slots() -> None:
    rig = Rig("a", "b", "c", slots=4)
    assert spread(rig.submit(job(0, 6))) == {"a": 2, "b": 2, "c": 2}


def test_no_more_than_there_are_slots_without_launching_ahead() -> None:
    rig = Rig("a", "b", slots=2)
    assert spread(rig.submit(job(0, 9))) == {"a": 2, "b": 2}


def test_one_executor_may_queue_tasks_for_each_of_its_slots() -> None:
    rig = Rig("a", slots=2, launch_ahead=3)
    assert spread(rig.submit(job(0, 20))) == {"a": 8}
    assert spread(rig.succeed(rig.running()[0])) == {"a": 1}


def test_fewer_queue_per_slot_where_there_are_many_slots_but_one_at_least() -> None:
    rig = Rig("a", slots=2, launch_ahead=3, enough_ahead=8)
    assert spread(rig.submit(job(0, 100))) == {"a": 8}
    assert spread(rig.join("b", slots=2)) == {"b": 6}, "two for each of four slots"
    assert spread(rig.join("c", slots=6)) == {"c": 12}, "one for each of ten"
    assert not spread(rig.succeed(next(each for each in rig.running() if each.executor == "a")))
    assert not spread(rig.lose("b")), "still one for each"
    assert spread(rig.lose("c")) == {"a": 1}, "three for each, as in the beginning"


def test_many_queue_while_all_that_ended_were_short_and_more_are_left_than_queue() -> None:
    def end(rig: Rig, seconds: float) -> Counter[str]:
        launch = rig.running()[0]
        value = Success(InlineResult(b""), TaskMetrics(seconds=seconds))
        return spread(rig.end(launch, value))

    rig = Rig("a", slots=2, launch_ahead=1)
    assert spread(rig.submit(job(0, 200))) == {"a": 4}
    assert end(rig, 0.001) == {"a": 1 + 30}, "sixteen for each slot"
    for _ in range(133):
        assert end(rig, 0.001) == {"a": 1}
    assert end(rig, 0.001) == {}, "32 are left, and 32 queue"
    slow = Rig("a", slots=2, launch_ahead=1)
    slow.submit(job(0, 100))
    assert end(slow, 5.0) == end(slow, 0.001) == {"a": 1}
    longer = Rig("a", slots=2, launch_ahead=4)
    longer.submit(job(0, 200))
    assert len(longer.running()) == 2 * 5
    end(longer, 0.02)
    assert len(longer.running()) == 2 * 16, "not what would wait for more than 0.3 s"


def test_free_slots_are_filled_everywhere_before_anything_queues() -> None:
    rig = Rig("a", slots=2, launch_ahead=2)
    rig.join("b", slots=1)
    commands = rig.submit(job(0, 100))
    assert {launch.executor for launch in of(cmd.Launch, commands)[:3]} == {"a", "b"}
    assert spread(of(cmd.Launch, commands)[:3]) == {"a": 2, "b": 1}
    assert spread(commands) == {"a": 6, "b": 3}


def test_the_last_round_of_a_stage_does_not_queue_where_another_executor_may_be_free_earlier() -> None:
    rig = Rig("a", "b", slots=2, launch_ahead=4)
    rig.submit(job(0, 11))
    assert len(rig.running()) == 7, "the last four wait for the first slot that is free"
    rig.finish()


def test_alone_there_is_nobody_to_wait_for() -> None:
    rig = Rig("a", slots=2, launch_ahead=4)
    assert spread(rig.submit(job(0, 9))) == {"a": 9}


def test_nothing_of_a_later_job_queues_before_what_an_older_one_left_waiting() -> None:
    rig = Rig("a", "b", slots=1, launch_ahead=4)
    rig.submit(job(0, 4))
    rig.submit(job(1, 50))
    assert {launch.key for launch in rig.running()} == {ResultStage(0)}


def test_an_executor_that_joins_gets_work_at_once() -> None:
    rig = Rig("a", slots=1)
    rig.submit(job(0, 5))
    assert of(cmd.Launch, rig.join("b", slots=2)) == [like(cmd.Launch, executor="b"), like(cmd.Launch, executor="b")]


def test_retries_come_before_what_has_not_been_tried() -> None:
    rig = Rig("a", slots=1)
    rig.submit(job(0, 9))
    rig.succeed(rig.running()[0])
    assert of(cmd.Launch, rig.end(rig.running()[0], raised())) == [like(cmd.Launch, index=1, number=1)]


def test_launches_of_a_batch_follow_from_all_of_it() -> None:
    rig = Rig("a", slots=1)
    rig.submit(job(0, 1))
    (launch,) = rig.running()
    commands = rig.tell(
        rig.ended(launch, rig.success_of(launch)), ev.JobSubmitted(job(1, 1)), ev.JobSubmitted(job(2, 1)),
        ev.JobCancelled(1, "stop"),
    )  # fmt: skip
    assert of(cmd.Launch, commands) == [like(cmd.Launch, key=ResultStage(2))]


# Hosts


def hosted(*hosts: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    return hosts


def test_tasks_go_to_the_hosts_they_prefer() -> None:
    rig = Rig("a", "b", slots=2)
    hosts = (("host-b",), ("host-b",), ("host-a",), ("host-a",))
    commands = rig.submit(job(0, 4, hosts=hosts))
    assert {launch.index: launch.executor for launch in of(cmd.Launch, commands)} == {0: "b", 1: "b", 2: "a", 3: "a"}


def test_a_host_that_is_not_there_is_not_waited_for() -> None:
    rig = Rig("a", "b")
    assert len(of(cmd.Launch, rig.submit(job(0, 2, hosts=(("gone",), ("gone", "away")))))) == 2


def test_with_one_executor_nothing_waits() -> None:
    rig = Rig("a", slots=2)
    rig.join("b")
    rig.lose("b")
    assert len(of(cmd.Launch, rig.submit(job(0, 2, hosts=(("host-b",), ("host-b",)))))) == 2


def test_a_free_slot_waits_a_little_for_a_task_that_prefers_another_host() -> None:
    rig = Rig("a", "b", slots=1, locality_wait=0.5)
    hosts = (("host-a",), ("host-a",), ("host-a",))
    commands = rig.submit(job(0, 3, hosts=hosts))
    assert of(cmd.Launch, commands) == [like(cmd.Launch, executor="a", index=0)]
    assert rig.scheduler.next_deadline() == 0.5
    assert of(cmd.Launch, rig.silence()) == [like(cmd.Launch, executor="b", index=1)]
    assert of(cmd.Launch, rig.succeed(rig.launched[0])) == [like(cmd.Launch, executor="a", index=2)]


def test_the_preferred_host_gets_its_task_as_soon_as_it_is_free() -> None:
    rig = Rig("a", "b", slots=1, locality_wait=0.5)
    rig.submit(job(0, 2, hosts=(("host-a",), ("host-a",))))
    assert of(cmd.Launch, rig.succeed(rig.running()[0])) == [like(cmd.Launch, executor="a", index=1)]
    assert rig.scheduler.next_deadline() == 15.0, "nothing waits any more"


def test_a_later_job_uses_the_slot_meanwhile() -> None:
    rig = Rig("a", "b", slots=1)
    rig.submit(job(0, 2, hosts=(("host-a",), ("host-a",))))
    assert of(cmd.Launch, rig.submit(job(1, 1))) == [like(cmd.Launch, executor="b", key=ResultStage(1))]


def test_tasks_without_preference_take_any_slot() -> None:
    rig = Rig("a", "b", slots=1)
    commands = rig.submit(job(0, 2, hosts=((), ("host-a",))))
    assert {launch.index: launch.executor for launch in of(cmd.Launch, commands)} == {1: "a", 0: "b"}


def test_when_the_last_executor_of_the_host_goes_its_tasks_go_anywhere() -> None:
    rig = Rig("a", "b", "c", slots=1)
    rig.submit(job(0, 3, hosts=(("host-a",), ("host-a",), ("host-a",))))
    assert len(rig.running()) == 1
    rig.lose("a")
    assert sorted(launch.executor for launch in rig.running()) == ["b", "c"]


def test_a_task_whose_executor_was_lost_still_prefers_its_host() -> None:
    rig = Rig("a", "b", slots=1)
    rig.submit(job(0, 2, hosts=(("host-a",), ("host-b",))))
    rig.join("c", host="host-a", slots=1)
    assert rig.launched[0] == like(cmd.Launch, executor="a", index=0)
    assert of(cmd.Launch, rig.lose("a")) == [like(cmd.Launch, executor="c", index=0)]


def test_a_queue_is_no_reason_to_leave_slots_of_other_hosts_free() -> None:
    rig = Rig("a", "b", slots=1, launch_ahead=4)
    rig.submit(job(0, 30, hosts=tuple(("host-a",) for _ in range(30))))
    assert len(rig.running()) == 1
    rig.silence()
    assert Counter(launch.executor for launch in rig.running())["b"] >= 1


def test_a_map_stage_with_hosts_runs_to_its_end_whatever_is_lost() -> None:
    rig = Rig("a", "b", "c", slots=2, launch_ahead=1)
    hosts = tuple((f"host-{'abc'[index % 3]}",) if index % 4 else () for index in range(40))
    rig.submit(job(0, 5, map_stage(0, 40, hosts=hosts)))
    for launch in rig.running()[:5]:
        rig.end(launch, raised(str(launch.index)))
    rig.lose("b")
    while rig.running() or rig.scheduler.parts()[0].jobs:
        for launch in rig.running():
            commands = rig.succeed(launch)
        if not rig.running() and rig.scheduler.parts()[0].jobs:
            commands = rig.silence()
    assert commands[-1] == cmd.JobDone(0)
    done = {launch.index for launch in rig.all_launches if launch.key == MapStage(0)}
    assert done == set(range(40))
