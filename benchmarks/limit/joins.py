"""Joins by hand: one side in a dict, the other streamed past it; a small side is there before the processes fork."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from benchmarks.functions import enrich, keyed, left, lookup_table, right, score, skewed_left, skewed_right
from benchmarks.limit.processes import Buckets, N, read_pairs, run_all, share, steps

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Make = Callable[[int], tuple[int, int]]


def join(size: int, scratch: Path) -> int:
    """Sum of a function of each joined record."""
    run_all(partial(_spread_sides, (left, size), (right, size), scratch), scratch)
    return sum(run_all(partial(_join_sides, scratch), scratch))


def skewed_join(size: int, scratch: Path) -> int:
    """The same where half of one side has one key. The other side is known to be small: it is what the dict holds."""
    sides = (skewed_right, max(1, size // 8)), (skewed_left, size)
    run_all(partial(_spread_sides, *sides, scratch), scratch)
    return sum(run_all(partial(_join_sides, scratch), scratch))


def _spread_sides(held: tuple[Make, int], streamed: tuple[Make, int], scratch: Path, i: int) -> None:
    for (make, size), name in ((held, "held"), (streamed, "streamed")):
        spread(make, share(size, i), scratch, f"{name}-{i}")


def spread(make: Make, part: range, scratch: Path, name: str) -> None:
    """The pairs of a part, by the hash of their keys, in files."""
    with Buckets(scratch, name) as buckets:
        all_keys, all_values = buckets.keys, buckets.values
        for step in steps(part):
            for record in step:
                key, value = make(record)
                reducer = hash(key) % N
                all_keys[reducer].append(key)
                all_values[reducer].append(value)
            buckets.flush()


def grouped(scratch: Path, name: str, i: int) -> dict[int, list[int]]:
    """The values of each key of partition `i`."""
    groups: dict[int, list[int]] = {}
    find = groups.get
    for mapper in range(N):
        for pairs in read_pairs(scratch / f"{name}-{mapper}-{i}"):
            for key, value in pairs:
                group = find(key)
                if group is None:
                    groups[key] = [value]
                else:
                    group.append(value)
    return groups


def _join_sides(scratch: Path, i: int) -> int:
    find = grouped(scratch, "held", i).get
    total = 0
    for mapper in range(N):
        for pairs in read_pairs(scratch / f"streamed-{mapper}-{i}"):
            for key, value in pairs:
                for other in find(key, ()):
                    total += score((key, (other, value)))
    return total


@dataclass(frozen=True)
class Held:
    """What stands for a broadcast: forked processes have the value as it is."""

    value: dict[int, int]


def broadcast_join(size: int, scratch: Path) -> int:
    """Each record looked up in a table that every process has."""
    return sum(run_all(partial(_look_up, Held(lookup_table()), size), scratch))


def _look_up(table: Held, size: int, i: int) -> int:
    total = 0
    for record in share(size, i):
        total += enrich(table, keyed(record))
    return total
