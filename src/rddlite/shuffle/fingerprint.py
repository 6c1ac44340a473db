"""Fingerprints of map outputs: whether a map task that ran again gave the same records as before.

Pickles prove nothing, because equal records may be pickled differently. What counts is how many records each bucket
has and a sum over the hashes of their keys, which no order changes; values are not looked at. One more hash per record
would cost a tenth of all writing, so whole hashes are summed in small outputs only. In larger ones that is summed which
placing gives away: the hash modulo a few times the number of buckets (`marks`); where keys are placed without a hash,
those of every eighth bucket are hashed. Records placed by position (repartition) are where they are because of what
precedes them: there it is the frames that count, in their order. Called by `writer`.
"""

from __future__ import annotations

import struct
import zlib
from array import array
from collections.abc import Sequence
from hashlib import blake2b
from itertools import chain, repeat
from operator import mul
from typing import Any

from rddlite.lineage.partitioner import HashPartitioner, Partitioner
from rddlite.serde.compress import Buffer
from rddlite.serde.hashing import stable_hashes
from rddlite.serde.records import HEADER_SIZE

SIZE = 8
"""Bytes of a fingerprint."""
SMALL = 8192
"""Outputs of at most so many records have the whole hashes of all their keys summed."""

_CHEAP_MARKS = 256
"""Python has integers up to this one ready made: larger marks would cost three times as much."""
_SAMPLED = 8
_MASK = (1 << 64) - 1


def n_marks_of(partitioner: Partitioner) -> int:
    """A multiple of the number of buckets modulo which hashes are taken; 0 where keys are not placed by hash."""
    n = partitioner.n
    return n * max(1, _CHEAP_MARKS // n) if isinstance(partitioner, HashPartitioner) else 0


class Fingerprint:
    """Grows with the output of one map task. Owned by its writer.

    Records are to be marked by their hash modulo `n_marks`, a multiple of the number of buckets; it is 0 where the
    partitioner knows no hash.
    """

    def __init__(self, partitioner: Partitioner, map_index: int) -> None:
        n = partitioner.n
        self.n_marks = n_marks_of(partitioner)
        self._map_index = map_index
        self._samples = not partitioner.positional and not self.n_marks
        self._n_keys = 0
        self._marks = 0
        self._sampled = 0
        self._whole: int | None = None if partitioner.positional else 0
        self._chains = [0] * n if partitioner.positional else None

    def took(self, keys: list[Any], counts: Sequence[int] | None = None) -> None:
        """Records with these keys came; with `counts`, so many of each."""
        if self._whole is None:
            return
        self._n_keys += len(keys) if counts is None else sum(counts)
        self._whole = self._whole + _sum_of_hashes(_each(keys, counts)) if self._n_keys <= SMALL else None

    def marked(self, marks: Sequence[int], counts: Sequence[int] | None = None) -> None:
        """Records with these marks came; with `counts`, so many of each."""
        self._marks += sum(marks if counts is None else map(mul, marks, counts))

    def samples(self, bucket: int) -> bool:
        """Whether `sampled` is to be told of the keys in this bucket."""
        return self._samples and (bucket + self._map_index) % _SAMPLED == 0

    def sampled(self, keys: list[Any], counts: Sequence[int] | None = None) -> None:
        """Records with these keys are in a bucket that is looked at; with `counts`, so many of each."""
        self._sampled += _sum_of_hashes(_each(keys, counts))

    def framed(self, bucket: int, frame: Sequence[Buffer]) -> None:
        """The next frame of a bucket is made: its header has a checksum of all that follows."""
        if self._chains is not None:
            self._chains[bucket] = zlib.crc32(memoryview(frame[0])[:HEADER_SIZE], self._chains[bucket])

    def digest(self, counts: Sequence[int]) -> bytes:
        """The fingerprint of everything; `counts` tells how many records each bucket has."""
        whole = self._whole or 0
        sums = struct.pack("<QQQ", self._marks & _MASK, self._sampled & _MASK, whole & _MASK)
        parts = array("Q", counts).tobytes() + array("I", self._chains or ()).tobytes() + sums
        return blake2b(parts, digest_size=SIZE).digest()


def _each(keys: list[Any], counts: Sequence[int] | None) -> list[Any]:
    return keys if counts is None else list(chain.from_iterable(map(repeat, keys, counts)))


def _sum_of_hashes(keys: Sequence[Any]) -> int:
    try:
        return sum(stable_hashes(keys))
    except MemoryError:
        raise
    except Exception:  # placed without a hash, so a user's __hash__ may raise what it likes: the others count
        return sum(_sum_of_hashes((key,)) for key in keys) if len(keys) > 1 else 0
