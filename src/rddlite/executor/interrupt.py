"""How a running task is stopped: an exception in the worker's main thread, for exactly one attempt.

Theory: the executor writes the attempt's id into a word of memory that it shares with the worker (the *kill cell*),
then has the zygote send a signal. The signal itself means nothing but "look at the cell": the handler raises only if
the cell names the attempt that runs now. Attempt ids are never used twice, so a signal that comes late, twice or while
another task runs finds nothing to do. A signal that comes before the task has started is not lost either, because a
task looks at the cell when it starts.

SIGUSR1 rather than SIGINT: user code and libraries (asyncio.run among them) put their own handlers on SIGINT and treat
KeyboardInterrupt in ways of their own; and a system call that C code is blocked in returns early just the same.
"""

from __future__ import annotations

import mmap
import os
import signal
from collections.abc import Callable, Sequence
from types import CodeType, FrameType
from typing import TypeVar

T = TypeVar("T")
KILL_SIGNAL = signal.SIGUSR1
_NOTHING = -1
RECORDS = 1
"""Which word of a cell counts records."""
_NOTE_SIZE = 256
_NOTE = slice(2, 2 + _NOTE_SIZE // 8)
READS = _NOTE.stop
"""Which word of a cell counts how often the executor has begun to read from the worker's output pipes."""
_CELL_SIZE = 8 * (READS + 1)


class TaskKilled(BaseException):
    """Raised inside a running task when it is to stop. Not an `Exception`: ordinary handlers let it pass."""


class KillCell:
    """Memory shared by an executor and a worker: the attempt to be stopped, how many records the attempt that runs has
    read so far, and a note of what it is doing, for the case that it has to be ended.
    """

    def __init__(self, fd: int) -> None:
        self._map = mmap.mmap(fd, _CELL_SIZE)
        self.word = memoryview(self._map).cast("q")
        """A sequence of numbers, so that the handler reads its own without a call."""

    def name(self, attempt: int) -> None:
        """Name the attempt that is to stop; to be followed by the signal."""
        self.word[0] = attempt

    @property
    def records(self) -> int:
        """How many records were read."""
        return self.word[RECORDS]

    @property
    def note(self) -> str:
        """What the worker wrote last; it may be writing this very moment."""
        return bytes(self.word[_NOTE]).rstrip(b"\0").decode(errors="replace")

    def count_read(self) -> None:
        """Tell the worker that its output is read from."""
        self.word[READS] += 1

    def close(self) -> None:
        """Give the memory back."""
        self.word.release()
        self._map.close()


def write_note(word: memoryview, text: str) -> None:
    """Leave a note in a cell, or as much of it as there is room for."""
    word[_NOTE] = memoryview(text.encode(errors="replace")[:_NOTE_SIZE].ljust(_NOTE_SIZE, b"\0")).cast("q")


def create_cell() -> tuple[KillCell, int]:
    """A new cell, and the descriptor by which a worker gets it (the caller closes it)."""
    fd = os.memfd_create("rddlite-kill-cell", os.MFD_CLOEXEC)
    os.ftruncate(fd, _CELL_SIZE)
    cell = KillCell(fd)
    cell.name(_NOTHING)
    return cell, fd


class Interruption:
    """The worker's side. `install` and `run` are called by the main thread, which is where handlers run."""

    def __init__(self, cell: KillCell, spared: Sequence[CodeType] = ()) -> None:
        """`spared` is other code that is never left half-way: whoever calls it has to `check` afterwards."""
        self._word = cell.word
        self._attempt = _NOTHING
        self._spared = frozenset((*_SPARED, *spared))

    def install(self) -> None:
        """Take the signal over."""
        signal.signal(KILL_SIGNAL, self._on_signal)

    def check(self) -> None:
        """Stop now if that was asked for while it could not be."""
        if self._word[0] == self._attempt:
            raise TaskKilled

    def run(self, attempt: int, work: Callable[[], T]) -> T:
        """`work()`, which may be stopped by `TaskKilled` until it returns, and not a moment longer.

        The handler spares this very frame, so nothing can come between the end of the work and the line that says so.
        """
        self._attempt = attempt
        try:
            return self._work(work)
        finally:
            self._attempt = _NOTHING

    def _work(self, work: Callable[[], T]) -> T:
        if self._word[0] == self._attempt:
            raise TaskKilled  # the signal came before the task
        return work()

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        is_meant = self._attempt != _NOTHING and self._word[0] == self._attempt
        if is_meant and frame is not None and frame.f_code not in self._spared:
            raise TaskKilled


_SPARED = (Interruption.run.__code__, Interruption._on_signal.__code__)
