"""Numpy blocks by hand: pickles with the arrays beside them, written from and read into their own memory."""

from __future__ import annotations

import pickle
from functools import partial
from typing import TYPE_CHECKING, BinaryIO

import numpy

from benchmarks.blocks import BLOCK_ROUNDS, Block, age, block, checksum, lengths
from benchmarks.limit.processes import Meeting, N, run_all, share

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path


def numpy_blocks(size: int, scratch: Path) -> list[tuple[int, int]]:
    """Blocks of numbers, changed in place and sent to another partition, round after round."""
    return [pair for pairs in run_all(partial(_rounds, size, Meeting(), scratch), scratch) for pair in pairs]


def _rounds(size: int, meeting: Meeting, scratch: Path, i: int) -> list[tuple[int, int]]:
    n_blocks, length = lengths(size)
    blocks: Iterable[Block] = map(partial(block, length), share(n_blocks, i))
    for number in range(BLOCK_ROUNDS):
        files = [open(scratch / f"{number}-{i}-{reducer}", "wb", buffering=0) for reducer in range(N)]  # noqa: SIM115
        for one in map(age, blocks):
            _write(files[hash(one[0]) % N], one)
        for file in files:
            file.close()
        meeting.wait(i)
        blocks = _read_all([scratch / f"{number}-{mapper}-{i}" for mapper in range(N)])
    return list(map(checksum, blocks))


def _write(file: BinaryIO, numbered: Block) -> None:
    buffers: list[pickle.PickleBuffer] = []
    pickled = pickle.dumps(numbered, protocol=5, buffer_callback=buffers.append)
    values = buffers[0].raw()
    file.write(b"%8d%16d" % (len(pickled), values.nbytes))
    file.write(pickled)
    while values.nbytes:
        values = values[file.write(values) :]


def _read_all(paths: list[Path]) -> Iterator[Block]:
    for path in paths:
        with open(path, "rb", buffering=0) as file:
            while head := file.read(24):
                pickled = file.read(int(head[:8]))
                values = numpy.empty(int(head[8:]), numpy.uint8)
                left = memoryview(values)
                while left.nbytes:
                    left = left[file.readinto(left) :]
                yield pickle.loads(pickled, buffers=[values])
        path.unlink()
