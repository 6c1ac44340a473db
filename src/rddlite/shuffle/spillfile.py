"""Runs: what a task writes to disk because memory is short, and reads back itself.

A `SpillFile` has lost its name before the first byte is written, so nothing of it is left however its process ends. It
is appended to, and read from any place, as often as one likes, also between appends. It goes when it is closed or when
nobody refers to it any more: a group that is handed out as a view keeps its file for as long as the view lives.
"""

from __future__ import annotations

import errno
import itertools
import os
import weakref
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from rddlite.errors import CorruptBlock
from rddlite.serde.compress import Buffer
from rddlite.serde.records import Frame, decode_frame, encode_pairs, encode_records, frame_size
from rddlite.shuffle.output import OutputFile

_numbers = itertools.count()


class Span(NamedTuple):
    """Where a frame is in its file, and how many records it has."""

    offset: int
    length: int
    n_records: int


class SpillFile:
    """A nameless file of frames in `directory`. Owned by one task, whose threads take turns.

    Raises (every method that writes):
        DiskFull: if there is no space left. Nothing is left behind then.
    """

    def __init__(self, directory: str, codec: str = "none") -> None:
        self._codec = codec
        self._path = os.path.join(directory, f"{os.getpid()}-{next(_numbers)}.run")
        self._file = OutputFile(self._path, anonymous=True)
        self._is_flushed = True
        self._finalizer = weakref.finalize(self, self._file.close)

    @property
    def length(self) -> int:
        """Bytes so far."""
        return self._file.length

    @property
    def fd(self) -> int:
        """The open file, with everything in it that was appended."""
        self._flush()
        return self._file.fd

    def append(self, frame: Sequence[Buffer], n_records: int) -> Span:
        """Add an encoded frame of so many records."""
        span = Span(self._file.length, frame_size(frame), n_records)
        self._is_flushed = False
        try:
            self._file.append(frame, span.length)
        except OSError:
            self.close()
            raise
        return span

    def add_pairs(self, keys: list[Any], values: list[Any]) -> Span:
        """Add a frame of two columns.

        Raises:
            NotPicklable: naming the record and what in it cannot be pickled.
        """
        return self.append(encode_pairs(keys, values, self._codec), len(keys))

    def add_records(self, records: list[Any]) -> Span:
        """Add a frame of any records.

        Raises:
            NotPicklable: as `add_pairs`.
        """
        return self.append(encode_records(records, self._codec), len(records))

    def read(self, span: Span) -> Frame:
        """A frame, in memory of its own.

        Raises:
            OSError: if it cannot be read back as it was written; another attempt of the task may be luckier.
        """
        data = bytearray(span.length)
        left = memoryview(data)
        fd = self.fd
        while left:
            n = os.preadv(fd, [left], span.offset + span.length - len(left))
            if n == 0:
                raise OSError(errno.EIO, f"a run ended {len(left)} bytes early", self._path)
            left = left[n:]
        try:
            return decode_frame(data)[0]
        except CorruptBlock as error:
            raise OSError(errno.EIO, f"a run was read back damaged: {error}", self._path) from error

    def frames(self, spans: Iterable[Span]) -> Iterator[Frame]:
        """The frames at these places, each read when it is asked for."""
        return map(self.read, spans)

    def close(self) -> None:
        """Give up the file; harmless when called again."""
        self._finalizer()

    def _flush(self) -> None:
        if not self._is_flushed:
            try:
                self._file.flush()
            except OSError:
                self.close()
                raise
            self._is_flushed = True
