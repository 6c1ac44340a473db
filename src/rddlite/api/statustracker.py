"""StatusTracker: which jobs and stages there are and how far they came, in PySpark's form."""

from __future__ import annotations

from typing import NamedTuple

from rddlite.api.session import Session
from rddlite.observe.summaries import JobSummary, StageSummary

_STATUS = {"running": "RUNNING", "succeeded": "SUCCEEDED", "failed": "FAILED", "cancelled": "FAILED"}


class SparkJobInfo(NamedTuple):
    """A job: its number, those of its stages, and RUNNING, SUCCEEDED or FAILED (which a cancelled one is, too)."""

    jobId: int
    stageIds: list[int]
    status: str


class SparkStageInfo(NamedTuple):
    """A stage: its number and name, and how many tasks it has."""

    stageId: int
    currentAttemptId: int
    name: str
    numTasks: int
    numActiveTasks: int
    numCompletedTasks: int
    numFailedTasks: int


class SparkExecutorInfo(NamedTuple):
    """An executor: its host, and how many tasks it runs now."""

    host: str
    port: int
    cacheSize: int
    numRunningTasks: int


class StatusTracker:
    """What is known of the last jobs. May be used from any thread.

    >>> tracker = sc.statusTracker()
    >>> with sc.jobGroup("nightly"):
    ...     _ = sc.range(3).count()
    >>> job = tracker.getJobInfo(tracker.getJobIdsForGroup("nightly")[-1])
    >>> job.status, tracker.getStageInfo(job.stageIds[0]).numFailedTasks
    ('SUCCEEDED', 0)
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    def getJobIdsForGroup(self, jobGroup: str | None = None) -> list[int]:
        """The numbers of the jobs of a group; without one, of those that have none.

        >>> sc.statusTracker().getJobIdsForGroup("never used")
        []
        """
        return [int(job.id) for job in self._jobs() if job.group == jobGroup]

    def getActiveJobsIds(self) -> list[int]:
        """The numbers of the jobs that run now.

        >>> sc.statusTracker().getActiveJobsIds()
        []
        """
        return [int(job.id) for job in self._jobs() if job.state == "running"]

    def getActiveStageIds(self) -> list[int]:
        """The numbers of the stages that run now.

        >>> sc.statusTracker().getActiveStageIds()
        []
        """
        active = (stage for job in self._jobs() if job.state == "running" for stage in job.stages)
        return sorted({int(stage.id) for stage in active if stage.state == "running"})

    def getJobInfo(self, jobId: int) -> SparkJobInfo | None:
        """What is known of a job; None if nothing is, or not any more.

        >>> sc.statusTracker().getJobInfo(-1) is None
        True
        """
        for job in self._jobs():
            if job.id == jobId:
                return SparkJobInfo(int(job.id), [int(stage.id) for stage in job.stages], _STATUS[job.state])
        return None

    def getStageInfo(self, stageId: int) -> SparkStageInfo | None:
        """What is known of a stage; None if nothing is, or not any more.

        >>> sc.statusTracker().getStageInfo(-1) is None
        True
        """
        found = [stage for job in self._jobs() for stage in job.stages if stage.id == stageId]
        ran = [stage for stage in found if stage.state != "skipped"] or found
        return _stage_info(ran[-1]) if ran else None

    def getExecutorInfos(self) -> list[SparkExecutorInfo]:
        """The executors that are there now.

        >>> len(sc.statusTracker().getExecutorInfos())
        1
        """
        found = self._session._live_driver().executors()
        return [SparkExecutorInfo(each.host, 0, 0, len(each.running)) for each in found]

    def _jobs(self) -> list[JobSummary]:
        return self._session._live_driver().jobs()


def _stage_info(stage: StageSummary) -> SparkStageInfo:
    return SparkStageInfo(int(stage.id), 0, stage.label, stage.tasks, stage.running, stage.done, stage.failed)
