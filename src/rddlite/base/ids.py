"""Typed ids and block names, each with one printable form.

Ids are plain ints or strings at run time, so that they cost nothing in dictionaries and messages; the types keep them
apart for the reader and the type checker. Block ids are the only names under which bytes are asked for: `str()` and
`parse_block()` are inverse, and nobody else takes such a name apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NewType

JobId = NewType("JobId", int)
StageId = NewType("StageId", int)
NodeId = NewType("NodeId", int)
ShuffleId = NewType("ShuffleId", int)
AttemptId = NewType("AttemptId", int)
"""One attempt of one task; unique in the life of a driver, never reused."""
ExecutorId = NewType("ExecutorId", str)
"""One incarnation of an executor process; a replacement gets a new one."""
BroadcastId = NewType("BroadcastId", int)
CacheId = NewType("CacheId", int)
"""One time that an RDD was persisted; persisting it again gives another one."""


@dataclass(frozen=True)
class ShuffleData:
    """The output of one attempt of one map task."""

    shuffle: ShuffleId
    map_index: int
    attempt: AttemptId

    def __str__(self) -> str:
        return f"shuffle-{self.shuffle}-{self.map_index}-{self.attempt}"


@dataclass(frozen=True)
class TaskResult:
    """A result too large to travel in a message."""

    attempt: AttemptId

    def __str__(self) -> str:
        return f"result-{self.attempt}"


@dataclass(frozen=True)
class BroadcastData:
    """The pickled value of a broadcast; its parts are pieces of a fixed size."""

    broadcast: BroadcastId

    def __str__(self) -> str:
        return f"broadcast-{self.broadcast}"


@dataclass(frozen=True)
class CachedData:
    """One partition of a cached RDD, as pickled frames."""

    cache: CacheId
    partition: int

    def __str__(self) -> str:
        return f"cached-{self.cache}-{self.partition}"


BlockId = ShuffleData | TaskResult | BroadcastData | CachedData


def parse_block(text: str) -> BlockId:
    """The block of that name.

    Raises:
        ValueError: if `text` is no block name.
    """
    kind, *numbers = text.split("-")
    match kind, [int(n) for n in numbers if n.isdecimal()]:
        case "shuffle", [shuffle, map_index, attempt]:
            block: BlockId = ShuffleData(ShuffleId(shuffle), map_index, AttemptId(attempt))
        case "result", [attempt]:
            block = TaskResult(AttemptId(attempt))
        case "broadcast", [broadcast]:
            block = BroadcastData(BroadcastId(broadcast))
        case "cached", [cache, partition]:
            block = CachedData(CacheId(cache), partition)
        case _:
            raise ValueError(f"not a block name: {text!r}")
    if str(block) != text:
        raise ValueError(f"not a block name: {text!r}")
    return block
