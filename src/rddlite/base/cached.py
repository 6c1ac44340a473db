"""What driver, executor and worker tell each other about cached partitions, as plain data.

A block is named by `(cache, partition)`. Where it is said to be is always a hint: a block may go at any time, and
whoever finds it gone computes it again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from enum import IntEnum
from typing import Any, NamedTuple

Block = tuple[int, int]
"""Cache and partition."""


class Form(IntEnum):
    """How a block is kept: as objects of the worker that made it, as pickled frames in its memory, or in a file of the
    executor, which survives the worker.
    """

    LIVE = 0
    FRAMES = 1
    FILE = 2


class Kept(NamedTuple):
    """A block that is kept: about how many bytes it takes, and how long it took to compute. A block may be kept in
    memory and in a file.
    """

    cache: int
    partition: int
    form: Form
    size: int
    seconds: float
    fd: int = -1
    """Descriptor of FRAMES in their worker, which other processes of this user can open through /proc."""
    copies: int = 1
    """How many executors are to keep it."""
    inode: int = 0
    """Of the memory file of FRAMES: the descriptor may stand for another one already when this is read."""

    @property
    def block(self) -> Block:
        """Its name."""
        return self.cache, self.partition


class News(NamedTuple):
    """What became of blocks."""

    kept: tuple[Kept, ...] = ()
    dropped: tuple[Block, ...] = ()

    def pack(self) -> bytes:
        """As bytes between processes of one executor."""
        return json.dumps([self.kept, self.dropped]).encode()

    @classmethod
    def unpack(cls, data: bytes) -> News:
        """What was packed.

        Raises:
            ValueError: if this is no news.
        """
        try:
            kept, dropped = json.loads(data)
            return cls(
                tuple(
                    Kept(
                        _number(cache),
                        _number(partition),
                        Form(form),
                        _number(size),
                        float(seconds),
                        _number(fd),
                        _number(copies),
                        _number(inode),
                    )
                    for cache, partition, form, size, seconds, fd, copies, inode in kept
                ),
                tuple((_number(cache), _number(partition)) for cache, partition in dropped),
            )
        except (ValueError, TypeError, RecursionError, OverflowError) as error:
            raise ValueError(f"{data[:100]!r} is no news of cached partitions") from error


def _number(value: Any) -> int:
    if type(value) is not int or not -(1 << 63) <= value < 1 << 63:
        raise ValueError(f"{value!r} is no number of 64 bits")
    return value


class Wanted(NamedTuple):
    """A block that a task reads or fills: where else it can be read, if anywhere.

    `path` is a file of frames on this host, and `inode` which one; `executor` and `address` name one that serves it.
    `owner` is the process id of another worker of the same executor that keeps it as objects, to be asked for a copy;
    to compute it took `seconds`.
    """

    cache: int
    partition: int
    path: str = ""
    executor: str = ""
    address: str = ""
    inode: int = 0
    owner: int = 0
    seconds: float = 0.0

    @property
    def block(self) -> Block:
        """Its name."""
        return self.cache, self.partition


def pack_wanted(wanted: Iterable[Wanted]) -> bytes:
    """As they travel with a task; nothing for none."""
    rows: list[Any] = list(wanted)
    return json.dumps(rows).encode() if rows else b""


def unpack_wanted(data: bytes) -> list[Wanted]:
    """What was packed; nothing where that cannot be read, as these are hints."""
    if not data:
        return []
    try:
        return [Wanted(*row) for row in json.loads(data) if list(map(type, row)) == _WANTED]
    except (ValueError, TypeError, RecursionError):
        return []


_WANTED = [int, int, str, str, str, int, int, float]
