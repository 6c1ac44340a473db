"""The broadcasts that an executor holds, whole or in pieces, as files below its scratch directory.

Written by the one worker that downloads (`shared/download.py`), read by every worker and by the block server of the
executor, which hands pieces to peers; the files themselves are all that they share. `remove` may come at any time.
"""

from __future__ import annotations

import contextlib
import os

from rddlite.base.ids import BroadcastId
from rddlite.net.transfer import ByteRange
from rddlite.shared.pieces import HAVE, LOCK, PART, count_pieces, file_of, piece_span

_HERE = b"\x01"


def find_piece(scratch: str, broadcast: BroadcastId, piece: int) -> ByteRange:
    """Where a piece is that is here.

    Raises:
        FileNotFoundError: if it is not here (yet, or any more).
    """
    path = file_of(scratch, broadcast)
    try:
        size = os.path.getsize(path)
    except FileNotFoundError:
        path += PART
        size = os.path.getsize(path)
        if not 0 <= piece < count_pieces(size) or not _is_marked(file_of(scratch, broadcast) + HAVE, piece):
            raise FileNotFoundError(f"piece {piece} of broadcast {broadcast} has not come here yet") from None
    try:
        return ByteRange(path, *piece_span(size, piece), 0)
    except IndexError as error:
        raise FileNotFoundError(str(error)) from error


def remove_broadcast(scratch: str, broadcast: BroadcastId) -> None:
    """Delete what is here of a broadcast. Those who have it mapped keep it until they let go."""
    path = file_of(scratch, broadcast)
    for suffix in ("", PART, HAVE, LOCK):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path + suffix)


class Partial:
    """A file that is being downloaded. Used by the worker that holds its lock, and only while it does."""

    def __init__(self, scratch: str, broadcast: BroadcastId, size: int) -> None:
        self._path = file_of(scratch, broadcast)
        self._size = size
        self._data = os.open(self._path + PART, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._marks = os.open(self._path + HAVE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.ftruncate(self._data, size)
        os.ftruncate(self._marks, count_pieces(size))

    @property
    def have(self) -> list[bool]:
        """Which pieces are here: also those that another worker got before it died."""
        return [mark == 1 for mark in os.pread(self._marks, count_pieces(self._size), 0)]

    def write(self, piece: int, offset: int, data: memoryview) -> None:
        """Put bytes of a piece where they belong, from `offset` of the piece on."""
        start = piece_span(self._size, piece)[0] + offset
        while data:
            done = os.pwrite(self._data, data, start)
            start, data = start + done, data[done:]

    def mark(self, piece: int) -> None:
        """The piece is complete and right: from now on others may have it."""
        os.pwrite(self._marks, _HERE, piece)

    def publish(self) -> None:
        """Everything is here: the file gets its name."""
        os.rename(self._path + PART, self._path)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path + HAVE)

    def close(self) -> None:
        """Give the descriptors back; what has come stays."""
        os.close(self._data)
        os.close(self._marks)


def adopt_file(scratch: str, broadcast: BroadcastId, theirs: str) -> bool:
    """Take a complete file of another executor of this host by a hard link; False where that cannot be."""
    try:
        os.link(file_of(theirs, broadcast), file_of(scratch, broadcast))
    except FileExistsError:
        return True
    except OSError:  # gone, or on another file system
        return False
    return True


def _is_marked(path: str, piece: int) -> bool:
    with open(path, "rb", buffering=0) as marks:
        marks.seek(piece)
        return marks.read(1) == _HERE
