"""What went wrong with one task so far, and whether another attempt can help.

Each kind of failure has its own count: user exceptions, deaths of the worker, memory. What is nobody's fault (a lost
executor, a lost input, a kill that was asked for) is not charged at all and never comes here.
"""

from __future__ import annotations

import builtins

from rddlite.base.ids import ExecutorId
from rddlite.base.outcome import Failure, Killed, OutOfMemory, Raised, WorkerDied, assert_never
from rddlite.schedule.options import SchedulerOptions

Charged = Raised | WorkerDied | OutOfMemory | Killed
"""Outcomes that are counted; `Killed` only when nobody asked for it."""

TRANSIENT_TYPES = frozenset(
    name for name, value in vars(builtins).items() if isinstance(value, type) and issubclass(value, OSError)
)
"""Python's own names of OSError and what is derived from it, for failures that do not say whether they are one."""


class Trouble:
    """The record of one task that did not go well at once.

    `number` is the number of its next attempt. An `alone` task is launched only where nothing else runs. `failed_on`
    are the executors where an attempt of it failed. `copies` is how many of its attempts were started beside another.
    """

    __slots__ = ("_raised_like", "alone", "copies", "deaths", "failed_on", "number", "raised")

    def __init__(self) -> None:
        self.number = 0
        self.raised = 0
        self.deaths = 0
        self.copies = 0
        self.alone = False
        self.failed_on: list[ExecutorId] = []
        self._raised_like: list[tuple[str, str, str]] = []

    def charge(self, outcome: Charged, options: SchedulerOptions) -> str | None:
        """Count this end of an attempt; answers why the task has failed for good, or None when it is worth a retry."""
        match outcome:
            case Raised(failure, retryable):
                return self._charge_raised(failure, retryable, options)
            case WorkerDied() | Killed():
                self.deaths += 1
                if self.deaths >= options.max_deaths:
                    return f"the process that ran it ended {_times(self.deaths)}"
            case OutOfMemory():
                if self.alone:
                    return "it ran out of memory again with the executor to itself"
                self.alone = True
            case _:
                assert_never(outcome)
        return None

    def _charge_raised(self, failure: Failure, retryable: bool, options: SchedulerOptions) -> str | None:
        self.raised += 1
        if not retryable:
            return "another attempt cannot help"
        if self.raised >= options.max_failures:
            return f"it failed {_times(self.raised)}"
        signature = _signature(failure)
        if options.fail_fast and signature is not None:
            if signature in self._raised_like:
                return "the same error came from the same line for the same record twice"
            self._raised_like.append(signature)
        return None


def _signature(failure: Failure) -> tuple[str, str, str] | None:
    """What makes two failures the same; None where that cannot be told, or where the error may be transient."""
    if not failure.location or failure.record is None:
        return None
    if failure.is_transient or failure.type_name.rpartition(".")[2] in TRANSIENT_TYPES:
        return None
    return failure.type_name, failure.location, failure.record


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
