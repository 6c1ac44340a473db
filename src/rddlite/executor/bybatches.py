"""rddlite's own functions of a partition, done list by list: the records need not pass through a generator one by one.

For use where all records of the partition are wanted. Where something above may stop early (a user's `mapPartitions`,
`take`), the functions themselves are called, which ask for no record before they need it. The results are the same.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from rddlite.base import samplers
from rddlite.executor.kernels import MOST_RECORDS
from rddlite.lineage import taskside
from rddlite.lineage.graph import Batch
from rddlite.lineage.ops import MapPartitions

OfBatches = Callable[[Iterator[Batch]], Iterator[Batch]]


def by_batches(op: MapPartitions, index: int) -> OfBatches | None:
    """What does the same as the operation's function, from the batches of partition `index`, and gives batches that are
    not empty; None if nothing does.
    """
    function = op.f.call
    if type(function) is not functools.partial or function.keywords:
        return None
    of_batches = _OF_BATCHES.get(function.func)
    if of_batches is None:
        return None
    given = (*function.args, index) if op.with_index else function.args
    return lambda batches: filter(None, of_batches(*given, batches))


def _in_batches(f: Callable[[list[Any]], Iterable[Any]], size: int, batches: Iterator[Batch]) -> Iterator[Batch]:
    for some in _of_size(size, batches):
        records = f(some)
        if type(records) is list and len(records) <= MOST_RECORDS:
            yield records
            continue
        stream = iter(records)
        while part := list(itertools.islice(stream, MOST_RECORDS)):
            yield part


def _of_size(size: int, batches: Iterator[Batch]) -> Iterator[Batch]:
    """The same records in lists of `size`, which belong to who gets them."""
    rest: Batch = []
    for batch in batches:
        start = 0
        if rest:
            start = size - len(rest)
            rest += batch[:start]
            if len(rest) < size:
                continue
            yield rest
        end = len(batch) - max(0, len(batch) - start) % size
        for at in range(start, end, size):
            yield batch[at : at + size]
        rest = batch[end:]
    if rest:
        yield rest


def _number_from(starts: list[int], index: int, batches: Iterator[Batch]) -> Iterator[Batch]:
    numbers = itertools.count(starts[index])
    return (list(zip(batch, numbers, strict=False)) for batch in batches)


def _number_by_step(step: int, index: int, batches: Iterator[Batch]) -> Iterator[Batch]:
    numbers = itertools.count(index, step)
    return (list(zip(batch, numbers, strict=False)) for batch in batches)


def _between(low: float, high: float, seed: int, index: int, batches: Iterator[Batch]) -> Iterator[Batch]:
    chosen = samplers.selectors(low, high, seed, index)
    return (list(itertools.compress(batch, chosen)) for batch in batches)


def _below(fraction: float, seed: int, index: int, batches: Iterator[Batch]) -> Iterator[Batch]:
    return _between(0.0, fraction, seed, index, batches)


_OF_BATCHES: dict[Callable[..., Any], Callable[..., Iterator[Batch]]] = {
    taskside.in_batches: _in_batches,
    taskside.number_from: _number_from,
    taskside.number_by_step: _number_by_step,
    samplers.below: _below,
    samplers.between: _between,
}
