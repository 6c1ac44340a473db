"""How a task attempt ended: a sum type that survives as data from the raise site to the scheduler.

Nobody parses text to find out what happened; text appears only on a screen. Adding a variant makes the type checker
list every `match` that has to be extended.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NoReturn

from rddlite.base.ids import AttemptId, ExecutorId, ShuffleId
from rddlite.base.metrics import TaskMetrics


@dataclass(frozen=True, slots=True)
class Failure:
    """An exception of user code (or of rddlite in a task) as data.

    `location` is `file:line` of the deepest frame of the user's code; `record`, `operation` and `call_site` are what
    was in hand when it was raised, where known. `is_transient` holds for every kind of OSError, however wrapped: what
    the world did may be different next time, so it never counts as deterministic.
    """

    type_name: str
    message: str
    user_traceback: str
    full_traceback: str
    pickled: bytes | None = None
    location: str = ""
    record: str | None = None
    operation: str | None = None
    call_site: str | None = None
    is_transient: bool = False


@dataclass(frozen=True, slots=True)
class InlineResult:
    """A pickled result that travels in the message itself."""

    data: bytes


@dataclass(frozen=True, slots=True)
class StoredResult:
    """A result that waits in a file of the executor's host."""

    path: str
    size: int


@dataclass(frozen=True, slots=True)
class MapStatus:
    """Where a map output is and how large its reduce partitions are.

    `executor` and `attempt` name the file, `sizes` holds one log-scaled byte per reduce partition,
    `fingerprints` (may be empty) is a digest of its contents that does not depend on the order of records.
    """

    executor: ExecutorId
    attempt: AttemptId
    sizes: bytes
    total_bytes: int
    records: int
    fingerprints: bytes = b""


TaskValue = InlineResult | StoredResult | MapStatus


@dataclass(frozen=True, slots=True)
class Success:
    """The attempt did its work."""

    value: TaskValue
    metrics: TaskMetrics
    accumulators: bytes = b""


@dataclass(frozen=True, slots=True)
class Raised:
    """User code raised, or its result cannot be used. `retryable` is False when another attempt cannot help."""

    failure: Failure
    retryable: bool
    metrics: TaskMetrics = field(default_factory=TaskMetrics)


@dataclass(frozen=True, slots=True)
class FetchFailed:
    """A map output was missing, unreadable or corrupt: it is lost, whatever the reason."""

    shuffle: ShuffleId
    map_index: int
    executor: ExecutorId
    map_attempt: AttemptId
    why: str


@dataclass(frozen=True, slots=True)
class WorkerDied:
    """The worker process ended while it ran the attempt.

    Exactly one of `exit_code` and `signal` is given; `stderr_tail` is what it last wrote there.
    """

    exit_code: int | None
    signal: int | None
    peak_memory: int = 0
    stderr_tail: str = ""


@dataclass(frozen=True, slots=True)
class OutOfMemory:
    """The worker passed its memory limit (both in bytes) while it ran the attempt."""

    limit: int
    peak: int
    operation: str | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Killed:
    """The attempt was stopped on request and its worker is in a known state again (or gone)."""

    why: str


TaskOutcome = Success | Raised | FetchFailed | WorkerDied | OutOfMemory | Killed


def assert_never(value: NoReturn) -> NoReturn:
    """Close a `match` over a sum type: the type checker proves that it is never reached."""
    raise AssertionError(f"unhandled variant: {value!r}")
