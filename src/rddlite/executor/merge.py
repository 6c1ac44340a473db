"""The reduce side: columns of keys and values, in map order, become combined, grouped or sorted records.

Columns are pairs of a list of keys and a list of values of the same length. Everything is kept in memory. Functions of
the user are called once per value and in order. Cogroups and joins are in `joins`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice, repeat
from operator import itemgetter
from typing import Any, Literal, TypeAlias

from rddlite.errors import StopIterationInTask
from rddlite.executor.blame import Piece
from rddlite.executor.combining import combining
from rddlite.executor.joins import cogrouped_batches, joined_batches, merge_cogrouped
from rddlite.executor.kernels import MOST_RECORDS
from rddlite.executor.loops import Shape, loop_of
from rddlite.lineage.aggregator import GROUP, Aggregator
from rddlite.lineage.graph import Batch
from rddlite.lineage.idioms import unary

__all__ = [
    "Columns", "batches_of", "cogrouped_batches", "combined_batches", "joined_batches", "merge_cogrouped",
    "merge_combined", "merge_grouped", "sort_pairs", "sorted_batches", "split_pairs",
]  # fmt: skip

Columns: TypeAlias = tuple[list[Any], list[Any]]
KeyOrder = Literal["asc", "desc"]

_first = itemgetter(0)


def split_pairs(batch: Batch) -> Columns:
    """The columns of a batch of pairs."""
    return [key for key, _ in batch], [value for _, value in batch]


def merge_combined(columns: Iterable[Columns], aggregator: Aggregator, combined: bool = True) -> dict[Any, Any]:
    """One combined value per key. `combined`: the values are combined values of map tasks already."""
    how, given = combining(aggregator, merge_combined=combined)
    loop = loop_of(Shape("combine", "columns", (), None, how))
    table: dict[Any, Any] = loop(iter(columns), Piece(consumer=aggregator), table={}, **given)
    return table


def merge_grouped(columns: Iterable[Columns]) -> dict[Any, list[Any]]:
    """The values of each key, in the order in which they came."""
    return merge_combined(columns, GROUP, combined=False)


def combined_batches(columns: Iterable[Columns], aggregator: Aggregator, combined: bool) -> Iterator[Batch]:
    """Batches of `(key, combined value)`."""
    yield from batches_of(merge_combined(columns, aggregator, combined))


def sort_pairs(
    columns: Iterable[Columns], key_order: KeyOrder, keyfunc: Callable[[Any], Any] | None = None
) -> list[Any]:
    """All pairs sorted by key (by `keyfunc(key)`), those of equal keys in the order in which they came."""
    pairs: list[Any] = []
    sort_keys: list[Any] = []
    is_identity = keyfunc is None or unary(keyfunc) == "identity"
    try:
        for keys, values in columns:
            pairs += zip(keys, values, strict=True)
            if keyfunc is not None and not is_identity:
                sort_keys += [keyfunc(key) for key in keys]
        # Sorting asks for the key of each pair once and in order: here it gets them from the list, without a call.
        key = _first if is_identity else partial(next, iter(sort_keys))
        pairs.sort(key=key, reverse=key_order == "desc")
    except StopIteration as error:
        raise StopIterationInTask("Caught StopIteration thrown from user's code; failing the task") from error
    return pairs


def sorted_batches(
    columns: Iterable[Columns], key_order: KeyOrder, keyfunc: Callable[[Any], Any] | None = None
) -> Iterator[Batch]:
    """Batches of pairs sorted as by `sort_pairs`."""
    yield from batches_of(sort_pairs(columns, key_order, keyfunc))


def batches_of(items: dict[Any, Any] | list[Any], size: int = MOST_RECORDS) -> Iterator[Batch]:
    """What is in a list or dict (as pairs), in batches. Takes over a list: what was handed out is not kept in it."""
    if isinstance(items, dict):
        pairs = iter(items.items())
        while batch := list(islice(pairs, size)):
            yield batch
        return
    for at in range(0, len(items), size):
        batch = items[at : at + size]
        items[at : at + size] = repeat(None, len(batch))
        yield batch
