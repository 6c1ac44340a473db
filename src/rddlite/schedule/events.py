"""Everything that can happen to the scheduler. Past participles; frozen; nothing shared with the sender."""

from __future__ import annotations

from dataclasses import dataclass

from rddlite.base.ids import AttemptId, ExecutorId, JobId, ShuffleId, StageId
from rddlite.base.outcome import TaskOutcome
from rddlite.plan.model import JobPlan


@dataclass(frozen=True, slots=True)
class JobSubmitted:
    """A user thread wants a job to run."""

    plan: JobPlan


@dataclass(frozen=True, slots=True)
class JobCancelled:
    """The job is not wanted any more. Unknown or finished jobs are ignored."""

    job_id: JobId
    why: str


@dataclass(frozen=True, slots=True)
class GroupCancelled:
    """No job of the group is wanted any more; None means every job."""

    group: str | None
    why: str


@dataclass(frozen=True, slots=True)
class ExecutorJoined:
    """An executor registered and can run `slots` tasks at once."""

    executor: ExecutorId
    host: str
    slots: int


@dataclass(frozen=True, slots=True)
class ExecutorSuspected:
    """Its connection broke or something sent to it got lost: no new tasks, nothing recomputed."""

    executor: ExecutorId
    why: str


@dataclass(frozen=True, slots=True)
class ExecutorReturned:
    """A suspected executor registered again, and tells which attempts it has (running, queued or ended unreported)."""

    executor: ExecutorId
    attempts: frozenset[AttemptId]


@dataclass(frozen=True, slots=True)
class ExecutorLost:
    """The executor is gone for good, with everything it held. The one door for every way of noticing it."""

    executor: ExecutorId
    cause: str


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The executor is alive. `progress` tells of what runs there: attempt, seconds, and records read so far."""

    executor: ExecutorId
    progress: tuple[tuple[AttemptId, float, int], ...] = ()


@dataclass(frozen=True, slots=True)
class ExecutorDraining:
    """The executor wants to leave, once what runs there has ended and its outputs are elsewhere."""

    executor: ExecutorId
    why: str


@dataclass(frozen=True, slots=True)
class OutputsMoved:
    """`target` has copies of these map outputs of `source`: shuffle, map index, attempt. `why` tells why not of all."""

    source: ExecutorId
    target: ExecutorId
    outputs: tuple[tuple[ShuffleId, int, AttemptId], ...]
    why: str = ""


@dataclass(frozen=True, slots=True)
class TaskEnded:
    """An executor reports how an attempt ended. May come twice, late, or for an attempt nobody knows."""

    executor: ExecutorId
    attempt: AttemptId
    outcome: TaskOutcome


@dataclass(frozen=True, slots=True)
class OutputsLost:
    """Map outputs were found missing or damaged on their executor."""

    executor: ExecutorId
    shuffle: ShuffleId
    map_indices: tuple[int, ...]
    why: str


@dataclass(frozen=True, slots=True)
class ShuffleForgotten:
    """Nothing in the driver can reach this shuffle any more."""

    shuffle: ShuffleId


@dataclass(frozen=True, slots=True)
class ShuffleReleased:
    """The program wants the room of what this shuffle has stored; it may need it again."""

    shuffle: ShuffleId


@dataclass(frozen=True, slots=True)
class CachedFound:
    """The answer to a `FindCached`: these shuffles the tasks need not read, as far as is known."""

    stage: StageId
    question: int
    shuffles: tuple[ShuffleId, ...]


@dataclass(frozen=True, slots=True)
class ProviderFailed:
    """No executor can be started any more."""

    why: str


@dataclass(frozen=True, slots=True)
class DriverDelayed:
    """The driver's loop woke `seconds` later than it wanted: silence of that time is nobody's fault."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Tick:
    """A deadline reported by `next_deadline` has passed."""


Event = (
    JobSubmitted | JobCancelled | GroupCancelled | ExecutorJoined | ExecutorSuspected | ExecutorReturned
    | ExecutorLost | ExecutorDraining | OutputsMoved | Heartbeat | TaskEnded | OutputsLost | ShuffleForgotten
    | ShuffleReleased | CachedFound | ProviderFailed | DriverDelayed | Tick
)  # fmt: skip
