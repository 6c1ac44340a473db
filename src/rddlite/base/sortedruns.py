"""Sorted lists and sorted runs: where a value belongs, and runs merged by blocks, stably, in either direction.

Values are compared with `<` alone, as `list.sort` does. A run is a sequence of blocks, lists that follow one another in
order; of runs with equal keys the earlier one comes first. What does not compare consistently (NaN) comes out in some
order, and nothing of it is lost. Pure: runs are iterators that are handed in.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

Block = list[Any]
Key = Callable[[Any], Any]


def end_of(items: Sequence[Any], bound: Any, start: int, descending: bool, inclusive: bool, key: Key | None) -> int:
    """How far the items from `start` on stay before `bound`, or (`inclusive`) before it or equal to it."""
    if not descending:
        side = bisect_right if inclusive else bisect_left
        return side(items, bound, start, key=key)
    low, high = start, len(items)
    while low < high:
        middle = (low + high) // 2
        value = items[middle] if key is None else key(items[middle])
        if (not value < bound) if inclusive else (bound < value):
            low = middle + 1
        else:
            high = middle
    return low


def merge_runs(runs: Iterable[Iterable[Block]], descending: bool = False, key: Key | None = None) -> Iterator[Block]:
    """The items of all runs in order, in non-empty blocks. Holds one block of every run, and what it hands out.

    `key` is called several times for some items: it should be cheap (`itemgetter(0)` of pairs that hold their key).
    """
    heads = [head for head in (_Head(iter(run)) for run in runs) if head.advance(key)]
    while len(heads) > 1:
        bound, owner = _nearest_end(heads, descending)
        merged: Block = []
        for number, head in enumerate(heads):
            # Behind the owner only what is strictly before: the owner's next block may hold more that are equal.
            merged += head.rest() if number == owner else head.take(bound, descending, number < owner, key)
        merged.sort(key=key, reverse=descending)
        yield merged
        del merged
        heads = [head for head in heads if not head.is_used_up or head.advance(key)]
    for head in heads:
        yield head.rest()
        yield from filter(None, head.blocks)


def _nearest_end(heads: Sequence[_Head], descending: bool) -> tuple[Any, int]:
    """The first of the last keys of all blocks in hand, and the first of the heads that have it."""
    owner = 0
    bound = heads[0].last
    for number, head in enumerate(heads):
        if (bound < head.last) if descending else (head.last < bound):
            bound, owner = head.last, number
    return bound, owner


class _Head:
    """The block of a run that is in hand, and how much of it was taken."""

    __slots__ = ("_at", "_block", "blocks", "last")

    def __init__(self, blocks: Iterator[Block]) -> None:
        self.blocks = blocks
        self._block: Block = []
        self._at = 0
        self.last: Any = None

    @property
    def is_used_up(self) -> bool:
        """Whether nothing of the block is left."""
        return self._at >= len(self._block)

    def advance(self, key: Key | None) -> bool:
        """Go on to the next block that holds something; False if there is none."""
        self._block, self._at = [], 0
        for block in self.blocks:
            if block:
                self._block = block
                self.last = block[-1] if key is None else key(block[-1])
                return True
        return False

    def rest(self) -> Block:
        """All that is left of the block."""
        block, self._block = self._block, []
        return block[self._at :] if self._at else block

    def take(self, bound: Any, descending: bool, inclusive: bool, key: Key | None) -> Block:
        """What is before `bound` (or equal to it, if `inclusive`)."""
        start = self._at
        self._at = end_of(self._block, bound, start, descending, inclusive, key)
        return self._block[start : self._at]
