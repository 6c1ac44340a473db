"""Files that are not lines: whole files as records, and records of a fixed length. One partition's share of them.

Batches are small where files are large, so that a task holds a few of them at a time. Callers: the task's inputs.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from typing import Any

from rddlite.errors import CorruptInput
from rddlite.fs.codecs import ByteCount, Counts, InflatedFile, codec_for
from rddlite.fs.local import is_local, local_path
from rddlite.fs.paths import Options, locate
from rddlite.fs.splits import FileGroup, FileSplit

_BATCH_BYTES = 1 << 20
_BATCH_FILES = 1024


def read_files(
    group: FileGroup, form: str, counts: ByteCount | None = None, options: Options | None = None
) -> Iterator[list[Any]]:
    """Batches of `(path with its scheme, content)`: bytes as they are in the file for the form `files`; else unpacked
    by the file's suffix, and `text` or still bytes (`unpacked`). Invalid UTF-8 becomes U+FFFD.

    Raises:
        PathNotFound, PathUnreadable: if a file cannot be opened.
        CorruptInput: if compressed data is damaged or truncated.
    """
    counts = Counts() if counts is None else counts
    batch: list[Any] = []
    size = 0
    for path, codec in group.files:
        data = _content(path, None if form == "files" else codec, counts, options)
        size += len(data)
        batch.append((_with_scheme(path), data.decode("utf-8", "replace") if form == "text" else data))
        if size >= _BATCH_BYTES or len(batch) >= _BATCH_FILES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def read_fixed(
    split: FileSplit, length: int, counts: ByteCount | None = None, options: Options | None = None
) -> Iterator[list[bytes]]:
    """Batches of the records, `length` bytes each, that begin in a split.

    Raises:
        PathNotFound, PathUnreadable: if the file cannot be opened.
        CorruptInput: if the file ends within a record.
    """
    counts = Counts() if counts is None else counts
    place = locate(split.path, options)
    first = -(-split.start // length) * length
    with place.store.open_read(place.path) as file:
        file.seek(first)
        wanted = max(1, _BATCH_BYTES // length) * length
        while split.end is None or first < split.end:
            size = wanted if split.end is None else min(wanted, -(-(split.end - first) // length) * length)
            data = _exactly(file, size)
            counts.bytes_read += len(data)
            if len(data) % length:
                raise CorruptInput(
                    f"{split.path} ends within a record: its size is no multiple of the record length, {length} bytes"
                )
            if not data:
                return
            yield [data[i : i + length] for i in range(0, len(data), length)]
            first += len(data)


def _content(path: str, codec: str | None, counts: ByteCount, options: Options | None) -> bytes:
    place = locate(path, options)
    with place.store.open_read(place.path) as file:
        if codec is None:
            data = _exactly(file, None)
            counts.bytes_read += len(data)
            return data
        inflated = InflatedFile(file, codec_for(codec), path, place.store.block_bytes, counts)
        return _exactly(inflated, None)


def _exactly(file: Any, size: int | None) -> bytes:
    """So many bytes, or all, or fewer where the file ends."""
    found = io.BytesIO()
    while size is None or found.tell() < size:
        piece = file.read(_BATCH_BYTES if size is None else min(_BATCH_BYTES, size - found.tell()))
        if not piece:
            break
        found.write(piece)
    return found.getvalue()


def _with_scheme(path: str) -> str:
    return f"file:{os.path.abspath(local_path(path))}" if is_local(path) else path
