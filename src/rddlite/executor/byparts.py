"""A reduce partition that large map outputs divided, taken part by part: each fits where the whole would not.

Records of small outputs, which are not divided, are divided here and wait in memory for their part. Within a part
records come in map order, as without parts. Called by `inputs`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from rddlite.lineage.graph import ShuffleDependency
from rddlite.serde.records import Frame
from rddlite.shuffle.parted import Parted
from rddlite.shuffle.parts import n_parts_of, parts_of_keys

T = TypeVar("T")
Load = Callable[[Frame], T]
Pieces = dict[int, list[list[T]]]


def parts(parted: Parted, dep: ShuffleDependency, index: int, load: Load[T]) -> Iterator[Iterator[T]]:
    """What `load` makes of the frames of each part, one part after another: columns of pairs, or else records."""
    n = n_parts_of(dep)
    waiting: Pieces[T] = {}
    for map_index, frame in parted.whole():
        pieces = waiting.setdefault(map_index, [[] for _ in range(n)])
        for part, piece in _divided(frame, dep, index, n):
            pieces[part].append(piece)
    for part in range(n):
        yield _part(parted, part, load, waiting)


def _part(parted: Parted, part: int, load: Load[T], waiting: Pieces[T]) -> Iterator[T]:
    earlier = iter(sorted(waiting))
    next_waiting = next(earlier, None)
    for map_index, frame in parted.part(part):
        while next_waiting is not None and next_waiting < map_index:
            yield from waiting[next_waiting][part]
            next_waiting = next(earlier, None)
        yield load(frame)
    while next_waiting is not None:
        yield from waiting[next_waiting][part]
        next_waiting = next(earlier, None)


def _divided(frame: Frame, dep: ShuffleDependency, index: int, n: int) -> Iterator[tuple[int, Any]]:
    """The records of a frame by their parts: columns of pairs, or the records."""
    keys, values = frame.columns() if dep.partitioner.keyed else (frame.records(), [])
    indexes: list[list[int]] = [[] for _ in range(n)]
    for i, place in enumerate(parts_of_keys(dep, index, keys)):
        indexes[place].append(i)
    for part, some in enumerate(indexes):
        if some:
            mine = list(map(keys.__getitem__, some))
            yield part, (mine, list(map(values.__getitem__, some))) if dep.partitioner.keyed else mine
