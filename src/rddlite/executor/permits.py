"""Permits to begin tasks that were sent ahead: who takes one from the pipe first has it, the worker or the executor.

Theory: a worker that still runs a task may be sent the next ones, so that it need not wait for its executor between
them. Until it begins with one, it must be possible to take that back: to stop it, or because another worker is free.
So a task sent ahead may only be begun with its permit, a number in a pipe of which *both* processes hold the end that
is read. Reading is what decides, and the kernel lets one of them have it. The worker takes a permit after it has
reported every task before, so whoever finds none left can read of the end of all that came earlier.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence

_ID = struct.Struct("<q")
_SIZE = _ID.size
_PIPE_SIZE = 4096


class Permits:
    """The executor's side; `read_fd` is for the worker too."""

    def __init__(self) -> None:
        self.read_fd, self._write_fd = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._is_next_unsure = False
        self._newest_taken_back = -1

    def are_needed_for(self, attempt: int) -> bool:
        """Whether this attempt needs a permit even if no other is before it. To be asked once for each that is sent.

        A worker that comes upon tasks that were taken back reads the permit of the one after them, which must be the
        next to begin. What was taken back and is sent again may begin where it was sent first; then the worker comes
        upon it once more, and the same is true of the one after that.
        """
        is_needed = self._is_next_unsure
        self._is_next_unsure = attempt <= self._newest_taken_back
        return is_needed

    def give(self, attempts: Sequence[int]) -> None:
        """Allow these to begin, in this order; few enough for a pipe."""
        os.write(self._write_fd, struct.pack(f"<{len(attempts)}q", *attempts))

    def take_back(self) -> list[int]:
        """The attempts that were allowed to begin, did not, and now must not."""
        try:
            found = os.read(self.read_fd, _PIPE_SIZE)
        except BlockingIOError:
            return []
        whole = len(found) - len(found) % _SIZE  # user code may have read from anything
        attempts = [attempt for (attempt,) in _ID.iter_unpack(found[:whole])]
        if attempts:
            self._is_next_unsure = True
            self._newest_taken_back = max(self._newest_taken_back, *attempts)
        return attempts

    def close(self) -> None:
        """Close both ends."""
        os.close(self.read_fd)
        os.close(self._write_fd)


class PermitReader:
    """The worker's side."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._held: int | None = None

    def take(self, attempt: int) -> bool:
        """Whether this attempt may begin. To be asked once for each, in the order in which they were sent.

        A permit for another one is for the next that is to begin, after some that were taken back: it is kept.
        """
        if self._held is None:
            try:
                found = os.read(self._fd, _SIZE)
            except BlockingIOError:
                return False
            if len(found) < _SIZE:
                return False
            (self._held,) = _ID.unpack(found)
        if self._held != attempt:
            return False
        self._held = None
        return True
