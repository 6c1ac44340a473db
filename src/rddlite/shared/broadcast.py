"""The handle of a broadcast: the value itself on the driver, its name in functions, and its way to it in tasks.

What travels is a `BroadcastSpec` only. On the driver an *owner* (the part of the driver that keeps the file) is told
when nobody needs the value any more; in a task a *store* (of the worker) has it.
"""

from __future__ import annotations

import os
import weakref
from typing import IO, Any, Generic, Protocol, TypeVar

from rddlite.base.ids import BroadcastId
from rddlite.errors import BroadcastDestroyed, DriverOnly
from rddlite.serde.closures import dumps, loads
from rddlite.shared.current import current_task
from rddlite.shared.pieces import BroadcastSpec
from rddlite.shared.store import BroadcastStore

T = TypeVar("T")
_NOTHING: Any = object()


class Owner(Protocol):
    """Keeps the files of broadcasts on the driver."""

    def unpersist(self, broadcast: BroadcastId, blocking: bool) -> None:
        """Have executors delete what they have of it."""
        ...

    def destroy(self, broadcast: BroadcastId, blocking: bool) -> None:
        """Delete it everywhere."""
        ...

    def dropped(self, broadcast: BroadcastId) -> None:
        """The program has no handle any more. Called by the garbage collector, in any thread."""
        ...

    def check_usable(self) -> None:
        """Refuse if the context was stopped."""
        ...


class Broadcast(Generic[T]):
    """A value that every task can read, sent to each host once. Made by `Context.broadcast`.

    Functions that use it carry its name only. A worker has the value when a task first asks for it: made anew from
    the pickled one and kept for later tasks. It is that of the moment of `broadcast`: what the program changes in it
    afterwards, tasks do not see, nor does the program see what tasks change.

    Where the program drops it, it is removed everywhere, as by `destroy`.

    >>> capitals = sc.broadcast({"it": "Rome", "fr": "Paris"})
    >>> sc.parallelize(["fr", "it"]).map(lambda code: capitals.value[code]).collect()
    ['Paris', 'Rome']
    """

    __slots__ = ("__weakref__", "_owner", "_pid", "_spec", "_store", "_value")

    def __init__(self, spec: BroadcastSpec, value: T, owner: Owner) -> None:
        self._spec = spec
        self._value = value
        self._owner: Owner | None = owner
        self._store: BroadcastStore | None = None
        self._pid = os.getpid()
        _on_driver[spec.id] = self
        weakref.finalize(self, owner.dropped, spec.id).atexit = False

    @property
    def id(self) -> int:
        """Its number, unique among those of this process.

        >>> isinstance(sc.broadcast(1).id, int)
        True
        """
        return self._spec.id

    @property
    def value(self) -> T:
        """The value: on the driver the very object that was broadcast, in tasks a copy that those of one worker share.

        Raises:
            BroadcastDestroyed: after `destroy`.
            BroadcastUnavailable: if nobody who has it can be reached from here.

        >>> sc.broadcast([1, 2]).value
        [1, 2]
        """
        if self._value is _NOTHING:
            self._value = self._fetched()
            self.__class__ = _Read
        return self._value

    def unpersist(self, blocking: bool = False) -> None:
        """Have workers and executors drop it; it can still be used, and is then sent again.

        Args:
            blocking: wait until executors have been told.

        >>> table = sc.broadcast([10, 20])
        >>> table.unpersist()
        >>> sc.range(2).map(lambda i: table.value[i]).collect()
        [10, 20]
        """
        self._owner_for("unpersist").unpersist(self._spec.id, blocking)

    def destroy(self, blocking: bool = False) -> None:
        """Remove it everywhere, here as well: it cannot be used any more.

        Args:
            blocking: wait until executors have been told.

        >>> table = sc.broadcast([10, 20])
        >>> table.destroy()
        >>> table.value
        Traceback (most recent call last):
        ...
        rddlite.errors.BroadcastDestroyed: broadcast ... was destroyed: make a new one with sc.broadcast(value)
        """
        owner = self._owner_for("destroy")
        self._owner, self._value = None, _NOTHING
        owner.destroy(self._spec.id, blocking)

    @staticmethod
    def dump(value: Any, f: IO[bytes]) -> None:
        """Pickle a value into an open file.

        >>> import io
        >>> file = io.BytesIO(); Broadcast.dump([1, 2], file); _ = file.seek(0)
        >>> Broadcast.load(file)
        [1, 2]
        """
        f.write(dumps(value))

    @staticmethod
    def load(file: IO[bytes]) -> Any:
        """What `dump` put into an open file. Unpickling can run any code: know who wrote it.

        >>> import io, pickle; Broadcast.load(io.BytesIO(pickle.dumps("a")))
        'a'
        """
        return loads(file.read())

    @staticmethod
    def load_from_path(path: str) -> Any:
        """What `dump` put into the file at this path. Unpickling can run any code: know who wrote it.

        >>> import pickle, tempfile
        >>> with tempfile.NamedTemporaryFile() as file:
        ...     _ = file.write(pickle.dumps("a")), file.flush()
        ...     Broadcast.load_from_path(file.name)
        'a'
        """
        with open(path, "rb") as file:
            return Broadcast.load(file)

    def _fetched(self) -> T:
        store = self._store
        if store is None:
            raise self._destroyed()
        value: T = store.value(self._spec)
        return value

    def _owner_for(self, method: str) -> Owner:
        if self._store is not None or current_task.get() is not None:
            raise DriverOnly(f"broadcast {self.id}: {method}() can be called on the driver only, not in a task")
        if self._owner is None:
            raise self._destroyed()
        return self._owner

    def _destroyed(self) -> BroadcastDestroyed:
        return BroadcastDestroyed(f"broadcast {self.id} was destroyed: make a new one with sc.broadcast(value)")

    def __reduce__(self) -> Any:
        if self._store is None:
            if self._owner is None:
                raise self._destroyed()
            self._owner.check_usable()
        return _elsewhere, (self._spec.id, self._spec.size, self._spec.checksums)

    def __repr__(self) -> str:
        return f"<Broadcast {self.id}>"


class _Read(Broadcast[Any]):
    """What a handle in a task becomes when its value is there: reading it once more is reading a slot, not a call."""

    __slots__ = ()
    value = Broadcast.__dict__["_value"]

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"{name!r} of a broadcast cannot be set: what tasks return is what the program gets")


_on_driver: weakref.WeakValueDictionary[BroadcastId, Broadcast[Any]] = weakref.WeakValueDictionary()


def _elsewhere(broadcast: BroadcastId, size: int, checksums: bytes) -> Broadcast[Any]:
    """What a pickled handle becomes: one that reads from the worker's store in a task, itself where it was made."""
    task = current_task.get()
    if task is None:
        original = _on_driver.get(broadcast)
        if original is not None:
            return original
    copy: Broadcast[Any] = Broadcast.__new__(Broadcast)
    copy._spec = BroadcastSpec(broadcast, size, checksums)
    copy._value, copy._owner = _NOTHING, None
    copy._store = task.broadcasts if task is not None else None
    return copy
