"""Nobody there: what happens to jobs while no executor, not even a suspect one, belongs to the application.

Executors are asked for as soon as a job has none; each job then waits for the grace period, counted from the moment
when it was both there and without executors, and fails with what became of the last ones.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from rddlite.schedule.commands import ExecutorGone, NoExecutorsLeft, WantExecutors
from rddlite.schedule.dag import DagScheduler
from rddlite.schedule.executors import ExecutorTable
from rddlite.schedule.stages import Job
from rddlite.schedule.turn import Turn

REMEMBERED_LOSSES = 5


class Absence:
    """Watches for jobs without executors. `lonely` tells whether it waits."""

    def __init__(self, turn: Turn, grace: float, table: ExecutorTable, dag: DagScheduler) -> None:
        self._turn = turn
        self._grace = grace
        self._table = table
        self._dag = dag
        self._losses: deque[ExecutorGone] = deque(maxlen=REMEMBERED_LOSSES)
        self._given_up: str | None = None
        self.lonely = False

    def note_loss(self, gone: ExecutorGone) -> None:
        """An executor is gone: remembered for the error, and replaced if there is anything to do.

        When it was the last one, `update` asks for others.
        """
        self._losses.append(gone)
        if self._dag.jobs and self._table.members:
            self._turn.commands.append(WantExecutors(str(gone)))

    def note_end(self, gone: ExecutorGone | None) -> None:
        """The process of an executor that was no member has ended; `gone` says so if it never was one.

        Whoever was asked for executors may have counted on that process, or have waited for its end: it is asked again.
        """
        if gone is not None:
            self._losses.append(gone)
        if self._dag.jobs:
            why = "jobs wait, and an executor that was lost has ended now" if gone is None else str(gone)
            self._turn.commands.append(WantExecutors(why))

    def provider_failed(self, why: str) -> None:
        """No executor can be started: if there is none after this batch of events, waiting is pointless."""
        self._given_up = why

    def update(self) -> None:
        """After a batch of events: start or stop waiting, or give up."""
        why, self._given_up = self._given_up, None
        if why is not None and not self._table.members:
            self._fail(list(self._dag.jobs.values()), (*self._losses, why))
        lonely = not self._table.members and bool(self._dag.jobs)
        if not lonely and not self.lonely:
            return
        self.lonely = lonely
        newly_waiting = False
        for job in self._dag.jobs.values():
            if not lonely:
                job.deadline = None
            elif job.deadline is None:
                job.waiting_since = self._turn.now
                job.deadline = self._turn.now + self._grace
                newly_waiting = True
        if newly_waiting:
            self._turn.commands.append(WantExecutors("jobs wait and no executor is there"))

    def tick(self) -> None:
        """Fail jobs that waited long enough, unless an executor came in the same batch of events."""
        if self.lonely and not self._table.members:
            jobs = self._dag.jobs.values()
            self._fail([job for job in jobs if job.deadline is not None and self._turn.now >= job.deadline], None)

    def excuse(self, seconds: float) -> None:
        """The driver was late by that much, so nobody could register."""
        for job in self._dag.jobs.values():
            if job.deadline is not None:
                job.deadline += seconds

    def next_deadline(self) -> float | None:
        """When the first job has waited long enough."""
        if not self.lonely:
            return None
        return min((job.deadline for job in self._dag.jobs.values() if job.deadline is not None), default=None)

    def _fail(self, jobs: Iterable[Job], chain: tuple[ExecutorGone | str, ...] | None) -> None:
        for job in jobs:
            waited = self._turn.now - job.waiting_since if job.deadline is not None else 0.0
            cause = NoExecutorsLeft(waited, tuple(self._losses) if chain is None else chain)
            self._dag.fail([job], cause)
