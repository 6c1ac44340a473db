"""Tables of map outputs as they travel to tasks: for each map partition of a shuffle, who holds it and where.

Executors repeat, and attempts of a stage have neighbouring numbers, so a table is a list of distinct places, and per
map partition the number of its place and the attempt's distance from the lowest one, in as few bytes as hold them
all. Decoded tables are kept by the caller, by digest.
"""

from __future__ import annotations

import json
import struct
import sys
from array import array
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from rddlite.base.ids import AttemptId, ExecutorId, ShuffleId

_HEADER_LENGTH = struct.Struct("<I")


class MapLocation(NamedTuple):
    """One map output: the executor that holds it, that executor's scratch directory, the attempt that wrote it, the
    address of that executor's block server and the token by which its host is known (see `net/samehost.py`).

    Where there is no block server `address` is empty; of an executor that was gone already, all three texts are.
    """

    executor: ExecutorId
    scratch: str
    attempt: AttemptId
    address: str = ""
    token: str = ""


MapTable = Sequence[MapLocation]
"""One location per map partition, in map order."""


def encode_tables(tables: Mapping[ShuffleId, MapTable]) -> bytes:
    """Tables of several shuffles as bytes."""
    places: dict[tuple[str, str, str, str], int] = {}
    header: list[list[object]] = []
    columns: list[bytes] = []
    for shuffle, table in tables.items():
        lowest = min((row.attempt for row in table), default=0)
        which = _narrow(
            [
                places.setdefault((executor, scratch, address, token), len(places))
                for executor, scratch, _, address, token in table
            ]
        )
        distances = _narrow([row.attempt - lowest for row in table])
        header.append([shuffle, len(table), lowest, which.typecode, distances.typecode])
        columns += [_little_endian(which).tobytes(), _little_endian(distances).tobytes()]
    head = json.dumps([list(places), header], separators=(",", ":")).encode()
    return b"".join([_HEADER_LENGTH.pack(len(head)), head, *columns])


def decode_tables(data: bytes) -> dict[ShuffleId, MapTable]:
    """The inverse of `encode_tables`."""
    view = memoryview(data)
    position = _HEADER_LENGTH.size + _HEADER_LENGTH.unpack_from(view)[0]
    places, header = json.loads(data[_HEADER_LENGTH.size : position])
    tables: dict[ShuffleId, MapTable] = {}
    for shuffle, length, lowest, which_code, distance_code in header:
        which, position = _column(view, position, length, which_code)
        distances, position = _column(view, position, length, distance_code)
        tables[shuffle] = [
            MapLocation(places[place][0], places[place][1], AttemptId(lowest + distance), *places[place][2:])
            for place, distance in zip(which, distances, strict=True)
        ]
    return tables


def _narrow(numbers: list[int]) -> array[int]:
    largest = max(numbers, default=0)
    for code in "BHI":
        if largest < 1 << (8 * array(code).itemsize):
            return array(code, numbers)
    return array("Q", numbers)


def _column(view: memoryview, position: int, length: int, code: str) -> tuple[array[int], int]:
    column = array(code)
    end = position + length * column.itemsize
    column.frombytes(view[position:end])
    return _little_endian(column), end


def _little_endian(column: array[int]) -> array[int]:
    if sys.byteorder == "big":
        column = column[:]
        column.byteswap()
    return column
