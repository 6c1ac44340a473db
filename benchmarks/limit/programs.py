"""Combining and chains by hand, and the table of all programs: each takes its size or files and a scratch directory."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Any

from benchmarks.functions import double, is_wanted, keyed, pair, shift, weigh, words
from benchmarks.limit import grouping, iterative, joins, mixed, small, sorting
from benchmarks.limit.processes import N, lines_of, merge_sums, run_all, share, write_by_hash

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

READ = 1 << 20


def wordcount(path: Path, scratch: Path) -> list[tuple[str, int]]:
    """Every word of the file with its count."""
    run_all(partial(_count_words, path, scratch), scratch)
    return [item for counts in run_all(partial(_merged, scratch), scratch) for item in counts.items()]


def _count_words(path: Path, scratch: Path, i: int) -> None:
    counts: dict[str, int] = {}
    for lines in lines_of(path, share(os.path.getsize(path), i), READ):
        for line in lines:
            for word in words(line):
                key, value = pair(word)
                if key in counts:
                    counts[key] += value
                else:
                    counts[key] = value
    write_by_hash(counts, scratch, str(i))


def reduce_by_key(size: int, scratch: Path) -> int:
    """Sum of a function of each key and the sum of its values."""
    run_all(partial(_sum_by_key, size, scratch), scratch)
    return sum(run_all(partial(_score_sums, scratch), scratch))


def _sum_by_key(size: int, scratch: Path, i: int) -> None:
    sums: dict[int, int] = {}
    for record in share(size, i):
        key, value = keyed(record)
        if key in sums:
            sums[key] += value
        else:
            sums[key] = value
    write_by_hash(sums, scratch, str(i))


def _score_sums(scratch: Path, i: int) -> int:
    total = 0
    for item in _merged(scratch, i).items():
        total += weigh(item)
    return total


def _merged(scratch: Path, i: int) -> dict[Any, int]:
    return merge_sums([scratch / f"{mapper}-{i}" for mapper in range(N)])


def numpy_blocks(size: int, scratch: Path) -> list[tuple[int, int]]:
    """Numpy is imported where it is needed: the others are to be measured without it."""
    from benchmarks.limit import blocks

    return blocks.numpy_blocks(size, scratch)


def narrow(size: int, scratch: Path) -> int:
    """Sum over a chain of map, filter and map."""
    return sum(run_all(partial(_chain, size), scratch))


def _chain(size: int, i: int) -> int:
    total = 0
    for record in share(size, i):
        shifted = shift(record)
        if is_wanted(shifted):
            total += double(shifted)
    return total


PROGRAMS: dict[str, Callable[[Any, Path], Any]] = {
    "wordcount": wordcount,
    "reduceByKey": reduce_by_key,
    "groupByKey": grouping.group_by_key,
    "sort": sorting.sort,
    "join": joins.join,
    "broadcastJoin": joins.broadcast_join,
    "skewedJoin": joins.skewed_join,
    "pageRank": iterative.page_rank,
    "kMeans": iterative.k_means,
    "narrow": narrow,
    "numpyBlocks": numpy_blocks,
    "mix": mixed.mix,
    "sample": small.sample,
    "zipWithIndex": small.zip_with_index,
    "mapBatches": small.map_batches,
    "accumulators": small.accumulators,
    "sketch": small.sketch,
    "groupByKey4x": grouping.group_texts,
    "sort4x": sorting.sort,
}
