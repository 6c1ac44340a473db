"""The files of one map output: where they are, what the index says, how sizes travel.

`<scratch>/shuffle/<block>.data` holds frames (`serde/records.py`) in one section or several, each with the buckets one
after another by reduce partition; `<block>.index` says where each bucket starts in each section and how many records it
has. Data gets its name before the index does: an index that is there proves that its data is complete. Every file of an
attempt starts with its block's name and a dot, and every file of a shuffle with `shuffle-<id>-`, so that what is left
behind can be removed by prefix. Nothing here looks into frames. Used by `writer`, by `reader`, and by executors.

Index: header, all offsets section by section, all record counts, CRC-32 of what precedes; little-endian.
"""

from __future__ import annotations

import os
import struct
import sys
import zlib
from array import array
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import accumulate
from operator import add, sub

from rddlite.base.ids import ShuffleData, ShuffleId
from rddlite.base.sizes import encode_size
from rddlite.errors import CorruptBlock
from rddlite.storage.disks import disks_of

_MAGIC = b"RDSX"
_VERSION = 2
_HEADER = struct.Struct("<4sHHQQQ")  # magic, version, parts of a bucket, buckets, sections, data length
_CHECKSUM = struct.Struct("<I")
_ENTRY = 8
_UNFINISHED = ".tmp"


def shuffle_dir(scratch: str) -> str:
    """Where an executor's map outputs are."""
    return os.path.join(scratch, "shuffle")


def data_path(scratch: str, block: ShuffleData) -> str:
    """The file of all buckets."""
    return f"{scratch}/shuffle/{block}.data"


def index_path(scratch: str, block: ShuffleData) -> str:
    """The file that says where each bucket is."""
    return f"{scratch}/shuffle/{block}.index"


def temporary_path(scratch: str, block: ShuffleData, part: str) -> str:
    """A name for an unfinished file; attempts never share one, because an attempt id is never used twice."""
    return f"{scratch}/shuffle/{block}.{part}{_UNFINISHED}"


LARGEST_READ = 32 << 20
"""Readers map frames that are larger, and read all others. The C library keeps memory blocks of this size to be used
again: faults on the pages of a mapping cost more.
"""
_BUCKET_BITS = 32
_BUCKET_MASK = (1 << _BUCKET_BITS) - 1


def number_of(bucket: int, part: int | None) -> int:
    """By what number a bucket, or one part of it, is asked for across hosts."""
    return bucket if part is None else (part + 1) << _BUCKET_BITS | bucket


def bucket_and_part(number: int) -> tuple[int, int | None]:
    """The bucket that a number means, and the part of it unless all is meant."""
    part = number >> _BUCKET_BITS
    return number & _BUCKET_MASK, part - 1 if part else None


Extent = tuple[int, int]
"""Where some bytes of a file start, and how many they are."""


@dataclass(frozen=True, slots=True)
class BucketIndex:
    """Where the buckets of one data file are, each in `n_parts` parts: `offsets` has an entry for each part of each
    bucket of each section, and the end; `counts` one for each part of each bucket.
    """

    offsets: array[int]
    counts: array[int]
    n_parts: int = 1

    @classmethod
    def of(cls, lengths: Sequence[int], counts: Sequence[int], n_parts: int = 1) -> BucketIndex:
        """The index of parts of these lengths (bytes), section by section, and record counts."""
        return cls(array("Q", accumulate(lengths, initial=0)), array("Q", counts), n_parts)

    @property
    def n_buckets(self) -> int:
        """How many buckets there are."""
        return len(self.counts) // self.n_parts

    @property
    def n_sections(self) -> int:
        """How many sections there are."""
        return (len(self.offsets) - 1) // max(1, len(self.counts))

    @property
    def data_length(self) -> int:
        """Bytes of the data file."""
        return self.offsets[-1]

    def length(self, bucket: int, part: int | None = None) -> int:
        """Bytes of a bucket, or of one part of it."""
        return sum(length for _, length in self.extents(bucket, part))

    def count(self, bucket: int, part: int | None = None) -> int:
        """Records of a bucket, or of one part of it."""
        first, behind = self._parts(bucket, part)
        return sum(self.counts[first:behind])

    def extents(self, bucket: int, part: int | None = None) -> list[Extent]:
        """Where a bucket is, or one part of it, in order; what is not apart in the file is one extent."""
        found: list[Extent] = []
        end = -1
        first, behind = self._parts(bucket, part)
        for section in range(0, len(self.offsets) - 1, len(self.counts)):
            start = self.offsets[section + first]
            length = self.offsets[section + behind] - start
            if not length:
                continue
            if start == end:
                found[-1] = (found[-1][0], found[-1][1] + length)
            else:
                found.append((start, length))
            end = start + length
        return found

    def outline(self) -> Outline:
        """What of it has to be known of an output whose buckets somebody else looks up."""
        n, n_parts = len(self.counts), self.n_parts
        lengths = array("Q", bytes(_ENTRY * self.n_buckets))
        for section in range(0, len(self.offsets) - 1, max(1, n)):
            bounds = self.offsets[section : section + n + 1 : n_parts]
            lengths = array("Q", map(add, lengths, map(sub, bounds[1:], bounds)))
        return Outline(n_parts, lengths)

    def _parts(self, bucket: int, part: int | None) -> Extent:
        if part is None:
            return bucket * self.n_parts, (bucket + 1) * self.n_parts
        return bucket * self.n_parts + part, bucket * self.n_parts + part + 1

    def sizes(self) -> bytes:
        """The log-scaled size of every bucket, one byte each."""
        return bytes([encode_size(self.length(i)) for i in range(self.n_buckets)])

    def to_bytes(self) -> bytes:
        """The content of the index file."""
        head = _HEADER.pack(_MAGIC, _VERSION, self.n_parts, self.n_buckets, self.n_sections, self.data_length)
        body = head + _little_endian(self.offsets[:-1]).tobytes() + _little_endian(self.counts).tobytes()
        return body + _CHECKSUM.pack(zlib.crc32(body))


@dataclass(frozen=True, slots=True)
class Outline:
    """In how many parts each bucket of an output is, and how many bytes each bucket has."""

    n_parts: int
    lengths: array[int]


def read_index(path: str) -> BucketIndex:
    """The index in that file.

    Raises:
        OSError: if it cannot be read.
        CorruptBlock: if it is damaged, cut short or of another version.
    """
    with open(path, "rb", buffering=0) as file:
        content = file.read()
    return parse_index(content, path)


def parse_index(content: bytes, path: str) -> BucketIndex:
    """The index that an index file with this content holds; `path` is for the error only.

    Raises:
        CorruptBlock: as `read_index`.
    """
    if len(content) < _HEADER.size + _CHECKSUM.size:
        raise CorruptBlock(f"{path}: the index is cut short ({len(content)} bytes)")
    body = memoryview(content)[: -_CHECKSUM.size]
    if _CHECKSUM.unpack(content[-_CHECKSUM.size :])[0] != zlib.crc32(body):
        raise CorruptBlock(f"{path}: the index does not match its checksum")
    magic, version, n_parts, n_buckets, n_sections, data_length = _HEADER.unpack_from(content)
    if magic != _MAGIC or version != _VERSION:
        raise CorruptBlock(f"{path}: no index of this version ({magic!r}, {version})")
    n = n_buckets * n_parts
    middle = _HEADER.size + n_sections * n * _ENTRY
    if len(body) != middle + n * _ENTRY or not n_parts:
        raise CorruptBlock(f"{path}: the index of {n} parts in {n_sections} sections has {len(content)} bytes")
    offsets = _from_little_endian(body[_HEADER.size : middle])
    offsets.append(data_length)
    return BucketIndex(offsets, _from_little_endian(body[middle:]), n_parts)


def _little_endian(entries: array[int]) -> array[int]:
    if sys.byteorder == "big":
        entries = entries[:]
        entries.byteswap()
    return entries


def _from_little_endian(raw: memoryview) -> array[int]:
    entries = array("Q")
    entries.frombytes(raw)
    return _little_endian(entries)


def has_name(fd: int, path: str) -> bool:
    """Whether this open file is still at `path`. If so, nobody has written over what was read from it before: a data
    file that may be is renamed first.
    """
    return os.path.samestat(os.stat(path), os.fstat(fd))


def remove_attempt(scratch: str, block: ShuffleData) -> None:
    """Delete every file of a map attempt, finished or not. Nothing happens where there is none."""
    _remove_by_prefix(scratch, f"{block}.")


def remove_unfinished(scratch: str, attempts: Collection[int]) -> None:
    """Delete the files that these attempts were writing when their processes were killed."""
    for place in disks_of(scratch).places:
        with suppress(OSError), os.scandir(shuffle_dir(place)) as entries:
            for entry in entries:
                block, _, part = entry.name.partition(".")
                attempt = block.rpartition("-")[2]
                if part.endswith(_UNFINISHED) and attempt.isdecimal() and int(attempt) in attempts:
                    with suppress(OSError):
                        os.unlink(entry.path)


def remove_shuffle(scratch: str, shuffle: ShuffleId) -> None:
    """Delete every file of a shuffle. Nothing happens where there is none."""
    _remove_by_prefix(scratch, f"shuffle-{shuffle}-")


def _remove_by_prefix(scratch: str, prefix: str) -> None:
    for place in disks_of(scratch).places:
        missing = FileNotFoundError if place == scratch else OSError  # another disk may have failed
        with suppress(missing), os.scandir(shuffle_dir(place)) as entries:
            for entry in entries:
                if entry.name.startswith(prefix):
                    with suppress(missing):
                        os.unlink(entry.path)
