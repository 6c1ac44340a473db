"""A task attempt's own output file, of lines or frames: written below a job's staging directory, never published.

An attempt that fails takes its file away; which of several attempts counts is not decided here, but by who calls
`fs/commit.py`. Callers: the task runner.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, Protocol

from rddlite.base.faults import fault_point
from rddlite.errors import CorruptBlock
from rddlite.fs.codecs import Codec, codec_for
from rddlite.fs.paths import Options, locate, open_read
from rddlite.fs.store import path_errors
from rddlite.serde.records import HEADER_SIZE, MAGIC, decode_frame, encode_records, frame_length, frame_size

ATTEMPTS = "_attempts"


class OutputCount(Protocol):
    """Whoever counts what is written; a `TaskMetrics` does."""

    records_written: int
    bytes_written: int


class FramesTarget(Protocol):
    """What a task is told of the output: the staging directory of the job."""

    @property
    def staging(self) -> str: ...


class LinesTarget(FramesTarget, Protocol):
    """The same, and the codec."""

    @property
    def codec(self) -> str | None: ...


@dataclass(frozen=True, slots=True)
class AttemptFile:
    """Where one attempt writes: a file of its own below the job's staging directory."""

    staging: str
    partition: int
    attempt: int
    codec: str | None = None

    @property
    def name(self) -> str:
        """Name of the file, unlike that of any other attempt."""
        return f"part-{self.partition:05d}-{self.attempt}{suffix_of(self.codec)}"


@dataclass(frozen=True, slots=True)
class WrittenPart:
    """The report of an attempt that wrote its file: `path` is complete and has `bytes` bytes."""

    partition: int
    attempt: int
    path: str
    bytes: int
    records: int


def suffix_of(codec: str | None) -> str:
    """What a file name ends with: `.gz` for gzip, nothing without a codec.

    Raises:
        UsageError: for an unknown codec.
    """
    return codec_for(codec).suffix if codec else ""


def save_lines(
    batches: Iterable[list[Any]],
    target: LinesTarget,
    partition: int,
    attempt: int,
    counts: OutputCount | None = None,
    options: Options | None = None,
) -> WrittenPart:
    """`write_lines` for a partition of a job's output; what was written is added to `counts`."""
    part = write_lines(batches, AttemptFile(target.staging, partition, attempt, target.codec), options)
    if counts is not None:
        counts.records_written += part.records
        counts.bytes_written += part.bytes
    return part


def write_lines(batches: Iterable[list[Any]], target: AttemptFile, options: Options | None = None) -> WrittenPart:
    """Write each record as a line: `str` as it is, in UTF-8; `bytes` raw; anything else as `str(record)`.

    Raises:
        DiskFull: if there is no space. The file is removed then, as after any other error (of the records, too).
    """
    place = locate(f"{target.staging}/{ATTEMPTS}/{target.name}", options)
    file = place.store.create(place.path)
    records = 0
    try:
        sink = _Sink(file, place.path, codec_for(target.codec) if target.codec else None)
        for batch in batches:
            sink.write(encode_lines(batch))
            records += len(batch)
        fault_point("output.write")
        sink.close()
    except BaseException:
        place.store.discard(file, place.path)
        raise
    return WrittenPart(target.partition, target.attempt, place.url(place.path), sink.written, records)


def save_frames(
    batches: Iterable[list[Any]],
    target: FramesTarget,
    partition: int,
    attempt: int,
    counts: OutputCount | None = None,
    options: Options | None = None,
) -> WrittenPart:
    """Write all records of a partition as pickled frames; what was written is added to `counts`.

    Raises:
        NotPicklable, DiskFull: and the file is removed then, as after any other error.
    """
    name = AttemptFile(target.staging, partition, attempt).name
    place = locate(f"{target.staging}/{ATTEMPTS}/{name}", options)
    file = place.store.create(place.path)
    records = size = 0
    try:
        with path_errors(place.path):
            for batch in batches:
                pieces = encode_records(batch)
                for piece in pieces:
                    file.write(piece)
                size += frame_size(pieces)
                records += len(batch)
            fault_point("output.write")
            file.close()
    except BaseException:
        place.store.discard(file, place.path)
        raise
    if counts is not None:
        counts.records_written += records
        counts.bytes_written += size
    return WrittenPart(partition, attempt, place.url(place.path), size, records)


def read_frames(path: str, options: Options | None = None) -> Iterator[list[Any]]:
    """The records of a file that `save_frames` wrote, in batches.

    Raises:
        PathNotFound, PathUnreadable: if it cannot be read.
        CorruptBlock: if it is damaged.
    """
    with open_read(path, options) as file, path_errors(path):
        while head := file.read(HEADER_SIZE):
            if not head.startswith(MAGIC[: len(head)]):
                raise CorruptBlock(
                    f"{path} is no file that saveAsPickleFile of rddlite wrote, or it is damaged: {head[:4]!r} where "
                    f"{MAGIC!r} should be. Read files of PySpark there with PySpark, and save them as text"
                )
            head += _exactly(file, HEADER_SIZE - len(head), path)
            length = frame_length(head)
            data = bytearray(length)
            data[:HEADER_SIZE] = head
            data[HEADER_SIZE:] = _exactly(file, length - HEADER_SIZE, path)
            yield decode_frame(data)[0].records()


def _exactly(file: BinaryIO, size: int, path: str) -> bytes:
    """So many bytes."""
    pieces: list[bytes] = []
    left = size
    while left and (piece := file.read(left)):
        pieces.append(piece)
        left -= len(piece)
    if left:
        raise CorruptBlock(f"{path} ends {left} bytes early: was it changed from outside?")
    return b"".join(pieces)


def encode_lines(batch: list[Any]) -> bytes:
    r"""The records of a batch as lines, each ended by \n."""
    if not batch:
        return b""
    try:
        return ("\n".join(batch) + "\n").encode()
    except TypeError:
        pass  # not all of them are text
    kinds = set(map(type, batch))
    if any(issubclass(kind, bytes) for kind in kinds):
        return b"\n".join([_encode(record) for record in batch]) + b"\n"
    if any(issubclass(kind, str) and kind is not str for kind in kinds):
        return ("\n".join([r if isinstance(r, str) else str(r) for r in batch]) + "\n").encode()
    return ("\n".join(map(str, batch)) + "\n").encode()


def _encode(record: Any) -> bytes:
    if isinstance(record, bytes):
        return record
    return (record if isinstance(record, str) else str(record)).encode()


class _Sink:
    """Bytes to a file, compressed on the way if asked."""

    def __init__(self, file: BinaryIO, path: str, codec: Codec | None) -> None:
        self._file, self._path = file, path
        self._encoder = codec.encoder() if codec else None
        self.written = 0

    def write(self, data: bytes) -> None:
        self._put(self._encoder.compress(data) if self._encoder else data)

    def close(self) -> None:
        """Write what is left. Only then is the file complete."""
        if self._encoder:
            self._put(self._encoder.flush())
        with path_errors(self._path):
            self._file.close()

    def _put(self, data: bytes) -> None:
        with path_errors(self._path):
            self._file.write(data)
        self.written += len(data)
