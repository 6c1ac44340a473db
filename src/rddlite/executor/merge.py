"""The reduce side: columns of keys and values, in map order, become combined or grouped records.

Columns are pairs of a list of keys and a list of values of the same length. Everything is kept in memory. Functions of
the user are called once per value and in order. Cogroups and joins are in `joins`, sorting in `sorting`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, TypeAlias

from rddlite.executor.blame import Piece
from rddlite.executor.combining import combining
from rddlite.executor.joins import cogrouped_batches, joined_batches, merge_cogrouped
from rddlite.executor.kernels import MOST_RECORDS
from rddlite.executor.loops import Shape, loop_of
from rddlite.lineage.aggregator import GROUP, Aggregator
from rddlite.lineage.graph import Batch

__all__ = [
    "Columns", "batches_of", "cogrouped_batches", "combined_batches", "joined_batches", "merge_cogrouped",
    "merge_combined", "merge_grouped", "split_pairs",
]  # fmt: skip

Columns: TypeAlias = tuple[list[Any], list[Any]]


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


def batches_of(table: dict[Any, Any], size: int = MOST_RECORDS) -> Iterator[Batch]:
    """The pairs of a dict, in batches."""
    pairs = iter(table.items())
    while batch := list(islice(pairs, size)):
        yield batch
