"""How much memory the operators of a worker may hold before they write to disk.

One `Budget` for each worker. An operator takes a `Holder`, tells it between batches what it holds, and writes out what
it has when the holder is full. What operators tell are guesses from samples; the resident size of the process, read
now and then, corrects them. Several holders share: what one has no use for the others may have, and each is left at
least a part, so that an operator below another can always go on. Cached objects give way to operators where making them
again costs less than writing out, and before the process gets too large.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Callable
from itertools import islice
from math import inf
from operator import itemgetter
from types import TracebackType
from typing import Any

from rddlite.base.config import Settings
from rddlite.base.metrics import TaskMetrics
from rddlite.base.units import show_bytes
from rddlite.executor.interrupt import write_note
from rddlite.executor.memory import resident, usable_memory
from rddlite.executor.sizing import weight
from rddlite.serde.shortrepr import short_repr
from rddlite.shuffle.spillfile import SpillFile
from rddlite.storage.disks import disks_of

_BESIDE = 4 << 20
"""Bytes that frames take on their way out and in, beside what operators hold."""
_LEAST_SHARE = 1 / 16
"""Of the limit: operators get so much however full the process was before."""
_FEW, _MANY = 16, 2000
_LOOKS = 32
_CALLS = 64
_NOISE = 8 << 20
_SPILLING = 5e-9
"""Seconds for each byte to write out what operators hold, and to read it back."""
_AT_ONCE = 4
_MOST_WRONG = 8.0
"""Guesses are not taken to be wrong by more: the memory is somebody else's then."""


class Budget:
    """What all operators of one worker may hold together, in bytes (`capacity`).

    `limit` is the most resident bytes of the process (None: what the machine has). Tasks say when they start; what the
    process holds is measured when the first operator of a task asks. `release` evicts cached objects: so many bytes, if
    they cost no more seconds per byte to make again; it answers with how much went.
    """

    def __init__(
        self,
        settings: Settings,
        limit: int | None,
        scratch: str,
        note: memoryview | None = None,
        release: Callable[[int, float], int] | None = None,
    ) -> None:
        self._note = note
        self._release = release
        self._may_release = False
        self._noted = -1
        self._has_note = False
        self._last_words = ("", "")
        self.limit = usable_memory() if limit is None else limit
        self._capacity = 0
        self._given: int | None = settings["memory.operators"]
        self._fraction: float = settings["memory.fraction"]
        self._codec: str = settings["shuffle.codec"]
        self._disks = disks_of(scratch)
        self._holders: list[Holder] = []
        self._correction = 1.0
        self._base = self._resident = self._ceiling = 0
        self._calls = self._looked_at = 0
        self._is_measured = False

    def start_task(self) -> None:
        """A task begins; its first operator will find out what the process holds already."""
        self._holders.clear()
        self._is_measured = False
        self._may_release = self._release is not None and self._given is None
        self._last_words = ("", "")
        self._noted = -1
        if self._has_note and self._note is not None:
            self._has_note = False
            write_note(self._note, "\n")

    def may_be_held_by(self, operation: str) -> None:
        """What is to be named if the process has to be ended and no operator holds anything."""
        self._leave_note(operation, "", 0)

    def _measure(self) -> None:
        now = resident(os.getpid())
        if now > self.limit // 4:
            give_back()
            now = resident(os.getpid())
        free = max(0, self.limit - now - _BESIDE)
        share = max(int(free * self._fraction), int(self.limit * _LEAST_SHARE))
        self._capacity = share if self._given is None else self._given
        self._ceiling = now + int(free * (1 + self._fraction) / 2)
        self._base = self._resident = now
        self._correction = 1.0
        self._is_measured = True

    def holder(self, operation: str, metrics: TaskMetrics) -> Holder:
        """For one operator of a task. `operation` is what a user calls it: `groupByKey at job.py:12`."""
        if not self._is_measured:
            self._measure()
        holder = Holder(self, operation, metrics)
        self._holders.append(holder)
        self._leave_note(operation, "", 0)
        return holder

    def new_run(self) -> SpillFile:
        """A file to write to.

        Raises:
            DiskFull: if there is no room for one.
        """
        return SpillFile(self._disks.next_for("spill"), self._codec)

    @property
    def capacity(self) -> int:
        """What all operators together may hold."""
        if not self._is_measured:
            self._measure()
        return self._capacity

    @property
    def held(self) -> int:
        """What all operators hold."""
        return int(self._correction * sum(holder.guess for holder in self._holders))

    def is_full_for(self, holder: Holder) -> bool:
        """Whether that operator should write out what it holds. If so, that is noted, with the largest in it."""
        is_full = self._is_full_for(holder)
        if is_full:
            self._leave_note(holder.operation, holder.story(_MANY), holder.guess)
        return is_full

    def _is_full_for(self, holder: Holder) -> bool:
        if self._holds_too_much(holder):
            return True
        self._calls += 1
        held = self.held
        if self._calls < _CALLS and held - self._looked_at < self.capacity // _LOOKS:
            return False
        self._calls, self._looked_at = 0, held
        self._look()
        grown = max(self._correction * holder.guess, self._resident - self._base)
        is_near_limit = self._resident >= self._ceiling and grown >= self.capacity * _LEAST_SHARE
        if is_near_limit and self._released(inf):
            is_near_limit = self._resident >= self._ceiling
        self._leave_note(holder.operation, holder.story(_FEW), holder.guess)
        return is_near_limit or self._holds_too_much(holder)

    def _released(self, most_cost: float) -> bool:
        """Whether cached objects have made room for operators. What a task reads just now stays, though evicted: then
        nothing more is evicted for it.
        """
        if not self._may_release or self._release is None:
            return False
        before = resident(os.getpid())
        if not self._release(self._capacity // _AT_ONCE, most_cost):
            return False
        give_back()
        self._resident = resident(os.getpid())
        gained = before - self._resident
        if gained <= _NOISE:
            self._may_release = False
            return False
        self._capacity += int(gained * self._fraction)
        self._ceiling -= int(gained * (1 - self._fraction) / 2)
        self._base -= gained
        return True

    def emptied(self, holder: Holder) -> None:
        """That operator holds nothing any more: what is free goes back to the system."""
        if holder.guess < _NOISE and self._correction * holder.guess < _NOISE:
            holder.guess = 0
            return
        holder.guess = 0
        give_back()
        self._resident = resident(os.getpid())
        self._base = self._resident - self.held
        self._calls, self._looked_at = 0, self.held

    def last_words(self) -> tuple[str, str]:
        """Which operation held most when memory ran out, and what it held."""
        if not any(self._last_words) and self._holders:
            self.ran_out(max(self._holders, key=lambda holder: holder.guess))
        return self._last_words

    def ran_out(self, holder: Holder) -> None:
        """Memory ran out while that operator was at work."""
        self._last_words = (holder.operation, "")
        with contextlib.suppress(MemoryError):
            self._last_words = (holder.operation, holder.story(_MANY))

    def handed_on(self, holder: Holder) -> None:
        """That operator hands on a group that may not fit."""
        self._leave_note(holder.operation, holder.story(0), max(self._noted, 0))

    def forget(self, holder: Holder) -> None:
        """That operator is done."""
        if holder in self._holders:
            self._holders.remove(holder)

    def _holds_too_much(self, holder: Holder) -> bool:
        """Whether it holds its share, and cached objects do not make that larger."""
        if not self._holds_its_share(holder):
            return False
        return not self._released(_SPILLING) or self._holds_its_share(holder)

    def _holds_its_share(self, holder: Holder) -> bool:
        mine = self._correction * holder.guess
        least = self.capacity / (2 * max(1, len(self._holders)))
        return mine >= max(self.capacity - (self.held - mine), least)

    def _leave_note(self, operation: str, story: str, held: int) -> None:
        """For the executor, should it have to end this process: the most that any operator of the task has held."""
        if self._note is not None and held >= self._noted:
            self._noted = held
            self._has_note = True
            write_note(self._note, f"{operation}\n{story}")

    def _look(self) -> None:
        """At the process: whether operators hold more than they think."""
        self._resident = resident(os.getpid())
        guessed = sum(holder.guess for holder in self._holders)
        grown = self._resident - self._base
        if guessed and grown > _NOISE:
            self._correction = min(max(self._correction, grown / guessed), _MOST_WRONG)


class Holder:
    """What one operator of a task holds. A context manager: leaving it gives everything back.

    `guess` is what it last told, `table` what it fills, if that is a dict. `was_full` says that memory was short for it
    at least once. Owned by the task.
    """

    __slots__ = ("_budget", "_handed_on", "_metrics", "guess", "operation", "table", "was_full")

    def __init__(self, budget: Budget, operation: str, metrics: TaskMetrics) -> None:
        self._budget = budget
        self._metrics = metrics
        self.operation = operation
        self.guess = 0
        self.table: dict[Any, Any] | None = None
        self.was_full = False
        self._handed_on: tuple[int, int, Any] | None = None

    @property
    def capacity(self) -> int:
        """What all operators together may hold."""
        return self._budget.capacity

    @property
    def is_full(self) -> bool:
        """Whether it is time to write out what is held. Asked between batches."""
        is_full = self._budget.is_full_for(self)
        self.was_full = self.was_full or is_full
        return is_full

    def hands_on(self, key: Any, n_values: int, n_bytes: int) -> None:
        """Tell of a group that was too large for memory with others, and takes so much in its file: whoever makes one
        object of it may run out of memory.
        """
        if self._handed_on is None or n_bytes > self._handed_on[0]:
            self._handed_on = (n_bytes, n_values, key)
            self._budget.handed_on(self)

    def holds(self, n_bytes: int) -> None:
        """Tell about how much is held now."""
        self.guess = n_bytes

    def emptied(self) -> None:
        """Tell that nothing is held any more."""
        self._budget.emptied(self)

    def spilled(self, n_bytes: int, n_runs: int = 1) -> None:
        """Count what was written out."""
        metrics = self._metrics
        metrics.bytes_spilled += n_bytes
        metrics.spill_runs += n_runs
        metrics.name_spill(self.operation)

    def new_run(self) -> SpillFile:
        """A file to write to; `spilled` is for its owner to tell.

        Raises:
            DiskFull: if there is no room for one.
        """
        return self._budget.new_run()

    def story(self, n: int) -> str:
        """What it holds, in words, with the largest among the first `n` things in it."""
        held = f"it held about {show_bytes(self.guess)}"
        if self._handed_on is not None:
            n_bytes, n_values, key = self._handed_on
            held = (
                f"it handed on a group of {n_values:,} values, of the key {short_repr(key)}, that take "
                f"{show_bytes(n_bytes)} in their file: iterate over them rather than make a list or a sorted one"
            )
        if not self.table:
            return held
        size, key = max(((weight(value), key) for key, value in islice(self.table.items(), n)), key=itemgetter(0))
        return f"{held}, of which the key {short_repr(key)} has about {show_bytes(size)}"

    def close(self) -> None:
        """The operator is done; harmless when called again."""
        self.table = None
        self._budget.forget(self)

    def __enter__(self) -> Holder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if isinstance(error, MemoryError):
            self._budget.ran_out(self)
        self.close()


def give_back() -> None:
    """Return freed memory to the system, where the C library can."""
    if _trim is not None:
        _trim(0)


def _find_trim() -> Any:
    return getattr(ctypes.CDLL(None), "malloc_trim", None)


_trim = _find_trim()
