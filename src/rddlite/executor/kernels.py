"""What generated loops call that is not the user's: the size of the next piece of output, and shared constants.

`NAMESPACE` holds the globals of every generated loop. Nothing here knows operations or calls a user's function.
"""

from __future__ import annotations

from collections import _count_elements as count_elements  # type: ignore[attr-defined]
from itertools import chain, islice
from sys import getsizeof
from typing import Any

from rddlite.executor.blame import explain
from rddlite.serde.closures import loads

MOST_RECORDS = 4096
"""Batches that loops hand on have about so many records at most, fewer where records are large."""

MOST_BYTES = 4 << 20
"""About how much memory the records of one batch may take."""

_GROWTH = 8
_SAMPLES = 4
_DEFAULT_WEIGHT = 64


def next_limit(out: list[Any], limit: int) -> int:
    """How many records the next batch may have after this one: starts at 1 and grows while records stay small."""
    if limit >= MOST_RECORDS and len(out) < MOST_RECORDS // 16:
        return limit
    sample = out[:: len(out) // _SAMPLES + 1]
    bytes_each = sum(map(_weight, sample)) / len(sample)
    return max(1, min(MOST_RECORDS, limit * _GROWTH, int(MOST_BYTES / max(1, bytes_each))))


def _weight(record: Any) -> int:
    """About how many bytes a record takes: itself, and the first items of a tuple or list for all of them."""
    size = _own_weight(record)
    if (type(record) is tuple or type(record) is list) and record:
        size += sum(map(_own_weight, record[:4])) * len(record) // min(4, len(record))
    return size


def _own_weight(obj: Any) -> int:
    try:
        # A view of an array is small itself. Instances are not asked for what their class does not have.
        return max(getsizeof(obj), obj.nbytes) if hasattr(type(obj), "nbytes") else getsizeof(obj)
    except Exception:  # whatever the user's __sizeof__ raises: the size of a batch is only a guess anyway
        return _DEFAULT_WEIGHT


ONE_NONE = [None]
"""The missing side of an outer join. Nobody changes it: no user's function ever gets it."""

NAMESPACE: dict[str, Any] = {
    "EXPECTED": (StopIteration, TypeError, ValueError, IndexError),
    "MISSING": object(),
    "ONE_NONE": ONE_NONE,
    "chain": chain,
    "count": count_elements,
    "explain": explain,
    "islice": islice,
    "loads": loads,
    "next_limit": next_limit,
}
