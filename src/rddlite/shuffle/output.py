"""Writing files of map outputs and runs: pieces gathered into few large writes, files joined inside the kernel.

`OutputFile` is one file written from start to end. `publish` gives data and index their names. A full disk becomes
`DiskFull`; removing what was begun is up to the caller, who knows when an attempt is over. Called by `sections`, and by
`spillfile` for what needs no name.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from contextlib import suppress

from rddlite.base.faults import fault_point
from rddlite.base.ids import ShuffleData
from rddlite.base.log import logger
from rddlite.errors import DiskFull
from rddlite.serde.compress import Buffer
from rddlite.shuffle import spares
from rddlite.shuffle.format import BucketIndex, data_path, index_path, temporary_path
from rddlite.storage.disks import disks_of
from rddlite.storage.localdirs import ELSEWHERE

_log = logger("worker")
_GATHERED = 1 << 20
_MANY_PIECES = os.sysconf("SC_IOV_MAX")
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_NO_UNNAMED_FILES = frozenset({errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT})
_CANNOT_COPY = frozenset({errno.ENOSYS, errno.EXDEV, errno.EINVAL, errno.EOPNOTSUPP, errno.EPERM, errno.EBADF})


class OutputFile:
    """A new file at `path`; with `anonymous` it has no name any more, and is gone when it is closed. If it is `unnamed`
    it has none yet, where the file system can do that, until `move_to` gives it one. With `over` it is there already,
    and written over.

    Raises (every method that writes):
        DiskFull: if there is no space left.
    """

    def __init__(self, path: str, *, anonymous: bool = False, unnamed: bool = False, over: bool = False) -> None:
        self.path = path
        self.length = 0
        self._is_old = over
        self._gathered: list[Buffer] = []
        self._gathered_bytes = 0
        try:
            fd = _open_unnamed(os.path.dirname(path)) if unnamed and not over else None
            self._has_name = fd is None
            flags = os.O_RDWR | os.O_CLOEXEC if over else os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC
            self.fd = os.open(path, flags, 0o600) if fd is None else fd
        except OSError as error:
            raise _explained(error, path) from error
        if anonymous:
            os.unlink(path)

    def append(self, pieces: Sequence[Buffer], size: int) -> None:
        """Add pieces that are `size` bytes together. They must not change before the next `flush`."""
        self._gathered += pieces
        self._gathered_bytes += size
        self.length += size
        if self._gathered_bytes >= _GATHERED:
            self.flush()

    def flush(self) -> None:
        """Write what was gathered."""
        pieces, self._gathered, self._gathered_bytes = self._gathered, [], 0
        try:
            for start in range(0, len(pieces), _MANY_PIECES):
                self._write_all(pieces[start : start + _MANY_PIECES])
        except OSError as error:
            raise _explained(error, self.path) from error

    def copy(self, source: int, offset: int, length: int) -> None:
        """Add a range of another open file."""
        self.flush()
        self.length += length
        try:
            self._copy_range(source, offset, length)
        except OSError as error:
            raise _explained(error, self.path) from error

    def move_to(self, path: str) -> None:
        """Close it, complete; it is at `path` from now on, or there is a link to it on another disk. If that disk is
        gone meanwhile, what is in the file is copied.
        """
        self.flush()
        if self._is_old:
            os.ftruncate(self.fd, self.length)
        place = os.path.join(os.path.dirname(self.path), os.path.basename(path))
        if place == path:
            self._named(place)
        else:
            try:
                self._named(place)
                os.symlink(place, path)
            except OSError as error:
                _log.warning("%s cannot be had any more, and is copied to %s: %s", place, path, error)
                self._copy_to(path)
        self.close()

    def _named(self, place: str) -> None:
        if not self._has_name:
            # With a directory's descriptor, which an absolute path needs not, Python follows the link in /proc.
            os.link(f"/proc/self/fd/{self.fd}", self.path, src_dir_fd=self.fd, follow_symlinks=True)
            self._has_name = True
        os.rename(self.path, place)

    def _copy_to(self, path: str) -> None:
        copy = OutputFile(path)
        try:
            copy.copy(self.fd, 0, self.length)
        finally:
            copy.close()

    def remove(self) -> None:
        """Close it; it is of no use any more."""
        self.close()
        if self._has_name:
            os.unlink(self.path)

    def _write_all(self, pieces: list[Buffer]) -> None:
        left = sum(memoryview(piece).nbytes for piece in pieces)
        while True:
            try:
                written = os.writev(self.fd, pieces)
            except OSError as error:
                self._make_room(error)
                continue
            left -= written
            if not left:
                return
            pieces = _after(pieces, written)

    def _copy_range(self, source: int, offset: int, length: int) -> None:
        """Append a range, without bringing it into this process where possible."""
        start = os.lseek(self.fd, 0, os.SEEK_CUR)
        while True:
            copied = os.lseek(self.fd, 0, os.SEEK_CUR) - start
            try:
                return _append_range(source, offset + copied, self.fd, length - copied)
            except OSError as error:
                self._make_room(error)

    def _make_room(self, error: OSError) -> None:
        """Have it tried again if the disk is full of files that are only kept to be written over."""
        if error.errno not in _FULL or not spares.make_room(self.path):
            raise error

    def close(self) -> None:
        """Give up the file descriptor; what was not flushed is dropped, and so is a file without a name."""
        if self.fd >= 0:
            fd, self.fd = self.fd, -1
            self._gathered = []
            os.close(fd)


def publish(data: OutputFile, path: str, index: BucketIndex, scratch: str, block: ShuffleData) -> None:
    """Give the data file its name and then its index, so that an index proves its data.

    Raises:
        DiskFull: if there is no space left.
    """
    temporary = OutputFile(temporary_path(scratch, block, "index"))
    try:
        content = index.to_bytes()
        temporary.append([content], len(content))
        temporary.flush()
        data.move_to(path)
        fault_point("map.commit")
        temporary.move_to(index_path(scratch, block))
    finally:
        temporary.close()


def discard(scratch: str, block: ShuffleData) -> None:
    """Delete the unfinished files of an attempt, and a data file that did not get its index."""
    names = [temporary_path(scratch, block, part) for part in ("data", "whole", "index")]
    if not os.path.exists(index_path(scratch, block)):
        names.append(data_path(scratch, block))
    for place in disks_of(scratch).places:
        for name in names:
            with suppress(FileNotFoundError if place == scratch else OSError):  # another disk may have failed
                os.unlink(place + name[len(scratch) :])


def _open_unnamed(directory: str) -> int | None:
    try:
        return os.open(directory, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if error.errno in _NO_UNNAMED_FILES:
            return None
        raise


def _after(pieces: list[Buffer], written: int) -> list[Buffer]:
    """What is left of `pieces` when the first `written` bytes are gone."""
    for i, piece in enumerate(pieces):
        view = memoryview(piece).cast("B")
        if written < view.nbytes:
            return [view[written:], *pieces[i + 1 :]]
        written -= view.nbytes
    return []


def _append_range(source: int, offset: int, target: int, length: int) -> None:
    copied = _kernel_copy(source, offset, target, length)
    while copied < length:
        sent = os.sendfile(target, source, offset + copied, length - copied)
        if sent == 0:
            raise OSError(errno.EIO, f"a run file ended {length - copied} bytes early")
        copied += sent


def _kernel_copy(source: int, offset: int, target: int, length: int) -> int:
    """How much of the range `copy_file_range` copied: not every file system has it."""
    copied = 0
    while copied < length:
        try:
            count = os.copy_file_range(source, target, length - copied, offset_src=offset + copied)
        except OSError as error:
            if error.errno in _CANNOT_COPY:
                return copied
            raise
        if count == 0:
            return copied
        copied += count
    return copied


def _explained(error: OSError, path: str) -> OSError:
    if error.errno not in _FULL:
        return error
    return DiskFull(
        error.errno,
        f"no space left for map outputs and what tasks write for lack of memory: free some, or {ELSEWHERE}",
        path,
    )
