"""The data file of a map output while it is written: frames by bucket, one section after another.

Frames are kept in memory until `flush` writes them as a section, and the last section is written at commit: each byte
once. Where sections would be so many, or buckets so small, that readers had to gather crumbs, the buckets are put
together at commit, copied inside the kernel. Until it has its index the file has no name where the file system can do
that, so that nothing of it is left however its process ends. Called by `writer`.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence

from rddlite.base.ids import ShuffleData
from rddlite.serde.compress import Buffer
from rddlite.shuffle.format import BucketIndex, data_path, temporary_path
from rddlite.shuffle.output import OutputFile, publish

_LEAST_EXTENT = 64 << 10
"""Where a bucket has less than this in each section, on average, buckets are put together."""


class Sections:
    """The frames of one map output. Owned by its writer.

    Raises (every method that writes):
        DiskFull: if there is no space left.
    """

    def __init__(self, scratch: str, block: ShuffleData, n_buckets: int) -> None:
        self._scratch = scratch
        self._block = block
        self._frames: list[list[Buffer]] = [[] for _ in range(n_buckets)]
        self._sizes = [0] * n_buckets
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

    def add(self, bucket: int, frame: Sequence[Buffer], size: int) -> None:
        """Take a frame of `size` bytes; it must not change until it was written."""
        self._frames[bucket] += frame
        self._sizes[bucket] += size
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
        index = BucketIndex.of(self._lengths, counts)
        publish(self._file, data_path(self._scratch, self._block), index, self._scratch, self._block)
        return index

    def close(self) -> None:
        """Nothing more is written; harmless when called again."""
        if self._file is not None:
            self._file.close()
        self._frames = []

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
        return OutputFile(temporary_path(self._scratch, self._block, part), unnamed=True)
