"""What a task counted, as plain mergeable data."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(slots=True)
class TaskMetrics:
    """Counters of one task attempt; sums of them describe a stage or a job.

    Sizes are bytes, times seconds. `peak_memory` is the largest resident size of the worker while the task ran
    (merged by maximum, everything else by sum).
    """

    seconds: float = 0.0
    cpu_seconds: float = 0.0
    records_read: int = 0
    bytes_read: int = 0
    shuffle_records_read: int = 0
    shuffle_bytes_read: int = 0
    shuffle_records_written: int = 0
    shuffle_bytes_written: int = 0
    records_written: int = 0
    bytes_written: int = 0
    bytes_spilled: int = 0
    result_bytes: int = 0
    peak_memory: int = 0

    def add(self, other: TaskMetrics) -> None:
        """Merge the counters of `other` into these."""
        peak = max(self.peak_memory, other.peak_memory)
        for name in _NAMES:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.peak_memory = peak

    def to_row(self) -> list[float]:
        """The counters in their declared order."""
        return [getattr(self, name) for name in _NAMES]

    @classmethod
    def from_row(cls, row: list[float]) -> TaskMetrics:
        """The inverse of `to_row`."""
        return cls(*row)  # type: ignore[arg-type]


_NAMES = tuple(field.name for field in fields(TaskMetrics))
