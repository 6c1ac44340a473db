"""Aggregation and grouping of more than memory holds, by columns of keys and values in map order.

A table is filled until its holder is full. Then it is written out by sub-bucket (`subbuckets`), what comes later is
appended to its sub-bucket as it is, and the sub-buckets are done one after another, in the same way. Functions of the
user are called as often as without spilling, and for each key in the same order. The order of keys may differ.

Values of one key that memory does not hold become a view of their file, if they are to be grouped; one combined value
has to fit, whatever it is.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import chain, islice, repeat
from typing import Any

from rddlite.executor.blame import Piece
from rddlite.executor.budget import Holder
from rddlite.executor.combining import combining
from rddlite.executor.kernels import MOST_RECORDS
from rddlite.executor.loops import Shape, loop_of
from rddlite.executor.pacing import Groups, GroupWeight, PacedColumns, TableWeight
from rddlite.executor.subbuckets import LEVELS, Columns, Part, SpilledValues, SubBuckets, hot_keys
from rddlite.lineage.aggregator import GROUP, Aggregator
from rddlite.lineage.graph import Batch
from rddlite.shuffle.writer import check_pairs

Table = dict[Any, Any]
Fill = Callable[[Iterable[Columns], Table], None]


def fills(aggregator: Aggregator, combined: bool) -> Fill:
    """What fills a table from columns. `combined`: the values are combined values already."""
    how, given = combining(aggregator, merge_combined=combined)
    loop = loop_of(Shape("combine", "columns", (), None, how))

    def fill(columns: Iterable[Columns], table: Table) -> None:
        loop(iter(columns), Piece(consumer=aggregator), table=table, **given)

    return fill


def combined_batches(
    columns: Iterable[Columns], aggregator: Aggregator, combined: bool, holder: Holder, keys_only: bool = False
) -> Iterator[Batch]:
    """Batches of `(key, combined value)`, or of keys without their values."""
    hand_out = keys_of if keys_only else batches_of
    with holder:
        yield from _combined((), columns, fills(aggregator, combined), hand_out, holder, 0)


def grouped_batches(parts: Iterable[Columns | Groups], holder: Holder) -> Iterator[Batch]:
    """Batches of `(key, values)`: a list, or a sized, re-iterable view if they are more than memory holds."""
    with holder:
        yield from _grouped(parts, holder, 0)


def batches_of(table: Table) -> Iterator[Batch]:
    """The pairs of a table."""
    pairs = iter(table.items())
    while batch := list(islice(pairs, MOST_RECORDS)):
        yield batch


def keys_of(table: Table) -> Iterator[Batch]:
    """The keys of a table."""
    keys = iter(table)
    while batch := list(islice(keys, MOST_RECORDS)):
        yield batch


def split_pairs(batch: Batch) -> Columns:
    """The columns of a batch of pairs.

    Raises:
        TypeError: if a record is no pair.
    """
    try:
        return [key for key, _ in batch], [value for _, value in batch]
    except (TypeError, ValueError):
        check_pairs(batch)
        raise


def columns_of(table: Table) -> Iterator[Columns]:
    """Keys and values of a table."""
    keys, values = iter(table), iter(table.values())
    while some := list(islice(keys, MOST_RECORDS)):
        yield some, list(islice(values, len(some)))


def flattened(keys: Iterable[Any], groups: Collection[list[Any]]) -> Iterator[Columns]:
    """A key and a value for each value of some groups."""
    each_key = chain.from_iterable(map(repeat, keys, map(len, groups)))
    each_value = chain.from_iterable(groups)
    while some := list(islice(each_key, MOST_RECORDS)):
        yield some, list(islice(each_value, len(some)))


def _combined(
    partial: Iterable[Columns],
    raw: Iterable[Columns],
    fill: Fill,
    hand_out: Callable[[Table], Iterator[Batch]],
    holder: Holder,
    level: int,
) -> Iterator[Batch]:
    """`partial` are combined values, at most one for each key, that come before all others."""
    table: Table = {}
    weight = TableWeight(table)
    started, more = PacedColumns(partial, holder, weight), PacedColumns(raw, holder, weight)
    _load(started, table)
    if started.is_done:
        fill(more, table)
    if more.is_done:
        yield from hand_out(table)
        table.clear()
        holder.emptied()
        return
    buckets = SubBuckets(holder, level)
    buckets.write(chain(emptied(table, columns_of(table), holder), started.rest()))
    buckets.write(more.rest())
    for first, rest in buckets.sections():
        if level + 1 == LEVELS or (first.is_single and rest.is_single):
            _load(first.columns(), table)
            fill(rest.columns(), table)
            yield from hand_out(table)
            table.clear()
        else:
            yield from _combined(first.columns(), rest.columns(), fill, hand_out, holder, level + 1)


def _grouped(parts: Iterable[Columns | Groups], holder: Holder, level: int) -> Iterator[Batch]:
    table: Table = {}
    weight = GroupWeight(table)
    paced = PacedColumns(weight.watched(parts), holder, weight)
    _fill_groups(paced, table)
    if paced.is_done:
        yield from batches_of(table)
        table.clear()
        holder.emptied()
        return
    buckets = SubBuckets(holder, level, hot_keys((key, len(values)) for key, values in table.items()))
    buckets.write(chain(emptied(table, flattened(table, table.values()), holder), _in_columns(paced.rest())))
    for (part,) in buckets.sections():
        if part.is_single:
            yield [(part.key, values_of(part, holder))]
        else:
            yield from _grouped(part.columns(), holder, level + 1)


def values_of(part: Part, holder: Holder, n_parts: int = 1) -> list[Any] | SpilledValues:
    """The values of a part, which all have the same key: a list, if memory holds `n_parts` of its size."""
    values: list[Any] = []
    weight = GroupWeight({})
    paced = PacedColumns(weight.watched(part.columns()), holder, lambda: n_parts * weight())
    for _, some in paced:
        values += some
    holder.emptied()
    holder.hands_on(part.key, part.n_records, part.n_bytes)
    return values if paced.is_done else SpilledValues(part)


def emptied(table: Table, columns: Iterable[Columns], holder: Holder) -> Iterator[Columns]:
    """`columns` of a table that is not needed any more after them."""
    yield from columns
    table.clear()
    holder.emptied()


def _load(columns: Iterable[Columns], table: Table) -> None:
    for keys, values in columns:
        table.update(zip(keys, values, strict=True))


def _in_columns(parts: Iterable[Columns | Groups]) -> Iterator[Columns]:
    for columns in parts:
        if isinstance(columns, Groups):
            yield from flattened(*columns)
        else:
            yield columns


def _fill_groups(parts: Iterable[Columns | Groups], table: Table) -> None:
    for columns in parts:
        fill = _add_groups if isinstance(columns, Groups) else add_values
        fill((columns,), table)


add_values = fills(GROUP, combined=False)
"""Fills a table with the lists of the values of each key."""
_add_groups = fills(GROUP, combined=True)
