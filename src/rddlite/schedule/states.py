"""States of jobs, stages, tasks, attempts and executors, and every move that is legal between them.

Theory of operation: a *job* runs until it is done, failed or cancelled. A *stage* is idle until an unfinished job needs
it, waits until the shuffles it reads are complete, runs, and is done; lost outputs bring it back. A *task* is one index
of a running stage. An *attempt* is one launch of a task on an executor. An *executor* is alive, suspect, draining
(it wants to leave) or gone.

The tables are data: the machine obeys them, the simulator counts how often each row was used, and
docs/internals/scheduler.md is generated from them. Nothing else changes a state (see `turn.Turn`).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum

Moves = Mapping[tuple[IntEnum, IntEnum], str]
"""Legal moves `(old, new)`, and what causes each."""


class JobState(IntEnum):
    """One job."""

    RUNNING = 0
    DONE = 1
    FAILED = 2
    CANCELLED = 3


class StageState(IntEnum):
    """One stage. WAITING and RUNNING stages are called active: they need their parents."""

    IDLE = 0
    WAITING = 1
    RUNNING = 2
    DONE = 3
    DROPPED = 4


class TaskState(IntEnum):
    """One task of a stage that was started; kept as one byte each. A WARY one shall go where it has not failed yet."""

    PENDING = 0
    ALONE = 1
    RUNNING = 2
    DONE = 3
    WARY = 4


class AttemptState(IntEnum):
    """One launch of a task. KILLING still occupies its slot; STRAY does not, and nobody counts on it."""

    RUNNING = 0
    KILLING = 1
    STRAY = 2
    ENDED = 3


class ExecutorState(IntEnum):
    """One incarnation of an executor process."""

    JOINING = 0
    ALIVE = 1
    SUSPECT = 2
    GONE = 3
    DRAINING = 4


JOB_MOVES: Moves = {
    (JobState.RUNNING, JobState.DONE): "every result was delivered",
    (JobState.RUNNING, JobState.FAILED): "a task failed for good, a stage gave up, or no executor is left",
    (JobState.RUNNING, JobState.CANCELLED): "somebody cancelled it",
}

STAGE_MOVES: Moves = {
    (StageState.IDLE, StageState.WAITING): "an active stage or a new job needs its output",
    (StageState.IDLE, StageState.DONE): "late outputs of killed or stray attempts completed it, or it has no tasks",
    (StageState.IDLE, StageState.DROPPED): "no unfinished job has it in its plan",
    (StageState.WAITING, StageState.RUNNING): "every shuffle it reads is complete",
    (StageState.WAITING, StageState.IDLE): "nothing active needs it any more",
    (StageState.WAITING, StageState.DONE): "attempts that ran on completed it while it waited",
    (StageState.WAITING, StageState.DROPPED): "its job ended (result stage)",
    (StageState.RUNNING, StageState.WAITING): "it has tasks to launch, but a shuffle it reads lost outputs",
    (StageState.RUNNING, StageState.IDLE): "nothing active needs it any more",
    (StageState.RUNNING, StageState.DONE): "every task succeeded",
    (StageState.RUNNING, StageState.DROPPED): "its job ended (result stage)",
    (StageState.DONE, StageState.IDLE): "some of its outputs were lost, or all were rolled back or released",
    (StageState.DONE, StageState.DROPPED): "no unfinished job has it in its plan; its outputs stay",
}

TASK_MOVES: Moves = {
    (TaskState.PENDING, TaskState.RUNNING): "launched",
    (TaskState.PENDING, TaskState.DONE): "a late success of an earlier attempt was taken",
    (TaskState.ALONE, TaskState.RUNNING): "launched on an executor of its own",
    (TaskState.ALONE, TaskState.DONE): "a late success of an earlier attempt was taken",
    (TaskState.WARY, TaskState.RUNNING): "launched on an executor where it has not failed",
    (TaskState.WARY, TaskState.PENDING): "it waited long enough for such an executor, or none is left",
    (TaskState.WARY, TaskState.DONE): "a late success of an earlier attempt was taken",
    (
        TaskState.RUNNING,
        TaskState.PENDING,
    ): "its last attempt ended without success, or its executor is gone, or it was rolled back",
    (TaskState.RUNNING, TaskState.WARY): "its last attempt failed, and there are executors where it has not failed",
    (TaskState.RUNNING, TaskState.ALONE): "the same, for a task that once ran out of memory",
    (TaskState.RUNNING, TaskState.DONE): "an attempt succeeded and was taken",
    (TaskState.DONE, TaskState.PENDING): "its output was lost before the stage was complete, or was rolled back",
    (TaskState.DONE, TaskState.ALONE): "the same, for a task that once ran out of memory",
}

ATTEMPT_MOVES: Moves = {
    (AttemptState.RUNNING, AttemptState.ENDED): "its end was reported, or its executor is gone",
    (AttemptState.RUNNING, AttemptState.KILLING): "nobody needs it any more, or what it reads is rolled back",
    (AttemptState.RUNNING, AttemptState.STRAY): "its executor came back without it; the task is pending again",
    (AttemptState.KILLING, AttemptState.ENDED): "its end was reported, or its executor is gone or came back without it",
    (AttemptState.STRAY, AttemptState.KILLING): "its executor has it after all",
    (AttemptState.STRAY, AttemptState.ENDED): "reported late, or can never be reported or of use any more",
}

EXECUTOR_MOVES: Moves = {
    (ExecutorState.JOINING, ExecutorState.ALIVE): "it registered",
    (ExecutorState.ALIVE, ExecutorState.SUSPECT): "its connection broke, something sent to it got lost, or it is quiet",
    (ExecutorState.ALIVE, ExecutorState.DRAINING): "it wants to leave",
    (ExecutorState.ALIVE, ExecutorState.GONE): "proof of its end, or silence",
    (ExecutorState.SUSPECT, ExecutorState.ALIVE): "it registered again and both sides reconciled",
    (ExecutorState.SUSPECT, ExecutorState.DRAINING): "the same, and it wanted to leave",
    (ExecutorState.SUSPECT, ExecutorState.GONE): "proof of its end, or silence",
    (ExecutorState.DRAINING, ExecutorState.SUSPECT): "as from ALIVE",
    (ExecutorState.DRAINING, ExecutorState.GONE): "proof of its end (it was told that it may leave), or silence",
}

TABLES: Mapping[str, Moves] = {
    "job": JOB_MOVES,
    "stage": STAGE_MOVES,
    "task": TASK_MOVES,
    "attempt": ATTEMPT_MOVES,
    "executor": EXECUTOR_MOVES,
}
