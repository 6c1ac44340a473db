"""The users' functions over numpy blocks. Apart from the others, because importing numpy takes time and memory."""

from __future__ import annotations

import numpy

BLOCK_BYTES = 8 << 20
BLOCK_ROUNDS = 10

Block = tuple[int, numpy.ndarray]


def block(length: int, i: int) -> Block:
    """A numbered block of so many integers."""
    return (i, numpy.arange(i, i + length, dtype=numpy.int64))


def age(numbered: Block) -> Block:
    """The block with other numbers in it, changed in place, under a number of the other parity."""
    number, values = numbered
    values += number
    return (number * 5 + 1, values)


def checksum(numbered: Block) -> tuple[int, int]:
    """The block's number, and the sum of what is in it."""
    number, values = numbered
    return (number, int(values.sum()))


def lengths(size: int) -> tuple[int, int]:
    """How many blocks, and integers in each, make `size` bytes."""
    n_blocks = max(4, size // BLOCK_BYTES)
    return n_blocks, max(1, size // n_blocks // 8)
