"""Sorting in tasks, stably and in both directions: in memory, and beyond the budget by sorted runs.

What comes is kept as columns: what to sort by, and the items; so no tuple per record is needed while sorting. Chunks
are sorted when the operator's share of memory is full, and written to one nameless file, block by block; the runs and
what is left in memory are merged by blocks (`base/sortedruns.py`), many runs in several steps. Keys are compared with
`<` alone; the user's function is called once per record. A closed or exhausted iterator has closed the file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import repeat
from operator import itemgetter
from types import TracebackType
from typing import Any, TypeAlias

from rddlite.base.sortedruns import merge_runs
from rddlite.errors import StopIterationInTask
from rddlite.executor.budget import Holder
from rddlite.executor.kernels import MOST_RECORDS
from rddlite.executor.sizing import weight_each
from rddlite.lineage.graph import Batch
from rddlite.lineage.idioms import unary
from rddlite.shuffle.spillfile import Span, SpillFile

Columns: TypeAlias = tuple[list[Any], list[Any]]
KeyFunction: TypeAlias = Callable[[Any], Any]

_FAN_IN = 64
"""So many runs are merged at once, with a block of each in memory."""
_BLOCKS = 4 * _FAN_IN
"""Blocks are made so small that this many of them fill what operators may hold."""
_SMALLEST_BLOCK, _LARGEST_BLOCK = 2 << 10, 1 << 20

_first = itemgetter(0)
_second = itemgetter(1)


def sorted_pairs(
    columns: Iterable[Columns], descending: bool, keyfunc: KeyFunction | None, holder: Holder
) -> Iterator[Batch]:
    """Batches of pairs by key (by `keyfunc(key)`), those with equal keys in the order in which they came."""
    if keyfunc is None or unary(keyfunc) == "identity":
        parts: Iterable[Columns] = columns
        sorter = _Sorter(descending, holder, gives_pairs=True)
    else:
        parts = ((_called(keyfunc, keys), list(zip(keys, values, strict=True))) for keys, values in columns)
        sorter = _Sorter(descending, holder)
    yield from sorter.sorted(parts)


def sorted_values(columns: Iterable[Columns], descending: bool, holder: Holder) -> Iterator[Batch]:
    """Batches of the values alone, sorted by their keys as `sorted_pairs` does."""
    yield from _Sorter(descending, holder).sorted(columns)


def sorted_records(
    batches: Iterable[Batch], descending: bool, keyfunc: KeyFunction | None, holder: Holder
) -> Iterator[Batch]:
    """Batches of the very records that came, by `keyfunc(record)` or by themselves."""
    if keyfunc is None or unary(keyfunc) == "identity":
        yield from _Sorter(descending, holder).sorted((None, batch) for batch in batches)
    else:
        yield from _Sorter(descending, holder).sorted((_called(keyfunc, batch), batch) for batch in batches)


def key_of_pair(keyfunc: KeyFunction | None) -> KeyFunction:
    """What a pair is sorted by."""
    return _first if keyfunc is None else lambda pair: keyfunc(pair[0])


class _Sorter:
    """The items that came, in memory and in runs. Used once, by the thread of its task.

    `gives_pairs`: items are values, and come out in pairs with their sort keys.
    """

    def __init__(self, descending: bool, holder: Holder, gives_pairs: bool = False) -> None:
        self._descending = descending
        self._holder = holder
        self._gives_pairs = gives_pairs
        self._has_keys = False
        self._keys: list[Any] = []
        self._items: list[Any] = []
        self._weight = 0
        self._block_records = MOST_RECORDS
        self._runs: list[list[Span]] = []
        self._file: SpillFile | None = None

    def sorted(self, parts: Iterable[tuple[list[Any] | None, list[Any]]]) -> Iterator[Batch]:
        """All items in order, in batches. Parts are what to sort by and items; without keys by the items themselves."""
        try:
            for keys, items in parts:
                self._add(keys, items)
            yield from self._merged() if self._runs else self._from_memory()
        finally:
            self._holder.close()
            if self._file is not None:
                self._file.close()

    def _add(self, keys: list[Any] | None, items: list[Any]) -> None:
        self._items += items
        self._weight += len(items) * weight_each(items)
        if keys is not None:
            self._has_keys = True
            self._keys += keys
            if len(keys) != len(items):
                raise ValueError(f"{len(keys)} keys for {len(items)} items")
            self._weight += len(keys) * weight_each(keys)
        self._holder.holds(self._weight)
        if self._holder.is_full:
            self._spill()

    def _from_memory(self) -> Iterator[Batch]:
        if self._gives_pairs:
            keys, values = self._take_sorted()
            for some_keys, some in zip(handed_out(keys), handed_out(values), strict=True):
                yield list(zip(some_keys, some, strict=True))
            return
        with _NoStopIteration():
            # Sorting asks for the key of each item once and in order: `next` takes it from the list, and the item
            # for its default.
            key = partial(next, iter(self._keys)) if self._has_keys else None
            self._items.sort(key=key, reverse=self._descending)
        self._keys = []
        yield from handed_out(self._items)

    def _take_sorted(self) -> Columns:
        """Keys and items in order, taken out of memory."""
        keys, items = self._keys, self._items
        self._keys, self._items = [], []
        with _NoStopIteration():
            order = sorted(range(len(keys)), key=keys.__getitem__, reverse=self._descending)
        return list(map(keys.__getitem__, order)), list(map(items.__getitem__, order))

    def _take_run(self) -> Iterator[tuple[list[Any], list[Any] | None]]:
        """What is in memory, sorted and taken out, by blocks: keys and items, or only items where they are the keys."""
        block_bytes = min(max(self._holder.capacity // _BLOCKS, _SMALLEST_BLOCK), _LARGEST_BLOCK)
        n = self._block_records = max(1, min(MOST_RECORDS, block_bytes * len(self._items) // max(1, self._weight)))
        self._weight = 0
        if self._has_keys:
            keys, items = self._take_sorted()
            yield from zip(handed_out(keys, n), handed_out(items, n), strict=True)
            return
        items, self._items = self._items, []
        with _NoStopIteration():
            items.sort(reverse=self._descending)
        for block in handed_out(items, n):
            yield block, None

    def _spill(self) -> None:
        if not self._items:
            return
        if self._file is None:
            self._file = self._holder.new_run()
        self._runs.append(self._written(self._take_run(), self._file))
        self._holder.spilled(sum(span.length for span in self._runs[-1]))
        self._holder.emptied()

    def _written(self, blocks: Iterable[tuple[list[Any], list[Any] | None]], file: SpillFile) -> list[Span]:
        return [file.add_records(keys) if items is None else file.add_pairs(keys, items) for keys, items in blocks]

    def _merged(self) -> Iterator[Batch]:
        while len(self._runs) > _FAN_IN:
            self._merge_some()
        assert self._file is not None
        runs = [self._blocks(spans, self._file) for spans in self._runs]
        last = (block if items is None else list(zip(block, items, strict=True)) for block, items in self._take_run())
        strip = self._has_keys and not self._gives_pairs
        for block in self._merge([*runs, last]):
            yield from handed_out(list(map(_second, block)) if strip else block)

    def _merge_some(self) -> None:
        """Neighbouring runs to fewer, longer ones in a file of their own."""
        old = self._file
        assert old is not None
        self._file = self._holder.new_run()
        longer: list[list[Span]] = []
        try:
            for start in range(0, len(self._runs), _FAN_IN):
                some = [self._blocks(spans, old) for spans in self._runs[start : start + _FAN_IN]]
                longer.append(self._written(map(self._apart, self._in_blocks(self._merge(some))), self._file))
        finally:
            old.close()
        self._runs = longer
        self._holder.spilled(self._file.length, len(longer))

    def _in_blocks(self, merged: Iterator[Batch]) -> Iterator[Batch]:
        for batch in merged:
            yield from handed_out(batch, self._block_records)

    def _apart(self, block: Batch) -> tuple[list[Any], list[Any] | None]:
        return (list(map(_first, block)), list(map(_second, block))) if self._has_keys else (block, None)

    def _merge(self, runs: Sequence[Iterator[Batch]]) -> Iterator[Batch]:
        return merge_runs(runs, self._descending, _first if self._has_keys else None)

    def _blocks(self, spans: Iterable[Span], file: SpillFile) -> Iterator[Batch]:
        return (frame.records() for frame in file.frames(spans))


def _called(keyfunc: KeyFunction, keys: list[Any]) -> list[Any]:
    with _NoStopIteration():
        return [keyfunc(key) for key in keys]


class _NoStopIteration:
    """What the user's functions and comparisons raise must not look like the end of the data."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if isinstance(error, StopIteration):
            raise StopIterationInTask("Caught StopIteration thrown from user's code; failing the task") from error


def handed_out(items: list[Any], size: int = MOST_RECORDS) -> Iterator[Batch]:
    """What is in a list, in batches. Takes the list over: what was handed out is not kept in it."""
    if len(items) <= size:
        if items:
            yield items
        return
    for at in range(0, len(items), size):
        batch = items[at : at + size]
        items[at : at + size] = repeat(None, len(batch))
        yield batch
