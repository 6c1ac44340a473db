"""Folds what the scheduler says into what people ask: which jobs, which stages, how far, how long, how much.

The driver's loop thread calls `job_started` and `observe` for every command, in order; this must cost next to nothing
per task. Any thread may ask for summaries: they are frozen, and counters in them may be a moment apart from each
other. Memory is bounded: summaries of the last jobs, and per running stage a few counters and a histogram.

A map stage belongs to the job that it was started for; other jobs that needed it show it as skipped. If its job ends
while another one waits for the stage, it belongs to that one from then on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from rddlite.base.hotkeys import HotKeys
from rddlite.base.ids import AttemptId, JobId, ShuffleId, StageId
from rddlite.base.metrics import TaskMetrics
from rddlite.base.units import show_seconds
from rddlite.observe.spread import Spread
from rddlite.observe.summaries import JobState, JobSummary, StageState, StageSummary
from rddlite.plan.model import JobPlan, MapStage, StageKey
from rddlite.schedule.commands import (
    AttemptEnded,
    Cancelled,
    Command,
    ForgetShuffle,
    GangGaveUp,
    GangStarted,
    GangWaits,
    JobCause,
    JobDone,
    JobFailed,
    Launch,
    MapOutputsLost,
    NoExecutorsLeft,
    StageEnded,
    StageGaveUp,
    StageSkipped,
    StageStarted,
    TaskCopied,
    TaskFailedForGood,
    TooFewSlots,
)

__all__ = ["JobSummary", "StageSummary", "StatusStore"]

_KEPT_JOBS = 100
_KEPT_STAGES = 4096
_FAILED = frozenset({"raised", "fetch_failed", "worker_died", "out_of_memory"})
_LOST = frozenset({"executor_lost", "not_there"})


class _Stage:
    """A stage that some job is running or has run; lives as long as that job."""

    __slots__ = (
        "attempts", "bytes", "copied", "counted", "done", "failed", "hot", "id", "jobs", "key", "label", "lost",
        "n_tasks", "outdated", "records", "running", "seconds", "slots_missing", "slowest_task", "spent", "started",
        "state", "totals",
    )  # fmt: skip

    def __init__(self, note: StageStarted) -> None:
        self.id = note.stage
        self.key = note.key
        self.label = note.label
        self.jobs = note.jobs
        self.n_tasks = note.n_tasks
        self.state: StageState = "running"
        self.started = 0.0
        self.spent = 0.0
        self.slots_missing = 0
        self.done = self.attempts = self.failed = self.lost = self.copied = self.outdated = 0
        self.running: set[AttemptId] = set()
        self.counted = bytearray()
        self.slowest_task: int | None = None
        self.totals = TaskMetrics()
        self.seconds, self.bytes, self.records = Spread(), Spread(), Spread()
        self.hot: HotKeys | None = None

    def start(self, note: StageStarted, now: float) -> None:
        """An attempt of the stage begins; what a later one does not have to run is done."""
        self.jobs = note.jobs
        self.n_tasks = max(self.n_tasks, note.n_tasks)
        self.done = self.n_tasks - note.n_tasks
        self.state = "running"
        self.started = now

    def stop(self, state: StageState, now: float) -> None:
        """The stage is complete, or pauses, or is over."""
        if self.state == "running":
            self.spent += now - self.started
        self.state = state

    def accept(self, index: int, m: TaskMetrics) -> None:
        """Count a task's first accepted attempt: its output may be lost, and be computed again."""
        counted = self.counted
        if index >= len(counted):
            counted.extend(bytes(index + 1 - len(counted)))
        if counted[index]:
            return
        counted[index] = 1
        if m.seconds > self.seconds.largest:
            self.slowest_task = index
        self.seconds.add(m.seconds)
        self.bytes.add(m.bytes_read + m.shuffle_bytes_read)
        self.records.add(m.records_read + m.shuffle_records_read)
        t = self.totals
        t.records_read += m.records_read
        t.bytes_read += m.bytes_read
        t.shuffle_records_read += m.shuffle_records_read
        t.shuffle_bytes_read += m.shuffle_bytes_read
        t.shuffle_records_written += m.shuffle_records_written
        t.shuffle_bytes_written += m.shuffle_bytes_written
        t.records_written += m.records_written
        t.bytes_written += m.bytes_written
        t.bytes_spilled += m.bytes_spilled
        if m.cache_hits or m.cache_stored or m.cache_refused or m.cache_evicted:
            t.count_cached(m)
        if m.spill_runs:
            t.spill_runs += m.spill_runs
            t.name_spill(m.spilled_by)
        if m.hot_keys:
            self.hot = self.hot or HotKeys()
            self.hot.add(m.hot_keys)
        t.remote_bytes_read += m.remote_bytes_read
        t.fetch_wait_seconds += m.fetch_wait_seconds
        if m.peak_memory > t.peak_memory:
            t.peak_memory = m.peak_memory

    def summary(self, now: float) -> StageSummary:
        """How it stands."""
        t = self.totals
        return StageSummary(
            id=self.id,
            kind="map" if isinstance(self.key, MapStage) else "result",
            label=self.label,
            state=self.state,
            tasks=self.n_tasks,
            done=self.done,
            running=len(self.running),
            attempts=self.attempts,
            failed=self.failed,
            lost=self.lost,
            copied=self.copied,
            outdated=self.outdated,
            slots_missing=self.slots_missing,
            seconds=self.spent + (now - self.started if self.state == "running" else 0.0),
            records_read=t.records_read,
            bytes_read=t.bytes_read,
            shuffle_records_read=t.shuffle_records_read,
            shuffle_bytes_read=t.shuffle_bytes_read,
            shuffle_records_written=t.shuffle_records_written,
            shuffle_bytes_written=t.shuffle_bytes_written,
            records_written=t.records_written,
            bytes_written=t.bytes_written,
            spilled=t.bytes_spilled,
            cache_hits=t.cache_hits,
            cache_stored=t.cache_stored,
            cache_bytes=t.cache_bytes,
            cache_bytes_pickled=t.cache_bytes_pickled,
            cache_refused=t.cache_refused,
            cache_evicted=t.cache_evicted,
            spill_runs=t.spill_runs,
            spilled_by=t.spilled_by,
            remote_bytes_read=t.remote_bytes_read,
            fetch_wait_seconds=t.fetch_wait_seconds,
            slowest_seconds=self.seconds.largest,
            slowest_task=self.slowest_task,
            median_seconds=self.seconds.median(),
            largest_partition_bytes=round(self.bytes.largest),
            median_partition_bytes=round(self.bytes.median()),
            largest_partition_records=round(self.records.largest),
            median_partition_records=round(self.records.median()),
            peak_memory=t.peak_memory,
            hottest_keys=self.hot.hottest(t.shuffle_records_written) if self.hot is not None else (),
            is_skewed_by_key=self.hot is not None and self.hot.is_skewed(t.shuffle_records_written),
        )


class _Job:
    """A job that has not ended. `stages` holds its own stages, and summaries of those that it did not have to run."""

    __slots__ = ("plan", "skipped_shuffles", "stages", "started")

    def __init__(self, plan: JobPlan, started: float) -> None:
        self.plan = plan
        self.started = started
        self.stages: dict[StageId, _Stage | StageSummary] = {}
        self.skipped_shuffles: set[ShuffleId] = set()

    def summary(self, now: float, state: JobState = "running", why: str | None = None) -> JobSummary:
        """How it stands, or stood when it ended."""
        stages = tuple(
            stage.summary(now) if isinstance(stage, _Stage) else stage for stage in list(self.stages.values())
        )
        return JobSummary(
            self.plan.job_id,
            self.plan.description or self.plan.result.label,
            self.plan.group,
            state,
            now - self.started,
            stages,
            max(len(stages), self._n_needed() if state == "running" else 0),
            why,
        )

    def _n_needed(self) -> int:
        """How many stages the job has, not counting what is below a skipped one."""
        found: set[ShuffleId] = set()
        todo = list(self.plan.result.parents)
        while todo:
            shuffle = todo.pop()
            if shuffle not in found:
                found.add(shuffle)
                if shuffle not in self.skipped_shuffles and shuffle in self.plan.maps:
                    todo.extend(self.plan.maps[shuffle].parents)
        return len(found) + 1


class StatusStore:
    """What is known of the last jobs. Written by the driver's loop thread alone; read by any."""

    def __init__(self) -> None:
        self._now = 0.0
        self._active: dict[JobId, _Job] = {}
        self._ended: dict[JobId, JobSummary] = {}
        self._stages: dict[StageId, _Stage] = {}
        self._skipped: dict[StageId, tuple[StageKey, StageSummary]] = {}
        self._lost: dict[ShuffleId, int] = {}
        self._folds: dict[type, Callable[[Any, float], None]] = {
            Launch: self._launch,
            AttemptEnded: self._attempt_ended,
            TaskCopied: self._task_copied,
            StageStarted: self._stage_started,
            StageEnded: self._stage_ended,
            GangWaits: self._gang_waits,
            GangStarted: self._gang_started,
            StageSkipped: self._stage_skipped,
            MapOutputsLost: self._outputs_lost,
            ForgetShuffle: self._shuffle_forgotten,
            JobDone: self._job_done,
            JobFailed: self._job_failed,
        }

    # What happens: the loop thread

    def job_started(self, plan: JobPlan, now: float) -> None:
        """A job is about to be submitted to the scheduler."""
        self._now = now
        self._active[plan.job_id] = _Job(plan, now)

    def observe(self, command: Command, now: float) -> None:
        """The scheduler said this at `now`."""
        fold = self._folds.get(type(command))
        if fold is not None:
            self._now = now
            fold(command, now)

    def _launch(self, launch: Launch, now: float) -> None:
        stage = self._stages.get(launch.stage)
        if stage is not None:
            stage.attempts += 1
            stage.running.add(launch.attempt)

    def _attempt_ended(self, note: AttemptEnded, now: float) -> None:
        stage = self._stages.get(note.stage)
        if stage is None:
            return
        stage.running.discard(note.attempt)
        if note.accepted:
            stage.done += 1
            if note.metrics is not None:
                stage.accept(note.index, note.metrics)
        elif note.status in _FAILED:
            stage.failed += 1
        elif note.status in _LOST:
            stage.lost += 1
        elif note.status == "outdated":
            stage.outdated += 1

    def _task_copied(self, note: TaskCopied, now: float) -> None:
        stage = self._stages.get(note.stage)
        if stage is not None:
            stage.copied += 1

    def _stage_started(self, note: StageStarted, now: float) -> None:
        waiting = [job for job in note.jobs if job in self._active]
        stage = self._stages.get(note.stage)
        if stage is None or self._owner(stage) not in waiting:
            stage = _Stage(note)
            if not waiting:
                return
            self._active[waiting[0]].stages[note.stage] = stage
            self._stages[note.stage] = stage
        stage.start(note, now)
        if isinstance(note.key, MapStage):
            stage.lost += self._lost.pop(note.key.shuffle, 0)
        self._remember_skipped(stage)
        for job in waiting:
            if self._active[job].stages.get(note.stage) is not stage:
                self._skip(self._active[job], note.stage)

    def _gang_waits(self, note: GangWaits, now: float) -> None:
        stage = self._stages.get(note.stage)
        if stage is not None:
            stage.slots_missing = note.needed - note.there

    def _gang_started(self, note: GangStarted, now: float) -> None:
        stage = self._stages.get(note.stage)
        if stage is not None:
            stage.slots_missing = 0

    def _owner(self, stage: _Stage) -> JobId | None:
        for job in stage.jobs:
            if job in self._active and self._active[job].stages.get(stage.id) is stage:
                return job
        return None

    def _stage_ended(self, note: StageEnded, now: float) -> None:
        stage = self._stages.get(note.stage)
        if stage is not None:
            stage.stop("done" if note.why is None else "waiting", now)
            if note.why is None:
                stage.running.clear()

    def _stage_skipped(self, note: StageSkipped, now: float) -> None:
        job = self._active.get(note.job_id)
        if job is not None and note.stage not in job.stages:
            self._skip(job, note.stage)

    def _skip(self, job: _Job, stage: StageId) -> None:
        known = self._skipped.get(stage)
        if known is None:
            job.stages[stage] = StageSummary(stage, "map", "computed before", "skipped")
            return
        key, summary = known
        job.stages[stage] = summary
        if isinstance(key, MapStage):
            job.skipped_shuffles.add(key.shuffle)

    def _remember_skipped(self, stage: _Stage) -> None:
        """Keep one summary for all jobs that will not have to run this stage."""
        if isinstance(stage.key, MapStage) and stage.id not in self._skipped:
            self._skipped[stage.id] = (stage.key, StageSummary(stage.id, "map", stage.label, "skipped"))
            if len(self._skipped) > _KEPT_STAGES:
                del self._skipped[next(iter(self._skipped))]

    def _outputs_lost(self, note: MapOutputsLost, now: float) -> None:
        key = MapStage(note.shuffle)
        for stage in self._stages.values():
            if stage.key == key and stage.state == "running":
                stage.done -= note.count
                stage.lost += note.count
                return
        self._lost[note.shuffle] = self._lost.get(note.shuffle, 0) + note.count

    def _shuffle_forgotten(self, command: ForgetShuffle, now: float) -> None:
        self._lost.pop(command.shuffle, None)

    def _job_done(self, done: JobDone, now: float) -> None:
        self._end(done.job_id, "succeeded", None, now)

    def _job_failed(self, failed: JobFailed, now: float) -> None:
        state: JobState = "cancelled" if isinstance(failed.cause, Cancelled) else "failed"
        self._end(failed.job_id, state, _why(failed.cause), now)

    def _end(self, job_id: JobId, state: JobState, why: str | None, now: float) -> None:
        job = self._active.get(job_id)
        if job is None:
            return
        over: StageState = "cancelled" if state == "cancelled" else "failed"
        for stage in list(job.stages.values()):
            if not isinstance(stage, _Stage):
                continue
            heir = self._heir(stage, job_id) if stage.state in ("running", "waiting") else None
            if heir is not None:
                heir.stages[stage.id] = stage
                job.stages[stage.id] = replace(stage.summary(now), state=over)
                continue
            if stage.state != "done":
                stage.stop(over, now)
            if self._stages.get(stage.id) is stage:
                del self._stages[stage.id]
        self._ended[job_id] = job.summary(now, state, why)
        del self._active[job_id]
        if len(self._ended) > _KEPT_JOBS:
            del self._ended[next(iter(self._ended))]

    def _heir(self, stage: _Stage, job_id: JobId) -> _Job | None:
        for other in stage.jobs:
            if other != job_id and other in self._active:
                return self._active[other]
        return None

    # What is asked: any thread

    def active(self, now: float) -> list[JobSummary]:
        """Jobs that have not ended, oldest first."""
        return [job.summary(now) for job in list(self._active.values())]

    def jobs(self, now: float) -> list[JobSummary]:
        """The last jobs, those that have not ended at the end."""
        running = self.active(now)
        known = {job.id for job in running}
        return [job for job in list(self._ended.values()) if job.id not in known] + running

    def job(self, job_id: JobId) -> JobSummary | None:
        """One job, None if it is unknown or too long ago."""
        job = self._active.get(job_id)
        return self._ended.get(job_id) if job is None else job.summary(self._now)


def _why(cause: JobCause) -> str:
    match cause:
        case TaskFailedForGood():
            return f"task {cause.index} of stage {cause.stage} ({cause.label}) failed: {cause.note}"
        case StageGaveUp():
            return f"stage {cause.stage} ({cause.label}) lost its inputs {cause.attempts} times in a row"
        case TooFewSlots():
            return (
                f"barrier stage {cause.stage} ({cause.label}) needs {cause.needed} slots, and {cause.there} are there"
            )
        case GangGaveUp():
            return f"barrier stage {cause.stage} ({cause.label}) was broken off {len(cause.reasons)} times"
        case NoExecutorsLeft():
            return f"no executor was there for {show_seconds(cause.waited)}"
        case Cancelled():
            return cause.why
