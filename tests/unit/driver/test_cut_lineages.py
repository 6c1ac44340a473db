"""Jobs over the same shuffles while their lineage is cut by checkpoints: whoever comes first or last, all of them end.

A plan may be older than the cut, and come after plans that know of it: two threads submit at the same time.
"""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from rddlite.driver.roster import Roster
from rddlite.driver.stages import StageBlobs
from rddlite.plan.model import JobPlan, MapStage, ResultStage, StagePlan
from rddlite.schedule import commands as cmd
from rddlite.schedule import events as ev
from rddlite.schedule import invariants
from tests.helpers.honest import Piece
from tests.helpers.matching import of
from tests.helpers.scheduling import Rig, map_stage
from tests.helpers.values import fixed

CHAIN = {0: (), 1: (0,), 2: (1, 0)}
CUTS = st.sets(st.sampled_from([1, 2]))


def plan_of(job: int, cut: set[int], reads: int) -> JobPlan:
    """A job that reads a shuffle of the chain, of which these were cut."""
    maps: dict[int, StagePlan] = {}
    todo = [reads]
    while todo:
        shuffle = todo.pop()
        maps[shuffle] = map_stage(shuffle, 2, () if shuffle in cut else CHAIN[shuffle])
        todo.extend(maps[shuffle].parents)
    return JobPlan(job, range(2), StagePlan(ResultStage(job), (reads,), 2), maps)


class Driver:
    """A scheduler and what its launches become, as in the driver's loop."""

    def __init__(self) -> None:
        self.rig = Rig("a", "b", slots=1)
        self.blobs = StageBlobs(self.rig.scheduler.outputs_of, Roster().place)
        self.n_jobs = 0
        self.ended: list[int] = []

    def submit(self, cut: set[int], reads: int) -> None:
        plan = plan_of(self.n_jobs, cut, reads)
        self.n_jobs += 1
        for stage in (plan.result, *plan.maps.values()):
            piece: Any = Piece(f"{stage.key} {stage.parents}")
            self.blobs.add(
                stage.key, piece, stage.parents, None if isinstance(stage.key, MapStage) else plan.partitions
            )
        self.carry_out(self.rig.submit(plan))

    def carry_out(self, commands: list[cmd.Command]) -> None:
        invariants.check(self.rig.scheduler)
        for launch in of(cmd.Launch, commands):
            self.blobs.task(launch)  # all that it reads is there
        self.ended += [each.job_id for each in commands if isinstance(each, (cmd.JobDone, cmd.JobFailed))]
        assert all(isinstance(each.cause, cmd.Cancelled) for each in of(cmd.JobFailed, commands))

    def succeed(self, number: int) -> None:
        running = self.rig.running()
        if running:
            self.carry_out(self.rig.succeed(running[number % len(running)]))

    def cancel(self, job: int) -> None:
        self.carry_out(self.rig.tell(ev.JobCancelled(job, "stop")))

    def replace(self, executor: str, successor: str) -> None:
        self.carry_out(self.rig.lose(executor))
        self.blobs.forget_executor(executor)
        self.carry_out(self.rig.join(successor))


STEPS = st.one_of(
    st.tuples(st.just("submit"), CUTS, st.integers(0, 2)),
    st.tuples(st.just("succeed"), st.integers(0, 5)),
    st.tuples(st.just("succeed"), st.integers(0, 5)),
    st.tuples(st.just("cancel"), st.integers(0, 5)),
    st.tuples(st.just("replace"), st.booleans()),
)


@fixed
@given(st.lists(STEPS, max_size=40))
def test_every_job_ends_and_every_launch_finds_what_it_reads(steps: list[Any]) -> None:
    driver = Driver()
    alive = ["a", "b"]
    for name, *arguments in [*steps, ("submit", set(), 2), ("submit", {1, 2}, 2)]:
        if name == "replace":
            position = int(arguments[0])
            successor = f"{alive[position]}'"
            driver.replace(alive[position], successor)
            alive[position] = successor
        else:
            getattr(driver, name)(*arguments)
    for _ in range(200 + 20 * len(steps)):
        driver.succeed(0)
    assert sorted(driver.ended) == list(range(driver.n_jobs))


def test_a_plan_from_before_a_cut_does_not_bring_back_what_was_cut() -> None:
    driver = Driver()
    driver.submit({2}, 2)
    driver.submit(set(), 2)
    while driver.rig.running():
        driver.succeed(0)
    assert driver.ended == [0, 1]


def test_a_stage_that_came_with_a_longer_lineage_keeps_what_it_needs_when_only_shorter_ones_are_left() -> None:
    driver = Driver()
    driver.submit(set(), 2)
    driver.submit({2}, 2)
    driver.cancel(0)
    while driver.rig.running():
        driver.succeed(0)
    assert driver.ended == [0, 1]
