"""Builders for tests of what is observed: plans, and the scheduler's notes in the order in which it gives them."""

from __future__ import annotations

from typing import Any

from rddlite.base.ids import AttemptId, ExecutorId, JobId, ShuffleId, StageId
from rddlite.base.metrics import TaskMetrics
from rddlite.observe.status import StatusStore
from rddlite.observe.summaries import JobSummary, StageSummary
from rddlite.plan.model import JobPlan, MapStage, ResultStage, StageKey, StagePlan
from rddlite.schedule.commands import AttemptEnded, Command, Launch, StageEnded, StageStarted

EXECUTOR = ExecutorId("0")


def map_stage(shuffle: int) -> MapStage:
    return MapStage(ShuffleId(shuffle))


def result_stage(job: int) -> ResultStage:
    return ResultStage(JobId(job))


def plan(job: int = 0, shuffles: list[tuple[int, list[int]]] | None = None, **options: Any) -> JobPlan:
    """A job whose result stage reads the last of `shuffles`, which are given with those that they read themselves."""
    shuffles = shuffles or []
    maps = {
        ShuffleId(shuffle): StagePlan(map_stage(shuffle), tuple(map(ShuffleId, parents)), 2, 2, label="map at x.py:1")
        for shuffle, parents in shuffles
    }
    parents = (ShuffleId(shuffles[-1][0]),) if shuffles else ()
    result = StagePlan(result_stage(job), parents, 2, label="collect at x.py:2")
    return JobPlan(JobId(job), range(2), result, maps, **options)


class Story:
    """Tells a store what happens; `now` is the time of the next note."""

    def __init__(self) -> None:
        self.store = StatusStore()
        self.now = 100.0
        self._attempts = 0

    def submit(self, job: JobPlan) -> None:
        self.store.job_started(job, self.now)

    def tell(self, *commands: Command) -> None:
        for command in commands:
            self.store.observe(command, self.now)

    def start(self, stage: int, key: StageKey, n_tasks: int, *jobs: int, attempt: int = 0) -> None:
        label = "map at x.py:1" if isinstance(key, MapStage) else "collect at x.py:2"
        self.tell(StageStarted(StageId(stage), key, attempt, label, n_tasks, tuple(map(JobId, jobs))))

    def launch(self, stage: int, index: int) -> AttemptId:
        self._attempts += 1
        attempt = AttemptId(self._attempts)
        self.tell(Launch(EXECUTOR, attempt, StageId(stage), result_stage(0), index, 0))
        return attempt

    def end(self, stage: int, index: int, attempt: AttemptId, status: str = "success", **metrics: Any) -> None:
        accepted = status == "success"
        counted = TaskMetrics(**metrics) if status in ("success", "raised") else None
        self.tell(AttemptEnded(StageId(stage), result_stage(0), index, attempt, EXECUTOR, status, accepted, counted))

    def run(self, stage: int, index: int, status: str = "success", **metrics: Any) -> None:
        self.end(stage, index, self.launch(stage, index), status, **metrics)

    def complete(self, stage: int) -> None:
        self.tell(StageEnded(StageId(stage), 0))

    def job(self, job: int = 0) -> JobSummary:
        found = self.store.job(JobId(job))
        assert found is not None
        return found

    def stage(self, stage: int, job: int = 0) -> StageSummary:
        (found,) = (each for each in self.job(job).stages if each.id == stage)
        return found
