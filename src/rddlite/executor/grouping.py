"""Grouping in map tasks, as long as keys repeat: a key is placed, written and found once for many records then.

The first records are kept as they are until it shows whether their keys repeat. If they do, records are grouped in a
table; if not, a list for each key would cost more than it saves, and the partition is handed on as it is. So is the
rest of it where keys stop to repeat. A table that outgrows its memory is handed on, and another begun. Values of a key
are handed on in the order in which they came.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from rddlite.executor.blame import Piece
from rddlite.executor.budget import Holder
from rddlite.executor.combining import combining
from rddlite.executor.fuse import flow, functions
from rddlite.executor.gather import flattened
from rddlite.executor.loops import Shape, loop_of
from rddlite.executor.pacing import Groups, TableWeight, paced_for
from rddlite.executor.sizing import weight_each
from rddlite.lineage.aggregator import GROUP
from rddlite.lineage.graph import Batch
from rddlite.lineage.ops import Op

EARLY, LATE = 1 << 14, 1 << 17
"""Records after which it is looked whether keys repeat. A cycle of keys shows only at its end, hence the second one."""
_MOST_NEW_EARLY, _MOST_NEW_LATE, _MOST_NEW = 63 / 64, 7 / 8, 2 / 5
"""The share of keys among records up to which it goes on: then, then, and at each doubling of that."""

_VALUES_AT_ONCE = 8192
_BYTES_AT_ONCE = 1 << 20
_LARGE = 64
_SAMPLES = 16
_SEEN_KEY = 64

Table = dict[Any, list[Any]]


def grouped(
    ops: Sequence[Op], batches: Iterator[Batch], index: int, holder: Holder, consumer: Any = GROUP
) -> Iterator[Groups | Batch]:
    """The pairs that a partition has after `ops`: in groups while keys repeat, then as they are.

    `consumer` is what errors name. No piece has many more than some thousand values, or large ones. Lists belong to a
    table: they are to be used before the next piece is asked for.

    Raises:
        TypeError, ValueError: for a record that is no pair.
        UnhashableKey: for a key without a hash.
    """
    with holder:
        yield from _Grouping(ops, batches, index, holder, consumer).run()


class _Grouping:
    """That of one map task. `kept` are records that are not in the table yet."""

    def __init__(self, ops: Sequence[Op], batches: Iterator[Batch], index: int, holder: Holder, consumer: Any) -> None:
        parts, self.source, self.piece, self.tokens = flow(ops, batches, index).last(consumer)
        self.called = functions(self.piece, self.tokens)
        self.table: Table = {}
        self.kept: list[Batch] = []
        self.weight = _Weight(self.table, self.kept)
        self.paced = paced_for(self.source)(parts, holder, self.weight)

    def run(self) -> Iterator[Groups | Batch]:
        if self._starts_to_repeat():
            yield from self._in_tables()
        yield from self.kept
        self.kept.clear()
        self.paced.emptied()
        if not self.paced.is_done:
            yield from self._emitted(self.paced.rest())

    def _starts_to_repeat(self) -> bool:
        paced, seen, n_records = self.paced, set[Any](), 0
        for pause_at, most_new in ((EARLY, _MOST_NEW_EARLY), (LATE, _MOST_NEW_LATE)):
            paced.pause_at = pause_at
            for batch in self._emitted(paced):
                self.kept.append(batch)
                n_records += len(batch)
                try:
                    seen.update([key for key, _ in batch])
                except (TypeError, ValueError):
                    return True  # the loop that fills the table says better what is wrong
            if len(seen) <= most_new * n_records:
                return True
            if paced.is_full or paced.is_done:
                break
        return False

    def _emitted(self, parts: Iterable[Any]) -> Iterator[Batch]:
        if not self.tokens and self.source == "batches":
            return iter(parts)
        loop = loop_of(Shape("emit", self.source, self.tokens))
        emitted: Iterator[Batch] = loop(parts, self.piece, *self.called)
        return emitted

    def _in_tables(self) -> Iterator[Groups | Batch]:
        """Until all is done, or keys repeat no longer."""
        table, paced, (how, _) = self.table, self.paced, combining(GROUP, merge_combined=False)
        loop_of(Shape("combine", "batches", (), None, how))(self.kept, Piece(consumer=self.piece.consumer), table=table)
        self.kept.clear()
        fill = loop_of(Shape("combine", self.source, self.tokens, None, how))
        repeats, is_done = True, False
        while repeats and not is_done:
            paced.pause_at = 2 * max(LATE, paced.n_records)
            fill(paced, self.piece, *self.called, table=table)
            repeats, is_done = len(table) <= _MOST_NEW * sum(map(len, table.values())), paced.is_done
            if paced.is_full or is_done or not repeats:
                yield from _groups_of(table) if repeats else _pairs_of(table)
                paced.emptied()


class _Weight(TableWeight):
    """What a table takes, and batches beside it."""

    def __init__(self, table: Table, kept: list[Batch]) -> None:
        super().__init__(table)
        self._kept = kept

    def __call__(self) -> int:
        n_kept = sum(map(len, self._kept))
        return super().__call__() + (n_kept * (_SEEN_KEY + weight_each(self._kept[-1])) if n_kept else 0)


def _pairs_of(table: Table) -> Iterator[Batch]:
    for keys, values in flattened(table, table.values()):
        yield list(zip(keys, values, strict=True))
    table.clear()


def _groups_of(table: Table) -> Iterator[Groups]:
    """The groups of a table, large ones cut."""
    n_values = sum(map(len, table.values()))
    if not n_values:
        return
    average = n_values / len(table)
    each = weight_each([values[0] for values in islice(table.values(), _SAMPLES)])
    at_once = max(1, min(_VALUES_AT_ONCE, _BYTES_AT_ONCE // each))
    most = max(1, min(at_once, max(_LARGE, int(_SAMPLES * average))))
    large = [key for key, values in table.items() if len(values) > most]
    parts = Groups([], [])
    for key in large:
        values = table.pop(key)
        for start in range(0, len(values), most):
            parts.keys.append(key)
            parts.groups.append(values[start : start + most])
            if len(parts.keys) * most >= at_once:
                yield parts
                parts = Groups([], [])
    if parts.keys:
        yield parts
    step = max(1, int(at_once / average))
    keys, groups = iter(table), iter(table.values())
    while some := list(islice(keys, step)):
        yield Groups(some, list(islice(groups, step)))
    table.clear()
