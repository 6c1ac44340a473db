"""Barrier stages: their tasks run all at once or not at all, and when one of them is no more, all start again.

Theory of operation: `placing` starts such a gang when there is a free slot for each of its tasks. Here is what follows
when that cannot be: a gang waits for slots that are busy as long as they are, for slots that are not there as long as
the options say, and for slots that there can never be not at all. And what follows when a gang is broken (a task
failed, its executor is lost, an output is): what runs is killed, what was made does not count any more, and the stage
begins its next attempt; but not more often than `stage_max_attempts`.
"""

from __future__ import annotations

from rddlite.base.ids import StageId
from rddlite.schedule.commands import GangGaveUp, GangWaits, MapOutputsLost, TooFewSlots
from rddlite.schedule.dag import DagScheduler
from rddlite.schedule.options import SchedulerOptions
from rddlite.schedule.stages import Job, Stage
from rddlite.schedule.states import StageState, TaskState
from rddlite.schedule.tasks import TaskScheduler
from rddlite.schedule.taskset import TaskSet
from rddlite.schedule.turn import Turn


class Gangs:
    """Watches over barrier stages. `since` has those that lack slots, and from when on."""

    def __init__(self, turn: Turn, options: SchedulerOptions, tasks: TaskScheduler, dag: DagScheduler) -> None:
        self._turn = turn
        self._options = options
        self._tasks = tasks
        self._dag = dag
        self._breaks: dict[StageId, list[str]] = {}
        self.since: dict[TaskSet, float] = {}

    def submitted(self, job: Job) -> None:
        """Refuse a job with a stage for which there can never be enough slots."""
        most = self._options.most_slots
        stages = (job.result, *(self._dag.maps[shuffle] for shuffle in job.plan.maps))
        for stage in stages:
            if most is not None and stage.plan.is_barrier and stage.plan.n_tasks > most:
                cause = TooFewSlots(stage.id, stage.plan.label, stage.plan.n_tasks, most, 0.0)
                self._dag.fail([job], cause)
                return

    # Broken gangs

    def mend(self) -> None:
        """After an event: have all gangs begin again of which a task is no more."""
        while self._tasks.broken:
            stage_id, why = self._tasks.broken.popitem()
            stage = self._dag.stages.get(stage_id)
            if stage is not None and stage.tasks is not None and self.broke(stage, why):
                cause = GangGaveUp(stage.id, stage.plan.label, tuple(self._breaks[stage_id]))
                self._dag.fail(self._dag.jobs_that_need(stage), cause)

    def broke(self, stage: Stage, why: str) -> str | None:
        """One of the stage's tasks is no more: all begin again; or the answer says why they do not."""
        self._tasks.broken.pop(stage.id, None)
        breaks = self._breaks.setdefault(stage.id, [])
        breaks.append(why)
        self._take_back(stage, why)
        if len(breaks) < self._options.stage_max_attempts:
            return None
        return f"its stage was broken off {len(breaks)} times, and its tasks run all together or not at all"

    def _take_back(self, stage: Stage, why: str) -> None:
        tasks = stage.tasks
        assert tasks is not None
        self._tasks.roll_back(tasks, why)
        if stage.shuffle is None:
            done = [index for index, state in enumerate(tasks.status) if state == TaskState.DONE]
            self._tasks.reopen(tasks, done)
        else:
            indices = self._dag.outputs.shuffles[stage.shuffle].drop_all(self._tasks.next_attempt)
            if indices:
                self._dag.lose_outputs(stage.shuffle, indices, MapOutputsLost(stage.shuffle, len(indices), why))
        if stage.state is StageState.RUNNING:
            self._dag.interrupt(stage, why)

    # Slots

    def update(self) -> None:
        """After a batch of events: note which gangs lack slots, from now on or not any more."""
        n_slots, gangs = self._tasks.table.n_slots, self._tasks.placing.gangs
        for tasks in [each for each in self.since if each not in gangs or each.n_pending <= n_slots]:
            del self.since[tasks]
        for tasks in gangs:
            if tasks.n_pending > n_slots and tasks not in self.since:
                self.since[tasks] = self._turn.now
                self._turn.commands.append(GangWaits(tasks.stage, tasks.n_pending, n_slots))
        for stage_id in [each for each in self._breaks if each not in self._dag.stages]:
            del self._breaks[stage_id]

    def tick(self) -> None:
        """Fail the jobs of gangs that have lacked slots for too long."""
        there = self._tasks.table.n_slots
        for tasks, since in list(self.since.items()):
            stage = self._dag.stages.get(tasks.stage)
            if stage is None or stage.tasks is not tasks or not self._is_over(since) or tasks.n_pending <= there:
                continue
            cause = TooFewSlots(stage.id, stage.plan.label, tasks.n_pending, there, self._turn.now - since)
            self._dag.fail(self._dag.jobs_that_need(stage), cause)

    def next_deadline(self) -> float | None:
        """When the first gang has waited long enough."""
        return min(self.since.values(), default=float("inf")) + self._options.barrier_wait if self.since else None

    def excuse(self, seconds: float) -> None:
        """The driver was late by that much, so nobody could register."""
        for tasks in self.since:
            self.since[tasks] += seconds

    @property
    def is_needed(self) -> bool:
        """Whether there is anything to watch over."""
        return bool(self._tasks.placing.gangs or self.since or self._breaks)

    def _is_over(self, since: float) -> bool:
        return self._turn.now >= since + self._options.barrier_wait
