"""Every control message as a frozen dataclass, grouped by who speaks to whom.

`net/wire.py` turns them into msgpack and back by the declared field types, so the declarations below are the schema.
Fields of type `bytes` named `outcome`, `payload`, `partition` or `outputs` are opaque here: they are packed by
`wire.pack_outcome` or pickled by `serde`, and only ever opened by a peer that has been registered.
"""

from __future__ import annotations

from dataclasses import dataclass, field

PROTOCOL = 5
"""Rises whenever a message changes; both sides must have the same."""


# Executor to driver


@dataclass(frozen=True, slots=True)
class Register:
    """First message of an executor, and again after a broken connection (with the attempts it has).

    `address` is the endpoint of its block server (empty if it has none); `token` is what the file `token` in its
    `scratch` holds: who can read it there is on the same host. An empty one is never taken for a proof.
    """

    protocol: int
    executor: str
    host: str
    pid: int
    slots: int
    workers: list[int]
    python: str
    rddlite: str
    cloudpickle: str
    scratch: str
    attempts: list[int]
    address: str = ""
    token: str = ""


@dataclass(frozen=True, slots=True)
class ExecutorAlive:
    """Heartbeat: resident bytes of all its processes, worker pids, and `[attempt, worker pid, seconds, records read]`
    of what runs.

    `reports` is the number of the last `TasksEnded` sent before it (0: none); answered with `ReportsSeen`.
    """

    executor: str
    memory: int
    workers: list[int]
    running: list[list[float]]
    reports: int


@dataclass(frozen=True, slots=True)
class AttemptReport:
    """How one attempt ended: a packed `TaskOutcome`."""

    attempt: int
    outcome: bytes


@dataclass(frozen=True, slots=True)
class TasksEnded:
    """One or more attempts ended. `number` counts these messages of an executor from 1; a lost one is sent again."""

    executor: str
    number: int
    reports: list[AttemptReport]


@dataclass(frozen=True, slots=True)
class OutputLine:
    """Text that a task (or, with attempt -1, a worker between tasks) wrote to stdout or stderr."""

    attempt: int
    stage: int
    partition: int
    stream: str
    text: str


@dataclass(frozen=True, slots=True)
class WorkerOutput:
    """Output of workers; `dropped` bytes were withheld by the rate limit since the last message."""

    executor: str
    lines: list[OutputLine]
    dropped: int


@dataclass(frozen=True, slots=True)
class Leaving:
    """The executor ends by itself and says why."""

    executor: str
    why: str


@dataclass(frozen=True, slots=True)
class Draining:
    """The executor wants to leave: it takes no more tasks, ends what runs, and waits until its outputs are handed
    over (the driver then says `Shutdown`).
    """

    executor: str
    why: str


@dataclass(frozen=True, slots=True)
class Adopted:
    """Answer to `Adopt`: which outputs `[shuffle, map, attempt]` of `source` are here now, and why others are not."""

    executor: str
    source: str
    outputs: list[list[int]]
    why: str


@dataclass(frozen=True, slots=True)
class KeptBlock:
    """A cached partition that an executor keeps: its form (`base.cached.Form`), about how many bytes, how long it took
    to compute, and how many executors are to keep it.
    """

    cache: int
    partition: int
    form: int
    size: int
    seconds: float
    copies: int = 1


@dataclass(frozen=True, slots=True)
class BlocksChanged:
    """What became of cached partitions; `dropped` are `[cache, partition]`. With `is_all` the executor keeps these and
    no others. Where a partition is kept is never more than a hint, so a lost message does no harm.
    """

    executor: str
    is_all: bool
    kept: list[KeptBlock]
    dropped: list[list[int]]


@dataclass(frozen=True, slots=True)
class Meet:
    """A task of a barrier stage asks for something (`base.meeting.Wish`), in its meeting of this `number`."""

    executor: str
    attempt: int
    number: int
    wish: int
    payload: bytes


# Driver to executor


@dataclass(frozen=True, slots=True)
class Registered:
    """The executor is in. `settings` are the application's, as given (JSON text).

    `address`, `scratch` and `token` are the driver's, as in `Register`.
    """

    settings: str
    address: str = ""
    scratch: str = ""
    token: str = ""


@dataclass(frozen=True, slots=True)
class Refused:
    """The executor may not take part (any more), and ends."""

    why: str


@dataclass(frozen=True, slots=True)
class RegisterAgain:
    """Something sent to the executor got lost (`why`): it shall tell again who it is and which attempts it has."""

    why: str


@dataclass(frozen=True, slots=True)
class RunTask:
    """One attempt to run: `payload` is the digest of the stage's payload, `partition` a pickled description of the
    task's source partitions, `outputs` the digest of the tables of map outputs that it reads (empty if none).

    `index` is the task's index in its stage, `partition_index` the partition of the stage's node that it computes,
    `number` counts attempts of this task from 0. `cached` are the cached partitions that it reads or fills, and where
    they are (`base.cached.pack_wanted`).
    """

    attempt: int
    stage: int
    index: int
    partition_index: int
    number: int
    payload: str
    outputs: str
    partition: bytes
    cached: bytes = b""


@dataclass(frozen=True, slots=True)
class Blob:
    """Bytes that several tasks need, by digest: a stage's payload or tables of map outputs."""

    digest: str
    data: bytes


@dataclass(frozen=True, slots=True)
class RunTasks:
    """Attempts to run, after the blobs among theirs that this executor has not been sent yet."""

    blobs: list[Blob]
    tasks: list[RunTask]


@dataclass(frozen=True, slots=True)
class KillTask:
    """Stop an attempt (also when it only waits in the queue) and report how it ended."""

    attempt: int
    why: str


@dataclass(frozen=True, slots=True)
class Forget:
    """Delete what nobody needs: blobs by digest, shuffles, single map outputs `[shuffle, map, attempt]`, results by
    attempt, broadcasts, and cached RDDs.
    """

    digests: list[str]
    shuffles: list[int]
    outputs: list[list[int]]
    results: list[int]
    broadcasts: list[int]
    cached: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Adopt:
    """Copy these map outputs `[shuffle, map, attempt]` from the executor `source`, which leaves, and say `Adopted`."""

    source: str
    address: str
    outputs: list[list[int]]


@dataclass(frozen=True, slots=True)
class CopyBlock:
    """Copy a cached partition from the executor `source`, and say `BlocksChanged`: it is kept, or was dropped where
    that failed. `seconds` and `copies` are as in `KeptBlock`.
    """

    cache: int
    partition: int
    seconds: float
    copies: int
    source: str
    address: str


@dataclass(frozen=True, slots=True)
class Shutdown:
    """End all workers, remove all files, and exit."""

    why: str


@dataclass(frozen=True, slots=True)
class ReportsSeen:
    """Answer to a heartbeat: every `TasksEnded` up to `number` (without a gap) has arrived; `of` is its `reports`."""

    number: int
    of: int


@dataclass(frozen=True, slots=True)
class Met:
    """The answer to these attempts, which have asked in their meeting of this `number`: an error, or what all of them
    `brought`, in the order of partitions.
    """

    attempts: list[int]
    number: int
    error: str
    brought: list[bytes]


FromExecutor = (
    Register | ExecutorAlive | TasksEnded | WorkerOutput | Leaving | Draining | Adopted | BlocksChanged | Meet
)
FromDriver = (
    Registered
    | Refused
    | RegisterAgain
    | RunTasks
    | KillTask
    | Forget
    | Adopt
    | CopyBlock
    | Shutdown
    | ReportsSeen
    | Met
)
Message = FromExecutor | FromDriver
