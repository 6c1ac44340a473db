"""What the cases of `operations` and their oracles are made of: users' functions, and operations in plain Python."""

from __future__ import annotations

import math
import statistics
from bisect import bisect_right
from collections.abc import Callable
from itertools import accumulate, chain, pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from rddlite import RDD
from tests.api.oracle import Parts, copies_in_a_sample, flat, groups, layout, sample_stream

Oracle = Callable[[Parts, Parts], Any]


def swap(pair: Any) -> Any:
    """The value becomes the key."""
    return (pair[1], pair[0])


def value(pair: Any) -> int:
    """What can be ordered and summed."""
    return pair[1]


def parity(pair: Any) -> Any:
    """Two keys for all."""
    return (pair[1] % 2, pair[1])


def appended(values: list[Any], item: Any) -> list[Any]:
    """The zero value is changed in place."""
    values.append(item)
    return values


def extended(values: list[Any], more: list[Any]) -> list[Any]:
    """Two such."""
    values.extend(more)
    return values


def add(a: Any, b: Any) -> Any:
    return a + b


def each(function: Callable[[Any], Any]) -> Oracle:
    return lambda a, b: [[function(x) for x in part] for part in a]


def values(parts: Parts) -> list[int]:
    return [x for _, x in flat(parts)]


def sums(parts: Parts) -> dict[Any, int]:
    return {key: sum(values) for key, values in groups(flat(parts)).items()}


def groups_of(*sides: Parts) -> list[Any]:
    dicts = [groups(flat(side)) for side in sides]
    return [(key, [each.get(key, []) for each in dicts]) for key in dict.fromkeys(chain.from_iterable(dicts))]


def several_groups(rdd: RDD[Any]) -> list[Any]:
    return [(key, [list(group) for group in each]) for key, each in rdd.collect()]


def one_group(rdd: RDD[Any]) -> list[Any]:
    return [(key, [list(group)]) for key, group in rdd.collect()]


def joined(keep_left: bool, keep_right: bool) -> Oracle:
    def oracle(a: Parts, b: Parts) -> list[Any]:
        return [
            (key, (v, w))
            for key, (ours, theirs) in groups_of(a, b)
            for v in (ours or ([None] if keep_right else []))
            for w in (theirs or ([None] if keep_left else []))
        ]

    return oracle


def placed(parts: Parts, n: int, place: Callable[[Any], int]) -> Parts:
    placed: Parts = [[] for _ in range(n)]
    for key, x in flat(parts):
        placed[place(key) % n].append((key, x))
    return placed


def numbered_by_step(parts: Parts) -> Parts:
    return [[(x, len(parts) * j + i) for j, x in enumerate(part)] for i, part in enumerate(parts)]


def batches(part: list[Any], size: int) -> list[Any]:
    return [part[i : i + size] for i in range(0, len(part), size)]


def in_histogram(numbers: list[int], bounds: list[int]) -> list[int]:
    counts = [0] * (len(bounds) - 1)
    for x in numbers:
        if bounds[0] <= x <= bounds[-1]:
            counts[min(bisect_right(bounds, x), len(counts)) - 1] += 1
    return counts


def sampled(fraction: float, seed: int) -> Oracle:
    def oracle(a: Parts, b: Parts) -> Parts:
        streams = [sample_stream(seed, index) for index in range(len(a))]
        return [[x for x in part if stream.random() < fraction] for part, stream in zip(a, streams, strict=True)]

    return oracle


def sampled_again(mean: float, seed: int) -> Oracle:
    def oracle(a: Parts, b: Parts) -> Parts:
        streams = [sample_stream(seed, index) for index in range(len(a))]
        return [
            [x for x in part for _ in range(copies_in_a_sample(stream, mean))]
            for part, stream in zip(a, streams, strict=True)
        ]

    return oracle


def sampled_by_parity(a: Parts, b: Parts) -> Parts:
    """Odd numbers have a fraction of 0.3, even ones of 1."""
    streams = [sample_stream(3, index) for index in range(len(a))]
    return [
        [pair for pair in map(parity, part) if stream.random() < (0.3 if pair[0] else 1.0)]
        for part, stream in zip(a, streams, strict=True)
    ]


def split(a: Parts, b: Parts) -> list[list[Any]]:
    bounds = list(accumulate([0.0, 0.2, 0.5, 0.3]))
    splits: list[list[Any]] = []
    for low, high in pairwise(bounds):
        streams = [sample_stream(11, index) for index in range(len(a))]
        splits.append([x for part, s in zip(a, streams, strict=True) for x in part if low <= s.random() < high])
    return splits


def folded(a: Parts, b: Parts) -> int:
    return sum(values(a)) + 10 * (len(a) + 1)


def if_any(parts: Parts, answer: Callable[[], Any]) -> Any:
    if not flat(parts):
        raise ValueError("empty")
    return answer()


def if_parts(parts: Parts, answer: Callable[[], Any]) -> Any:
    if not parts:
        raise ValueError("no partitions")
    return answer()


def variance(numbers: list[int]) -> float:
    return statistics.pvariance(numbers) if numbers else math.nan


def sample_variance(numbers: list[int]) -> float:
    return statistics.variance(numbers) if len(numbers) > 1 else math.nan


def noted(a: RDD[Any], act: Callable[[RDD[Any], Any], None]) -> int:
    noted = a.context.accumulator(0)
    act(a.values(), noted)
    return int(noted.value)


def written_and_read(a: RDD[Any], write: Callable[[Any, str], None], read: Callable[[Any, str], Any]) -> Any:
    with TemporaryDirectory() as folder:
        path = str(Path(folder, "out"))
        write(a, path)
        return len(list(Path(path).glob("part-*"))), read(a.context, path).collect()


def kept(a: RDD[Any], keep: Callable[[RDD[Any]], Any]) -> Any:
    """What is read from the cache or a checkpoint, twice."""
    mapped = a.map(swap)
    keep(mapped)
    try:
        return [layout(mapped), layout(mapped), mapped.count()]
    finally:
        mapped.unpersist()


def kept_for_a_block(a: RDD[Any]) -> Any:
    with a.map(swap).cached() as mapped:
        return [layout(mapped), layout(mapped), mapped.count()]


def in_a_group(a: RDD[Any]) -> list[Any]:
    with pytest.warns(FutureWarning, match="deprecated"):
        return a.collectWithJobGroup("g", "d")


def as_kept(a: Parts, b: Parts) -> Any:
    swapped = each(swap)(a, b)
    return [swapped, swapped, len(flat(a))]


def number_stats(rdd: RDD[Any]) -> Any:
    found = rdd.stats()
    return found.count(), found.min(), found.max(), round(found.sum())
