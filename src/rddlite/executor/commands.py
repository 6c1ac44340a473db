"""Everything an executor's agent can ask of the world. Imperatives; carried out in order.

Named tuples for the reason given in `events.py`.
"""

from __future__ import annotations

from typing import NamedTuple

from rddlite.base.cached import Block, News
from rddlite.net.messages import RunTask


class Spawn(NamedTuple):
    """Start a worker process under this number, which was never used before."""

    worker: int


class Start(NamedTuple):
    """Give a task to an idle worker; or, `is_ahead`, to one that still runs another, to be begun after that."""

    worker: int
    task: RunTask
    is_ahead: bool = False


class Recall(NamedTuple):
    """Take back from a worker what it was given ahead and has not begun, and say `Recalled`."""

    worker: int


class Interrupt(NamedTuple):
    """Raise `TaskKilled` in a worker, if it still runs this attempt."""

    worker: int
    attempt: int


class Settle(NamedTuple):
    """Find out when no signal sent to a worker is on its way any more, and say `WorkerSettled`."""

    worker: int


class StopWorker(NamedTuple):
    """Kill a worker and its process group."""

    worker: int


class Report(NamedTuple):
    """Tell the driver how an attempt ended (a packed outcome).

    `is_own` means that the executor found out by itself: the attempt could not clean up, and has no result.
    """

    attempt: int
    outcome: bytes
    is_own: bool = False


class Register(NamedTuple):
    """Tell the driver who this is and which attempts it has, beside those that ended and may not be known."""

    attempts: tuple[int, ...]


class ForgetBlocks(NamedTuple):
    """Have a worker drop these cached partitions."""

    worker: int
    blocks: tuple[Block, ...]


class TellBlocks(NamedTuple):
    """Tell the driver what became of cached partitions; with `is_all` there are no others here."""

    news: News
    is_all: bool = False


class AskToLeave(NamedTuple):
    """Tell the driver that this executor wants to leave; it says when nothing is needed from here any more."""

    why: str


class Exit(NamedTuple):
    """End everything. `is_failure`: nobody wanted that."""

    why: str
    is_failure: bool = False


Command = (
    Spawn
    | Start
    | Recall
    | Interrupt
    | Settle
    | StopWorker
    | Report
    | Register
    | ForgetBlocks
    | TellBlocks
    | AskToLeave
    | Exit
)
