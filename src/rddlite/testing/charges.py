"""The referee's book of failures by task: which of them may have failed its job, and which had to."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

from rddlite.base.outcome import Killed, OutOfMemory, Raised, TaskOutcome, WorkerDied
from rddlite.schedule.options import SchedulerOptions
from rddlite.testing.conduct import Task


@dataclass
class Record:
    """What was charged to one task."""

    raised: int = 0
    seen: Counter[tuple[str, str | None]] = field(default_factory=Counter)
    is_hopeless: bool = False
    ended_processes: int = 0
    out_of_memory: int = 0


class Charges:
    """What was charged to each task. `must_be_alone` are those whose next attempt may have no company."""

    def __init__(self, options: SchedulerOptions) -> None:
        self._options = options
        self._records: defaultdict[Task, Record] = defaultdict(Record)
        self.must_be_alone: set[Task] = set()

    def charge(self, task: Task, outcome: TaskOutcome, *, is_wanted: bool) -> bool:
        """An attempt failed by itself, and certainly counted if it `is_wanted`: True if its job has to fail for it."""
        record = self._records[task]
        match outcome:
            case Raised(failure, retryable):
                record.raised += 1
                record.seen[failure.type_name, failure.record] += 1
                record.is_hopeless |= not retryable
                return is_wanted and not retryable
            case OutOfMemory():
                record.out_of_memory += 1
                if is_wanted:
                    self.must_be_alone.add(task)
            case WorkerDied() | Killed():
                record.ended_processes += 1
        return False

    def forgive(self, is_meant: Callable[[Task], bool]) -> None:
        """What these tasks, if they run again, run beside is no matter any more."""
        self.must_be_alone = {task for task in self.must_be_alone if not is_meant(task)}

    def ran_out_of_memory(self, task: Task) -> bool:
        """Whether any attempt of it ever did."""
        return self._records[task].out_of_memory > 0

    def are_enough(self, task: Task, outcome: TaskOutcome) -> bool:
        """Whether its job may fail because of it, and this last failure."""
        record = self._records[task]
        if isinstance(outcome, Raised):
            is_deterministic = self._options.fail_fast and any(
                count > 1 for (type_name, _), count in record.seen.items() if type_name != "ConnectionResetError"
            )
            return record.is_hopeless or is_deterministic or record.raised >= self._options.max_failures
        if isinstance(outcome, OutOfMemory):
            return record.out_of_memory >= 2
        return record.ended_processes >= self._options.max_deaths
