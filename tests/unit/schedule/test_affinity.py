"""Reduce tasks go where most of their input is, if there is room, and wait for nothing."""

from __future__ import annotations

import pytest

from rddlite.base.metrics import TaskMetrics
from rddlite.base.outcome import MapStatus, Success
from rddlite.base.sizes import encode_size
from rddlite.plan.model import JobPlan, MapStage, ResultStage, StagePlan
from rddlite.schedule import affinity
from rddlite.schedule import commands as cmd
from rddlite.schedule.affinity import nearest
from rddlite.schedule.outputs import ShuffleOutputs
from tests.helpers.matching import of
from tests.helpers.scheduling import Rig, job, map_stage

HOSTS = {"a": "A", "b": "B", "c": "C"}


def sized(*rows: tuple[str, list[int]]) -> ShuffleOutputs:
    """A shuffle of which these executors hold outputs with these sizes."""
    outputs = ShuffleOutputs(StagePlan(MapStage(0), (), len(rows), len(rows[0][1])), 0)
    for index, (executor, sizes) in enumerate(rows):
        outputs.add(index, executor, index, bytes(map(encode_size, sizes)))
    return outputs


def test_at_least_half_of_the_input_makes_a_host_the_nearest() -> None:
    outputs = sized(("a", [1000, 10, 0]), ("b", [10, 1000, 0]), ("a", [1000, 10, 0]), ("c", [10, 500, 0]))
    assert nearest([outputs], range(3), HOSTS) == (("A",), ("B",), ())
    assert nearest([outputs], (2, 1, 7), HOSTS) == ((), ("B",), ())


def test_two_halves_are_two_hosts_and_thirds_are_none() -> None:
    assert nearest([sized(("a", [500]), ("b", [500]))], range(1), HOSTS) == (("A", "B"),)
    assert nearest([sized(("a", [500]), ("b", [500]), ("c", [500]))], range(1), HOSTS) == ()


def test_inputs_of_several_shuffles_are_added_up() -> None:
    left, right = sized(("a", [100, 100]), ("b", [10, 10])), sized(("b", [10, 900]))
    assert nearest([left, right], range(2), HOSTS) == (("A",), ("B",))
    other = sized(("b", [9000, 9000, 9000]))
    assert nearest([left, other], range(3), HOSTS) == (), "of shuffles with other partitions those with the most count"


def test_one_host_or_no_sizes_make_no_difference() -> None:
    assert nearest([sized(("a", [5]), ("a", [5]))], range(1), HOSTS) == ()
    assert nearest([ShuffleOutputs(map_stage(0, 2), 0)], range(2), HOSTS) == ()
    assert nearest([], range(2), HOSTS) == ()


@pytest.mark.parametrize(("most", "expected"), [(64, ("A",)), (2 * affinity.FEWEST_MAPS - 1, None)])
def test_of_many_outputs_some_are_looked_at_and_of_too_many_none(
    most: int, expected: tuple[str, ...] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [("a" if index % 4 else "b", [100, 1]) for index in range(400)]
    monkeypatch.setattr(affinity, "MOST_LOOKED_AT", most)
    assert next(iter(nearest([sized(*rows)], range(2), HOSTS)), None) == expected


def skewed(n_results: int, *partitions: int) -> tuple[Rig, dict[int, str]]:
    """Two maps of two reduce partitions: `a` holds nearly all of partition 0, `b` of partition 1."""
    rig = Rig("a", "b", slots=2)
    plan = job(0, n_results, map_stage(0, 2))
    if partitions:
        plan = JobPlan(0, partitions, plan.result, plan.maps)
    rig.submit(plan)
    commands = []
    for launch in rig.running(MapStage(0)):
        large = int(launch.executor == "b")
        sizes = bytes(encode_size(10_000 if each == large else 10) for each in range(2))
        status = MapStatus(launch.executor, launch.attempt, sizes, 1, 1)
        commands += rig.end(launch, Success(status, TaskMetrics()))
    return rig, {each.index: each.executor for each in of(cmd.Launch, commands)}


def test_reduce_tasks_go_to_their_input() -> None:
    assert skewed(2)[1] == {0: "a", 1: "b"}
    assert skewed(2, 1, 0)[1] == {0: "b", 1: "a"}


def test_no_slot_waits_for_a_task_that_is_nearer_elsewhere() -> None:
    rig, placed = skewed(4, 0, 0, 0, 0)
    assert sorted(placed.values()) == ["a", "a", "b", "b"]
    assert rig.scheduler.parts()[1].placing.next_deadline() is None


def test_hosts_that_the_plan_names_come_first() -> None:
    rig = Rig("a", "b", slots=2)
    rig.submit(job(0, 2, map_stage(0, 2), hosts=(("host-b",), ("host-a",))))
    rig.finish(MapStage(0))
    assert {each.index: each.executor for each in rig.running(ResultStage(0))} == {0: "b", 1: "a"}
