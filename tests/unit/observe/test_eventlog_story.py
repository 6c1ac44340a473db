"""What a log tells people: jobs, executors, and what did not go smoothly."""

from __future__ import annotations

from typing import get_args

import pytest

from rddlite.base.metrics import TaskMetrics
from rddlite.base.outcome import (
    Failure,
    FetchFailed,
    Killed,
    OutOfMemory,
    Raised,
    Success,
    TaskOutcome,
    WorkerDied,
)
from rddlite.observe.story import Incident, Story, Teller, told
from rddlite.observe.translate import Batch
from rddlite.plan.model import MapStage
from rddlite.schedule import commands as cmd
from rddlite.schedule import events as ev
from rddlite.testing.simulation import FakeCluster
from tests.helpers.scheduling import Rig, job, map_stage, raised, unreadable


class Heard(Rig):
    """A scheduler whose batches are told to a teller as well; its log began at 0."""

    def __init__(self, *joined: str, **options: object) -> None:
        self.teller = Teller(0.0)
        super().__init__(*joined, **options)

    def tell(self, *events: ev.Event, after: float = 0.0) -> list[cmd.Command]:
        commands = super().tell(*events, after=after)
        self.teller.hear(Batch(events, self.now, 0.0, tuple(commands)))
        return commands

    @property
    def story(self) -> Story:
        return self.teller.story()

    def incidents(self, what: str) -> list[Incident]:
        """Those of this kind, of all jobs and of none."""
        found = [*self.story.incidents, *(each for job in self.story.jobs for each in job.incidents)]
        return [each for each in found if each.what == what]

    def note(self, *commands: cmd.Command, after: float = 0.0) -> None:
        """The scheduler says this, whatever made it."""
        self.now += after
        self.teller.hear(Batch((), self.now, 0.0, commands))


def test_a_smooth_job_is_a_summary_and_nothing_else() -> None:
    rig = Heard("0")
    rig.tell(ev.JobSubmitted(job(0, 2, map_stage(0))), after=2.0)
    rig.finish()
    (told_job,) = rig.story.jobs
    assert told_job.began == 2.0
    assert (told_job.summary.state, told_job.summary.tasks, told_job.incidents) == ("succeeded", 4, ())
    (life,) = rig.story.executors
    assert (life.id, life.host, life.slots, life.attempts, life.failed, life.left) == ("0", "host-0", 2, 4, 0, None)
    assert rig.story.incidents == ()


def test_a_job_that_has_not_ended_is_told_as_running() -> None:
    rig = Heard("0")
    rig.submit(job(0, 2))
    assert rig.story.jobs[0].summary.state == "running"


def test_what_failed_is_told_with_its_cause_and_charged_to_its_executor() -> None:
    rig = Heard("0")
    rig.submit(job(0, 2))
    rig.end(rig.running()[0], raised("'x'"))
    (incident,) = rig.incidents("failed")
    assert incident.text == "stage 0 (result 0): partition 0 on executor 0: ValueError: no, at job.py:1, record 'x'"
    assert incident.jobs == (0,)
    assert rig.story.executors[0].failed == 1


def test_a_lost_executor_is_told_with_its_attempts_and_outputs() -> None:
    rig = Heard("0", "1")
    rig.submit(job(0, 4, map_stage(0, 4)))
    rig.succeed(*rig.running(MapStage(0)))
    rig.tell(ev.ExecutorLost("1", "signal 9"), after=3.0)
    life = rig.story.executors[1]
    assert (life.left, life.why) == (3.0, "lost: signal 9")
    (blocks,) = rig.incidents("blocks lost")
    assert blocks.text == "2 outputs of shuffle 0: executor 1 on host-1 was lost: signal 9"
    assert blocks.jobs == (0,)
    (attempts,) = rig.incidents("attempt lost")
    assert (attempts.text, attempts.count) == ("stage 1 (result 0): what ran on executor 1 was lost with it", 2)
    (again,) = rig.incidents("again")
    assert again.text == "stage 0 (map 0): runs again, for 2 tasks"
    assert rig.incidents("executors")[0].text.startswith("more are asked for: ")


def test_what_an_earlier_job_left_is_lost_to_the_job_that_needs_it_now() -> None:
    rig = Heard("0", "1")
    rig.submit(job(0, 2, map_stage(0, 4)))
    rig.finish()
    rig.submit(job(1, 4, map_stage(0, 4)))
    rig.lose("1")
    rig.finish()
    (blocks,) = rig.incidents("blocks lost")
    assert blocks.jobs == (1,)
    assert rig.incidents("again")[0].text == "stage 0 (map 0): runs again, for 2 tasks"
    assert rig.story.jobs[0].incidents == ()


def test_lost_inputs_are_told_as_a_pause_and_a_rerun() -> None:
    rig = Heard("0")
    rig.submit(job(0, 2, map_stage(0)))
    rig.succeed(*rig.running(MapStage(0)))
    rig.end(rig.running()[0], unreadable(0, 1, ("0", rig.places(0)[1][1])))
    assert "output 1 of shuffle 0 on executor 0 could not be read: gone" in rig.incidents("failed")[0].text
    assert "pauses: an input was lost" in rig.incidents("paused")[0].text
    assert rig.incidents("again")[0].text == "stage 0 (map 0): runs again, for 1 task"


def test_suspicion_and_return_are_turns_of_an_executors_life() -> None:
    rig = Heard("0")
    rig.tell(ev.ExecutorSuspected("0", "cut"), after=1.0)
    rig.tell(ev.ExecutorReturned("0", frozenset()), after=1.0)
    rig.tell(ev.ExecutorDraining("0", "SIGTERM"), after=1.0)
    assert [text for _, text in rig.story.executors[0].turns][:3] == [
        "suspected: cut",
        "returned with 0 attempts",
        "wants to leave: SIGTERM",
    ]
    assert [at for at, _ in rig.story.executors[0].turns][:3] == [1.0, 2.0, 3.0]


def test_who_never_joined_is_told_too() -> None:
    rig = Heard("0")
    rig.tell(ev.ExecutorLost("9", "exit code 1"))
    assert rig.incidents("executors")[0].text == "executor 9 never joined; lost: exit code 1"


def test_a_silent_executor_is_told_as_dropped() -> None:
    rig = Heard("0")
    rig.note(cmd.DropExecutor("0", "it was silent for too long"), after=4.0)
    life = rig.story.executors[0]
    assert (life.left, life.why) == (4.0, "dropped: it was silent for too long")


def test_trouble_of_the_driver_and_the_provider_belongs_to_no_job() -> None:
    rig = Heard("0")
    rig.tell(ev.DriverDelayed(2.5), ev.ProviderFailed("no machines"))
    assert [each.text for each in rig.story.incidents] == [
        "the driver's loop got no time for 2.5 s",
        "no executor can be started: no machines",
    ]


def test_what_the_scheduler_did_about_trouble_is_told() -> None:
    rig = Heard("0", "1")
    rig.submit(job(0, 2, map_stage(0)))
    rig.note(
        cmd.ExecutorExcluded("0", "4 of 5 attempts failed", 60.0),
        cmd.TaskCopied(0, 1, 7, "four times slower than half of the others"),
        cmd.TaskSkewed(0, 0, 1, 90_000, 1_000),
        cmd.RolledBack(0, 1, "map 0", 3),
        cmd.MoveOutputs("0", "1", ((0, 0, 0), (0, 1, 1))),
        cmd.ReleaseExecutor("0", "nothing is left there"),
        cmd.SuspectExecutor("1", "quiet"),
        cmd.GangWaits(0, 4, 3),
        cmd.AttemptEnded(0, MapStage(0), 1, 99, "1", "success", False, TaskMetrics()),
        cmd.AttemptEnded(0, MapStage(0), 1, 99, "1", "not_there", False, None),
    )
    rig.tell(ev.OutputsMoved("0", "1", ((0, 0, 0),), "one is damaged"))
    assert rig.incidents("copied")[0].text == "stage 0 (map 0): partition 1 four times slower than half of the others"
    assert "has 90,000 records, against a median of 1,000" in rig.incidents("skewed")[0].text
    assert "partition 1 of map 0 gave other records" in rig.incidents("rolled back")[0].text
    assert rig.incidents("rolled back")[0].jobs == (0,)
    (waits,) = rig.incidents("waits")
    assert (waits.text, waits.jobs) == ("stage 0 (map 0): waits for 4 slots at once; there are 3", (0,))
    assert rig.incidents("not needed")[0].count == 1
    assert "was not known there any more" in rig.incidents("attempt lost")[0].text
    first, second = rig.story.executors
    assert [text for _, text in first.turns][:4] == [
        "excluded for about 1 min 0 s: 4 of 5 attempts failed",
        "hands 2 map outputs over to executor 1",
        "may leave: nothing is left there",
        "executor 1 took 1 map outputs (one is damaged)",
    ]
    assert second.turns[0][1] == "shall register again: quiet"
    rig.lose("0", "it was released")
    rig.lose("1", "signal 9")
    assert [life.why for life in rig.story.executors] == ["left: it was released", "lost: signal 9"]


def test_an_error_of_the_scheduler_is_told() -> None:
    teller = Teller(0.0)
    teller.hear(Batch((ev.Tick(),), 1.0, 0.0, (), "RuntimeError('a bug')"))
    assert teller.story().incidents == (Incident(1.0, "bug", "the scheduler failed: RuntimeError('a bug')"),)


OUTCOMES: list[tuple[TaskOutcome, str]] = [
    (Success(None, TaskMetrics()), "success"),  # type: ignore[arg-type]
    (Raised(Failure("KeyError", "line\nmore", "", ""), True), "KeyError: line"),
    (Raised(Failure("KeyError", "x" * 999, "", ""), True), f"KeyError: {'x' * 290}..."),
    (FetchFailed(1, 2, "3", 4, "gone"), "output 2 of shuffle 1 on executor 3 could not be read: gone"),  # type: ignore[arg-type]
    (WorkerDied(None, 9), "its worker process died: signal 9"),
    (WorkerDied(3, None), "its worker process died: exit code 3"),
    (OutOfMemory(1 << 20, 2 << 20), "out of memory: 2.0 MiB of 1.0 MiB"),
    (Killed("enough"), "killed: enough"),
]


@pytest.mark.parametrize(("outcome", "text"), OUTCOMES)
def test_every_outcome_has_a_line(outcome: TaskOutcome, text: str) -> None:
    assert told(outcome) == text


def test_every_outcome_is_among_these() -> None:
    assert {type(outcome) for outcome, _ in OUTCOMES} == set(get_args(TaskOutcome))


@pytest.mark.parametrize("seed", range(500, 510))
def test_simulated_clusters_are_told_whatever_happened(seed: int) -> None:
    cluster = FakeCluster(seed).run()
    teller = Teller(0.0)
    for (events, now), commands in zip(cluster.log, cluster.answers, strict=True):
        teller.hear(Batch(events, now, 0.0, tuple(commands)))
    story = teller.story()
    assert {job.summary.id for job in story.jobs} == {plan.job_id for _, plan in cluster.work.submissions}
    assert all(job.summary.state != "running" for job in story.jobs)
    launches = [each for commands in cluster.answers for each in commands if isinstance(each, cmd.Launch)]
    assert sum(life.attempts for life in story.executors) == len(launches)
