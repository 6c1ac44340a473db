"""Everything the scheduler can ask of the world. Imperatives; frozen; carried out in order.

A command that cannot be carried out does not raise: its failure comes back as an event.
"""

from __future__ import annotations

from dataclasses import dataclass

from rddlite.base.ids import AttemptId, ExecutorId, JobId, ShuffleId, StageId
from rddlite.base.metrics import TaskMetrics
from rddlite.base.outcome import TaskOutcome, TaskValue
from rddlite.plan.model import StageKey


@dataclass(frozen=True, slots=True)
class Launch:
    """Start an attempt. `index` is the task's index in its stage; `number` counts the attempts of this task from 0."""

    executor: ExecutorId
    attempt: AttemptId
    stage: StageId
    key: StageKey
    index: int
    number: int


@dataclass(frozen=True, slots=True)
class Kill:
    """Stop an attempt; how it ended is reported as usual."""

    executor: ExecutorId
    attempt: AttemptId
    why: str


@dataclass(frozen=True, slots=True)
class DeliverResult:
    """Task `index` of the job's result stage has its one accepted value."""

    job_id: JobId
    index: int
    executor: ExecutorId
    value: TaskValue


@dataclass(frozen=True, slots=True)
class JobDone:
    """Every result was delivered."""

    job_id: JobId


@dataclass(frozen=True, slots=True)
class TaskFailedForGood:
    """Why a job failed: one of its tasks did, `number` attempts (from 0) into it. `note` explains the decision."""

    stage: StageId
    key: StageKey
    label: str
    index: int
    number: int
    executor: ExecutorId
    host: str
    outcome: TaskOutcome
    note: str


@dataclass(frozen=True, slots=True)
class ExecutorGone:
    """An executor that was lost, and why; one without a host never joined."""

    executor: ExecutorId
    host: str
    cause: str

    def __str__(self) -> str:
        """As a clause."""
        what = f"on {self.host} was lost" if self.host else "never joined"
        return f"executor {self.executor} {what}: {self.cause}"


@dataclass(frozen=True, slots=True)
class LostInput:
    """A map output that could not be read: where it should have been, what was found, and what is known of its
    executor's end (whenever that became known).
    """

    shuffle: ShuffleId
    map_index: int
    executor: ExecutorId
    why: str
    gone: ExecutorGone | None = None

    def __str__(self) -> str:
        """As a clause."""
        place = f"output {self.map_index} of shuffle {self.shuffle}"
        end = f" because {self.gone}" if self.gone else ""
        return f"{place} could not be read from executor {self.executor}: {self.why}{end}"


@dataclass(frozen=True, slots=True)
class StageGaveUp:
    """Why a job failed: a stage lost its inputs again and again without progress."""

    stage: StageId
    label: str
    attempts: int
    chain: tuple[LostInput, ...]


@dataclass(frozen=True, slots=True)
class TooFewSlots:
    """Why a job failed: the tasks of a barrier stage run all at once, or not at all, and there were too few slots for
    so long (0: there can never be more).
    """

    stage: StageId
    label: str
    needed: int
    there: int
    waited: float


@dataclass(frozen=True, slots=True)
class GangGaveUp:
    """Why a job failed: a barrier stage was broken off as often as it may be, for these reasons."""

    stage: StageId
    label: str
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NoExecutorsLeft:
    """Why a job failed: no executor was there for the whole grace period (or none can be started)."""

    waited: float
    chain: tuple[ExecutorGone | str, ...]


@dataclass(frozen=True, slots=True)
class Cancelled:
    """Why a job ended: somebody cancelled it."""

    why: str


JobCause = TaskFailedForGood | StageGaveUp | TooFewSlots | GangGaveUp | NoExecutorsLeft | Cancelled


@dataclass(frozen=True, slots=True)
class JobFailed:
    """The job ends without its result."""

    job_id: JobId
    cause: JobCause


@dataclass(frozen=True, slots=True)
class ForgetShuffle:
    """Delete the files of this shuffle on every executor."""

    shuffle: ShuffleId


@dataclass(frozen=True, slots=True)
class ReleaseShuffle:
    """Delete the map outputs of this shuffle: all that is made from them is there, or the program wants their room.
    They are computed again if they are needed all the same.
    """

    shuffle: ShuffleId


@dataclass(frozen=True, slots=True)
class ForgetOutput:
    """Delete one map output that lost a race or belongs to nobody any more."""

    executor: ExecutorId
    shuffle: ShuffleId
    map_index: int
    attempt: AttemptId


@dataclass(frozen=True, slots=True)
class DropExecutor:
    """Have nothing more to do with this executor; end it if possible."""

    executor: ExecutorId
    why: str


@dataclass(frozen=True, slots=True)
class SuspectExecutor:
    """It was quiet for a while: it shall register again before it gets anything."""

    executor: ExecutorId
    why: str


@dataclass(frozen=True, slots=True)
class MoveOutputs:
    """Have `target` copy these map outputs (shuffle, map index, attempt) from `source`, which leaves."""

    source: ExecutorId
    target: ExecutorId
    outputs: tuple[tuple[ShuffleId, int, AttemptId], ...]


@dataclass(frozen=True, slots=True)
class ReleaseExecutor:
    """It wanted to leave, and nothing is left there that anybody needs (or nobody could take it): it may end."""

    executor: ExecutorId
    why: str


@dataclass(frozen=True, slots=True)
class FindCached:
    """Find out which of `shuffles` none of these tasks of a stage reads, because what they would make of them is kept
    somewhere. `CachedFound` answers.
    """

    stage: StageId
    key: StageKey
    question: int
    tasks: tuple[int, ...] | range
    shuffles: tuple[ShuffleId, ...]


@dataclass(frozen=True, slots=True)
class WantExecutors:
    """Executors are needed: the provider should replace what is missing."""

    why: str


# Notes for people and statistics: nobody acts on them.


@dataclass(frozen=True, slots=True)
class StageStarted:
    """An attempt of a stage begins with `n_tasks` tasks to run, wanted by `jobs`."""

    stage: StageId
    key: StageKey
    attempt: int
    label: str
    n_tasks: int
    jobs: tuple[JobId, ...]


@dataclass(frozen=True, slots=True)
class GangWaits:
    """A barrier stage of `needed` tasks cannot start: so many slots are `there`, free or not."""

    stage: StageId
    needed: int
    there: int


@dataclass(frozen=True, slots=True)
class GangStarted:
    """All tasks of a barrier stage start now: `attempts` and their `executors`, by index of the task."""

    stage: StageId
    attempts: tuple[AttemptId, ...]
    executors: tuple[ExecutorId, ...]


@dataclass(frozen=True, slots=True)
class AttemptEnded:
    """An attempt ended; `accepted` tells whether its value was taken.

    `status` is one of `success`, `raised`, `fetch_failed`, `worker_died`, `out_of_memory`, `killed`; `outdated` where a
    map output has moved, or a cached partition has gone, since the attempt was sent out; or, when nobody reported an
    end, `executor_lost` or `not_there` (its executor came back without it).
    """

    stage: StageId
    key: StageKey
    index: int
    attempt: AttemptId
    executor: ExecutorId
    status: str
    accepted: bool
    metrics: TaskMetrics | None


@dataclass(frozen=True, slots=True)
class StageEnded:
    """A stage is complete (or its attempt was given up: `why` is given then)."""

    stage: StageId
    attempt: int
    why: str | None = None


@dataclass(frozen=True, slots=True)
class StageSkipped:
    """A map stage that a job needs is complete already."""

    stage: StageId
    job_id: JobId


@dataclass(frozen=True, slots=True)
class MapOutputsLost:
    """Map outputs went away with their executor, were found damaged, or were made from what is not there any more;
    missing ones are computed again when needed. `why` is what was found (empty: nothing but that the executor is gone),
    `executor` had them, `gone` is what is known of its end.
    """

    shuffle: ShuffleId
    count: int
    why: str
    executor: ExecutorId | None = None
    gone: ExecutorGone | None = None

    @property
    def reason(self) -> str:
        """As a clause."""
        return " because ".join(str(each) for each in (self.why, self.gone) if each)


@dataclass(frozen=True, slots=True)
class ExecutorExcluded:
    """Too many attempts failed on this executor: it gets no new ones until that is some time ago."""

    executor: ExecutorId
    why: str
    seconds: float


@dataclass(frozen=True, slots=True)
class TaskCopied:
    """A task is much slower than others of its stage: another attempt of it runs elsewhere as well."""

    stage: StageId
    index: int
    attempt: AttemptId
    why: str


@dataclass(frozen=True, slots=True)
class TaskSkewed:
    """A task takes much longer than others of its stage because it has more records: a copy would not help."""

    stage: StageId
    index: int
    attempt: AttemptId
    records: int
    median_records: int


@dataclass(frozen=True, slots=True)
class RolledBack:
    """A map task that ran again gave other records (`label` is its stage): what had read the first ones runs again."""

    shuffle: ShuffleId
    map_index: int
    label: str
    n_tasks: int


Note = (
    StageStarted | AttemptEnded | StageEnded | StageSkipped | MapOutputsLost | ExecutorExcluded | TaskCopied
    | TaskSkewed | RolledBack | GangWaits | GangStarted
)  # fmt: skip
Command = (
    Launch | Kill | DeliverResult | JobDone | JobFailed | ForgetShuffle | ReleaseShuffle | ForgetOutput | DropExecutor
    | SuspectExecutor | MoveOutputs | ReleaseExecutor | FindCached | WantExecutors | Note
)  # fmt: skip
