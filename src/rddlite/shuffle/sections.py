"""The data file of a map output while it is written: frames by bucket, one section after another.

Frames are kept in memory until `flush` writes them as a section, and the last section is written at commit: each byte
once. Where sections would be so many, or buckets so small, that readers had to gather crumbs, the buckets are put
together at commit, copied inside the kernel. Until it has its index a new file has no name where the file system can do
that, so that nothing of it is left however its process ends; what is left of others, which are written over a spare,
goes with the executor's next heartbeat (`format.remove_unfinished`). Called by `writer`.
"""

from __future__ import annotations

import errno
import os
from array import array
from collections.abc import Iterator, Sequence

from rddlite.base.ids import ShuffleData
from rddlite.errors import CorruptBlock
from rddlite.serde.compress import Buffer
from rddlite.serde.records import Frame, iter_frames
from rddlite.shuffle import spares
from rddlite.shuffle.format import BucketIndex, data_path, temporary_path
from rddlite.shuffle.output import OutputFile, publish
from rddlite.storage.disks import disks_of

_LEAST_EXTENT = 16 << 10
"""Where a bucket has less than this in each section, on average, buckets are put together."""


class Sections:
    """The frames of one map output, by bucket and part. Owned by its writer. `place` is bucket * `n_parts` + part.

    Raises (every method that writes):
        DiskFull: if there is no space left.
    """

    def __init__(self, scratch: str, block: ShuffleData, n_buckets: int, n_parts: int = 1) -> None:
        self._scratch = scratch
        self._block = block
        self._n_parts = n_parts
        self._frames: list[list[Buffer]] = [[] for _ in range(n_buckets * n_parts)]
        self._sizes = [0] * (n_buckets * n_parts)
        self._file: OutputFile | None = None
        self._lengths = array("Q")
        self.held = 0
        """Bytes of frames in memory."""

    @property
    def written(self) -> int:
        """Bytes in the file."""
        return 0 if self._file is None else self._file.length

    @property
    def n_written(self) -> int:
        """Sections in the file."""
        return len(self._lengths) // len(self._sizes)

    def add(self, place: int, frame: Sequence[Buffer], size: int) -> None:
        """Take a frame of `size` bytes; it must not change until it was written."""
        self._frames[place] += frame
        self._sizes[place] += size
        self.held += size

    def flush(self) -> None:
        """Write what is in memory as a section."""
        if self._file is None:
            self._file = self._new_file("data")
        for frames, size in zip(self._frames, self._sizes, strict=True):
            self._file.append(frames, size)
            frames.clear()
        self._file.flush()
        self._lengths.extend(self._sizes)
        self._sizes = [0] * len(self._sizes)
        self.held = 0

    def commit(self, counts: Sequence[int]) -> BucketIndex:
        """Write everything and publish it, with its index."""
        if self.held or self._file is None:
            self.flush()
        if self.n_written > 1 and self.written < _LEAST_EXTENT * len(self._lengths):
            self._put_together()
        assert self._file is not None
        index = BucketIndex.of(self._lengths, counts, self._n_parts)
        publish(self._file, data_path(self._scratch, self._block), index, self._scratch, self._block)
        return index

    def frames(self) -> Iterator[Frame]:
        """All of it, to be written in another way: frames of the same place in order.

        Raises:
            OSError: if it cannot be read back as it was written; another attempt of the task may be luckier.
        """
        start = 0
        for length in self._lengths:
            yield from self._read(start, length)
            start += length
        for frames in self._frames:
            region = bytearray().join(frames)
            frames.clear()
            yield from iter_frames(region)

    def remove(self) -> None:
        """It is of no use any more."""
        if self._file is not None:
            self._file.remove()
        self._frames = []

    def close(self) -> None:
        """Nothing more is written; harmless when called again."""
        if self._file is not None:
            self._file.close()
        self._frames = []

    def _read(self, start: int, length: int) -> Iterator[Frame]:
        assert self._file is not None
        region = bytearray(length)
        left = memoryview(region)
        while left:
            n = os.preadv(self._file.fd, [left], start + length - len(left))
            if n == 0:
                raise OSError(errno.EIO, f"a map output ended {len(left)} bytes early", self._file.path)
            left = left[n:]
        try:
            yield from iter_frames(region)
        except CorruptBlock as error:
            raise OSError(errno.EIO, f"a map output was read back damaged: {error}", self._file.path) from error

    def _put_together(self) -> None:
        apart, lengths, n = self._file, self._lengths, len(self._sizes)
        assert apart is not None
        starts = BucketIndex.of(lengths, self._sizes).offsets
        self._file = self._new_file("whole")
        self._lengths = array("Q")
        try:
            for i in range(n):
                before = self._file.length
                for at in range(i, len(lengths), n):
                    self._file.copy(apart.fd, starts[at], lengths[at])
                self._lengths.append(self._file.length - before)
        finally:
            apart.remove()

    def _new_file(self, part: str) -> OutputFile:
        name = os.path.basename(temporary_path(self._scratch, self._block, part))
        directory = disks_of(self._scratch).next_for("shuffle")
        path = os.path.join(directory, name)
        is_spare = self.held >= spares.LEAST and spares.take(directory, path)
        return OutputFile(path, unnamed=True, over=is_spare)
