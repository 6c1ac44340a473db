"""The file of a broadcast: the value pickled straight into it, its arrays beside the pickle on pages of their own.

    page 0          header: magic, version, size of the pickle, number of arrays, where their table is, checksum
    page 1 ...      the pickle (protocol 5)
    then            the memory of each array (out-of-band buffer), from a multiple of 4096 on
    end             the table: offset and length of each array

A reader maps the arrays copy-on-write: they can be written to, nothing is copied until they are, and all processes of a
host share what is not. The file is checked as a whole by whoever moved it (`pieces.py`); here only the header is.
"""

from __future__ import annotations

import contextlib
import gc
import mmap
import os
import pickle
import struct
import weakref
import zlib
from collections.abc import Callable, Iterator
from typing import Any

from rddlite.errors import CorruptBlock, NotPicklable, RddliteError
from rddlite.serde.closures import add_path, dump_into, loads, main_is_the_users, not_picklable
from rddlite.serde.shortrepr import type_name
from rddlite.shared.pieces import PIECE_BYTES, pack_checksums
from rddlite.storage.localdirs import disk_errors

MakeRoom = Callable[[int], None]
"""Told how many bytes of private memory are mapped next, or (if negative) not any more."""
_PAGE = 4096
_HEAD = struct.Struct("<4sIQQQ")
_SUM = struct.Struct("<I")
_ENTRY = struct.Struct("<QQ")
_MAGIC, _VERSION = b"RDBC", 1
_SMALLEST_BUFFER = 16 << 10
"""Smaller arrays stay inside the pickle: a copy costs less than most of a page."""
_LONGEST_NAME_CHUNK = 1 << 20
_ADVICE = (
    "Broadcast values that can be pickled (numbers, strings, collections, arrays, instances that hold such), or what "
    "tasks need to make the value themselves."
)


def write_value(path: str, value: Any, *, is_served: bool = True) -> tuple[int, bytes]:
    """Make the file; its size, and the checksums of its pieces if these are to be served to other hosts. Nothing is
    left if that fails.

    Raises:
        NotPicklable: naming what in the value cannot be pickled.
        RddliteError: what an object in it raises on purpose when it is pickled (an RDD: NestedRDD).
        DiskFull: if there is no room.
    """
    with disk_errors(path), _new_file(path) as fd:
        out = _Out(fd)
        try:
            arrays = _pickle_into(out, value)
        except RddliteError as error:
            if not isinstance(error, NotPicklable):
                add_path(error, value, type_name(type(value)), "the value to broadcast")
            raise
        pickled = out.at - _PAGE
        table = []
        for array in arrays:
            out.pad()
            table.append(_ENTRY.pack(out.at, array.nbytes))
            out.write(array)
        head = _HEAD.pack(_MAGIC, _VERSION, pickled, len(table), out.at)
        out.write(b"".join(table))
        size = out.at
        out.go_to(0)
        out.write(head + _SUM.pack(zlib.crc32(head)))
        return size, _checksums(fd, size) if is_served else b""


def read_value(path: str, size: int, make_room: MakeRoom) -> Any:
    """The value, made anew; its arrays live in the mapped file for as long as they are used.

    Raises:
        FileNotFoundError: if the file is not there (any more).
        CorruptBlock: if it is not what `write_value` wrote.
    """
    with open(path, "rb") as file:
        if os.fstat(file.fileno()).st_size != size:
            raise CorruptBlock(f"{path} has {os.fstat(file.fileno()).st_size} bytes, not {size}: it was damaged")
        with mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ) as whole, memoryview(whole) as view:
            pickled, entries = _read_head(view, path)
            arrays = _map_arrays(file.fileno(), entries, make_room)
            with view[_PAGE : _PAGE + pickled] as payload, _no_collection():
                return loads(payload, arrays)


class _Out:
    """The file, written in order; notes whether a short write named `__main__`, as references to its classes do."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self.go_to(_PAGE)

    def go_to(self, offset: int) -> None:
        self.at = offset
        self.names_main = False
        os.lseek(self._fd, offset, os.SEEK_SET)
        if offset:
            os.ftruncate(self._fd, offset)

    def write(self, data: Any) -> int:
        with memoryview(data) as given, given.cast("B") as view:
            length = view.nbytes
            if length <= _LONGEST_NAME_CHUNK and not self.names_main:
                self.names_main = b"__main__" in bytes(view)
            done = 0
            while done < length:  # the kernel takes 2 GiB at once, at most
                done += os.write(self._fd, view[done:])
        self.at += length
        return length

    def pad(self) -> None:
        self.at += -self.at % _PAGE
        os.lseek(self._fd, self.at, os.SEEK_SET)


def _pickle_into(out: _Out, value: Any) -> list[memoryview]:
    """By plain pickle, or by cloudpickle where it must (as records are); the memory of arrays that was left out."""
    arrays: list[memoryview] = []

    def keep(buffer: pickle.PickleBuffer) -> bool:
        raw = buffer.raw()
        if raw.nbytes < _SMALLEST_BUFFER:
            return True
        arrays.append(raw)
        return False

    plain_error: Exception | None = None
    try:
        pickle.Pickler(out, protocol=5, buffer_callback=keep).dump(value)
        if not (out.names_main and main_is_the_users()):
            return arrays
    except (MemoryError, RddliteError, OSError):
        raise
    except Exception as error:  # pickling runs the user's code: anything may come, and cloudpickle may do better
        plain_error = error
    out.go_to(_PAGE)
    arrays.clear()
    try:
        dump_into(out, value, keep)
    except (MemoryError, RddliteError, OSError):
        raise
    except Exception as error:
        name = type_name(type(value))
        raise not_picklable(error, value, name, f"the broadcast value (a {name})", _ADVICE) from plain_error or error
    return arrays


def _read_head(view: memoryview, path: str) -> tuple[int, list[tuple[int, int]]]:
    """The size of the pickle, and offset and length of each array."""
    head = bytes(view[: _HEAD.size])
    if len(view) < _PAGE or _SUM.unpack_from(view, _HEAD.size)[0] != zlib.crc32(head):
        raise CorruptBlock(f"{path} does not start as the file of a broadcast does: it was damaged")
    magic, version, pickled, n_arrays, table = _HEAD.unpack(head)
    if magic != _MAGIC or version != _VERSION:
        raise CorruptBlock(f"{path} was not written by this version of rddlite")
    return pickled, [_ENTRY.unpack_from(view, table + i * _ENTRY.size) for i in range(n_arrays)]


def _map_arrays(fd: int, entries: list[tuple[int, int]], make_room: MakeRoom) -> list[memoryview]:
    if not entries:
        return []
    start = entries[0][0] // mmap.ALLOCATIONGRANULARITY * mmap.ALLOCATIONGRANULARITY
    length = entries[-1][0] + entries[-1][1] - start
    make_room(length)
    try:
        region = mmap.mmap(fd, length, access=mmap.ACCESS_COPY, offset=start)
    except BaseException:
        make_room(-length)
        raise
    weakref.finalize(region, make_room, -length).atexit = False
    view = memoryview(region)
    return [view[offset - start : offset - start + size] for offset, size in entries]


def _checksums(fd: int, size: int) -> bytes:
    with mmap.mmap(fd, size, access=mmap.ACCESS_READ) as whole, memoryview(whole) as view:
        return pack_checksums([zlib.crc32(view[start : start + PIECE_BYTES]) for start in range(0, size, PIECE_BYTES)])


@contextlib.contextmanager
def _new_file(path: str) -> Iterator[int]:
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        yield fd
    except BaseException:
        os.unlink(path)
        raise
    finally:
        os.close(fd)


@contextlib.contextmanager
def _no_collection() -> Iterator[None]:
    """Millions of new objects that all stay are nothing for the garbage collector."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
