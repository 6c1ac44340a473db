"""The users' functions and the sizes of the workloads: the same for every way of running them."""

from __future__ import annotations

from dataclasses import dataclass
from operator import add

__all__ = [
    "WORKLOADS", "Workload", "add", "double", "is_wanted", "keyed", "left", "pair", "right", "score", "shift", "weigh",
    "words",
]  # fmt: skip


# Word count.


def words(line: str) -> list[str]:
    """The words of a line."""
    return line.split()


def pair(word: str) -> tuple[str, int]:
    """One occurrence."""
    return (word, 1)


# Sum of integers by key.

N_KEYS = 100_003


def keyed(i: int) -> tuple[int, int]:
    """A key that jumps about, and a value."""
    return (i * 7_919 % N_KEYS, i)


def weigh(summed: tuple[int, int]) -> int:
    """What is summed up over the keys."""
    key, value = summed
    return key ^ value


# Join: every left key once; every other one meets two records of the right side.


def left(i: int) -> tuple[int, int]:
    """A record of the left side."""
    return (i, i + 1)


def right(i: int) -> tuple[int, int]:
    """A record of the right side: even keys, each twice."""
    return (i & -2, i)


def score(joined: tuple[int, tuple[int, int]]) -> int:
    """What is summed up over the joined records."""
    key, (a, b) = joined
    return key ^ a ^ b


# A chain without a shuffle.


def shift(i: int) -> int:
    """First step of the chain."""
    return i * 3 + 1


def is_wanted(i: int) -> bool:
    """Second step: half of the records."""
    return i & 1 == 0


def double(i: int) -> int:
    """Third step."""
    return i * 2


@dataclass(frozen=True)
class Workload:
    """`size` is what a full run takes, in `unit`: enough for the limit to need 5 s on two cores."""

    name: str
    size: int
    unit: str

    def scaled(self, factor: float) -> int:
        """The size of a smaller or larger run."""
        return max(1000, int(self.size * factor))


WORKLOADS = {
    workload.name: workload
    for workload in (
        Workload("wordcount", 300_000_000, "bytes"),
        Workload("reduceByKey", 60_000_000, "records"),
        Workload("join", 10_000_000, "records a side"),
        Workload("narrow", 80_000_000, "records"),
    )
}
