"""A sample, numbers in order, batches, an accumulator and a sketch by hand: one loop in each process."""

from __future__ import annotations

from functools import partial
from random import Random
from typing import TYPE_CHECKING

from benchmarks.functions import (
    BATCH_SIZE,
    SAMPLE_SEED,
    SAMPLED,
    halves,
    is_near,
    jumping,
    keyed,
    note,
    placed,
    shift,
)
from benchmarks.limit.processes import run_all, share

if TYPE_CHECKING:
    from pathlib import Path


def sample(size: int, scratch: Path) -> int:
    """Sum over a tenth of the numbers: those that PySpark draws with this seed."""
    return sum(run_all(partial(_sampled, size), scratch))


def _sampled(size: int, i: int) -> int:
    stream = Random(SAMPLE_SEED ^ i)
    for _ in range(10):
        stream.randint(0, 1)
    draw, total = stream.random, 0
    for record in share(size, i):
        if draw() < SAMPLED:
            total += shift(record)
    return total


def zip_with_index(size: int, scratch: Path) -> int:
    """Sum of a function of each record and its number; how many numbers come before a share is known."""
    return sum(run_all(partial(_numbered, size), scratch))


def _numbered(size: int, i: int) -> int:
    mine, total = share(size, i), 0
    for number, record in enumerate(mine, mine.start):
        total += placed((keyed(record), number))
    return total


def map_batches(size: int, scratch: Path) -> int:
    """Sum over what a function makes of a thousand numbers at a time."""
    return sum(run_all(partial(_in_batches, size), scratch))


def _in_batches(size: int, i: int) -> int:
    mine, total = share(size, i), 0
    for start in range(0, len(mine), BATCH_SIZE):
        total += sum(halves([shift(record) for record in mine[start : start + BATCH_SIZE]]))
    return total


class Total:
    """What a function adds to."""

    def __init__(self) -> None:
        self.value = 0

    def add(self, term: int) -> None:
        """Add one more."""
        self.value += term


def accumulators(size: int, scratch: Path) -> int:
    """What a function adds up on the side."""
    return sum(run_all(partial(_noted, size), scratch))


def _noted(size: int, i: int) -> int:
    seen = Total()
    for record in share(size, i):
        note(seen, record)
    return seen.value


PLACES = 10
_REST = 64 - PLACES


def sketch(size: int, scratch: Path) -> bool:
    """HyperLogLog: the smallest hash of each register; the hash of bytes is mixed, and made in C."""
    lists = run_all(partial(_smallest, size), scratch)
    total = sum(2.0 ** -(_REST - (each + (1 << _REST - 1)).bit_length() + 1) for each in map(min, *lists))
    return is_near(0.7213 / (1 + 1.079 / 2**PLACES) * 4**PLACES / total, size)


def _smallest(size: int, i: int) -> list[int]:
    low = (1 << PLACES) - 1
    smallest = [1 << _REST] * (low + 1)
    for record in share(size, i):
        mixed = hash(jumping(record).to_bytes(8, "little"))
        if mixed >> PLACES < smallest[mixed & low]:
            smallest[mixed & low] = mixed >> PLACES
    return smallest
