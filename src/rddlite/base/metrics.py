"""What a task counted, as plain data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

_BETWEEN = "; "


@dataclass(slots=True)
class TaskMetrics:
    """Counters of one task attempt. Sizes are bytes, times seconds; `peak_memory` is the largest resident size that its
    worker had so far. What came from other hosts counts as read from shuffles, and as remote too. `spilled_by` names
    the operations that wrote to disk because memory was short, `spill_runs` is how often they did. Cached partitions:
    `cache_hits` were read, `cache_stored` (of `cache_bytes`) were kept, `cache_refused` found no room, `cache_evicted`
    had to go; `cache_bytes_pickled` is what keeping them took in pickles, nothing where objects are kept.
    `hot_keys` are the hottest keys of what a map task wrote, as `base.hotkeys` packs them.
    """

    USUAL: ClassVar[int] = 5
    """So many of the fields, the first ones, are all that tiny tasks have to tell: the others need not travel then."""

    seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_memory: int = 0
    result_bytes: int = 0
    records_read: int = 0
    bytes_read: int = 0
    shuffle_records_read: int = 0
    shuffle_bytes_read: int = 0
    shuffle_records_written: int = 0
    shuffle_bytes_written: int = 0
    records_written: int = 0
    bytes_written: int = 0
    bytes_spilled: int = 0
    spill_runs: int = 0
    spilled_by: str = ""
    remote_blocks_read: int = 0
    remote_bytes_read: int = 0
    fetch_wait_seconds: float = 0.0
    cache_hits: int = 0
    cache_stored: int = 0
    cache_bytes: int = 0
    cache_bytes_pickled: int = 0
    cache_refused: int = 0
    cache_evicted: int = 0
    hot_keys: str = ""

    def count_cached(self, other: TaskMetrics) -> None:
        """Add what another one counted of cached partitions."""
        self.cache_hits += other.cache_hits
        self.cache_stored += other.cache_stored
        self.cache_bytes += other.cache_bytes
        self.cache_bytes_pickled += other.cache_bytes_pickled
        self.cache_refused += other.cache_refused
        self.cache_evicted += other.cache_evicted

    def name_spill(self, operations: str) -> None:
        """Add to those that have spilled; each is named once."""
        names = [*self.spilled_by.split(_BETWEEN), *operations.split(_BETWEEN)]
        self.spilled_by = _BETWEEN.join(dict.fromkeys(filter(None, names)))
