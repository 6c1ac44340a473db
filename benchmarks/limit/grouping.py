"""groupByKey by hand: the map side groups what it has, so that a key is placed, written and found once per process."""

from __future__ import annotations

from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

from benchmarks.functions import described, keyed, largest, middle, weigh, weigh_text
from benchmarks.limit.processes import Buckets, N, read_pairs, run_all, share

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Groups = dict[int, list[Any]]
FLUSH = 512
"""Groups of one pickle: some 100,000 values."""
PARTS = 8
"""Parts that a partition is grouped in, one after another, where it would be four times as large as memory."""
CHUNKS = 10
"""Chunks of its records that a process groups and writes by themselves, in that case: half of what memory holds."""


def group_by_key(size: int, scratch: Path) -> int:
    """Sum of a function of each key and the median of its values."""
    run_all(partial(_group_and_spread, size, scratch), scratch)
    return sum(run_all(partial(_middles, scratch), scratch))


def _group_and_spread(size: int, scratch: Path, i: int) -> None:
    with Buckets(scratch, str(i)) as buckets:
        _write(_grouped(keyed, share(size, i)), buckets, N)


def _grouped(make: Callable[[int], tuple[int, Any]], records: range) -> Groups:
    groups: Groups = {}
    for record in records:
        key, value = make(record)
        if key in groups:
            groups[key].append(value)
        else:
            groups[key] = [value]
    return groups


def _write(groups: Groups, buckets: Buckets, n_buckets: int) -> None:
    all_keys, all_values = buckets.keys, buckets.values
    items = iter(groups.items())
    while chunk := list(islice(items, FLUSH * n_buckets)):
        for key, values in chunk:
            bucket = hash(key) % n_buckets
            all_keys[bucket].append(key)
            all_values[bucket].append(values)
        buckets.flush()


def _merged(scratch: Path, bucket: int) -> Groups:
    groups: Groups = {}
    for mapper in range(N):
        for pairs in read_pairs(scratch / f"{mapper}-{bucket}"):
            for key, values in pairs:
                if key in groups:
                    groups[key] += values
                else:
                    groups[key] = values
    return groups


def _middles(scratch: Path, i: int) -> int:
    total = 0
    for key, values in _merged(scratch, i).items():
        total += weigh((key, middle(values)))
    return total


def group_texts(size: int, scratch: Path) -> int:
    """The same of texts, where a partition is four times as large as memory: in parts that fit."""
    run_all(partial(_group_texts_and_spread, size, scratch), scratch)
    return sum(run_all(partial(_largest_texts, scratch), scratch))


def _group_texts_and_spread(size: int, scratch: Path, i: int) -> None:
    mine = share(size, i)
    with Buckets(scratch, str(i), N * PARTS) as buckets:
        step = max(1, len(mine) // CHUNKS)
        for start in range(0, len(mine), step):
            _write(_grouped(described, mine[start : start + step]), buckets, N * PARTS)


def _largest_texts(scratch: Path, i: int) -> int:
    total = 0
    for bucket in range(i, N * PARTS, N):
        for key, values in _merged(scratch, bucket).items():
            total += weigh_text((key, largest(values)))
    return total
