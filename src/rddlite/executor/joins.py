"""Several sides brought together by key: cogroups, and joins of two sides without one.

A join keeps one side in a table and passes the other by it, so that it costs little more than one look-up per record.
As long as every key of the kept side is unique, the table holds values, not lists of one value. Sides are columns in
map order; within a key, the records of the kept side come in order for each record of the other.

What memory does not hold is split by sub-buckets, both sides alike (`subbuckets`). Of a single key that is still too
large, a cogroup gives views of its values, and a join takes one side in chunks and reads the other for each of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, repeat
from typing import Any

from rddlite.executor.budget import Holder
from rddlite.executor.gather import add_values, columns_of, emptied, flattened, values_of
from rddlite.executor.kernels import MOST_RECORDS, ONE_NONE
from rddlite.executor.pacing import GroupWeight, PacedColumns
from rddlite.executor.subbuckets import Columns, Part, SubBuckets, hot_keys
from rddlite.lineage.graph import Batch
from rddlite.lineage.results import ResultIterable

_MOST_AT_ONCE = 16 * MOST_RECORDS
_AT_ONCE = MOST_RECORDS // 4
"""Keys of a cogroup, with all their values, that are handed on together: the cache is to hold them."""

_NO_VALUES: list[Any] = []

Groups = dict[Any, list[Any]]
Wrap = Callable[[Iterable[Any]], Iterable[Any]]
"""Makes what users see of each of some groups."""


def as_results(groups: Iterable[Any]) -> Iterator[ResultIterable[Any]]:
    """As `cogroup` hands them to users."""
    return map(ResultIterable, groups)


def _as_it_is(groups: Iterable[Any]) -> Iterable[Any]:
    return groups


def cogrouped_batches(sides: Sequence[Iterable[Columns]], holder: Holder, wrap: Wrap = _as_it_is) -> Iterator[Batch]:
    """Batches of `(key, (values of side 0, values of side 1, ...))` for each key of any side.

    Values are what `wrap` makes of a list, or of a sized, re-iterable view if they are more than memory holds. Lists
    are not to be changed.
    """
    with holder:
        yield from _cogrouped(sides, holder, wrap, 0)


def _cogrouped(sides: Sequence[Iterable[Columns]], holder: Holder, wrap: Wrap, level: int) -> Iterator[Batch]:
    # A table for each side: smaller ones than one of tuples of lists, with nothing in them for what is not there.
    tables: list[Groups] = [{} for _ in sides]
    weight = GroupWeight(*tables)
    for place, side in enumerate(sides):
        weight.table = tables[place]
        paced = PacedColumns(weight.watched(side), holder, weight)
        add_values(paced, tables[place])
        if not paced.is_done:
            rest = [paced.rest(), *sides[place + 1 :]]
            yield from _cogrouped_in_parts(tables, rest, holder, wrap, level)
            return
    yield from _matched(tables, wrap)
    holder.emptied()


def _matched(tables: Sequence[Groups], wrap: Wrap) -> Iterator[Batch]:
    """The keys of all tables with their groups. Tables are emptied meanwhile: groups go when they have been used."""
    for place, table in enumerate(tables):
        keys, groups = list(table), list(table.values())
        table.clear()
        keys.reverse()
        groups.reverse()
        while keys:
            some, known = keys[: -_AT_ONCE - 1 : -1], groups[: -_AT_ONCE - 1 : -1]
            del keys[-_AT_ONCE:], groups[-_AT_ONCE:]
            yield _with_others(some, known, place, tables, wrap)
            del some, known


def _with_others(keys: list[Any], groups: list[Any], place: int, tables: Sequence[Groups], wrap: Wrap) -> Batch:
    """Of keys that no table before `place` has, their groups there, and those of later tables, which lose them."""
    columns = [
        *repeat(repeat(_NO_VALUES), place),
        groups,
        *(map(table.pop, keys, repeat(_NO_VALUES)) for table in tables[place + 1 :]),
    ]
    return list(zip(keys, zip(*map(wrap, columns), strict=False), strict=False))


def _cogrouped_in_parts(
    tables: Sequence[Groups], rest: Sequence[Iterable[Columns]], holder: Holder, wrap: Wrap, level: int
) -> Iterator[Batch]:
    """Sides are in their tables up to the first one of which there is a `rest`."""
    buckets = SubBuckets(holder, level, hot_keys(_counted(tables)))
    last = len(tables) - len(rest)
    for table in tables[:last]:
        buckets.write(emptied(table, flattened(table, table.values()), holder))
    table = tables[last]
    buckets.write(chain(emptied(table, flattened(table, table.values()), holder), rest[0]))
    for side in rest[1:]:
        buckets.write(side)
    for parts in buckets.sections():
        if buckets.is_by_key or _have_one_key(parts):
            key = next(part.key for part in parts if part.n_records)
            yield [(key, tuple(wrap(values_of(part, holder, len(tables)) for part in parts)))]
        else:
            yield from _cogrouped([part.columns() for part in parts], holder, wrap, level + 1)


def _counted(tables: Sequence[Groups]) -> Iterable[tuple[Any, int]]:
    """How many values each key has."""
    counts: dict[Any, int] = {}
    for table in tables:
        for key, values in table.items():
            counts[key] = counts.get(key, 0) + len(values)
    return counts.items()


def _have_one_key(parts: Sequence[Part]) -> bool:
    some = [part for part in parts if part.n_records]
    return all(part.is_single and part.key == some[0].key for part in some)


def joined_batches(
    left: Iterable[Columns], right: Iterable[Columns], how: str, holder: Holder, keep_right: bool = False
) -> Iterator[Batch]:
    """Batches of `(key, (left value, right value))`: what `JoinPairs(how)` makes of a cogroup of both sides.

    `how` is `inner`, `left`, `right` or `full`. The whole of one side is kept, as far as memory holds it: the right one
    of a left join, and of an inner one with `keep_right`; else the left one.
    """
    is_flipped = how == "left" or (how == "inner" and keep_right)
    kept, passing = (right, left) if is_flipped else (left, right)
    with holder:
        yield from _joined(kept, passing, how, is_flipped, holder, 0)


def _joined(
    kept: Iterable[Columns], passing: Iterable[Columns], how: str, is_flipped: bool, holder: Holder, level: int
) -> Iterator[Batch]:
    """`is_flipped`: the right side is kept."""
    table: dict[Any, Any] = {}
    weight = GroupWeight(table, lists=0)
    paced = PacedColumns(weight.watched(kept), holder, weight)
    is_unique = _fill(table, paced)
    if paced.is_done:
        yield from _passed(table, is_unique, passing, how, is_flipped)
        holder.emptied()
        return
    hot = () if is_unique else hot_keys((key, len(values)) for key, values in table.items())
    buckets = SubBuckets(holder, level, hot)
    known = columns_of(table) if is_unique else flattened(table, table.values())
    buckets.write(chain(emptied(table, known, holder), paced.rest()))
    buckets.write(passing)
    for mine, theirs in buckets.sections():
        parts, is_other = (mine, theirs), is_flipped
        if how == "inner":
            if not (mine.n_records and theirs.n_records):
                continue
            if theirs.n_bytes < mine.n_bytes:
                parts, is_other = (theirs, mine), not is_flipped
        if mine.n_records and theirs.n_records and (buckets.is_by_key or _have_one_key(parts)):
            yield from _joined_in_chunks(*parts, is_other, holder)
        elif not mine.n_records:
            yield from _passed({}, True, theirs.columns(), how, is_flipped)
        elif not theirs.n_records:
            yield from _alone(mine, how)
        else:
            yield from _joined(parts[0].columns(), parts[1].columns(), how, is_other, holder, level + 1)


def _passed(
    table: dict[Any, Any], is_unique: bool, passing: Iterable[Columns], how: str, is_flipped: bool
) -> Iterator[Batch]:
    """One side in a table, the other passed by it."""
    largest = 1 if is_unique else max(map(len, table.values()))
    join = _join_values if is_unique else _join_lists
    seen: set[Any] = set()
    for keys, values in passing:
        if how == "full":
            seen.update(table.keys() & keys)
        for start, stop in _spans(keys, table, largest):
            is_whole = stop - start == len(keys)
            some = (keys, values) if is_whole else (keys[start:stop], values[start:stop])
            yield from join(table, how != "inner", is_flipped, *some)
    if how == "full":
        yield from _unseen(table, is_unique, seen)


def _joined_in_chunks(kept: Part, passing: Part, is_flipped: bool, holder: Holder) -> Iterator[Batch]:
    """Both sides have the same key, and only that."""
    weight = GroupWeight({})
    paced = PacedColumns(weight.watched(kept.columns()), holder, weight)
    while not paced.is_done:
        values: list[Any] = []
        for _, some in paced:
            values += some
        if values:
            yield from _passed({kept.key: values}, False, passing.columns(), "inner", is_flipped)
        paced.emptied()


def _alone(kept: Part, how: str) -> Iterator[Batch]:
    """A kept side that meets nothing."""
    if how == "full":
        for keys, values in kept.columns():
            yield [(key, (value, None)) for key, value in zip(keys, values, strict=True)]


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


def _fill(table: dict[Any, Any], side: Iterable[Columns]) -> bool:
    """By key, the value if all keys are unique (which is the answer), else the list of values."""
    columns = iter(side)
    for keys, values in columns:
        pairs = zip(keys, values, strict=True)
        for key, value in pairs:
            if key in table:
                for known, held in table.items():
                    table[known] = [held]
                table[key].append(value)
                _group(table, pairs)
                for more_keys, more_values in columns:
                    _group(table, zip(more_keys, more_values, strict=True))
                return False
            table[key] = value
    return True


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
    if not is_outer and is_flipped:
        joined = [(k, (given, table[k])) for k, given in pairs if k in table]
    elif not is_outer:
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
