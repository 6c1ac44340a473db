"""Sorting, in tasks: pairs by key (by a function of it), stably, in both directions.

Columns are pairs of a list of keys and a list of values of the same length, in map order. The function of the user is
called once per key and in order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import repeat
from operator import itemgetter
from typing import Any, Literal, TypeAlias

from rddlite.errors import StopIterationInTask
from rddlite.executor.kernels import MOST_RECORDS
from rddlite.lineage.graph import Batch
from rddlite.lineage.idioms import unary

Columns: TypeAlias = tuple[list[Any], list[Any]]
KeyOrder = Literal["asc", "desc"]

_first = itemgetter(0)


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
    yield from handed_out(sort_pairs(columns, key_order, keyfunc))


def handed_out(items: list[Any], size: int = MOST_RECORDS) -> Iterator[Batch]:
    """What is in a list, in batches. Takes the list over: what was handed out is not kept in it."""
    for at in range(0, len(items), size):
        batch = items[at : at + size]
        items[at : at + size] = repeat(None, len(batch))
        yield batch
