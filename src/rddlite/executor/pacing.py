"""Batches handed to a loop until its memory is full: all that spilling adds to a fused loop, and none of it per record.

A `Paced` is what a compiled loop reads. After a few batches (never more than some thousand records, fewer where records
are large) it weighs what the loop has filled, and ends when there is no more room: the loop returns with what it has,
and is called again with the same `Paced` for the rest. Batches that would take too much at once are cut.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from sys import maxsize
from typing import Any, NamedTuple, TypeAlias

from rddlite.executor.budget import Holder
from rddlite.executor.sizing import weight_each, weight_of_table

Columns: TypeAlias = tuple[list[Any], list[Any]]
Weigh = Callable[[], int]


class Groups(NamedTuple):
    """Keys, and the values that each has here; a key may be there several times."""

    keys: list[Any]
    groups: list[list[Any]]

    @property
    def n_values(self) -> int:
        """How many pairs they stand for."""
        return sum(map(len, self.groups))


_MOST_RECORDS = 4096
_PARTS_OF_CAPACITY = 64
_ENTRY, _LIST = 100, 90
_LONGEST_WAIT = 16
_SAMPLES = 16


class Paced:
    """Pieces of `batches` until the holder is full (`is_full`). To be iterated again, until `is_done`.

    `weigh` tells about how many bytes the loop holds. Pieces also end soon after `pause_at` records; there were about
    `n_records` since it was emptied.
    """

    def __init__(self, batches: Iterable[Any], holder: Holder, weigh: Weigh) -> None:
        self._batches = iter(batches)
        self._holder = holder
        self._weigh = weigh
        self._pieces = self._cut()
        self.n_records = 0
        self._step = 1
        self._left = 1
        self.pause_at = maxsize
        self.is_full = False
        self.is_done = False
        holder.table = weigh.table if isinstance(weigh, (TableWeight, GroupWeight)) else None

    def __iter__(self) -> Iterator[Any]:
        for piece in self._pieces:
            yield piece
            if self._left <= 0 and (self._looks_full() or self.n_records >= self.pause_at):
                return
        self.is_done = True

    def rest(self) -> Iterator[Any]:
        """What was not handed out yet, without looking at memory any more."""
        self._step = _MOST_RECORDS
        return self._pieces

    def emptied(self) -> None:
        """The loop holds nothing any more."""
        self.n_records = 0
        self._step = self._left = 1
        self.is_full = False
        if isinstance(self._weigh, (TableWeight, GroupWeight)):
            self._weigh.emptied()
        self._holder.emptied()

    def _looks_full(self) -> bool:
        holder = self._holder
        holder.holds(self._weigh())
        each = max(1, holder.guess // max(1, self.n_records))
        fitting = holder.capacity // _PARTS_OF_CAPACITY // each
        self._step = self._left = max(1, min(2 * self.n_records, fitting, _MOST_RECORDS))
        self.is_full = holder.is_full
        return self.is_full

    def _cut(self) -> Iterator[Any]:
        for batch in self._batches:
            at = 0
            while at < len(batch):
                piece = batch if not at and len(batch) <= self._step else batch[at : at + self._step]
                at += len(piece)
                self._took(len(piece))
                yield piece

    def _took(self, n: int) -> None:
        self.n_records += n
        self._left -= n


class PacedColumns(Paced):
    """The same for columns of keys and values; groups are pieces as they are."""

    def _cut(self) -> Iterator[Any]:
        for columns in self._batches:
            if isinstance(columns, Groups):
                self._took(columns.n_values)
                yield columns
                continue
            keys, values = columns
            at = 0
            while at < len(keys):
                step = self._step
                piece = (keys[at : at + step], values[at : at + step]) if at or len(keys) > step else (keys, values)
                at += len(piece[0])
                self._took(len(piece[0]))
                yield piece


class PacedIterables(Paced):
    """The same for batches that are iterables of unknown length, which are read no further than they are used."""

    def _cut(self) -> Iterator[Any]:
        for batch in self._batches:
            ended: list[bool] = []
            # No call for any record: the mark behind the last one is reached when a piece asks for more than there is.
            records = chain(batch, _mark(ended))
            while not ended:
                self._took(self._step)
                yield islice(records, self._step)


def _mark(ended: list[bool]) -> Iterator[Any]:
    ended.append(True)
    yield from ()


def paced_for(source: str) -> type[Paced]:
    """What paces the batches that a loop reads, by the kind of its source (`loops.Source`)."""
    return {"batches": Paced, "iterable": PacedIterables, "columns": PacedColumns}[source]


class TableWeight:
    """What a table of combined values takes; looked into when it has grown, and as often as its values grow."""

    def __init__(self, table: dict[Any, Any]) -> None:
        self.table = table
        self._sampled = self._calls = 0
        self._wait = 1
        self._each = 0.0

    def __call__(self) -> int:
        n = len(self.table)
        self._calls += 1
        if n > 2 * self._sampled or n < self._sampled or self._calls >= self._wait:
            each = weight_of_table(self.table) / max(1, n)
            self._wait = 1 if each > 1.1 * self._each else min(2 * self._wait, _LONGEST_WAIT)
            self._sampled, self._calls, self._each = n, 0, each
        return int(n * self._each)

    def emptied(self) -> None:
        """The table was written out; the next values may be small again."""
        self._sampled = self._calls = 0
        self._wait, self._each = 1, 0.0


class GroupWeight:
    """What tables of values by key take; `watched` are the columns on their way into them.

    Values are in lists, `lists` for each key; 0 means that they are as soon as a key has several.
    """

    def __init__(self, *tables: dict[Any, Any], lists: int = 1) -> None:
        self.table = tables[0]
        self._tables = tables
        self._lists = lists
        self._n_records = self._sample_at = 0
        self._each_value = self._each_key = 0

    def watched(self, parts: Iterable[Columns | Groups]) -> Iterator[Columns | Groups]:
        """The same columns or groups, counted."""
        for columns in parts:
            keys, values = columns
            is_grouped = isinstance(columns, Groups)
            self._n_records += columns.n_values if isinstance(columns, Groups) else len(keys)
            if self._n_records >= self._sample_at:
                self._sample_at = self._n_records + min(self._n_records, _MOST_RECORDS)
                self._each_key = max(self._each_key, weight_each(keys))
                some = [group[0] for group in values[:: len(values) // _SAMPLES + 1]] if is_grouped else values
                self._each_value = max(self._each_value, weight_each(some))
            yield columns

    def __call__(self) -> int:
        n_keys = sum(map(len, self._tables))
        lists = self._lists or self._n_records > n_keys
        return self._n_records * self._each_value + n_keys * (_ENTRY + lists * _LIST + self._each_key)

    def emptied(self) -> None:
        """The table was written out."""
        self._n_records = self._sample_at = 0
