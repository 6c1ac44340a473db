"""How fast the tasks of one stage go: a sample of those that are done, and what a running one looks like beside it.

Memory is constant: every n-th task is kept, and n doubles whenever the sample is full. Nothing here is random.
"""

from __future__ import annotations

from enum import Enum

from rddlite.base.metrics import TaskMetrics
from rddlite.schedule.options import SchedulerOptions

SAMPLE = 256
FEWEST_TASKS = 3
FEWEST_DONE = 2


class Verdict(Enum):
    """What a running attempt looks like beside its peers. A stuck one is slow for so long that it may never end."""

    USUAL = 0
    SLOW = 1
    STUCK = 2
    SKEWED = 3


class Pace:
    """The pace of one stage of `n_tasks`. `n_enough` is how many of them must be done before any other is judged."""

    __slots__ = ("_medians", "_n_seen", "_sample", "_stride", "n_enough")

    def __init__(self, n_tasks: int, quantile: float) -> None:
        self.n_enough = max(FEWEST_DONE, int(quantile * n_tasks))
        self._sample: list[tuple[float, float, int]] = []
        self._n_seen = 0
        self._stride = 1
        self._medians: tuple[float, float, int] | None = None

    def add(self, metrics: TaskMetrics) -> None:
        """A task is done."""
        self._n_seen += 1
        if self._n_seen < self._stride:
            return
        self._n_seen = 0
        records = metrics.records_read + metrics.shuffle_records_read
        self._sample.append((records / metrics.seconds if metrics.seconds else 0.0, metrics.seconds, records))
        self._medians = None
        if len(self._sample) == SAMPLE:
            del self._sample[::2]
            self._stride *= 2

    def judge(self, seconds: float, records: int, options: SchedulerOptions) -> Verdict:
        """What to think of an attempt that runs for `seconds` and has read `records` so far."""
        if len(self._sample) < FEWEST_DONE:
            return Verdict.USUAL
        rate, usual_seconds, usual_records = self.medians()
        multiplier = options.speculation_multiplier
        longest = max(multiplier * usual_seconds, options.speculation_minimum)
        if not seconds > longest:
            return Verdict.USUAL
        if not records or records / seconds * multiplier < rate:
            return Verdict.STUCK if seconds > multiplier * longest else Verdict.SLOW
        return Verdict.SKEWED if records > multiplier * usual_records else Verdict.USUAL

    def medians(self) -> tuple[float, float, int]:
        """Records a second, seconds and records of the tasks that are done; where two are in the middle, the slower."""
        if self._medians is None:
            rates, seconds, records = map(sorted, zip(*self._sample, strict=True))
            middle = len(self._sample) // 2
            self._medians = (rates[(len(rates) - 1) // 2], seconds[middle], records[middle])
        return self._medians
