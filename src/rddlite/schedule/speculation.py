"""Which running attempts deserve a copy elsewhere: those that are slow, by their rate of records, beside their peers.

Heartbeats tell how far attempts are. One that takes much longer than others of its stage is either slow (it then gets
one copy, on another executor, as soon as a slot is free there: the first success counts) or has more records than
others, which a copy would not change. A copy never has inputs computed again. Attempts that wait for a copy are kept in
`tasks.TaskScheduler.slow`.
"""

from __future__ import annotations

from rddlite.base.ids import AttemptId
from rddlite.schedule.commands import TaskCopied, TaskSkewed
from rddlite.schedule.dag import DagScheduler
from rddlite.schedule.events import Heartbeat
from rddlite.schedule.options import SchedulerOptions
from rddlite.schedule.pace import Pace, Verdict
from rddlite.schedule.states import AttemptState, ExecutorState
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
            if attempt is None or attempt.state is not AttemptState.RUNNING or attempt.is_copied or attempt.alone:
                continue
            pace = attempt.tasks.pace
            if pace is not None and attempt.tasks.n_done >= pace.n_enough:
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
        if verdict is Verdict.SLOW:
            self._tasks.slow[attempt.id] = attempt
            return
        self._tasks.slow.pop(attempt.id, None)
        if verdict is Verdict.SKEWED and not attempt.is_skewed:
            attempt.is_skewed = True
            usual = pace.medians()[2]
            self._turn.commands.append(TaskSkewed(attempt.tasks.stage, attempt.index, attempt.id, records, usual))

    def _copy(self, attempt: Attempt) -> bool:
        tasks, table = attempt.tasks, self._tasks.table
        if not tasks.is_open or self._dag.stages[tasks.stage].missing:
            return False
        trouble = tasks.troubles.get(attempt.index)
        avoided = (attempt.executor, *(trouble.failed_on if trouble is not None else ()))
        executor = table.least_loaded_besides(avoided)
        if executor is None or executor.level:
            return False
        copy = self._tasks.copy(attempt, executor)
        assert tasks.pace is not None
        why = f"attempt {attempt.id} is slow; others of its stage took {tasks.pace.medians()[1]:.3g} s"
        self._turn.commands.append(TaskCopied(tasks.stage, attempt.index, copy, why))
        return True
