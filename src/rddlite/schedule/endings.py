"""What follows from how an attempt ended: results delivered, outputs taken, retries by cause, jobs failed.

Stale reports are normal: an attempt that nobody knows (reported before, or of a lost executor) changes nothing, and
leaves nothing behind. The success of an attempt that was killed or given up is still taken where its output is missing,
unless what it read is not there any more (`rollback`).
"""

from __future__ import annotations

from dataclasses import replace

from rddlite.base.ids import ExecutorId, ShuffleId
from rddlite.base.outcome import FetchFailed, Killed, MapStatus, OutOfMemory, Raised, Success, TaskOutcome, WorkerDied
from rddlite.plan.model import MapStage, ResultStage
from rddlite.schedule.commands import (
    AttemptEnded,
    DeliverResult,
    ForgetOutput,
    JobFailed,
    LostInput,
    MapOutputsLost,
    StageGaveUp,
    TaskFailedForGood,
)
from rddlite.schedule.dag import DagScheduler
from rddlite.schedule.events import OutputsLost, TaskEnded
from rddlite.schedule.exclusion import Exclusion
from rddlite.schedule.executors import Executor
from rddlite.schedule.gangs import Gangs
from rddlite.schedule.options import SchedulerOptions
from rddlite.schedule.retries import Charged
from rddlite.schedule.rollback import RollBack
from rddlite.schedule.stages import Stage
from rddlite.schedule.states import AttemptState, ExecutorState, StageState, TaskState
from rddlite.schedule.tasks import TaskScheduler
from rddlite.schedule.taskset import FADING, Attempt
from rddlite.schedule.turn import Turn

STATUS: dict[type[TaskOutcome], str] = {
    Success: "success",
    Raised: "raised",
    FetchFailed: "fetch_failed",
    WorkerDied: "worker_died",
    OutOfMemory: "out_of_memory",
    Killed: "killed",
}
"""How `AttemptEnded` calls each outcome."""
_OUTDATED = "outdated"
"""And a failed fetch that says nothing but that the attempt was sent out before a map output moved, or a cached
partition went.
"""

_RUNNING = AttemptState.RUNNING
_STRAY = AttemptState.STRAY
_KILLING = AttemptState.KILLING


class Endings:
    """Reads outcomes. Owns nothing but the rules."""

    def __init__(
        self,
        turn: Turn,
        options: SchedulerOptions,
        tasks: TaskScheduler,
        dag: DagScheduler,
        exclusion: Exclusion,
        gangs: Gangs,
    ) -> None:
        self._turn = turn
        self._options = options
        self._tasks = tasks
        self._dag = dag
        self._exclusion = exclusion
        self._gangs = gangs
        self._roll_back = RollBack(turn, tasks, dag)
        self._unexplained: list[int] = []

    def task_ended(self, event: TaskEnded) -> None:
        """The end of an attempt is reported."""
        executor = self._tasks.table.members.get(event.executor)
        if executor is None:
            return
        taken = self._tasks.take(executor, event.attempt)
        if taken is None:
            return
        attempt, state = taken
        outcome = event.outcome
        if isinstance(outcome, Success):
            if state is _RUNNING:
                self._succeeded(attempt, outcome)
            else:
                self._succeeded_late(attempt, state, outcome)
            return
        self._note_end(attempt, outcome, False)
        if isinstance(outcome, FetchFailed):
            if state is not _KILLING:
                self._fetch_failed(attempt, state, outcome)
        elif state is _RUNNING:
            self._failed(executor, attempt, outcome)

    def outputs_lost(self, event: OutputsLost) -> None:
        """An executor found some of its map outputs missing or damaged."""
        outputs = self._dag.outputs
        lost = [each for each in event.map_indices if outputs.lose(event.shuffle, each, event.executor, None)]
        if lost:
            self._unexplained.append(len(self._turn.commands))
            note = MapOutputsLost(event.shuffle, len(lost), event.why, event.executor)
            self._dag.lose_outputs(event.shuffle, lost, note)

    # Success

    def _succeeded(self, attempt: Attempt, outcome: Success) -> None:
        """The running attempt of a task did its work."""
        tasks, index = attempt.tasks, attempt.index
        rival = self._tasks.drop(attempt) if index in tasks.copies else None
        tasks.succeed(index)
        tasks.longest = max(outcome.metrics.seconds, FADING * tasks.longest)
        if tasks.pace is not None:
            tasks.pace.add(outcome.metrics)
        self._publish(attempt, outcome)
        self._note_end(attempt, outcome, True)
        if rival is not None:
            self._tasks.beaten(rival)
        stage = self._dag.stages[tasks.stage]
        if not tasks.n_left or stage.setbacks:
            self._dag.progressed(stage)

    def _succeeded_late(self, attempt: Attempt, state: AttemptState, outcome: Success) -> None:
        """An attempt that was killed or given up did its work all the same: take it where nothing else was taken."""
        key = attempt.tasks.plan.key
        if isinstance(key, ResultStage):
            stage = self._dag.stages.get(attempt.tasks.stage) if state is _STRAY else None
            is_wanted = stage is not None and attempt.tasks.status[attempt.index] != TaskState.DONE
            is_wanted = is_wanted and not attempt.tasks.plan.is_barrier
        else:
            stage = self._dag.maps.get(key.shuffle)
            outputs = self._dag.outputs.shuffles.get(key.shuffle)
            is_wanted = outputs is not None and not outputs.have[attempt.index] and attempt.id >= outputs.valid_from
        if is_wanted:
            self._publish(attempt, outcome)
        elif isinstance(key, MapStage):
            forget = ForgetOutput(attempt.executor, key.shuffle, attempt.index, attempt.id)
            self._turn.commands.append(forget)
        self._note_end(attempt, outcome, is_wanted)
        if is_wanted and stage is not None:
            if stage.tasks is not None:
                self._tasks.overtake(stage.tasks, attempt.index)
            self._dag.progressed(stage)

    def _publish(self, attempt: Attempt, outcome: Success) -> None:
        """The one accepted value of a task: to the table of map outputs, or to the job."""
        key = attempt.tasks.plan.key
        if isinstance(key, MapStage):
            status = outcome.value
            assert isinstance(status, MapStatus)
            outputs = self._dag.outputs.shuffles[key.shuffle]
            if outputs.is_other(attempt.index, status.fingerprints):
                self._roll_back.of(key.shuffle, attempt.index)
            outputs.add(attempt.index, attempt.executor, attempt.id, status.sizes)
        else:
            self._turn.commands.append(DeliverResult(key.job, attempt.index, attempt.executor, outcome.value))

    # Failure

    def _failed(self, executor: Executor, attempt: Attempt, outcome: Charged) -> None:
        """A running attempt of a task failed by itself: again, or for good.

        What an executor gives back when it leaves is not charged.
        """
        tasks, index = attempt.tasks, attempt.index
        if executor.is_leaving and isinstance(outcome, Killed):
            self._tasks.requeue(attempt)
            self._tasks.break_gang(tasks, f"executor {executor.id} leaves")
            return
        note = tasks.trouble(index).charge(outcome, self._options) if self._counts(attempt, outcome) else None
        if not isinstance(outcome, Killed):
            self._exclusion.failed(executor, attempt)
        is_barrier = tasks.plan.is_barrier
        self._tasks.requeue(attempt, has_failed=not is_barrier)
        stage = self._dag.stages[tasks.stage]
        if is_barrier and note is None:
            note = self._gangs.broke(stage, f"task {index} failed on executor {executor.id}")
        if note is None:
            return
        self._exclusion.acquit(tasks)
        cause = TaskFailedForGood(
            stage.id, stage.plan.key, stage.plan.label, index, attempt.number, executor.id, executor.host, outcome, note
        )
        self._dag.fail(self._dag.jobs_that_need(stage), cause)

    def _counts(self, attempt: Attempt, outcome: Charged) -> bool:
        """Whether the task is charged for this failure: as it would be if there were no copies.

        So copies make no job fail, and none go on that would have failed: the other attempt may hang. Memory is charged
        when nothing of the task runs on, as its next attempt has to be alone.
        """
        if attempt.tasks.plan.is_barrier and isinstance(outcome, OutOfMemory):
            return False  # it cannot run alone
        copy = attempt.tasks.copies.get(attempt.index)
        return copy is None or not (copy is attempt or isinstance(outcome, OutOfMemory))

    def _fetch_failed(self, attempt: Attempt, state: AttemptState, outcome: FetchFailed) -> None:
        """A map output was not readable: it is lost, and nobody's fault; but not for ever without progress.

        If it has moved since the attempt was sent out, it is not lost, and the next attempt knows where it is. If the
        attempt was sent out without it, because something was cached that is not any more, its stage waits for it now.
        """
        is_outdated = self._is_outdated(outcome)
        if _was_spared(outcome) and attempt.tasks.stage in self._dag.stages:
            self._dag.miss_cached(self._dag.stages[attempt.tasks.stage], outcome.shuffle)
        is_again = state is _RUNNING and self._tasks.requeue(attempt)
        if self._dag.outputs.lose(outcome.shuffle, outcome.map_index, outcome.executor, outcome.map_attempt):
            self._unexplained.append(len(self._turn.commands))
            note = MapOutputsLost(outcome.shuffle, 1, outcome.why, outcome.executor)
            self._dag.lose_outputs(outcome.shuffle, (outcome.map_index,), note)
        if is_again and attempt.tasks.plan.is_barrier:
            lost = LostInput(outcome.shuffle, outcome.map_index, outcome.executor, outcome.why)
            self._tasks.break_gang(attempt.tasks, str(lost))
        elif is_again and not is_outdated:
            stage = self._dag.stages[attempt.tasks.stage]
            if stage.blamed < attempt.stage_attempt == stage.attempt:
                self._set_back(stage, outcome)

    def _is_outdated(self, outcome: FetchFailed) -> bool:
        outputs = self._dag.outputs
        has_moved = outputs.has_moved(outcome.shuffle, outcome.map_index, outcome.executor, outcome.map_attempt)
        return has_moved or _was_spared(outcome)

    def _set_back(self, stage: Stage, outcome: FetchFailed) -> None:
        """This attempt of the stage has failed: once more after the inputs are there, or never again."""
        stage.blamed = stage.attempt
        lost = LostInput(outcome.shuffle, outcome.map_index, outcome.executor, outcome.why)
        stage.setbacks.append(lost)
        counted = self._counted(stage.setbacks)
        if len(counted) >= self._options.stage_max_attempts:
            cause = StageGaveUp(stage.id, stage.plan.label, stage.attempt + 1, tuple(counted))
            first = len(self._turn.commands)
            self._dag.fail(self._dag.jobs_that_need(stage), cause)
            self._unexplained += range(first, len(self._turn.commands))
        elif stage.state is StageState.RUNNING:
            self._dag.interrupt(stage, f"an input was lost: {lost}")

    def _counted(self, setbacks: list[LostInput]) -> list[LostInput]:
        """What shows that trying again does not help: those of the one output that was lost most often.

        Different outputs that are found damaged one after another are progress, each time one more is whole. And one
        of each executor that is gone or out of reach: its outputs may be missed one after another, until its end is
        known. That ends when its silence does.
        """
        members = self._tasks.table.members
        absent: dict[ExecutorId, int] = {}
        present: dict[tuple[ShuffleId, int], list[int]] = {}
        for position, each in enumerate(setbacks):
            executor = members.get(each.executor)
            if executor is None or executor.state is ExecutorState.SUSPECT:
                absent[each.executor] = position
            else:
                present.setdefault((each.shuffle, each.map_index), []).append(position)
        counted = [*absent.values(), *max(present.values(), key=len, default=[])]
        return [setbacks[position] for position in sorted(counted)]

    def explain(self) -> None:
        """At the end of a batch: add to what was told of lost inputs what is known by now of their executors' end, so
        that it does not matter what came first."""
        gone, commands = self._tasks.table.gone, self._turn.commands
        for position in self._unexplained:
            match commands[position]:
                case MapOutputsLost(executor=str(executor)) as note:
                    commands[position] = replace(note, gone=gone.get(executor))
                case JobFailed(job_id, StageGaveUp(chain=chain) as cause):
                    told = tuple(replace(each, gone=gone.get(each.executor)) for each in chain)
                    commands[position] = JobFailed(job_id, replace(cause, chain=told))
        self._unexplained.clear()

    def _note_end(self, attempt: Attempt, outcome: TaskOutcome, accepted: bool) -> None:
        metrics = outcome.metrics if isinstance(outcome, (Success, Raised)) else None
        is_outdated = isinstance(outcome, FetchFailed) and self._is_outdated(outcome)
        self._turn.commands.append(
            AttemptEnded(
                attempt.tasks.stage,
                attempt.tasks.plan.key,
                attempt.index,
                attempt.id,
                attempt.executor,
                _OUTDATED if is_outdated else STATUS[type(outcome)],
                accepted,
                metrics,
            )
        )


def _was_spared(outcome: FetchFailed) -> bool:
    """Whether the attempt was not told where the outputs are: it was not to need them."""
    return not outcome.executor
