"""Which running attempts deserve a copy elsewhere: those that are slow, by their rate of records, beside their peers.

Heartbeats tell how far attempts are. One that takes much longer than others of its stage is either slow (it then gets
one copy, on another executor, as soon as a slot is free there: the first success counts) or has more records than
others, which a copy would not change. When one of the two ends without success, the other one is judged anew. Inputs
that were lost meanwhile are computed again only for a copy of what is stuck. Attempts that wait for a copy are kept in
`tasks.TaskScheduler.slow`.
"""

from __future__ import annotations

from rddlite.base.ids import AttemptId
from rddlite.schedule.commands import TaskCopied, TaskSkewed
from rddlite.schedule.dag import DagScheduler
from rddlite.schedule.events import Heartbeat
from rddlite.schedule.executors import Executor
from rddlite.schedule.options import SchedulerOptions
from rddlite.schedule.pace import Pace, Verdict
from rddlite.schedule.states import AttemptState, ExecutorState, StageState
from rddlite.schedule.tasks import TaskScheduler
from rddlite.schedule.taskset import Attempt
from rddlite.schedule.turn import Turn

_ONE_COPY_FOR = 10
"""This many attempts run for every copy among them, or there is one copy only."""


class Speculation:
    """Judges what runs. Owns the rules only."""

    def __init__(self, turn: Turn, options: SchedulerOptions, tasks: TaskScheduler, dag: DagScheduler) -> None:
        self._turn = turn
        self._options = options
        self._tasks = tasks
        self._dag = dag

    def heard(self, event: Heartbeat) -> None:
        """An executor tells how far its attempts are. (What a suspect says may be old.)"""
        executor = self._tasks.table.members.get(event.executor)
        if executor is None or executor.state is ExecutorState.SUSPECT:
            return
        for attempt_id, seconds, records in event.progress:
            attempt = executor.attempts.get(attempt_id)
            if attempt is None or attempt.state is not AttemptState.RUNNING:
                continue
            tasks, pace = attempt.tasks, attempt.tasks.pace
            if pace is not None and tasks.n_done >= pace.n_enough and tasks.may_copy(attempt):
                self._judge(attempt, pace, seconds, records)

    def run(self) -> None:
        """Copy slow attempts to free slots elsewhere."""
        tasks = self._tasks
        most = max(1, tasks.placing.pools.n_running() // _ONE_COPY_FOR)
        copied: list[AttemptId] = []
        for attempt in tasks.slow.values():
            if not tasks.table.levels[0] or tasks.n_copies >= most:
                break
            if self._copy(attempt):
                copied.append(attempt.id)
        for attempt_id in copied:
            del tasks.slow[attempt_id]

    def _judge(self, attempt: Attempt, pace: Pace, seconds: float, records: int) -> None:
        verdict = pace.judge(seconds, records, self._options)
        if verdict is Verdict.SLOW or verdict is Verdict.STUCK:
            self._tasks.slow[attempt.id] = attempt
            stage = self._dag.stages[attempt.tasks.stage]
            is_stuck = verdict is Verdict.STUCK and stage.missing and stage.state is StageState.RUNNING
            if is_stuck and self._place_for_copy(attempt) is not None:
                self._dag.interrupt(stage, f"a copy of attempt {attempt.id} reads inputs that were lost")
            return
        self._tasks.slow.pop(attempt.id, None)
        if verdict is Verdict.SKEWED and not attempt.is_skewed:
            attempt.is_skewed = True
            usual = pace.medians()[2]
            self._turn.commands.append(TaskSkewed(attempt.tasks.stage, attempt.index, attempt.id, records, usual))

    def _copy(self, attempt: Attempt) -> bool:
        tasks = attempt.tasks
        if not tasks.is_open or self._dag.stages[tasks.stage].missing:
            return False
        executor = self._place_for_copy(attempt)
        if executor is None:
            return False
        copy = self._tasks.copy(attempt, executor)
        assert tasks.pace is not None
        why = f"attempt {attempt.id} is slow; others of its stage took {tasks.pace.medians()[1]:.3g} s"
        self._turn.commands.append(TaskCopied(tasks.stage, attempt.index, copy, why))
        return True

    def _place_for_copy(self, attempt: Attempt) -> Executor | None:
        """An executor with a free slot where the task does not run and has not failed."""
        trouble = attempt.tasks.troubles.get(attempt.index)
        avoided = (attempt.executor, *(trouble.failed_on if trouble is not None else ()))
        executor = self._tasks.table.least_loaded_besides(avoided)
        return None if executor is None or executor.level else executor
