"""The broadcast values of one worker process: found or fetched as files, mapped, unpickled once, kept for a while.

A file is, in this order: the driver's own, where its scratch directory is provably on this host; what this executor
has; what it downloads. Values are kept by id, those used last, up to a number and an amount, until they are forgotten.
May be used by several threads.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict, deque
from contextlib import suppress
from typing import Any, Protocol

from rddlite.base.ids import BroadcastId
from rddlite.base.log import logger
from rddlite.errors import BroadcastUnavailable, CorruptBlock
from rddlite.shared.pieces import BroadcastSpec, file_of, gone
from rddlite.shared.stored import MakeRoom, read_value

_MOST_VALUES = 64
_log = logger("shared")


class Way(Protocol):
    """Gets files of broadcasts to this executor (`shared.download.Downloader`)."""

    def obtain(self, spec: BroadcastSpec) -> str:
        """The path of the file, which is complete."""
        ...

    def rest(self) -> None:
        """Nothing more is wanted for now."""
        ...


class BroadcastStore:
    """See the header. `home` is the driver's scratch directory, if it is on this host; `way` leads to the files where
    it is not; `most_bytes` is what values may take together, by the size of their files.
    """

    def __init__(self, home: str | None, way: Way | None, most_bytes: int, make_room: MakeRoom) -> None:
        self._home = home
        self._way = way
        self._most_bytes = most_bytes
        self._make_room = make_room
        self._lock = threading.RLock()
        self._values: OrderedDict[BroadcastId, tuple[int, Any]] = OrderedDict()
        self._forgotten: deque[BroadcastId] = deque()

    def value(self, spec: BroadcastSpec) -> Any:
        """The value, the same object each time until it is forgotten.

        Raises:
            BroadcastDestroyed, BroadcastUnavailable, CorruptBlock: if it cannot be had.
        """
        with self._lock:
            self._drop_forgotten()
            found = self._values.get(spec.id)
            if found is None:
                found = spec.size, self._read(spec)
                self._keep(spec.id, found)
            else:
                self._values.move_to_end(spec.id)
            return found[1]

    def forget(self, broadcast: BroadcastId) -> None:
        """Nobody needs it any more; tasks that have it in hand keep it. Never waits: a value may be being made."""
        self._forgotten.append(broadcast)
        if self._lock.acquire(blocking=False):
            try:
                self._drop_forgotten()
            finally:
                self._lock.release()

    def task_ended(self) -> None:
        """Keep values, but nothing that costs others anything."""
        if self._way is not None:
            self._way.rest()

    def _drop_forgotten(self) -> None:
        while self._forgotten:
            self._values.pop(self._forgotten.popleft(), None)

    def _read(self, spec: BroadcastSpec) -> Any:
        if self._home is not None:
            try:
                return read_value(file_of(self._home, spec.id), spec.size, self._make_room)
            except FileNotFoundError:
                raise gone(spec) from None
        if self._way is None:
            raise BroadcastUnavailable(
                f"broadcast {spec.id} cannot be read here: neither the driver's files nor its block server can be "
                "reached from this executor"
            )
        while True:
            path = self._way.obtain(spec)
            try:
                return read_value(path, spec.size, self._make_room)
            except FileNotFoundError:
                continue  # removed at this very moment; whether it may be fetched again, the driver knows
            except CorruptBlock as error:
                _log.warning("fetched again: %s", error)
                with suppress(FileNotFoundError):
                    os.unlink(path)

    def _keep(self, broadcast: BroadcastId, found: tuple[int, Any]) -> None:
        self._values[broadcast] = found
        while len(self._values) > 1 and (
            len(self._values) > _MOST_VALUES or sum(size for size, _ in self._values.values()) > self._most_bytes
        ):
            self._values.popitem(last=False)
