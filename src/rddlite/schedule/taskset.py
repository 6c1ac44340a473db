"""The tasks of one stage from its start until it is complete or no longer needed; and attempts, their launches.

A task is one byte until something goes wrong with it: no object per task exists before it is launched or after it
succeeded. Pending tasks are found by scanning those bytes from a cursor; what became pending again waits in a heap.
Owned by `tasks.TaskScheduler`; nobody else changes it.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import TYPE_CHECKING, ClassVar

from rddlite.base.ids import AttemptId, ExecutorId, JobId, StageId
from rddlite.plan.model import StagePlan
from rddlite.schedule.locality import Hosts, Preferences
from rddlite.schedule.pace import Pace
from rddlite.schedule.retries import Trouble
from rddlite.schedule.states import ATTEMPT_MOVES, AttemptState, Moves, TaskState
from rddlite.schedule.turn import Tracked, Turn

if TYPE_CHECKING:
    from rddlite.schedule.pools import Pool

_PENDING = int(TaskState.PENDING)
_ALONE = int(TaskState.ALONE)
_RUNNING = int(TaskState.RUNNING)
_DONE = int(TaskState.DONE)
_WARY = int(TaskState.WARY)

_ATTEMPT_RUNNING = AttemptState.RUNNING
_HAVE_TO_STATUS = bytes([_PENDING, _DONE]) + bytes(range(2, 256))

FADING = 0.9
"""With each task that ends counts what the longest one before it took so much less."""
MOST_COPIES = 4
"""Of one task: its attempts may hang or end one after another, but it does not take slots from others for ever."""

Priority = tuple[JobId, StageId]
"""First come, first served: the oldest job that wants the stage, then the stage."""


class Attempt(Tracked):
    """One launch of one task. `stage_attempt` is the attempt of the stage that it was launched in, `pool` whose share
    it is. `is_skewed` once it was told to have many records.
    """

    __slots__ = (
        "alone", "executor", "id", "index", "is_skewed", "number", "pool", "stage_attempt", "tasks",
    )  # fmt: skip
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
        assert tasks.pool is not None
        self.pool = tasks.pool
        self.alone = self.is_skewed = False

    def title(self) -> str:
        """Which attempt this is."""
        return f"attempt {self.id} (stage {self.tasks.stage}, task {self.index}, on {self.executor})"


class TaskSet:
    """The tasks of one stage.

    Invariants: `n_pending` counts PENDING tasks, `alone` lists ALONE ones, `wary` has the WARY ones and until when each
    may wait, `running` has exactly the RUNNING ones, and `n_left` counts all that are not DONE. `copies` has the second
    attempt of RUNNING tasks that have two. `is_open` tells whether the stage lets tasks be launched. `hosts` are those
    that the plan names, else `near`: hosts that are better than others, but not worth waiting for. `longest` is the
    most seconds that a task took lately.
    """

    __slots__ = (
        "_again", "_cursor", "_turn", "alone", "copies", "hosts", "is_open", "is_queued", "is_relaxed", "is_stalled",
        "longest", "n_left", "n_pending", "pace", "plan", "pool", "preferences", "priority", "running", "stage",
        "stage_attempt", "status", "strays", "troubles", "wary",
    )  # fmt: skip

    def __init__(
        self, turn: Turn, stage: StageId, plan: StagePlan, have: bytearray | None = None, near: Hosts = ()
    ) -> None:
        self._turn = turn
        self.stage = stage
        self.plan = plan
        self.stage_attempt = 0
        self.priority: Priority = (JobId(0), stage)
        self.status = bytearray(plan.n_tasks) if have is None else have.translate(_HAVE_TO_STATUS)
        self.n_pending = self.n_left = self.status.count(_PENDING)
        self.running: dict[int, Attempt] = {}
        self.copies: dict[int, Attempt] = {}
        self.strays: dict[AttemptId, Attempt] = {}
        self.troubles: dict[int, Trouble] = {}
        self.alone: list[int] = []
        self.wary: dict[int, float] = {}
        self.pace: Pace | None = None
        self.pool: Pool | None = None
        self.hosts = plan.hosts if any(plan.hosts) else near
        self.preferences = Preferences(self.hosts, self.status, waits=self.hosts is not near) if self.hosts else None
        self.is_open = False
        self.is_queued = False
        self.is_stalled = False
        self.is_relaxed = False
        self.longest = 0.0
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
        self._leave_waiting(index)
        self._turn.move_task(self.status, index, _RUNNING)
        self.running[index] = attempt

    def may_copy(self, attempt: Attempt) -> bool:
        """Whether this running attempt may get a copy: also if it had one that is no more, or was one itself."""
        if attempt.alone or attempt.index in self.copies:
            return False
        trouble = self.troubles.get(attempt.index)
        return trouble is None or trouble.copies < MOST_COPIES

    def begin_copy(self, attempt: Attempt) -> None:
        """The task of this attempt runs twice from now on, until either attempt ends."""
        self.trouble(attempt.index).copies += 1
        self.copies[attempt.index] = attempt

    def succeed(self, index: int) -> None:
        """The running attempt of this task was taken."""
        self._turn.move_task(self.status, index, _DONE)
        del self.running[index]
        self.n_left -= 1

    def settle_late(self, index: int) -> None:
        """A success of an earlier attempt was taken while the task waited to be launched again."""
        self._leave_waiting(index)
        self._turn.move_task(self.status, index, _DONE)
        self.n_left -= 1

    def drop(self, attempt: Attempt) -> Attempt:
        """One of the two attempts of its task is no more; answers with the other one, which is the only one now."""
        index = attempt.index
        copy = self.copies.pop(index)
        if attempt is copy:
            return self.running[index]
        self.running[index] = copy
        return copy

    def requeue(self, index: int, wary_until: float | None = None) -> None:
        """The only attempt of this task is no more: it has to run again, elsewhere if that is possible until then."""
        del self.running[index]
        self._enter_pending(index, wary_until)

    def relax(self, index: int) -> None:
        """The task has waited long enough for an executor where it has not failed."""
        del self.wary[index]
        self._turn.move_task(self.status, index, _PENDING)
        self._now_pending(index)

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

    @property
    def n_done(self) -> int:
        """How many tasks are done."""
        return len(self.status) - self.n_left

    def has_work(self) -> bool:
        """Whether any task waits to be launched."""
        return bool(self.n_pending or self.alone or self.wary)

    def _enter_pending(self, index: int, wary_until: float | None = None) -> None:
        trouble = self.trouble(index)
        trouble.number += 1
        if trouble.alone:
            self._turn.move_task(self.status, index, _ALONE)
            self.alone.append(index)
        elif wary_until is not None:
            self._turn.move_task(self.status, index, _WARY)
            self.wary[index] = wary_until
        else:
            self._turn.move_task(self.status, index, _PENDING)
            self._now_pending(index)

    def _now_pending(self, index: int) -> None:
        self.n_pending += 1
        heappush(self._again, index)
        self.is_stalled = False
        if self.preferences is not None:
            self.preferences.became_pending(index)

    def _leave_waiting(self, index: int) -> None:
        state = self.status[index]
        if state != _PENDING:
            if state == _ALONE:
                self.alone.remove(index)
            elif state == _WARY:
                del self.wary[index]
            return
        self.n_pending -= 1
        if self.preferences is not None:
            self.preferences.left_pending(index)
