"""What a broadcast is to those who move it: a file of so many bytes, in pieces of a fixed size with a checksum each.

Pure. Says where the file of a broadcast is below a scratch directory, and beside it what is known of one that is not
complete yet: `.part` (of full length from the beginning), `.have` (one byte per piece, 1 once it is there) and `.lock`
(held by the worker that downloads).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from rddlite.base.ids import BroadcastData, BroadcastId
from rddlite.errors import BroadcastDestroyed

PIECE_BYTES = 4 << 20
SMALL = 64 << 10
"""Files up to this size are had in one answer of the driver."""
WHOLE_TOPIC = "broadcast"
"""What such a file is asked for by; the body is the name of the block."""
FOLDER = "broadcast"
PART, HAVE, LOCK = ".part", ".have", ".lock"
_SUM = struct.Struct("<I")


@dataclass(frozen=True, slots=True)
class BroadcastSpec:
    """All that travels of a broadcast with the functions that use it. `checksums` holds a CRC-32 per piece, or nothing
    where all workers read the driver's own file.
    """

    id: BroadcastId
    size: int
    checksums: bytes

    @property
    def n_pieces(self) -> int:
        """How many pieces there are."""
        return count_pieces(self.size)

    def checksum(self, piece: int) -> int:
        """The CRC-32 of a piece."""
        found: int = _SUM.unpack_from(self.checksums, piece * _SUM.size)[0]
        return found


def pack_checksums(checksums: list[int]) -> bytes:
    """Checksums as a spec holds them."""
    return b"".join(map(_SUM.pack, checksums))


def count_pieces(size: int) -> int:
    """How many pieces a file of this size has."""
    return -(-size // PIECE_BYTES)


def piece_span(size: int, piece: int) -> tuple[int, int]:
    """Where a piece starts and how long it is.

    Raises:
        IndexError: if there is no such piece.
    """
    start = piece * PIECE_BYTES
    if piece < 0 or start >= size:
        raise IndexError(f"a file of {size} bytes has no piece {piece}")
    return start, min(PIECE_BYTES, size - start)


def file_of(scratch: str, broadcast: BroadcastId) -> str:
    """The path of the complete file."""
    return f"{scratch}/{FOLDER}/{BroadcastData(broadcast)}"


def gone(spec: BroadcastSpec) -> BroadcastDestroyed:
    """The error for a task that comes too late."""
    return BroadcastDestroyed(
        f"broadcast {spec.id} was destroyed, or the program dropped it, before this task used it: keep it until the "
        "last job that uses it has ended"
    )
