"""Several sides brought together by key: cogroups, and joins of two sides without one.

A join keeps one side in a table and passes the other by it, so that it costs little more than one look-up per record.
As long as every key of the kept side is unique, the table holds values, not lists of one value. Sides are columns in
map order; within a key, the records of the kept side come in order for each record of the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from rddlite.executor.kernels import MOST_RECORDS, ONE_NONE
from rddlite.lineage.graph import Batch

Columns = tuple[list[Any], list[Any]]

_MOST_AT_ONCE = 16 * MOST_RECORDS


def merge_cogrouped(sides: Sequence[Iterable[Columns]]) -> dict[Any, tuple[list[Any], ...]]:
    """For each key of any side, the list of its values of each side."""
    table: dict[Any, Any] = {}
    if len(sides) == 2:
        _group_two(table, *sides)
        return table
    for place, side in enumerate(sides):
        for keys, values in side:
            for key, value in zip(keys, values, strict=True):
                if key not in table:
                    table[key] = tuple([] for _ in sides)
                table[key][place].append(value)
    return table


def _group_two(table: dict[Any, Any], left: Iterable[Columns], right: Iterable[Columns]) -> None:
    for keys, values in left:
        for key, value in zip(keys, values, strict=True):
            if key in table:
                table[key][0].append(value)
            else:
                table[key] = ([value], [])
    for keys, values in right:
        for key, value in zip(keys, values, strict=True):
            if key in table:
                table[key][1].append(value)
            else:
                table[key] = ([], [value])


def cogrouped_batches(sides: Sequence[Iterable[Columns]]) -> Iterator[Batch]:
    """Batches of `(key, (list of values per side, ...))`."""
    pairs = iter(merge_cogrouped(sides).items())
    while batch := list(islice(pairs, MOST_RECORDS)):
        yield batch


def joined_batches(left: Iterable[Columns], right: Iterable[Columns], how: str) -> Iterator[Batch]:
    """Batches of `(key, (left value, right value))`: what `JoinPairs(how)` makes of a cogroup of both sides.

    `how` is `inner`, `left`, `right` or `full`. The whole of one side is kept: the right one of a left join, else the
    left one.
    """
    is_flipped = how == "left"
    kept, passing = (right, left) if is_flipped else (left, right)
    table, is_unique = _table(kept)
    largest = 1 if is_unique else max(map(len, table.values()))
    join = _join_values if is_unique else _join_lists
    seen: set[Any] = set()
    for keys, values in passing:
        if how == "full":
            seen.update(keys)
        for start, stop in _spans(keys, table, largest):
            is_whole = stop - start == len(keys)
            some = (keys, values) if is_whole else (keys[start:stop], values[start:stop])
            yield from join(table, how != "inner", is_flipped, *some)
    if how == "full":
        yield from _unseen(table, is_unique, seen)


def _spans(keys: list[Any], table: dict[Any, Any], largest: int) -> Iterator[tuple[int, int]]:
    """`keys` in spans that do not join to too many records at once; a key that alone does is a span of its own."""
    if len(keys) * largest <= _MOST_AT_ONCE:
        yield 0, len(keys)
        return
    start = total = 0
    for at, key in enumerate(keys):
        found = len(table.get(key, ONE_NONE)) if largest > 1 else 1
        if total and total + found > _MOST_AT_ONCE:
            yield start, at
            start, total = at, 0
        total += found
    yield start, len(keys)


def _table(side: Iterable[Columns]) -> tuple[dict[Any, Any], bool]:
    """By key, the value if all keys are unique, else the list of values."""
    columns = iter(side)
    table: dict[Any, Any] = {}
    for keys, values in columns:
        pairs = zip(keys, values, strict=True)
        for key, value in pairs:
            if key in table:
                lists = {known: [held] for known, held in table.items()}
                lists[key].append(value)
                _group(lists, pairs)
                for more_keys, more_values in columns:
                    _group(lists, zip(more_keys, more_values, strict=True))
                return lists, False
            table[key] = value
    return table, True


def _group(lists: dict[Any, list[Any]], pairs: Iterator[tuple[Any, Any]]) -> None:
    for key, value in pairs:
        if key in lists:
            lists[key].append(value)
        else:
            lists[key] = [value]


def _join_values(
    table: dict[Any, Any], is_outer: bool, is_flipped: bool, keys: list[Any], values: list[Any]
) -> Iterator[Batch]:
    get, pairs = table.get, zip(keys, values, strict=True)
    if not is_outer:
        joined = [(k, (table[k], given)) for k, given in pairs if k in table]
    elif is_flipped:
        joined = [(k, (given, get(k))) for k, given in pairs]
    else:
        joined = [(k, (get(k), given)) for k, given in pairs]
    if joined:
        yield joined


def _join_lists(
    table: dict[Any, list[Any]], is_outer: bool, is_flipped: bool, keys: list[Any], values: list[Any]
) -> Iterator[Batch]:
    get, nothing = table.get, ONE_NONE if is_outer else []
    if len(keys) == 1:
        yield from _join_one(get(keys[0], nothing), is_flipped, keys[0], values[0])
        return
    pairs = zip(keys, values, strict=True)
    if is_flipped:
        joined = [(k, (given, held)) for k, given in pairs for held in get(k, nothing)]
    else:
        joined = [(k, (held, given)) for k, given in pairs for held in get(k, nothing)]
    if joined:
        yield joined


def _join_one(lists: list[Any], is_flipped: bool, key: Any, given: Any) -> Iterator[Batch]:
    for at in range(0, len(lists), MOST_RECORDS):
        some = lists[at : at + MOST_RECORDS]
        yield [(key, (given, held)) for held in some] if is_flipped else [(key, (held, given)) for held in some]


def _unseen(table: dict[Any, Any], is_unique: bool, seen: set[Any]) -> Iterator[Batch]:
    """What of the kept side met nothing."""
    for key, held in table.items():
        if key not in seen:
            yield [(key, (value, None)) for value in ([held] if is_unique else held)]
