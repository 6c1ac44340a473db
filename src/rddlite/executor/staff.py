"""One worker process as the agent knows it: its state, its tasks, and what its end means for the one that ran. Pure.

STARTING -> IDLE -> RUNNING -> IDLE               in good times
RUNNING -> STOPPING -> SETTLING -> IDLE           when its attempt is to be killed
any -> ENDING -> (gone)                           when it is killed, or ends by itself
"""

from __future__ import annotations

import enum
from collections import deque
from dataclasses import dataclass, field

from rddlite.base.outcome import Killed, OutOfMemory, TaskOutcome, WorkerDied
from rddlite.executor import events as ev
from rddlite.net.messages import RunTask


class WorkerState(enum.Enum):
    """What a worker does; `agent.py` tells how one state follows another."""

    STARTING = "starting"
    IDLE = "idle"
    RUNNING = "running"
    STOPPING = "stopping"
    SETTLING = "settling"
    ENDING = "ending"


@dataclass(slots=True, eq=False)
class Worker:
    """`task` is the one that it is believed to run, `ahead` are those that it was given beyond that, and `after_recall`
    is what is to be done, about which attempt, when these have been taken back.
    """

    number: int
    born: float
    state: WorkerState = WorkerState.STARTING
    pid: int = 0
    task: RunTask | None = None
    ahead: deque[RunTask] = field(default_factory=deque)
    is_recalled: bool = False
    after_recall: list[tuple[ev.Event, int]] = field(default_factory=list)
    since: float = 0.0
    kill_why: str | None = None
    again_at: float | None = None
    kill_at: float | None = None
    exceeded: ev.MemoryExceeded | None = None


def last_outcome(worker: Worker, event: ev.WorkerEnded) -> TaskOutcome:
    """How the attempt of a worker that is gone ended."""
    if worker.kill_why is not None:
        return Killed(worker.kill_why)
    if worker.exceeded is not None:
        peak = max(worker.exceeded.resident, event.peak_memory)
        operation, _, detail = worker.exceeded.note.partition("\n")
        return OutOfMemory(worker.exceeded.limit, peak, operation or None, detail)
    return WorkerDied(event.exit_code, event.signal, event.peak_memory, event.stderr_tail)
