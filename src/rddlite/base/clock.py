"""The only place that reads the time."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Something that tells monotonic seconds."""

    def now(self) -> float:
        """Monotonic seconds; only differences mean anything."""
        ...


class SystemClock:
    """The machine's monotonic clock."""

    def now(self) -> float:
        """Monotonic seconds since an arbitrary moment."""
        return time.monotonic()


def wall_time() -> float:
    """Seconds since the epoch, for people to read; never used for decisions."""
    return time.time()


def process_cpu_seconds() -> float:
    """CPU seconds that this process has used."""
    return time.process_time()
