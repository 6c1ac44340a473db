"""The map side of a shuffle: records into buckets by reduce partition, buckets into one file.

`BucketWriter` takes records in batches, or the tables of a map-side combine. Pairs are scattered as alternating keys
and values (`bucket.extend(record)`), which needs no tuple per record any more and splits into columns by slicing;
frames hold the two columns.

`BucketWriter` keeps records as objects up to half of its buffer, then as frames up to the other half; beyond that
frames become a section of the data file (`sections`). Order within a bucket is the order in which records came. Called
by `executor/mapside.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from types import TracebackType
from typing import Any

from rddlite.base.ids import ExecutorId, ShuffleData
from rddlite.base.outcome import MapStatus
from rddlite.lineage.graph import ShuffleDependency
from rddlite.lineage.partitioner import RangePartitioner
from rddlite.serde import hashing
from rddlite.serde.compress import Buffer
from rddlite.serde.records import BatchSizer, encode_groups, encode_pairs, encode_records, frame_size, pickled_size
from rddlite.serde.shortrepr import short_repr
from rddlite.shuffle.fingerprint import Fingerprint
from rddlite.shuffle.hotsample import HotSample
from rddlite.shuffle.output import discard
from rddlite.shuffle.ranges import RangeDealer
from rddlite.shuffle.sections import Sections

_OBJECT_OVERHEAD = 96
_OBJECT_FACTOR = 2
_SAMPLED_RECORDS = 16
_LARGE_RECORD = 64 << 10
_FRAME_RECORDS = 8192
_BATCH = 4096
_FEW_PENDING = 8192
_PENDING_PER_BUCKET = 2048
"""Records wait until frames of about this many can be made, not longer: they are encoded while the cache has them."""


@dataclass(frozen=True, slots=True)
class MapTarget:
    """Where a map task's output goes, and how: `buffer_bytes` of memory may be used for records not yet written."""

    scratch: str
    block: ShuffleData
    executor: ExecutorId
    codec: str = "none"
    buffer_bytes: int = 32 << 20
    tells_keys: bool = True
    """Whether the hottest keys may be told."""


class BucketWriter:
    """Writes the raw records of one map task. A context manager: leaving it without `commit` removes everything.

    Owned by the thread of its task. `spilled_bytes` were written out early.
    """

    def __init__(self, dep: ShuffleDependency, target: MapTarget, map_index: int) -> None:
        n = dep.partitioner.n
        self.dep = dep
        self._partitioner = dep.partitioner
        self._target = target
        self._encoder = _Encoder(dep.partitioner.keyed, target.codec)
        self._pending: list[list[Any]] = [[] for _ in range(n)]
        self._fingerprint = Fingerprint(dep.partitioner, map_index)
        self._hot = HotSample() if dep.partitioner.keyed and target.tells_keys else None
        self._n_marks = self._fingerprint.n_marks
        # A mark modulo the number of buckets is a place: with the buckets repeated, no division is needed to find it.
        self._extends = [bucket.extend for bucket in self._pending] * max(1, self._n_marks // n)
        ranged = dep.partitioner if isinstance(dep.partitioner, RangePartitioner) else None
        self._ranges = RangeDealer(ranged, self._pending) if ranged is not None else None
        self._pending_records = 0
        self._pending_limit = 0
        self._sample_at = 0
        self._sections = Sections(target.scratch, target.block, n)
        self._counts = [0] * n
        self.n_runs = 0
        """How often records were written out early."""
        self.spilled_bytes = 0
        self._n_tables = 0
        self._is_committed = False
        # Small partitions must not all put their few records into the first buckets.
        self._next_bucket = map_index % n

    def add(self, records: list[Any]) -> None:
        """Take a batch of records; the list itself may be used again.

        Raises:
            TypeError: if records have to be pairs and one is not.
            UnhashableKey: if a key cannot be placed.
            NotPicklable: if a key or value cannot travel.
            DiskFull: if the scratch directory is full. No file is left then, nor after any other error.
        """
        if self._encoder.grouped:
            self._encode_pending(spill=False)
            self._encoder.grouped = False
        if self._encoder.keyed:
            self._add_pairs(records)
        elif self._ranges is not None:
            self._ranges.add(records)
            self._fingerprint.took(records)
        else:
            self._deal(records)
        self._took(len(records), records)

    @property
    def takes_columns(self) -> bool:
        """Whether `add_columns` may be used: that of pairs placed by ranges of keys saves making the pairs."""
        return self._ranges is not None and self._encoder.keyed

    def add_columns(self, keys: list[Any], values: list[Any]) -> None:
        """Take a batch of pairs; the lists themselves may be used again.

        Raises:
            NotPicklable, DiskFull: as `add`.
        """
        assert self._ranges is not None
        self._ranges.add(keys, values)
        self._took_keys(keys)
        step = max(1, len(keys) // _SAMPLED_RECORDS)
        self._took(len(keys), list(zip(keys[::step], values[::step], strict=True)))

    def add_table(self, table: dict[Any, Any]) -> None:
        """Take the pairs of a combined table, and empty it. Which records a second table has depends on when memory was
        full: the output has no fingerprint then. A table has each key once, so none is hotter than others.

        Raises:
            UnhashableKey, NotPicklable, DiskFull: as `add`.
        """
        self._hot = None
        items = iter(table.items())
        while batch := list(islice(items, _BATCH)):
            self.add(batch)
        table.clear()
        self._n_tables += 1

    def add_groups(self, keys: list[Any], groups: list[list[Any]]) -> None:
        """Take a list of values for each of these keys, not placed by ranges. The records are those that `add` would
        take, one for each value, and so are counts and fingerprint.

        Raises:
            UnhashableKey, NotPicklable, DiskFull: as `add`.
        """
        if not self._encoder.grouped:
            self._encode_pending(spill=False)
            self._encoder.grouped = True
        counts = list(map(len, groups))
        if self._n_marks:
            marks = hashing.place(keys, self._n_marks)
            self._fingerprint.marked(marks, counts)
        else:
            marks = self._partitioner.place(keys)
        _scatter(marks, zip(keys, groups, strict=True), self._extends)
        self._fingerprint.took(keys, counts)
        if self._hot is not None:
            self._hot.took_groups(keys, counts)
        step = max(1, len(keys) // _SAMPLED_RECORDS)
        sample = [(key, group[0]) for key, group in zip(keys[::step], groups[::step], strict=True)]
        self._took(sum(counts), sample)

    def commit(self) -> MapStatus:
        """Write everything and publish the output.

        Raises:
            NotPicklable, DiskFull: as `add`.
        """
        self._encode_pending(spill=False)
        fingerprint = self._fingerprint.digest(self._counts) if self._n_tables < 2 else b""
        index = self._sections.commit(self._counts)
        self._is_committed = True
        self._drop()
        target = self._target
        records, size = sum(self._counts), index.data_length
        return MapStatus(target.executor, target.block.attempt, index.sizes(), size, records, fingerprint)

    def hottest_keys(self) -> list[tuple[str, int]]:
        """How the hottest keys look, and about how many records each has; none where they were combined before."""
        return [] if self._hot is None else self._hot.hottest()

    def abort(self) -> None:
        """Forget all records and remove all unfinished files; does nothing after `commit`."""
        if not self._is_committed:
            self._drop()
            discard(self._target.scratch, self._target.block)

    def __enter__(self) -> BucketWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.abort()

    def _took(self, n: int, sample: list[Any]) -> None:
        self._pending_records += n
        if self._pending_records >= self._sample_at:
            self._sample(sample)
        if self._pending_records >= self._pending_limit:
            self._encode_pending()

    def _add_pairs(self, records: list[Any]) -> None:
        try:
            keys = [key for key, _ in records]
            values = [value for _, value in records] if self._ranges is not None else []
        except (TypeError, ValueError):
            check_pairs(records)
            raise
        if self._n_marks:
            marks = hashing.place(keys, self._n_marks)
            self._fingerprint.marked(marks)
            _scatter(marks, records, self._extends)
        elif self._ranges is not None:
            self._ranges.add(keys, values)
        else:
            _scatter(self._partitioner.place(keys), records, self._extends)
        self._took_keys(keys)

    def _took_keys(self, keys: list[Any]) -> None:
        self._fingerprint.took(keys)
        if self._hot is not None:
            self._hot.took(keys)

    def _deal(self, records: list[Any]) -> None:
        n = len(self._pending)
        for i in range(min(n, len(records))):
            self._pending[(self._next_bucket + i) % n] += records[i::n]
        self._next_bucket = (self._next_bucket + len(records)) % n

    def _sample(self, records: list[Any]) -> None:
        """Estimate what records take as objects, and so how many may wait."""
        size = self._encoder.sampled_size(records)
        half = self._target.buffer_bytes // 2
        fitting = half // (_OBJECT_OVERHEAD + _OBJECT_FACTOR * size)
        wanted = max(_FEW_PENDING, _PENDING_PER_BUCKET * len(self._pending))
        self._pending_limit = max(1, min(fitting, wanted))
        self._sample_at = min(2 * self._pending_records, self._pending_limit)

    def _encode_pending(self, spill: bool = True) -> None:
        if self._ranges is not None:
            self._ranges.deal()
        alternates = self._encoder.keyed and self._ranges is None
        grouped = self._encoder.grouped
        if not grouped and sum(map(len, self._pending)) != self._pending_records * (1 + alternates):
            raise TypeError("a record is an iterator, which can be read only once: make it a (key, value) tuple")
        for i, bucket in enumerate(self._pending):
            keys, values = (bucket[::2], bucket[1::2]) if alternates else (bucket, self._values_of(i))
            counts = list(map(len, values)) if grouped else None
            self._counts[i] += len(keys) if counts is None else sum(counts)
            if self._fingerprint.samples(i):
                self._fingerprint.sampled(keys, counts)
            for frame, size in self._encoder.frames(keys, values):
                self._fingerprint.framed(i, frame)
                self._sections.add(i, frame, size)
            bucket.clear()
            values.clear()
        self._pending_records = 0
        self._sample_at = 0
        if spill and self._sections.held >= self._target.buffer_bytes // 2:
            self._sections.flush()
            self.n_runs = self._sections.n_written
            self.spilled_bytes = self._sections.written

    def _values_of(self, i: int) -> list[Any]:
        """Of the pairs of a bucket that holds their keys only."""
        return self._ranges.values[i] if self._ranges is not None and self._ranges.values else []

    def _drop(self) -> None:
        self._sections.close()
        self._pending = []
        self._extends = []
        self._ranges = None


class _Encoder:
    """Buckets to frames. `grouped` says that values are lists of values, whatever their key is."""

    def __init__(self, keyed: bool, codec: str) -> None:
        self.keyed = keyed
        self.grouped = False
        self._codec = codec
        self._sizer = BatchSizer(max_records=_FRAME_RECORDS)

    def frames(self, keys: list[Any], values: list[Any]) -> Iterator[tuple[list[Buffer], int]]:
        """Frames of pairs in two columns (or, where records are no pairs, of the first column), each with its size."""
        start = 0
        while start < len(keys):
            end = min(start + self._sizer.size, len(keys))
            frame = self._frame(keys[start:end], values[start:end])
            size = frame_size(frame)
            self._sizer.saw(end - start, size)
            yield frame, size
            start = end

    def sampled_size(self, records: list[Any]) -> int:
        """About how many bytes one of these records takes in a frame: of a few, or of one if that is large."""
        size = pickled_size(records[:1])
        if size > _LARGE_RECORD:
            return size
        sample = records[:: max(1, len(records) // _SAMPLED_RECORDS)]
        return pickled_size(sample) // len(sample)

    def _frame(self, keys: list[Any], values: list[Any]) -> list[Buffer]:
        if self.grouped:
            return encode_groups(keys, values, self._codec)
        return encode_pairs(keys, values, self._codec) if self.keyed else encode_records(keys, self._codec)


def _scatter(places: list[int], records: Iterable[Any], extends: list[Callable[[Any], None]]) -> None:
    try:
        for place, record in zip(places, records, strict=True):
            extends[place](record)
    except (TypeError, IndexError):
        _check_places(places, len(extends))
        raise


def _check_places(places: list[Any], n: int) -> None:
    for place in places:
        if not hasattr(place, "__index__"):
            raise TypeError(f"the partition function must return an int, not {short_repr(place)}") from None
        if not 0 <= place < n:
            raise ValueError(f"the partition function returned {place}: there are {n} partitions") from None


def check_pairs(records: list[Any]) -> None:
    """Find the record that is no pair.

    Raises:
        TypeError: naming it.
    """
    for record in records:
        try:
            _, _ = record
        except (TypeError, ValueError):
            raise TypeError(
                f"not a (key, value) pair: {short_repr(record)} ({type(record).__name__}); operations by key need "
                "records of exactly two items"
            ) from None
