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
from rddlite.serde.records import (
    BatchSizer,
    Kind,
    encode_groups,
    encode_pairs,
    encode_records,
    frame_size,
    pickled_size,
)
from rddlite.serde.shortrepr import short_repr
from rddlite.shuffle.fingerprint import Fingerprint
from rddlite.shuffle.hotsample import HotSample
from rddlite.shuffle.output import discard
from rddlite.shuffle.parts import n_parts_of, places_of_marks
from rddlite.shuffle.ranges import RangeDealer
from rddlite.shuffle.sections import Sections

_OBJECT_OVERHEAD = 96
_OBJECT_FACTOR = 2
_SAMPLED_RECORDS = 16
_LARGE_RECORD = 64 << 10
_FRAME_RECORDS = 8192
_BATCH = 4096
_FEW_PENDING = 8192
_PENDING_PER_BUCKET, _PENDING_PER_PART = 2048, 1024
"""Records wait until frames of about this many can be made, not longer: they are encoded while the cache has them."""


@dataclass(frozen=True, slots=True)
class MapTarget:
    """Where a map task's output goes, and how: `buffer_bytes` of memory may be used for records not yet written."""

    scratch: str
    block: ShuffleData
    executor: ExecutorId
    codec: str = "none"
    buffer_bytes: int = 32 << 20
    divided_from: int = 1 << 62
    """Where an output is larger, buckets whose values are grouped are divided into parts."""
    tells_keys: bool = True
    """Whether the hottest keys may be told."""


class BucketWriter:
    """Writes the raw records of one map task. A context manager: leaving it without `commit` removes everything.

    Owned by the thread of its task. `spilled_bytes` were written out early.
    """

    def __init__(self, dep: ShuffleDependency, target: MapTarget, map_index: int) -> None:
        self.dep = dep
        self._partitioner = dep.partitioner
        self._target = target
        self._encoder = _Encoder(dep.partitioner.keyed, target.codec)
        self._fingerprint = Fingerprint(dep.partitioner, map_index)
        self._hot = HotSample() if dep.partitioner.keyed and target.tells_keys else None
        self._n_marks = self._fingerprint.n_marks
        self._most_parts = n_parts_of(dep)
        # Ranges of keys are cut as finely at once: that costs nothing more.
        self._arrange(self._most_parts if isinstance(dep.partitioner, RangePartitioner) else 1)
        self._pending_records = 0
        self._pending_limit = 0
        self._sample_at = 0
        self.n_runs = 0
        """How often records were written out early."""
        self.spilled_bytes = 0
        self._n_tables = 0
        self._is_committed = False
        # Small partitions must not all put their few records into the first buckets.
        self._next_bucket = map_index % dep.partitioner.n

    def _arrange(self, n_parts: int) -> None:
        """Each bucket has so many parts from now on. Nothing waits, and nothing is written."""
        self._n_parts = n_parts
        partitioner, target = self._partitioner, self._target
        n = partitioner.n
        self._pending: list[list[Any]] = [[] for _ in range(n * n_parts)]
        self._counts = [0] * (n * n_parts)
        self._sections = Sections(target.scratch, target.block, n, n_parts)
        # With an entry for each mark, no division is needed to find its place.
        self._extends = [self._pending[place].extend for place in places_of_marks(n, self._n_marks or n, n_parts)]
        self._ranges: RangeDealer | None = None
        if isinstance(partitioner, RangePartitioner):
            finer = partitioner if n_parts == 1 or partitioner.finer is None else partitioner.finer
            self._ranges = RangeDealer(finer, self._pending)

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
        if self._ranges is not None and self._n_parts > 1 and not (self._sections.held or self._sections.written):
            self._unite_parts()
        self._encode_pending(spill=False)
        counts = [sum(self._counts[i : i + self._n_parts]) for i in range(0, len(self._counts), self._n_parts)]
        fingerprint = self._fingerprint.digest(counts) if self._n_tables < 2 else b""
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
        each = _PENDING_PER_BUCKET if self._n_parts == 1 else _PENDING_PER_PART
        wanted = max(_FEW_PENDING, each * len(self._pending))
        self._pending_limit = max(1, min(fitting, wanted))
        self._sample_at = min(2 * self._pending_records, self._pending_limit)

    def _encode_pending(self, spill: bool = True) -> None:
        if self._ranges is not None:
            self._ranges.deal()
        alternates = self._encoder.keyed and self._ranges is None
        grouped = self._encoder.grouped
        if not grouped and sum(map(len, self._pending)) != self._pending_records * (1 + alternates):
            raise TypeError("a record is an iterator, which can be read only once: make it a (key, value) tuple")
        self._encode(alternates, grouped)
        self._pending_records = 0
        self._sample_at = 0
        if spill and self._sections.held >= self._target.buffer_bytes // 2:
            size = self._sections.written + self._sections.held
            if self._n_parts < self._most_parts and size >= self._target.divided_from:
                self._divide()
            self._flush()

    def _encode(self, alternates: bool, grouped: bool) -> None:
        for i, bucket in enumerate(self._pending):
            keys, values = (bucket[::2], bucket[1::2]) if alternates else (bucket, self._values_of(i))
            counts = list(map(len, values)) if grouped else None
            self._counts[i] += len(keys) if counts is None else sum(counts)
            if self._fingerprint.samples(i // self._n_parts):
                self._fingerprint.sampled(keys, counts)
            for frame, size in self._encoder.frames(keys, values):
                self._fingerprint.framed(i // self._n_parts, frame)
                self._sections.add(i, frame, size)
            bucket.clear()
            values.clear()

    def _flush(self) -> None:
        self._sections.flush()
        self.n_runs = self._sections.n_written
        self.spilled_bytes = self._sections.written

    def _divide(self) -> None:
        """Write anew what there is so far, with each bucket in parts."""
        whole, grouped = self._sections, self._encoder.grouped
        self._arrange(self._most_parts)
        try:
            waiting = 0
            for frame in whole.frames():
                is_grouped = frame.kind is Kind.GROUPS
                if waiting and (is_grouped is not self._encoder.grouped or waiting >= self._pending_limit):
                    self._encode(True, self._encoder.grouped)
                    waiting = 0
                    if self._sections.held >= self._target.buffer_bytes // 2:
                        self._flush()
                self._encoder.grouped = is_grouped
                keys, values = frame.groups() if is_grouped else frame.columns()
                _scatter(hashing.place(keys, self._n_marks), zip(keys, values, strict=True), self._extends)
                waiting += frame.count
            self._encode(True, self._encoder.grouped)
        finally:
            whole.remove()
        self._encoder.grouped = grouped

    def _unite_parts(self) -> None:
        """So few records are not worth dividing."""
        assert self._ranges is not None
        self._ranges.deal()
        keys, values, n_parts = self._pending, self._ranges.values, self._n_parts
        self._arrange(1)
        for i, some in enumerate(keys):
            self._pending[i // n_parts] += some
        for i, some in enumerate(values):
            self._ranges.values[i // n_parts] += some

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
