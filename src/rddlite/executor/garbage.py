"""The garbage collector in workers: it costs little, and leaves no cycles behind for long.

Imports are frozen: they are never looked at, and stay shared with the zygote. Young objects are looked at in portions
that the processor's cache still holds, which makes loading millions of small tuples as fast as with no collector at
all; where each costs a large buffer, cycles are found soon enough. Old ones are hardly ever looked at again, so after a
task everything is, if the process has grown by a quarter since the last time: what it grew by may be cycles.
"""

from __future__ import annotations

import gc
import os

_THRESHOLDS = (10_000, 50, 100)
_GROWTH = 1.25
_NOISE = 64 << 20
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Collector:
    """Tunes the collector of this process, which is a worker's, and lives as long."""

    def __init__(self) -> None:
        gc.freeze()
        gc.set_threshold(*_THRESHOLDS)
        self._statm = os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)  # asked after each task: a few us
        self._noise = _NOISE
        self._limit = self._next_limit()

    def adapt(self, memory_limit: int | None) -> None:
        """Let the process grow by an eighth of what it may have at most."""
        if memory_limit:
            self._noise = min(_NOISE, memory_limit // 8)
            self._limit = self._next_limit()

    def task_ended(self, peak: int | None) -> None:
        """Collect what tasks have left, if the process has grown. `peak` is the most that it ever had, if known."""
        if (peak is None or peak > self._limit) and self._resident() > self._limit:
            gc.collect()
            self._limit = self._next_limit()

    def _next_limit(self) -> int:
        return int(self._resident() * _GROWTH) + self._noise

    def _resident(self) -> int:
        return int(os.pread(self._statm, 256, 0).split()[1]) * _PAGE
