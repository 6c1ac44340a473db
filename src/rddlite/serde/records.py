"""Frames: batches of records as checksummed, optionally compressed bytes.

A frame is a header of 40 bytes, a table of lengths if it has out-of-band buffers, and the body: the pickle, then the
buffers (memory of arrays, as it is), each from a multiple of 8 on; the whole is padded to a multiple of 8, so that
frames may follow one another in a file. Header and rest have a checksum each (`serde/checksums.py`).

Writing copies no buffer. Reading copies none either if the memory can be written to: records then live in it, so decode
such a region once. From read-only memory every reading makes its own copy. Knows nothing of files: callers add file
and host to a CorruptBlock.
"""

from __future__ import annotations

import io
import pickle
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import chain, repeat
from typing import Any

from rddlite.errors import CorruptBlock, NotPicklable, RddliteError
from rddlite.serde import closures
from rddlite.serde.checksums import LARGE, summed
from rddlite.serde.compress import Buffer, codec_named, compress, decompress
from rddlite.serde.shortrepr import short_repr, type_name

MAGIC = b"RDLF"
VERSION = 1
HEADER_SIZE = 40
_HEAD = struct.Struct("<4sBBBBIIQQ")  # magic, version, kind, codec, sums, records, buffers, raw size, stored size
_SUMS = struct.Struct("<II")  # checksums of the header before them and of all that follows the header
_SMALLEST_BUFFER = 4096
"""Smaller buffers stay inside the pickle: a copy costs less there than an entry of the table."""
_PLAIN, _SUMMED = 0, 1
"""What the checksum of a body covers: its bytes, or `checksums.summed` in place of those of large buffers."""
_TEXTS = frozenset({str, bytes})
_PLAIN_VALUES = _TEXTS | {int, float, bool, type(None)}
_LARGE_VALUE = 1 << 16
"""Bytes from which on a pickler hands its file a value by itself."""
_SAMPLED = 128
_MOSTLY = 0.9


class Kind(IntEnum):
    """What a frame holds. The numbers are written into files."""

    RECORDS = 1
    PAIRS = 2
    OBJECT = 3
    GROUPS = 4


def encode_records(records: Sequence[Any], codec: str = "none") -> list[Buffer]:
    """A frame of any records, as pieces to be written one after another.

    Raises:
        NotPicklable: naming the record and what in it cannot be pickled.
        ConfigError: if the codec is unknown or not installed.
    """
    records = records if isinstance(records, list) else list(records)
    try:
        payload, buffers = _pickle(records)
    except _Unpicklable as failure:
        raise _name_record(failure.error, records) from failure.error
    return _frame(Kind.RECORDS, len(records), payload, buffers, codec)


def encode_pairs(keys: list[Any], values: list[Any], codec: str = "none") -> list[Buffer]:
    """A frame of the pairs of two columns of one length: cheaper to pickle and to load than tuples.

    Raises:
        NotPicklable, ConfigError: as `encode_records`.
    """
    if len(keys) != len(values):
        raise ValueError(f"{len(keys)} keys for {len(values)} values")
    try:
        payload, buffers = _pickle((keys, values))
    except _Unpicklable as failure:
        raise _name_record(failure.error, list(zip(keys, values, strict=True))) from failure.error
    return _frame(Kind.PAIRS, len(keys), payload, buffers, codec)


def encode_groups(keys: list[Any], groups: list[list[Any]], codec: str = "none") -> list[Buffer]:
    """A frame of pairs, those of a key as the list of its values. It counts the values.

    Raises:
        NotPicklable, ConfigError: as `encode_records`.
    """
    try:
        payload, buffers = _pickle((keys, groups))
    except _Unpicklable as failure:
        pairs = [(key, value) for key, values in zip(keys, groups, strict=True) for value in values]
        raise _name_record(failure.error, pairs) from failure.error
    return _frame(Kind.GROUPS, sum(map(len, groups)), payload, buffers, codec)


def encode_object(obj: Any, codec: str = "none") -> list[Buffer]:
    """A frame of a single object.

    Raises:
        NotPicklable, ConfigError: as `encode_records`.
    """
    try:
        payload, buffers = _pickle(obj)
    except _Unpicklable as failure:
        raise _not_picklable(failure.error, obj, f"the object {short_repr(obj)}") from failure.error
    return _frame(Kind.OBJECT, 1, payload, buffers, codec)


def pickled_size(records: list[Any]) -> int:
    """About how many bytes a frame of these records has, without making one.

    Raises:
        NotPicklable: as `encode_records`.
    """
    try:
        payload, buffers = _pickle(records)
    except _Unpicklable as failure:
        raise _name_record(failure.error, records) from failure.error
    return frame_size(payload) + sum(raw.nbytes for raw in buffers)


def frame_size(pieces: Sequence[Buffer]) -> int:
    """How many bytes the pieces of a frame are together."""
    return sum(memoryview(piece).nbytes for piece in pieces)


@dataclass(frozen=True, slots=True)
class Frame:
    """A verified frame. Each call that loads makes the objects anew (see the header for what they may share)."""

    kind: Kind
    count: int
    raw_size: int
    _payload: Buffer
    _buffers: tuple[memoryview, ...]

    @property
    def has_buffers(self) -> bool:
        """Whether arrays are to live in its memory."""
        return bool(self._buffers)

    def records(self) -> list[Any]:
        """The records; pairs as tuples."""
        if self.kind is Kind.GROUPS:
            return list(zip(*self.columns(), strict=True))
        loaded = self._load()
        if self.kind is Kind.RECORDS:
            records: list[Any] = loaded
            return records
        return list(zip(*loaded, strict=True)) if self.kind is Kind.PAIRS else [loaded]

    def columns(self) -> tuple[list[Any], list[Any]]:
        """Keys and values; of a frame of records, which must be pairs."""
        loaded = self._load()
        if self.kind is Kind.PAIRS:
            keys, values = loaded
            return keys, values
        if self.kind is Kind.GROUPS:
            keys, groups = loaded
            return list(chain.from_iterable(map(repeat, keys, map(len, groups)))), list(chain.from_iterable(groups))
        return [key for key, _ in loaded], [value for _, value in loaded]

    def groups(self) -> tuple[list[Any], list[list[Any]]]:
        """Keys and the values of each, of a frame of GROUPS."""
        if self.kind is not Kind.GROUPS:
            raise ValueError(f"a frame of {self.kind.name} holds no groups")
        keys, groups = self._load()
        return keys, groups

    def object(self) -> Any:
        """The single object of an OBJECT frame."""
        if self.kind is not Kind.OBJECT:
            raise ValueError(f"a frame of {self.kind.name} holds no single object")
        return self._load()

    def _load(self) -> Any:
        if not self._buffers:
            return pickle.loads(self._payload)
        buffers = [bytearray(buffer) if buffer.readonly else buffer for buffer in self._buffers]
        return pickle.loads(self._payload, buffers=buffers)


def frame_length(view: Buffer, offset: int = 0) -> int:
    """How many bytes the frame that starts at `offset` has, of which only the header need be there.

    Raises:
        CorruptBlock: if no frame starts there.
    """
    *_, n_buffers, _, stored_size, _ = _read_header(memoryview(view).cast("B"), offset)
    return HEADER_SIZE + (8 * (n_buffers + 1) if n_buffers else 0) + _padded(stored_size)


def decode_frame(view: Buffer, offset: int = 0) -> tuple[Frame, int]:
    """The frame that starts at `offset`, verified but not yet unpickled, and where the next one starts.

    Raises:
        CorruptBlock: naming what is wrong and the offset.
    """
    view = memoryview(view).cast("B")
    kind, codec, sums, count, n_buffers, raw_size, stored_size, body_sum = _read_header(view, offset)
    table_size = 8 * (n_buffers + 1) if n_buffers else 0
    start = offset + HEADER_SIZE
    end = start + table_size + _padded(stored_size)
    if end > len(view):
        raise CorruptBlock(f"truncated frame at offset {offset}: {len(view) - offset} bytes of {end - offset}")
    if _sum_of(view[start:end], table_size, sums) != body_sum:
        raise CorruptBlock(f"wrong checksum of a frame of {end - offset} bytes at offset {offset}")
    body: Buffer = view[start + table_size : start + table_size + stored_size]
    if codec:
        body = decompress(codec, body, raw_size)
    payload, buffers = _split(body, view[start : start + table_size])
    return Frame(kind, count, raw_size, payload, buffers), end


def iter_frames(view: Buffer) -> Iterator[Frame]:
    """The frames of a region that holds nothing else, each verified when it is reached.

    Raises:
        CorruptBlock: as `decode_frame`.
    """
    view = memoryview(view).cast("B")
    offset = 0
    while offset < len(view):
        frame, offset = decode_frame(view, offset)
        yield frame


class BatchSizer:
    """How many records the next batch should have: few at first, so that a result comes soon, then as many as make
    `target_bytes`."""

    __slots__ = ("_max_records", "_target_bytes", "size")

    def __init__(self, target_bytes: int = 256 * 1024, max_records: int = 8192, first: int = 64) -> None:
        self._target_bytes = target_bytes
        self._max_records = max_records
        self.size = min(first, max_records)

    def saw(self, records: int, encoded_bytes: int) -> None:
        """Learn from a batch that was encoded."""
        if records:
            fitting = self._target_bytes * records // max(encoded_bytes, 1)
            self.size = max(1, min(fitting, 4 * self.size, self._max_records))


class _Unpicklable(Exception):
    """Neither pickle nor cloudpickle takes a batch; `error` is why."""

    def __init__(self, error: Exception) -> None:
        super().__init__(error)
        self.error = error


def _pickle(obj: Any) -> tuple[list[bytes], list[memoryview]]:
    """By plain pickle, or by cloudpickle where it must: objects of classes that other processes cannot import. The
    pickle comes in pieces, to be written one after another.
    """
    buffers: list[memoryview] = []

    def keep(buffer: pickle.PickleBuffer) -> bool:
        raw = buffer.raw()
        if raw.nbytes < _SMALLEST_BUFFER:
            return True
        buffers.append(raw)
        return False

    plain_error: Exception | None = None
    try:
        payload = _plainly(obj, keep)
        if not (closures.main_is_the_users() and any(b"__main__" in piece for piece in _with_names(payload))):
            return payload, buffers
    except (MemoryError, RddliteError):
        raise
    except Exception as error:  # pickling runs the user's code: anything may come
        plain_error = error
    buffers.clear()
    try:
        return [closures.dumps(obj, keep)], buffers
    except (MemoryError, RddliteError):
        raise
    except Exception as error:
        raise _Unpicklable(error) from plain_error


def _plainly(obj: Any, keep: Callable[[pickle.PickleBuffer], Any]) -> list[bytes]:
    if _begins_with_large(obj):
        sink = _Pieces()
        pickle.Pickler(sink, 5, buffer_callback=keep).dump(obj)
        return sink.pieces
    return [_pickle_texts(obj) if _is_texts(obj) else pickle.dumps(obj, 5, buffer_callback=keep)]


def _with_names(payload: list[bytes]) -> list[bytes]:
    """The pieces in which classes may be named: not those that are one value each."""
    return payload if len(payload) == 1 else [piece for piece in payload if len(piece) < 4 * _LARGE_VALUE]


class _Pieces:
    """A file for a pickler, which hands it large bytes as they are: they are not copied."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.write = self.pieces.append


def _begins_with_large(obj: Any) -> bool:
    """Whether the first record, or a column, is or has bytes so large that a copy costs more than many pieces."""
    for column in obj if type(obj) is tuple else (obj,):
        first = column[0] if type(column) is list and column else None
        for value in first if type(first) is tuple else (first,):
            if type(value) is bytes and len(value) >= _LARGE_VALUE:
                return True
    return False


def _is_texts(obj: Any) -> bool:
    """Whether it is columns of nothing but plain values, among them texts, few of which are the same object."""
    columns = obj if type(obj) is tuple else (obj,)
    if not any(type(column) is list and column and type(column[0]) in _TEXTS for column in columns):
        return False
    return all(map(_repeats_little, columns)) and all(_PLAIN_VALUES.issuperset(map(type, each)) for each in columns)


def _repeats_little(column: Any) -> bool:
    """Whether the memo is of no use: it makes a few bytes of a text that comes again, as the very same object."""
    if type(column) is not list:
        return False
    texts = [value for value in column[:: 1 + len(column) // _SAMPLED] if type(value) in _TEXTS]
    return len(set(map(id, texts))) >= _MOSTLY * len(texts)


def _pickle_texts(obj: Any) -> bytes:
    """Without the memo, which costs several times as much as the texts themselves."""
    out = io.BytesIO()
    pickler = pickle.Pickler(out, 5)
    pickler.fast = True
    pickler.dump(obj)
    return out.getvalue()


def _name_record(error: Exception, records: list[Any]) -> NotPicklable:
    index, record = next(((index, record) for index, record in enumerate(records) if _fails(record)), (None, records))
    name = "the batch" if index is None else f"record {short_repr(record)}"
    return _not_picklable(error, record, name)


def _not_picklable(error: Exception, obj: Any, what: str) -> NotPicklable:
    advice = "Make it of values that can be pickled: numbers, strings, tuples, arrays, instances that hold such."
    return closures.not_picklable(error, obj, type_name(type(obj)), what, advice)


def _fails(record: Any) -> bool:
    try:
        closures.dumps(record)
    except Exception:  # the answer
        return True
    return False


def _frame(kind: Kind, count: int, payload: list[bytes], buffers: list[memoryview], codec: str) -> list[Buffer]:
    table = b""
    body: list[Buffer] = [*payload]
    if buffers:
        pickled = payload[0] if len(payload) == 1 else b"".join(payload)
        table = struct.pack(f"<{len(buffers) + 1}Q", len(pickled), *(raw.nbytes for raw in buffers))
        body = _aligned([pickled, *buffers])
    raw_size = stored_size = frame_size(body)
    codec_id = 0
    if codec != "none":
        packed = compress(codec, body[0] if len(body) == 1 else b"".join(body))
        if packed is not None:
            codec_id, body, stored_size = codec_named(codec).id, [packed], len(packed)
    if stored_size % 8:
        body.append(_PADDING[-stored_size % 8])
    body_sum = zlib.crc32(table)
    sums = _SUMMED if not codec_id and any(raw.nbytes >= LARGE for raw in buffers) else _PLAIN
    for i, piece in enumerate(body):
        is_summed = sums and i and memoryview(piece).nbytes >= LARGE
        body_sum = summed(piece, body_sum) if is_summed else zlib.crc32(piece, body_sum)
    head = _HEAD.pack(MAGIC, VERSION, kind, codec_id, sums, count, len(buffers), raw_size, stored_size)
    return [head + _SUMS.pack(zlib.crc32(head), body_sum) + table, *body]


def _aligned(pieces: Sequence[Buffer]) -> list[Buffer]:
    body: list[Buffer] = []
    for piece in pieces:
        body.append(piece)
        size = memoryview(piece).nbytes
        if size % 8:
            body.append(_PADDING[-size % 8])
    return body


_PADDING = [bytes(size) for size in range(8)]


def _padded(size: int) -> int:
    return (size + 7) & ~7


def _sum_of(body: memoryview, table_size: int, sums: int) -> int:
    """The checksum of a table of lengths and what follows it."""
    if not sums:
        return zlib.crc32(body)
    at = table_size
    body_sum = zlib.crc32(body[:at])
    for i, (size,) in enumerate(struct.iter_unpack("<Q", body[:table_size])):
        end = at + size
        is_summed = i and size >= LARGE
        body_sum = summed(body[at:end], body_sum) if is_summed else zlib.crc32(body[at:end], body_sum)
        at += _padded(size)
        body_sum = zlib.crc32(body[end:at], body_sum)
    return zlib.crc32(body[at:], body_sum)


def _read_header(view: memoryview, offset: int) -> tuple[Kind, int, int, int, int, int, int, int]:
    """Kind, codec, sums, count, number of buffers, raw size, stored size and checksum of the rest."""
    if len(view) - offset < HEADER_SIZE:
        left = max(len(view) - offset, 0)
        raise CorruptBlock(f"truncated frame at offset {offset}: {left} bytes of a header of {HEADER_SIZE}")
    magic, version, kind, codec, sums, count, n_buffers, raw_size, stored_size = _HEAD.unpack_from(view, offset)
    if magic != MAGIC:
        raise CorruptBlock(f"no frame starts at offset {offset}: found {bytes(magic)!r} instead of {MAGIC!r}")
    head_sum, body_sum = _SUMS.unpack_from(view, offset + _HEAD.size)
    if zlib.crc32(view[offset : offset + _HEAD.size]) != head_sum:
        raise CorruptBlock(f"wrong checksum of the header of a frame at offset {offset}")
    if version != VERSION or kind not in _KINDS or sums > _SUMMED:
        raise CorruptBlock(
            f"frame at offset {offset} is of version {version} and kind {kind}: not written by this version"
        )
    return _KINDS[kind], codec, sums, count, n_buffers, raw_size, stored_size, body_sum


_KINDS = {int(kind): kind for kind in Kind}


def _split(body: Buffer, table: memoryview) -> tuple[Buffer, tuple[memoryview, ...]]:
    """The pickle and the buffers of a body."""
    if not table:
        return body, ()
    if isinstance(body, bytes):
        body = bytearray(body)  # our own copy: the records may live in it and change it
    whole = memoryview(body)
    parts = []
    start = 0
    for (size,) in struct.iter_unpack("<Q", table):
        parts.append(whole[start : start + size])
        start += _padded(size)
    return parts[0], tuple(parts[1:])
