"""The four workloads by hand. Each takes its size (or file) and a scratch directory and returns its answer."""

from __future__ import annotations

import os
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

from benchmarks.functions import double, is_wanted, keyed, left, pair, right, score, shift, weigh, words
from benchmarks.limit.processes import BATCH, Buckets, N, read_pairs, run_all, share, steps

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

READ = 1 << 20


def wordcount(path: Path, scratch: Path) -> list[tuple[str, int]]:
    """Every word of the file with its count."""
    run_all(partial(_count_words, path, scratch), scratch)
    return [item for counts in run_all(partial(_merge, scratch), scratch) for item in counts.items()]


def _count_words(path: Path, scratch: Path, i: int) -> None:
    counts: dict[str, int] = {}
    for lines in _lines(path, share(os.path.getsize(path), i)):
        for line in lines:
            for word in words(line):
                key, value = pair(word)
                if key in counts:
                    counts[key] += value
                else:
                    counts[key] = value
    _write_by_hash(counts, scratch, i)


def _lines(path: Path, part: range) -> Iterator[list[str]]:
    """Lists of the lines that start in this part of the file."""
    with open(path, "rb") as file:
        file.seek(part.start)
        if part.start:
            file.seek(part.start - 1)
            file.readline()
        position = file.tell()
        while position < part.stop:
            data = file.read(min(READ, part.stop - position))
            position += len(data)
            if not data.endswith(b"\n"):
                rest = file.readline()
                position += len(rest)
                data += rest
            yield data.decode().splitlines()


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
    _write_by_hash(sums, scratch, i)


def _score_sums(scratch: Path, i: int) -> int:
    total = 0
    for item in _merge(scratch, i).items():
        total += weigh(item)
    return total


def _write_by_hash(combined: dict[Any, int], scratch: Path, i: int) -> None:
    with Buckets(scratch, str(i)) as buckets:
        items = iter(combined.items())
        while chunk := list(islice(items, N * BATCH)):
            for key, value in chunk:
                reducer = hash(key) % N
                buckets.keys[reducer].append(key)
                buckets.values[reducer].append(value)
            buckets.flush()


def _merge(scratch: Path, i: int) -> dict[Any, int]:
    merged: dict[Any, int] = {}
    for mapper in range(N):
        for pairs in read_pairs(scratch / f"{mapper}-{i}"):
            if mapper == 0:
                merged.update(pairs)
                continue
            for key, value in pairs:
                if key in merged:
                    merged[key] += value
                else:
                    merged[key] = value
    return merged


def join(size: int, scratch: Path) -> int:
    """Sum of a function of each joined record."""
    run_all(partial(_spread_sides, size, scratch), scratch)
    return sum(run_all(partial(_join_sides, scratch), scratch))


def _spread_sides(size: int, scratch: Path, i: int) -> None:
    _spread(left, share(size, i), scratch, f"left-{i}")
    _spread(right, share(size, i), scratch, f"right-{i}")


def _spread(make: Callable[[int], tuple[int, int]], part: range, scratch: Path, name: str) -> None:
    with Buckets(scratch, name) as buckets:
        all_keys, all_values = buckets.keys, buckets.values
        for step in steps(part):
            for record in step:
                key, value = make(record)
                reducer = hash(key) % N
                all_keys[reducer].append(key)
                all_values[reducer].append(value)
            buckets.flush()


def _join_sides(scratch: Path, i: int) -> int:
    groups: dict[int, list[int]] = {}
    find = groups.get
    for mapper in range(N):
        for pairs in read_pairs(scratch / f"left-{mapper}-{i}"):
            for key, value in pairs:
                group = find(key)
                if group is None:
                    groups[key] = [value]
                else:
                    group.append(value)
    total = 0
    for mapper in range(N):
        for pairs in read_pairs(scratch / f"right-{mapper}-{i}"):
            for key, value in pairs:
                for other in find(key, ()):
                    total += score((key, (other, value)))
    return total


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
    "join": join,
    "narrow": narrow,
}
