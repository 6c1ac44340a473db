"""One running job as seen by the thread that waits for it: the only object shared by a user thread and the loop.

The loop thread delivers and finishes; the waiting thread waits and reads. Everything is guarded by one condition.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

from rddlite.base.ids import JobId
from rddlite.base.outcome import TaskValue
from rddlite.driver.kept import Update
from rddlite.driver.results import discard, load_value, value_size
from rddlite.lineage.consumers import Consumer


class JobHandle:
    """A submitted job. `changed` is notified whenever it ends (and, with inline execution, when there is work)."""

    def __init__(self, job_id: JobId, n_tasks: int, consumer: Consumer, changed: threading.Condition) -> None:
        self.job_id = job_id
        self._consumer = consumer
        self._changed = changed
        self._values: list[TaskValue | None] = [None] * n_tasks
        self._size = 0
        self._is_done = False
        self._error: BaseException | None = None
        self._updates: Sequence[Update] = ()
        self.is_awaited = True
        """Whether the waiting thread is still there."""

    # Called by the loop thread

    def deliver(self, index: int, value: TaskValue) -> int:
        """Take the value of one task, instead of an earlier one if there is one (its task ran again because what it
        had read is not there any more); the answer is the size of all so far, in bytes.
        """
        with self._changed:
            if self._is_done:
                discard(value)
            else:
                before = self._values[index]
                if before is not None:
                    discard(before)
                    self._size -= value_size(before)
                self._values[index] = value
                self._size += value_size(value)
            return self._size

    def finish(self, error: BaseException | None, updates: Sequence[Update] = ()) -> None:
        """The job ended, with all values delivered or with `error`, and with what its tasks added to accumulators.
        Only the first call counts.
        """
        with self._changed:
            if self._is_done:
                return
            self._is_done = True
            self._error = error
            self._updates = updates
            if error is not None:
                for value in self._values:
                    if value is not None:
                        discard(value)
                self._values = []
            self._changed.notify_all()

    # Called by the waiting thread

    @property
    def is_done(self) -> bool:
        """Whether the job ended, one way or the other."""
        return self._is_done

    def wait(self, timeout: float | None) -> bool:
        """Wait for the end, at most `timeout` seconds; True once it came. Ctrl-C interrupts this wait."""
        with self._changed:
            return self._changed.wait_for(lambda: self._is_done, timeout)

    def so_far(self) -> list[list[Any]]:
        """For each task a list of its value, or an empty one where it is not there yet. Nobody waits any more then:
        what comes later is discarded.

        Raises:
            JobError: if the job ended by failing.
        """
        with self._changed:
            self._is_done = True
            if self._error is not None:
                raise self._error
            values, self._values = self._values, []
        return [[] if value is None else [load_value(value, self._consumer)] for value in values]

    def updates(self) -> Sequence[Update]:
        """What the job's accepted tasks added to accumulators, once it ended; the second time nothing."""
        updates, self._updates = self._updates, ()
        return updates

    def values(self) -> list[Any]:
        """The values in task order, for a job that ended.

        Raises:
            JobError: what made the job fail.
        """
        if self._error is not None:
            raise self._error
        values, self._values = self._values, []
        return [load_value(value, self._consumer) for value in values if value is not None]
