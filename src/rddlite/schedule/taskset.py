"""The tasks of one stage from its start until it is complete or no longer needed; and attempts, their launches.

A task is one byte until something goes wrong with it: no object per task exists before it is launched or after it
succeeded. Pending tasks are found by scanning those bytes from a cursor; what became pending again waits in a heap.
Owned by `tasks.TaskScheduler`; nobody else changes it.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import ClassVar

from rddlite.base.ids import AttemptId, ExecutorId, JobId, StageId
from rddlite.plan.model import StagePlan
from rddlite.schedule.locality import Preferences
from rddlite.schedule.retries import Trouble
from rddlite.schedule.states import ATTEMPT_MOVES, AttemptState, Moves, TaskState
from rddlite.schedule.turn import Tracked, Turn

_PENDING = int(TaskState.PENDING)
_ALONE = int(TaskState.ALONE)
_RUNNING = int(TaskState.RUNNING)
_DONE = int(TaskState.DONE)

_ATTEMPT_RUNNING = AttemptState.RUNNING
_HAVE_TO_STATUS = bytes([_PENDING, _DONE]) + bytes(range(2, 256))

Priority = tuple[JobId, StageId]
"""First come, first served: the oldest job that wants the stage, then the stage."""


class Attempt(Tracked):
    """One launch of one task. `stage_attempt` is the attempt of the stage that it was launched in."""

    __slots__ = ("alone", "executor", "id", "index", "number", "stage_attempt", "tasks")
    kind: ClassVar[str] = "attempt"
    moves: ClassVar[Moves] = ATTEMPT_MOVES

    def __init__(self, attempt_id: AttemptId, tasks: TaskSet, index: int, number: int, executor: ExecutorId) -> None:
        self.state = _ATTEMPT_RUNNING
        self.story = ()
        self.id = attempt_id
        self.tasks = tasks
        self.index = index
        self.number = number
        self.executor = executor
        self.stage_attempt = tasks.stage_attempt
        self.alone = False

    def title(self) -> str:
        """Which attempt this is."""
        return f"attempt {self.id} (stage {self.tasks.stage}, task {self.index}, on {self.executor})"


class TaskSet:
    """The tasks of one stage.

    Invariants: `n_pending` counts PENDING tasks, `alone` lists ALONE ones, `running` has exactly the RUNNING ones, and
    `n_left` counts all that are not DONE. `is_open` tells whether the stage lets tasks be launched.
    """

    __slots__ = (
        "_again", "_cursor", "_turn", "alone", "is_open", "is_queued", "is_relaxed", "is_stalled", "n_left",
        "n_pending", "plan", "preferences", "priority", "running", "stage", "stage_attempt", "status", "strays",
        "troubles",
    )  # fmt: skip

    def __init__(self, turn: Turn, stage: StageId, plan: StagePlan, have: bytearray | None = None) -> None:
        self._turn = turn
        self.stage = stage
        self.plan = plan
        self.stage_attempt = 0
        self.priority: Priority = (JobId(0), stage)
        self.status = bytearray(plan.n_tasks) if have is None else have.translate(_HAVE_TO_STATUS)
        self.n_pending = self.n_left = self.status.count(_PENDING)
        self.running: dict[int, Attempt] = {}
        self.strays: dict[AttemptId, Attempt] = {}
        self.troubles: dict[int, Trouble] = {}
        self.alone: list[int] = []
        self.preferences = Preferences(plan.hosts, self.status) if any(plan.hosts) else None
        self.is_open = False
        self.is_queued = False
        self.is_stalled = False
        self.is_relaxed = False
        self._again: list[int] = []
        self._cursor = 0

    def next_pending(self) -> int:
        """A pending task, where `n_pending` says that there is one."""
        again = self._again
        while again:
            if self.status[again[0]] == _PENDING:
                return again[0]
            heappop(again)
        self._cursor = self.status.find(_PENDING, self._cursor)
        return self._cursor

    def begin(self, attempt: Attempt) -> None:
        """The task of this attempt runs."""
        index = attempt.index
        if self.status[index] == _ALONE:
            self.alone.remove(index)
        else:
            self._leave_pending(index)
        self._turn.move_task(self.status, index, _RUNNING)
        self.running[index] = attempt

    def succeed(self, index: int) -> None:
        """The running attempt of this task was taken."""
        self._turn.move_task(self.status, index, _DONE)
        del self.running[index]
        self.n_left -= 1

    def settle_late(self, index: int) -> None:
        """A success of an earlier attempt was taken while the task waited to be launched again."""
        if self.status[index] == _ALONE:
            self.alone.remove(index)
        else:
            self._leave_pending(index)
        self._turn.move_task(self.status, index, _DONE)
        self.n_left -= 1

    def requeue(self, index: int) -> None:
        """The running attempt of this task is no more: it has to run again."""
        del self.running[index]
        self._enter_pending(index)

    def reopen(self, index: int) -> None:
        """The output of this task was lost: it has to run again."""
        self.n_left += 1
        self._enter_pending(index)

    def trouble(self, index: int) -> Trouble:
        """The record of this task, made at its first trouble."""
        trouble = self.troubles.get(index)
        if trouble is None:
            trouble = self.troubles[index] = Trouble()
        return trouble

    def number_of_next(self, index: int) -> int:
        """How many attempts this task has had."""
        trouble = self.troubles.get(index)
        return 0 if trouble is None else trouble.number

    def has_work(self) -> bool:
        """Whether any task waits to be launched."""
        return bool(self.n_pending or self.alone)

    def _enter_pending(self, index: int) -> None:
        trouble = self.trouble(index)
        trouble.number += 1
        if trouble.alone:
            self._turn.move_task(self.status, index, _ALONE)
            self.alone.append(index)
            return
        self._turn.move_task(self.status, index, _PENDING)
        self.n_pending += 1
        heappush(self._again, index)
        self.is_stalled = False
        if self.preferences is not None:
            self.preferences.became_pending(index)

    def _leave_pending(self, index: int) -> None:
        self.n_pending -= 1
        if self.preferences is not None:
            self.preferences.left_pending(index)
