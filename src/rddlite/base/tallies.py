"""rddlite's own functions over the numbers of a partition: statistics, ranges, histograms.

They run inside tasks, and stand below the API so that a task never loads it. Lineage's are in `lineage/taskside.py`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import Any

from rddlite.base.statcounter import StatCounter


def smallest_and_largest(records: Iterable[Any]) -> tuple[int, Any, Any]:
    """How many records can be compared (not None and not NaN), the smallest and the largest of them."""
    n, low, high = 0, None, None
    for record in records:
        if record is None or record != record:
            continue
        if n == 0:
            low = high = record
        elif record < low:
            low = record
        elif record > high:
            high = record
        n += 1
    return n, low, high


def bucket_counts(bounds: Sequence[Any], records: Iterable[Any]) -> list[int]:
    """How many records are in each bucket; the last one is closed on the right, what is outside is left out."""
    low, high = bounds[0], bounds[-1]
    counts = [0] * len(bounds)
    for record in records:
        if record is not None and low <= record <= high:
            counts[bisect_right(bounds, record) - 1] += 1
    at_end = counts.pop()
    counts[-1] += at_end
    return counts


def statistics_of(records: Iterable[Any]) -> StatCounter:
    """The statistics of the records."""
    return StatCounter(records)
