"""Which updates of accumulators count: those of accepted attempts, once for each partition.

Updates are opaque here. They wait from the report of an attempt until it is accepted, and from then until the end of a
job: whoever waits for that job adds them up. Until then a partition that is accepted again (rolled back, or computed
again because its output was lost) replaces what it added before; afterwards it adds nothing. An output that is
accepted when no job wants it waits for the next job that has its shuffle in its plan. Owned by the loop thread.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, TypeVar

from rddlite.base.ids import AttemptId, JobId, ShuffleId
from rddlite.plan.model import JobPlan, MapStage, ResultStage, StageKey

U = TypeVar("U")


class AcceptedUpdates(Generic[U]):
    """The updates that are on their way, in order of stages and partitions: sums of floats are the same every time."""

    def __init__(self) -> None:
        self._reported: dict[AttemptId, U] = {}
        self._shuffles: dict[JobId, tuple[ShuffleId, ...]] = {}
        self._waiting: dict[StageKey, dict[int, U]] = {}
        self._counted: dict[ShuffleId, set[int]] = {}

    def begin(self, plan: JobPlan) -> None:
        """A job starts."""
        self._shuffles[plan.job_id] = tuple(plan.maps)

    def reported(self, attempt: AttemptId, updates: U) -> None:
        """An attempt that succeeded added this; it is judged in this turn of the loop, or it is unknown."""
        self._reported[attempt] = updates

    def ended(self, key: StageKey, index: int, attempt: AttemptId, accepted: bool) -> None:
        """An attempt of task `index` was judged."""
        updates = self._reported.pop(attempt, None)
        if updates is None and not self._waiting:
            return
        if not accepted or (isinstance(key, MapStage) and index in self._counted.get(key.shuffle, ())):
            return
        if isinstance(key, ResultStage) and key.job not in self._shuffles:
            return
        if updates is not None:
            self._waiting.setdefault(key, {})[index] = updates
        elif key in self._waiting:
            self._waiting[key].pop(index, None)

    def turn_ended(self) -> None:
        """What was reported and not judged came from attempts that nobody knows."""
        self._reported.clear()

    def take(self, job: JobId) -> list[U]:
        """The job has ended: what it added, each update for the first and only time."""
        taken: list[U] = []
        for shuffle in sorted(self._shuffles.pop(job, ())):
            waiting = self._waiting.pop(MapStage(shuffle), {})
            if waiting:
                taken += _in_order(waiting)
                self._counted.setdefault(shuffle, set()).update(waiting)
        return taken + _in_order(self._waiting.pop(ResultStage(job), {}))

    def drop(self, job: JobId) -> None:
        """The job has ended, and nobody waits for it any more: outputs that others may want keep their updates."""
        self._shuffles.pop(job, None)
        self._waiting.pop(ResultStage(job), None)

    def forget(self, shuffles: Iterable[ShuffleId]) -> None:
        """Nothing can reach these shuffles any more."""
        for shuffle in shuffles:
            self._waiting.pop(MapStage(shuffle), None)
            self._counted.pop(shuffle, None)


def _in_order(updates: dict[int, U]) -> list[U]:
    return [updates[index] for index in sorted(updates)]
