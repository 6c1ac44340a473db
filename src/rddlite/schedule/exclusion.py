"""Executors on which too much fails: they get no new tasks for a while.

Every charged failure of a task counts 1 against the executor where it happened, half as much after each half-life. An
executor whose failures add up to the limit is excluded until they are down to half of it. What fails on several
executors, or fails its job, is the task's fault, and is taken back. The last usable executor is never excluded: of
several bad ones the least bad goes on. `core` asks for that whenever no executor is usable.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from rddlite.base.ids import ExecutorId
from rddlite.plan.model import StageKey
from rddlite.schedule.commands import ExecutorExcluded
from rddlite.schedule.executors import Executor
from rddlite.schedule.options import SchedulerOptions
from rddlite.schedule.states import ExecutorState
from rddlite.schedule.tasks import TaskScheduler
from rddlite.schedule.taskset import Attempt, TaskSet
from rddlite.schedule.turn import Turn

_Charge = tuple[float, StageKey, int]
_MOST_CHARGES = 64
_ROUNDING = 0.5
"""Failures that belong together are not at the same instant, so the first ones count a little less than 1."""


class Exclusion:
    """What is charged to executors. `until` tells of those that are excluded when they are used again."""

    def __init__(self, turn: Turn, options: SchedulerOptions, tasks: TaskScheduler) -> None:
        self._turn = turn
        self._options = options
        self._tasks = tasks
        self._charges: dict[ExecutorId, list[_Charge]] = {}
        self.until: dict[ExecutorId, float] = {}

    def failed(self, executor: Executor, attempt: Attempt) -> None:
        """An attempt failed there, and its task was charged for it. It shall be retried elsewhere."""
        key, index = attempt.tasks.plan.key, attempt.index
        failed_on = attempt.tasks.trouble(index).failed_on
        if executor.id in failed_on:
            return
        failed_on.append(executor.id)
        if len(failed_on) > 1:
            for other in failed_on:
                self._take_back(other, lambda charge: charge[1:] == (key, index))
        elif self._options.exclude:
            charges = [each for each in self._charges.get(executor.id, ()) if each[1:] != (key, index)]
            self._charges[executor.id] = [*charges[1 - _MOST_CHARGES :], (self._turn.now, key, index)]
            self._consider(executor)

    def acquit(self, tasks: TaskSet) -> None:
        """A job failed because of a task of this set: what failed there was the fault of its code."""
        for executor_id in list(self._charges):
            self._take_back(executor_id, lambda charge: charge[1] == tasks.plan.key)

    def forget(self, executor_id: ExecutorId) -> None:
        """It is gone."""
        self._charges.pop(executor_id, None)
        self.until.pop(executor_id, None)

    def readmit_one(self) -> None:
        """No executor is usable: if some are excluded, the least bad of them is used again."""
        executor = self._least_bad()
        if executor is not None:
            self._readmit(executor)

    def tick(self) -> None:
        """Use those again whose failures are some time ago."""
        for executor_id in [each for each, until in self.until.items() if self._turn.now >= until]:
            self._readmit(self._tasks.table.members[executor_id])

    def next_deadline(self) -> float | None:
        """When the next one is used again."""
        return min(self.until.values(), default=None)

    def _consider(self, executor: Executor) -> None:
        """One more failure is charged to it."""
        score = self._score(executor.id)
        if executor.is_excluded:
            self.until[executor.id] = self._end_of(score)
        elif score >= self._options.exclude_after - _ROUNDING and self._can_spare(executor, score):
            self.until[executor.id] = until = self._end_of(score)
            self._tasks.table.exclude(executor)
            n_tasks = len(self._charges[executor.id])
            why = f"{n_tasks} tasks failed on executor {executor.id} on {executor.host} and on no other"
            self._turn.commands.append(ExecutorExcluded(executor.id, why, until - self._turn.now))

    def _can_spare(self, executor: Executor, score: float) -> bool:
        """Whether another executor is usable instead, if need be one that is excluded but less bad."""
        if not executor.is_usable or self._tasks.table.has_usable_besides((executor.id,)):
            return True
        other = self._least_bad()
        if other is None or self._score(other.id) >= score:
            return False
        self._readmit(other)
        return True

    def _least_bad(self) -> Executor | None:
        """Of the executors that are excluded and could be used."""
        excluded = (self._tasks.table.members[each] for each in self.until)
        candidates = (each for each in excluded if each.state is ExecutorState.ALIVE)
        return min(candidates, key=lambda each: self._score(each.id), default=None)

    def _readmit(self, executor: Executor) -> None:
        del self.until[executor.id]
        self._tasks.readmit(executor)

    def _take_back(self, executor_id: ExecutorId, is_meant: Callable[[_Charge], bool]) -> None:
        charges = self._charges.get(executor_id)
        if charges is None:
            return
        charges[:] = [each for each in charges if not is_meant(each)]
        if not charges:
            del self._charges[executor_id]
        if executor_id in self.until:
            score = self._score(executor_id)
            if score < self._options.exclude_after / 2:
                self._readmit(self._tasks.table.members[executor_id])
            else:
                self.until[executor_id] = self._end_of(score)

    def _score(self, executor_id: ExecutorId) -> float:
        half_life = self._options.exclude_half_life
        return sum(math.pow(2.0, (at - self._turn.now) / half_life) for at, _, _ in self._charges.get(executor_id, ()))

    def _end_of(self, score: float) -> float:
        """When such a score has decayed to half the limit."""
        n_half_lives = math.log2(2.0 * score / self._options.exclude_after)
        return self._turn.now + self._options.exclude_half_life * max(0.0, n_half_lives)
