"""Frames of cached records: in memory outside Python's heap, or in a file. Written once, read any number of times.

Every reading maps the frames anew and makes new records: arrays live in the mapping, copied only where somebody writes
to them, so a reader neither copies an array nor can change what others read.
"""

from __future__ import annotations

import errno
import itertools
import mmap
import os
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, ClassVar

from rddlite.serde.compress import Buffer
from rddlite.serde.records import HEADER_SIZE, Frame, encode_records, frame_size, iter_frames
from rddlite.storage.localdirs import disk_errors

_MANY_PIECES = os.sysconf("SC_IOV_MAX")
_COPIED_AT_ONCE = 1 << 20
_numbers = itertools.count()


class FrameWriter:
    """Appends batches to a new memory file or, with a `path`, to a file that gets this name when it is complete."""

    def __init__(self, path: str | None = None) -> None:
        self._path = path
        self.size = 0
        self.has_buffers = False
        if path is None:
            self._temporary = "memory"
            self._fd = os.memfd_create("rddlite-cached", os.MFD_CLOEXEC)
        else:
            self._temporary = f"{path}.{os.getpid()}-{next(_numbers)}.tmp"
            with disk_errors(self._temporary):
                self._fd = os.open(self._temporary, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
        self._close = weakref.finalize(self, _abandon, self._fd, None if path is None else self._temporary)

    def add(self, batch: list[Any]) -> None:
        """Pickle a batch.

        Raises:
            NotPicklable: naming the record and what in it cannot be pickled.
            DiskFull: if there is no space left.
        """
        pieces = encode_records(batch)
        # Only where there are buffers their table follows the header.
        self.has_buffers = self.has_buffers or memoryview(pieces[0]).nbytes > HEADER_SIZE
        with disk_errors(self._temporary):
            _write_all(self._fd, pieces)
        self.size += frame_size(pieces)

    def __enter__(self) -> FrameWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.abandon()

    def add_bytes(self, data: Buffer) -> None:
        """Append a piece of frames that somebody else wrote.

        Raises:
            DiskFull: if there is no space left.
        """
        with disk_errors(self._temporary):
            _write_all(self._fd, [data])
        self.size += memoryview(data).nbytes
        self.has_buffers = True

    def copy(self, other: FrameWriter) -> None:
        """Append what another one has written so far.

        Raises:
            DiskFull: if there is no space left.
        """
        with disk_errors(self._temporary):
            done = 0
            while done < other.size:
                done += os.sendfile(self._fd, other._fd, done, other.size - done)
        self.size += other.size
        self.has_buffers = self.has_buffers or other.has_buffers

    def finish(self) -> Frames:
        """What was written, to be read from now on.

        Raises:
            FileNotFoundError: if somebody has removed the unfinished file, because nobody wants it any more.
        """
        self._close.detach()
        if self._path is None:
            return Frames(f"/proc/self/fd/{self._fd}", self.size, has_buffers=self.has_buffers, fd=self._fd)
        os.close(self._fd)
        os.rename(self._temporary, self._path)
        return Frames(self._path, self.size, has_buffers=True)

    def abandon(self) -> None:
        """Nothing of it is left; harmless after `finish`."""
        self._close()


class Frames:
    """Complete frames. Those in memory go with this object; a file is its owner's to remove."""

    shift_limit: ClassVar[Callable[[int], None] | None] = None
    """Told how many bytes are mapped to be written to, and when they are not any more (negative): the system counts
    them as allocated, though nothing of them is until it is changed.
    """

    def __init__(self, path: str, size: int, *, has_buffers: bool, fd: int = -1, inode: int = 0) -> None:
        self.path = path
        self.inode = inode if fd < 0 else os.fstat(fd).st_ino
        self.size = size
        self.fd = fd
        self._has_buffers = has_buffers
        if fd >= 0:
            weakref.finalize(self, os.close, fd)

    @property
    def has_buffers(self) -> bool:
        """Whether arrays may live in a mapping of it."""
        return self._has_buffers

    @classmethod
    def at(cls, path: str, inode: int = 0) -> Frames:
        """Those in a file, which must be this one where that is said: a path through /proc may lead elsewhere later.

        Raises:
            OSError: if there is none that can be read.
        """
        found = os.stat(path)
        if inode not in (0, found.st_ino):
            raise FileNotFoundError(errno.ENOENT, "another file has taken its place", path)
        return cls(path, found.st_size, has_buffers=True, inode=inode)

    def copied_to(self, path: str) -> Frames:
        """The same frames in a file of this name.

        Raises:
            DiskFull, OSError: and nothing is left then.
        """
        with FrameWriter(path) as writer:
            with open(self.path, "rb") as file:
                while data := file.read(_COPIED_AT_ONCE):
                    writer.add_bytes(data)
            return writer.finish()

    @property
    def is_sound(self) -> bool:
        """Whether all of it is as it was written."""
        has_buffers = False
        try:
            for frame in self._frames(mmap.ACCESS_READ):
                has_buffers = has_buffers or frame.has_buffers
        except (OSError, ValueError):
            return False
        self._has_buffers = has_buffers
        return True

    def batches(self) -> Iterator[list[Any]]:
        """The records, made anew, in the batches in which they were written.

        Raises:
            OSError: at once, if the frames cannot be mapped, or are not there any more.
            CorruptBlock: when a damaged frame is reached.
        """
        # A mapping that can be written to counts as memory of this process: only where arrays are to live in it.
        frames = self._frames(mmap.ACCESS_COPY if self._has_buffers else mmap.ACCESS_READ)
        return (frame.records() for frame in frames)

    def _frames(self, access: int) -> Iterator[Frame]:
        if not self.size:
            return iter(())
        shift = Frames.shift_limit if access == mmap.ACCESS_COPY else None
        fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            if self.inode not in (0, os.fstat(fd).st_ino):
                raise FileNotFoundError(errno.ENOENT, "another file has taken its place", self.path)
            if shift is not None:
                shift(self.size)
            try:
                mapped = mmap.mmap(fd, self.size, access=access)
            except BaseException:
                if shift is not None:
                    shift(-self.size)
                raise
        finally:
            os.close(fd)
        if shift is not None:
            weakref.finalize(mapped, shift, -self.size).atexit = False
        return iter_frames(memoryview(mapped))


def _write_all(fd: int, pieces: Sequence[Buffer]) -> None:
    for start in range(0, len(pieces), _MANY_PIECES):
        views = [memoryview(piece).cast("B") for piece in pieces[start : start + _MANY_PIECES]]
        while views:
            written = os.writev(fd, views)
            while views and written >= views[0].nbytes:
                written -= views.pop(0).nbytes
            if views:
                views[0] = views[0][written:]


def _abandon(fd: int, path: str | None) -> None:
    os.close(fd)
    if path is not None:
        with suppress(FileNotFoundError):  # whoever dropped the cache removed what was unfinished
            os.unlink(path)
