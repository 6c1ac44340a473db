"""Folds the batches of an event log into what people want to know: jobs, executors, and what did not go smoothly.

Jobs are summarised by the same `StatusStore` that serves a running driver. Everything that is worth telling besides
is an `Incident`; equal ones of one batch are one with a count. Times are seconds since the log's first moment.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from rddlite.base.ids import AttemptId, ExecutorId, JobId, ShuffleId, StageId
from rddlite.base.outcome import (
    FetchFailed,
    Killed,
    OutOfMemory,
    Raised,
    Success,
    TaskOutcome,
    WorkerDied,
    assert_never,
)
from rddlite.base.units import show_bytes, show_seconds
from rddlite.observe.status import StatusStore
from rddlite.observe.summaries import JobSummary
from rddlite.observe.translate import Batch
from rddlite.plan.model import MapStage
from rddlite.schedule import commands as cmd
from rddlite.schedule import events as ev

_LONGEST_MESSAGE = 300


@dataclass(frozen=True, slots=True)
class Incident:
    """Something that a smooth run does not have. `what` is its kind; `jobs` are those it concerned (empty: all)."""

    at: float
    what: str
    text: str
    jobs: tuple[JobId, ...] = ()
    count: int = 1


@dataclass(slots=True)
class ExecutorLife:
    """One executor from its arrival to its end, if it had one."""

    id: ExecutorId
    host: str
    slots: int
    joined: float
    left: float | None = None
    why: str = ""
    attempts: int = 0
    failed: int = 0
    is_released: bool = False
    turns: list[tuple[float, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class JobStory:
    """One job: when it began, how it went, and what happened to it."""

    began: float
    summary: JobSummary
    incidents: tuple[Incident, ...]


@dataclass(frozen=True, slots=True)
class Story:
    """All that a log tells. `incidents` are those of no job in particular."""

    seconds: float
    jobs: tuple[JobStory, ...]
    executors: tuple[ExecutorLife, ...]
    incidents: tuple[Incident, ...]


class Teller:
    """Takes batches in order; `story` is how far it got. `start` is the scheduler's time at the log's beginning."""

    def __init__(self, start: float) -> None:
        self._start = start
        self._now = start
        self._status = StatusStore()
        self._began: dict[JobId, float] = {}
        self._ended: dict[JobId, JobSummary] = {}
        self._executors: dict[ExecutorId, ExecutorLife] = {}
        self._incidents: list[Incident] = []
        self._places: dict[tuple[str, str, tuple[JobId, ...]], int] = {}
        self._jobs_of: dict[StageId, tuple[JobId, ...]] = {}
        self._stage_of: dict[ShuffleId, StageId] = {}
        self._labels: dict[StageId, str] = {}
        self._outcomes: dict[AttemptId, TaskOutcome] = {}
        self._tell: dict[type, Callable[[Any], None]] = {
            ev.JobSubmitted: self._submitted,
            ev.ExecutorJoined: self._joined,
            ev.ExecutorSuspected: lambda each: self._turn(each.executor, f"suspected: {each.why}"),
            ev.ExecutorReturned: lambda each: self._turn(each.executor, f"returned with {len(each.attempts)} attempts"),
            ev.ExecutorDraining: lambda each: self._turn(each.executor, f"wants to leave: {each.why}"),
            ev.ExecutorLost: self._lost,
            ev.OutputsMoved: self._moved,
            ev.TaskEnded: self._task_ended,
            ev.ProviderFailed: lambda each: self._happened("provider", f"no executor can be started: {each.why}"),
            ev.DriverDelayed: self._delayed,
            cmd.Launch: self._launched,
            cmd.AttemptEnded: self._attempt_ended,
            cmd.StageStarted: self._stage_started,
            cmd.StageEnded: self._stage_ended,
            cmd.StageSkipped: self._stage_skipped,
            cmd.MapOutputsLost: self._outputs_lost,
            cmd.RolledBack: self._rolled_back,
            cmd.TaskCopied: lambda each: self._of_task("copied", each, each.why),
            cmd.TaskSkewed: self._skewed,
            cmd.ExecutorExcluded: self._excluded,
            cmd.WantExecutors: lambda each: self._happened("executors", f"more are asked for: {each.why}"),
            cmd.SuspectExecutor: lambda each: self._turn(each.executor, f"shall register again: {each.why}"),
            cmd.ReleaseExecutor: self._released,
            cmd.MoveOutputs: self._moving,
            cmd.GangWaits: self._gang_waits,
            cmd.DropExecutor: lambda each: self._left(each.executor, f"dropped: {each.why}"),
            cmd.JobDone: self._job_ended,
            cmd.JobFailed: self._job_ended,
        }

    def hear(self, batch: Batch) -> None:
        """What happened next."""
        self._now = batch.now
        self._places.clear()
        self._outcomes.clear()
        for event in batch.events:
            tell = self._tell.get(type(event))
            if tell is not None:
                tell(event)
        for command in batch.commands:
            self._status.observe(command, batch.now)
            tell = self._tell.get(type(command))
            if tell is not None:
                tell(command)
        if batch.error:
            self._happened("bug", f"the scheduler failed: {batch.error}")

    def story(self) -> Story:
        """Everything so far."""
        running = {job.id: job for job in self._status.active(self._now)}
        jobs = tuple(
            JobStory(self._began[job], summary, tuple(each for each in self._incidents if job in each.jobs))
            for job in self._began
            if (summary := self._ended.get(job) or running.get(job)) is not None
        )
        others = tuple(each for each in self._incidents if not each.jobs)
        return Story(self._now - self._start, jobs, tuple(self._executors.values()), others)

    # Jobs and stages

    def _submitted(self, event: ev.JobSubmitted) -> None:
        self._began[event.plan.job_id] = self._now - self._start
        self._status.job_started(event.plan, self._now)

    def _job_ended(self, command: cmd.JobDone | cmd.JobFailed) -> None:
        summary = self._status.job(command.job_id)
        if summary is not None:
            self._ended[command.job_id] = summary

    def _stage_started(self, note: cmd.StageStarted) -> None:
        is_again = note.stage in self._labels
        self._jobs_of[note.stage] = note.jobs
        self._labels[note.stage] = note.label
        if isinstance(note.key, MapStage):
            self._stage_of[note.key.shuffle] = note.stage
        if is_again:
            tasks = "1 task" if note.n_tasks == 1 else f"{note.n_tasks} tasks"
            self._of_stage("again", note.stage, f"runs again, for {tasks}")

    def _stage_skipped(self, note: cmd.StageSkipped) -> None:
        """From now on this job needs its output as well."""
        self._jobs_of[note.stage] = (*self._jobs_of.get(note.stage, ()), note.job_id)

    def _stage_ended(self, note: cmd.StageEnded) -> None:
        if note.why is not None:
            self._of_stage("paused", note.stage, f"pauses: {note.why}")

    def _rolled_back(self, note: cmd.RolledBack) -> None:
        text = (
            f"partition {note.map_index} of {note.label} gave other records when it was computed again; what had read "
            f"the first ones runs again: tasks: {note.n_tasks}"
        )
        self._happened("rolled back", text, self._jobs_of_shuffle(note.shuffle))

    def _outputs_lost(self, note: cmd.MapOutputsLost) -> None:
        outputs = "1 output" if note.count == 1 else f"{note.count} outputs"
        text = f"{outputs} of shuffle {note.shuffle}: {note.reason}"
        self._happened("blocks lost", text, self._jobs_of_shuffle(note.shuffle))

    def _gang_waits(self, note: cmd.GangWaits) -> None:
        text = f"waits for {note.needed} slots at once; there are {note.there}"
        self._of_stage("waits", note.stage, text)

    # Attempts

    def _task_ended(self, event: ev.TaskEnded) -> None:
        self._outcomes[event.attempt] = event.outcome

    def _launched(self, launch: cmd.Launch) -> None:
        life = self._executors.get(launch.executor)
        if life is not None:
            life.attempts += 1

    def _attempt_ended(self, note: cmd.AttemptEnded) -> None:
        if note.status == "success":
            if not note.accepted:
                self._of_stage("not needed", note.stage, "an attempt ended well after another one had")
            return
        outcome = self._outcomes.get(note.attempt)
        if outcome is None:
            how = "was lost with it" if note.status == "executor_lost" else "was not known there any more"
            self._of_stage("attempt lost", note.stage, f"what ran on executor {note.executor} {how}")
        elif isinstance(outcome, Killed):
            self._of_stage("killed", note.stage, f"an attempt on executor {note.executor}: {outcome.why}")
        elif note.status == "outdated":
            why = "before map outputs moved, or cached partitions went"
            text = f"an attempt on executor {note.executor} was sent out {why}; it runs again"
            self._of_stage("outdated", note.stage, text)
        else:
            life = self._executors.get(note.executor)
            if life is not None:
                life.failed += 1
            self._of_task("failed", note, f"on executor {note.executor}: {told(outcome)}")

    def _skewed(self, note: cmd.TaskSkewed) -> None:
        self._of_task("skewed", note, f"has {note.records:,} records, against a median of {note.median_records:,}")

    # Executors

    def _joined(self, event: ev.ExecutorJoined) -> None:
        life = ExecutorLife(event.executor, event.host, event.slots, self._now - self._start)
        self._executors.setdefault(event.executor, life)

    def _turn(self, executor: ExecutorId, text: str) -> None:
        life = self._executors.get(executor)
        if life is not None and life.left is None:
            life.turns.append((self._now - self._start, text))

    def _released(self, command: cmd.ReleaseExecutor) -> None:
        self._turn(command.executor, f"may leave: {command.why}")
        life = self._executors.get(command.executor)
        if life is not None:
            life.is_released = True

    def _lost(self, event: ev.ExecutorLost) -> None:
        life = self._executors.get(event.executor)
        how = "left" if life is not None and life.is_released else "lost"
        self._left(event.executor, f"{how}: {event.cause}")

    def _left(self, executor: ExecutorId, why: str) -> None:
        life = self._executors.get(executor)
        if life is None:
            self._happened("executors", f"executor {executor} never joined; {why}")
        elif life.left is None:
            life.left, life.why = self._now - self._start, why

    def _excluded(self, note: cmd.ExecutorExcluded) -> None:
        self._turn(note.executor, f"excluded for about {show_seconds(note.seconds)}: {note.why}")

    def _moving(self, command: cmd.MoveOutputs) -> None:
        self._turn(command.source, f"hands {len(command.outputs)} map outputs over to executor {command.target}")

    def _moved(self, event: ev.OutputsMoved) -> None:
        why = f" ({event.why})" if event.why else ""
        self._turn(event.source, f"executor {event.target} took {len(event.outputs)} map outputs{why}")

    def _delayed(self, event: ev.DriverDelayed) -> None:
        self._happened("late", f"the driver's loop got no time for {show_seconds(event.seconds)}")

    # Incidents

    def _jobs_of_shuffle(self, shuffle: ShuffleId) -> tuple[JobId, ...]:
        """Those that needed it and have not ended: outputs are kept longer, for jobs to come."""
        stage = self._stage_of.get(shuffle)
        jobs = () if stage is None else self._jobs_of.get(stage, ())
        return tuple(job for job in jobs if job not in self._ended)

    def _of_task(self, what: str, note: cmd.AttemptEnded | cmd.TaskCopied | cmd.TaskSkewed, text: str) -> None:
        self._of_stage(what, note.stage, f"partition {note.index} {text}")

    def _of_stage(self, what: str, stage: StageId, text: str) -> None:
        label = self._labels.get(stage, "")
        self._happened(what, f"stage {stage} ({label}): {text}", self._jobs_of.get(stage, ()))

    def _happened(self, what: str, text: str, jobs: tuple[JobId, ...] = ()) -> None:
        known = self._places.setdefault((what, text, jobs), len(self._incidents))
        if known == len(self._incidents):
            self._incidents.append(Incident(self._now - self._start, what, text, jobs))
        else:
            self._incidents[known] = replace(self._incidents[known], count=self._incidents[known].count + 1)


def told(outcome: TaskOutcome) -> str:
    """How an attempt ended, in one line."""
    match outcome:
        case Success():
            return "success"
        case Raised(failure):
            where = f", at {failure.location}" if failure.location else ""
            record = f", record {failure.record}" if failure.record is not None else ""
            return f"{_line(f'{failure.type_name}: {failure.message}')}{where}{record}"
        case FetchFailed(shuffle, map_index, executor, _, why):
            return f"output {map_index} of shuffle {shuffle} on executor {executor} could not be read: {_line(why)}"
        case WorkerDied(exit_code, signal):
            how = f"exit code {exit_code}" if signal is None else f"signal {signal}"
            return f"its worker process died: {how}"
        case OutOfMemory(limit, peak):
            return f"out of memory: {show_bytes(peak)} of {show_bytes(limit)}"
        case Killed(why):
            return f"killed: {why}"
    assert_never(outcome)


def _line(text: str) -> str:
    first = text.strip().partition("\n")[0]
    return first if len(first) <= _LONGEST_MESSAGE else f"{first[:_LONGEST_MESSAGE]}..."
