"""distinct, countByKey, treeAggregate and cogroup by hand, all in two phases."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from benchmarks.functions import (
    FIRST_STATS,
    Stats,
    kind,
    merge_stats,
    observe,
    right,
    scattered,
    score_groups,
    third,
    weigh,
)
from benchmarks.limit.joins import grouped, spread
from benchmarks.limit.processes import BATCH, Buckets, N, read_columns, run_all, share

if TYPE_CHECKING:
    from pathlib import Path


def mix(size: int, scratch: Path) -> tuple[int, int, Stats, int]:
    """Four operations, one after another."""
    partly = run_all(partial(_first_phase, size, scratch), scratch)
    by_kind: dict[int, int] = {}
    stats = FIRST_STATS
    for counts, some in partly:
        stats = merge_stats(stats, some)
        for key, count in counts.items():
            by_kind[key] = by_kind.get(key, 0) + count
    found = run_all(partial(_second_phase, scratch), scratch)
    n_distinct, grouped_score = map(sum, zip(*found, strict=True))
    return n_distinct, sum(map(weigh, by_kind.items())), stats, grouped_score


def _first_phase(size: int, scratch: Path, i: int) -> tuple[dict[int, int], Stats]:
    mine = share(size, i)
    _spread_distinct(mine, scratch, i)
    counts: dict[int, int] = {}
    for record in mine:
        key, _ = kind(record)
        if key in counts:
            counts[key] += 1
        else:
            counts[key] = 1
    stats = FIRST_STATS
    for record in mine:
        stats = observe(stats, record)
    spread(third, share(size // 4, i), scratch, f"ours-{i}")
    spread(right, share(size // 4, i), scratch, f"theirs-{i}")
    return counts, stats


def _spread_distinct(mine: range, scratch: Path, i: int) -> None:
    values = list(set(map(scattered, mine)))
    with Buckets(scratch, f"distinct-{i}") as buckets:
        for start in range(0, len(values), N * BATCH):
            for value in values[start : start + N * BATCH]:
                buckets.keys[hash(value) % N].append(value)
            buckets.flush()


def _second_phase(scratch: Path, i: int) -> tuple[int, int]:
    distinct: set[int] = set()
    for mapper in range(N):
        for keys, _ in read_columns(scratch / f"distinct-{mapper}-{i}"):
            distinct.update(keys)
    ours, theirs = grouped(scratch, "ours", i), grouped(scratch, "theirs", i)
    total = 0
    for key, values in ours.items():
        total += score_groups((key, (values, theirs.pop(key, ()))))
    for key, values in theirs.items():
        total += score_groups((key, ((), values)))
    return len(distinct), total
