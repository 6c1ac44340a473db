"""The mark of a node whose partitions are to be kept: under which number, and where."""

from __future__ import annotations

import itertools
from typing import Any

from rddlite.base.ids import CacheId
from rddlite.storage.level import StorageLevel

_numbers = itertools.count()


class Cached:
    """How the partitions of a node are kept. Compares by identity: persisting again makes a new one.

    `live` asks for the very objects whatever they are. `must_stay` says that nothing could compute them again, because
    the lineage is (to be) cut: they are written to disk at once, whatever the level.
    """

    __slots__ = ("__weakref__", "id", "level", "live", "must_stay")

    def __init__(
        self, level: StorageLevel, *, live: bool = False, must_stay: bool = False, cache_id: CacheId | None = None
    ) -> None:
        self.id = CacheId(next(_numbers)) if cache_id is None else cache_id
        self.level = level
        self.live = live
        self.must_stay = must_stay

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuilt, (self.id, self.level, self.live, self.must_stay))


def _rebuilt(cache_id: CacheId, level: StorageLevel, live: bool, must_stay: bool) -> Cached:
    return Cached(level, live=live, must_stay=must_stay, cache_id=cache_id)
