"""Everything that can happen to an executor's agent. Past participles. Workers are named by number.

Named tuples rather than dataclasses: they are made for every task, and defining a dataclass costs half a millisecond of
the start of every executor.
"""

from __future__ import annotations

from typing import NamedTuple

from rddlite.base.cached import News
from rddlite.net.messages import RunTask


class Connected(NamedTuple):
    """The connection to the driver is there (again)."""


class Disconnected(NamedTuple):
    """The connection to the driver broke."""


class Accepted(NamedTuple):
    """The driver took the registration, and told its settings."""

    kill_grace: float
    silence: float
    copy_patience: float = 0.0


class Assigned(NamedTuple):
    """The driver wants these attempts to run, in this order."""

    tasks: tuple[RunTask, ...]


class KillAsked(NamedTuple):
    """The driver wants an attempt stopped."""

    attempt: int
    why: str


class WorkerReady(NamedTuple):
    """A worker started and can be given attempts."""

    worker: int
    pid: int


class AttemptEnded(NamedTuple):
    """A worker says how an attempt ended (a packed outcome), or the shell says why it could not be started."""

    worker: int
    attempt: int
    outcome: bytes


class NotStarted(NamedTuple):
    """An attempt could not be given to its worker, because the worker is gone; `WorkerEnded` follows."""

    worker: int
    attempt: int


class Recalled(NamedTuple):
    """These attempts were taken back from a worker before it began with them. What it had done before was told."""

    worker: int
    attempts: tuple[int, ...]


class BlocksChanged(NamedTuple):
    """A worker (or the executor itself, `holdings.EVERYBODY`) keeps other cached partitions than before. Told
    before the end of the attempt that changed it.
    """

    worker: int
    news: News


class WorkerSettled(NamedTuple):
    """The signals that were sent to a worker are behind it."""

    worker: int


class MemoryExceeded(NamedTuple):
    """A worker (with the processes it started) was seen with more resident memory than it may have.

    `note` is what it left to tell: an operation, and what that holds.
    """

    worker: int
    limit: int
    resident: int
    note: str = ""


class WorkerEnded(NamedTuple):
    """A worker process is gone. One of `exit_code` and `signal` is given. `unbegun` are attempts that it was given
    ahead and never began with.
    """

    worker: int
    exit_code: int | None
    signal: int | None
    peak_memory: int
    stderr_tail: str
    unbegun: tuple[int, ...] = ()


class LeaveAsked(NamedTuple):
    """The executor is to end now, for instance because its driver has. `is_failure`: not as it was meant to end."""

    why: str
    is_failure: bool = False


class DrainAsked(NamedTuple):
    """The executor is to end when what runs now has ended, and the driver lets it go."""

    why: str


class Tick(NamedTuple):
    """A deadline reported by `next_deadline` has passed."""


Event = (
    Connected | Disconnected | Accepted | Assigned | KillAsked | WorkerReady | AttemptEnded | NotStarted
    | Recalled | BlocksChanged | WorkerSettled | MemoryExceeded | WorkerEnded | LeaveAsked | DrainAsked | Tick
)  # fmt: skip
