"""The hottest keys of a shuffle as plain data: what a map task tells of them, and what that comes to for a stage.

Keys are short texts here, made where the keys are; numbers of records are estimates.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, NamedTuple

_LONGEST_KEY = 100
_MOST_KEYS = 256
_KEPT_KEYS = 64


class HotKey(NamedTuple):
    """A key that many records of a shuffle have: how it looks, about how many records, and which share that is."""

    key: str
    records: int
    share: float

    def __str__(self) -> str:
        return f"{self.key} {self.share:.0%}"


def pack_hot(partitions: int, keys: Iterable[tuple[str, int]]) -> str:
    """What a map task tells: the hottest keys of its output for so many partitions; nothing where no key is hot."""
    rows = [[key[:_LONGEST_KEY], count] for key, count in keys]
    return json.dumps([partitions, rows]) if rows else ""


class HotKeys:
    """The hottest keys of all map tasks of a stage, in bounded memory. Fed by one thread; may be asked by any."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._partitions = 0

    def add(self, packed: str) -> None:
        """What one more task tells; what cannot be read is no news."""
        try:
            partitions, rows = json.loads(packed)
            found = {_text(key): _count(count) for key, count in rows}
            self._partitions = _count(partitions)
        except (ValueError, TypeError, RecursionError):
            return
        counts = dict(self._counts)
        for key, count in found.items():
            counts[key] = counts.get(key, 0) + count
        if len(counts) > _MOST_KEYS:
            counts = dict(_by_count(counts)[:_KEPT_KEYS])
        self._counts = counts

    def hottest(self, records: int, n: int = 5) -> tuple[HotKey, ...]:
        """The hottest ones of a shuffle of so many records, those first that have most."""
        found = _by_count(self._counts)[:n]
        return tuple(HotKey(key, count, min(1.0, count / records)) for key, count in found) if records else ()

    def is_skewed(self, records: int) -> bool:
        """Whether the hottest key makes its partition at least twice as large as they are on average."""
        share = max(self._counts.values(), default=0) / max(1, records)
        return share * self._partitions + 1 - min(1.0, share) >= 2


def _by_count(counts: dict[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def _text(value: Any) -> str:
    if type(value) is not str:
        raise TypeError
    return value[:_LONGEST_KEY]


def _count(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 1 << 63:
        raise ValueError
    return value
