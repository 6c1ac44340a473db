"""rddlite's own functions that run inside tasks, beside those of the user.

They live here, below the API that hands them out, so that a task that unpickles one never loads the API. Each is a
plain function; what it needs is bound with `functools.partial`, so that an error about a captured object can name the
path. Functions over a partition get an iterator and answer with an iterable or, for `Apply`, with a value.
"""

from __future__ import annotations

import functools
import heapq
import itertools
from collections.abc import Callable, Iterable
from typing import Any

from rddlite.base.hyperloglog import DistinctCount
from rddlite.lineage.results import ResultIterable
from rddlite.serde.hashing import stable_hashes

Pair = tuple[Any, Any]
Function = Callable[..., Any]

_NOTHING: Any = object()
_CHUNK = 8192
_FEW = 16


# Functions of one record


def identity(x: Any) -> Any:
    """The record itself."""
    return x


def with_none(x: Any) -> Pair:
    """The record as a key without a value."""
    return (x, None)


def with_one(x: Any) -> Pair:
    """The record as a key that occurred once."""
    return (x, 1)


def keep_last(_: Any, value: Any) -> Any:
    """Of two values of a key, the one that came last."""
    return value


def has_key(key: Any, pair: Pair) -> bool:
    """Whether a pair has this key."""
    return bool(pair[0] == key)


def as_results(groups: tuple[list[Any], ...]) -> tuple[ResultIterable[Any], ...]:
    """The groups of a key, one of each parent, as users get them."""
    return tuple(map(ResultIterable, groups))


def left_only(groups: tuple[list[Any], list[Any]]) -> list[Any]:
    """The left values of a key that the right side does not have."""
    left, right = groups
    return [] if right else left


def is_in_both(pair: tuple[Any, tuple[list[Any], list[Any]]]) -> bool:
    """Whether both sides have the key."""
    left, right = pair[1]
    return bool(left) and bool(right)


def in_list(value: Any) -> list[Any]:
    """A list of the one value."""
    return [value]


def add_to_top(n: int, key: Function | None, values: list[Any], value: Any) -> list[Any]:
    """One more value; what cannot be among the `n` largest any more is dropped now and then."""
    values.append(value)
    if len(values) >= 4 * n + _FEW:
        values[:] = heapq.nlargest(n, values, key)
    return values


def join_tops(n: int, key: Function | None, values: list[Any], others: list[Any]) -> list[Any]:
    """The `n` largest of both."""
    return heapq.nlargest(n, itertools.chain(values, others), key)


def finished_top(n: int, key: Function | None, values: list[Any]) -> list[Any]:
    """The `n` largest, in descending order."""
    return heapq.nlargest(n, values, key)


# Functions of a partition


def number_from(starts: list[int], index: int, records: Iterable[Any]) -> Iterable[Pair]:
    """Each record with its number; `starts` holds the first number of every partition."""
    return zip(records, itertools.count(starts[index]))


def number_by_step(step: int, index: int, records: Iterable[Any]) -> Iterable[Pair]:
    """Each record with a number of its own: `index`, then `step` further each time."""
    return zip(records, itertools.count(index, step))


def mergeable(counts: dict[Any, int]) -> dict[Any, int]:
    """The same dict; refuses keys that are hashed by address, as it could not be merged with others."""
    stable_hashes(list(counts))
    return counts


def reduced(f: Function, records: Iterable[Any]) -> list[Any]:
    """All records combined two at a time, or nothing where there is none."""
    values = iter(records)
    return [functools.reduce(f, values, first) for first in itertools.islice(values, 1)]


def folded(zero: Callable[[], Any], f: Function, records: Iterable[Any]) -> list[Any]:
    """All records added to a fresh value."""
    return [functools.reduce(f, records, zero())]


def numbered_by_neighbours(n: int, n_groups: int, index: int, records: Iterable[Any]) -> Iterable[Pair]:
    """Records by the number of the group of neighbouring partitions (of `n`, in so many groups) that theirs is in."""
    return zip(itertools.repeat(index * n_groups // n), records)


def distinct_of(precision: int, records: Iterable[Any]) -> DistinctCount:
    """A sketch of the different records."""
    sketch = DistinctCount(precision)
    stream = iter(records)
    while chunk := list(itertools.islice(stream, _CHUNK)):
        sketch.add(stable_hashes(chunk))
    return sketch


def reduce_values(merge: Function, pairs: Iterable[Pair]) -> dict[Any, Any]:
    """One value for each key, combined two at a time."""
    found: dict[Any, Any] = {}
    for key, value in pairs:
        found[key] = merge(found[key], value) if key in found else value
    return found


def in_batches(f: Function, size: int, records: Iterable[Any]) -> Iterable[Any]:
    """What `f` makes of lists of so many records each."""
    stream = iter(records)
    while batch := list(itertools.islice(stream, size)):
        yield from f(batch)


def sum_and_count(numbers: Iterable[Any]) -> tuple[Any, int]:
    """The sum of the records, and how many there are."""
    total, n = 0, 0
    for number in numbers:
        total = total + number  # never in place: the sum may be an array
        n += 1
    return total, n


def maximum(key: Function | None, records: Iterable[Any]) -> list[Any]:
    """The first largest record, or nothing where there is none."""
    best = max(records, key=key, default=_NOTHING)
    return [] if best is _NOTHING else [best]


def minimum(key: Function | None, records: Iterable[Any]) -> list[Any]:
    """The first smallest record, or nothing where there is none."""
    best = min(records, key=key, default=_NOTHING)
    return [] if best is _NOTHING else [best]


def largest(n: int, key: Function | None, records: Iterable[Any]) -> list[Any]:
    """The `n` largest records, in descending order."""
    return heapq.nlargest(n, records, key)


def smallest(n: int, key: Function | None, records: Iterable[Any]) -> list[Any]:
    """The `n` smallest records, in ascending order."""
    return heapq.nsmallest(n, records, key)


def drain(f: Function, records: Iterable[Any]) -> None:
    """Call `f` with the partition for its side effects; what it returns is consumed and forgotten."""
    result = f(records)
    if isinstance(result, Iterable):
        for _ in result:
            pass


def place_of(partitioner: Callable[[Any], int], key: Any, _: Iterable[Any]) -> int:
    """Where an executor would place the key: text is hashed with its seed, not with the driver's."""
    return partitioner(key)
