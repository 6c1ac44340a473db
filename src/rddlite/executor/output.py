"""What workers write to stdout and stderr: read from pipes, cut into lines, marked with their task, limited in rate.

A worker flushes before it reports, and the executor drains the pipes before it handles the report, so marks are exact.
What exceeds `output.rateLimit` is read all the same (a task never waits for a terminal), counted and dropped; but what
a process said at the end of its life always passes. Owned by the executor's loop.
"""

from __future__ import annotations

import fcntl
import os
import struct
import termios
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from rddlite.net.messages import OutputLine, WorkerOutput

_READ = 1 << 16
_LONGEST_LINE = 1 << 14
_TAIL = 1 << 13
_LAST_WORDS = 1 << 16
_WITHHELD = 100
_LINES_PER_MESSAGE = 2_000
_CHARACTERS_PER_MESSAGE = 4 << 20
_CHARACTERS_KEPT = 16 << 20
_INT = struct.Struct("i")


@dataclass(frozen=True, slots=True)
class Mark:
    """Which attempt wrote a line; -1 everywhere between tasks."""

    attempt: int
    stage: int
    partition: int


NO_TASK = Mark(-1, -1, -1)


class LineCutter:
    """Bytes to lines of bounded length. Bytes that are no UTF-8 are shown escaped."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[str]:
        """The lines that are complete now, without their ends."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            yield from _pieces(line)
        while len(self._rest) > _LONGEST_LINE:
            yield _text(self._rest[:_LONGEST_LINE])
            self._rest = self._rest[_LONGEST_LINE:]

    def finish(self) -> Iterator[str]:
        """What is left of a line that was not ended."""
        rest, self._rest = self._rest, b""
        if rest:
            yield from _pieces(rest)


def _pieces(line: bytes) -> Iterator[str]:
    for start in range(0, max(len(line), 1), _LONGEST_LINE):
        yield _text(line[start : start + _LONGEST_LINE])


def _text(line: bytes) -> str:
    return line.removesuffix(b"\r").decode("utf-8", "backslashreplace")


class OutputLog:
    """Lines on their way to the driver, of all workers of this executor: a bucket that fills at the allowed rate."""

    def __init__(self, rate_limit: int) -> None:
        self._rate = rate_limit
        self._allowance = float(rate_limit)
        self._filled_at: float | None = None
        self._lines: deque[OutputLine] = deque()
        self._kept = 0
        self._dropped = 0

    def limit(self, rate: int) -> None:
        """Allow this many bytes a second from now on (and as many at once)."""
        self._rate = rate
        self._allowance = min(self._allowance, float(rate))

    def add(self, mark: Mark, stream: str, text: str, now: float, *, always: bool = False) -> bool:
        """Take a line, or count it as dropped: False. With `always` it is taken whatever the rate."""
        size = len(text) + 1
        if self._filled_at is not None:
            self._allowance = min(float(self._rate), self._allowance + (now - self._filled_at) * self._rate)
        self._filled_at = now
        # A line is taken while there is any allowance, so that one longer than the bucket is not lost for ever.
        if self._kept > _CHARACTERS_KEPT or not (always or self._allowance > 0):
            self._dropped += size
            return False
        self._allowance -= size
        self._kept += size
        self._lines.append(OutputLine(mark.attempt, mark.stage, mark.partition, stream, text))
        return True

    def not_dropped(self, text: str) -> None:
        """A line that was counted as dropped is added after all."""
        self._dropped = max(0, self._dropped - len(text) - 1)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to tell."""
        return not self._lines and not self._dropped

    def take(self, executor: str) -> WorkerOutput:
        """The next message to the driver."""
        lines: list[OutputLine] = []
        size = 0
        while self._lines and len(lines) < _LINES_PER_MESSAGE and size < _CHARACTERS_PER_MESSAGE:
            line = self._lines.popleft()
            lines.append(line)
            size += len(line.text) + 1
        self._kept -= size
        dropped, self._dropped = self._dropped, 0
        return WorkerOutput(executor, lines, dropped)


class OutputPipe:
    """One of the two streams of one worker."""

    def __init__(self, fd: int, stream: str, log: OutputLog) -> None:
        os.set_blocking(fd, False)
        self._fd = fd
        self._stream = stream
        self._log = log
        self._cutter = LineCutter()
        self._tail = b""
        self._withheld: deque[str] = deque(maxlen=_WITHHELD)

    def fileno(self) -> int:
        """The descriptor to wait for."""
        return self._fd

    def read(self) -> bytes | None:
        """What is there, up to a limit, to be given to `take` when it is known who wrote it; None if there is nothing,
        empty at the end of the stream.
        """
        try:
            return os.read(self._fd, _READ)
        except BlockingIOError:
            return None

    def drain(self, mark: Mark, now: float) -> None:
        """Take everything that was written up to now, and end its last line: the task that wrote it has ended."""
        waiting: int = _INT.unpack(fcntl.ioctl(self._fd, termios.FIONREAD, b"\0\0\0\0"))[0]
        while waiting > 0:
            data = os.read(self._fd, min(waiting, _READ))
            self.take(data, mark, now)
            waiting -= len(data)
        self._add_all(self._cutter.finish(), mark, now)

    def last_words(self, mark: Mark, now: float) -> None:
        """Take what a process left that is gone now. Of this nothing is dropped, unless it is very long."""
        data = b""
        while len(data) < _LAST_WORDS:
            try:
                more = os.read(self._fd, _READ)
            except BlockingIOError:
                break
            if not more:
                break
            data += more
        # Its end may have been told after its last lines had come, and some of these been withheld.
        for line in self._withheld:
            self._log.not_dropped(line)
            self._log.add(mark, self._stream, line, now, always=True)
        self.take(data, mark, now, always=True)
        self._add_all(self._cutter.finish(), mark, now, always=True)

    def tail(self) -> str:
        """The end of what was written lately."""
        return self._tail.decode("utf-8", "backslashreplace")

    def begin_task(self) -> None:
        """Forget what was written: another task begins."""
        self._tail = b""
        self._withheld.clear()

    def close(self) -> None:
        """Close this end."""
        os.close(self._fd)

    def take(self, data: bytes, mark: Mark, now: float, *, always: bool = False) -> None:
        """Cut this into lines, written by the task of this mark."""
        self._tail = (self._tail + data)[-_TAIL:]
        self._add_all(self._cutter.feed(data), mark, now, always=always)

    def _add_all(self, lines: Iterable[str], mark: Mark, now: float, *, always: bool = False) -> None:
        for line in lines:
            if self._log.add(mark, self._stream, line, now, always=always):
                self._withheld.clear()
            else:
                self._withheld.append(line)
