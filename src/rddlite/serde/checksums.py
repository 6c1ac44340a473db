"""The checksum of large buffers: CRC-32 over sums of their words, which costs a tenth of CRC-32 over their bytes.

Words of 8 bytes are added up, modulo 2**64, by rows; the CRC covers these sums and what is left behind the last row. So
every changed bit is seen, and bytes that are lost, zeroed or in another place: all but words that changed places within
their row. Rows have an odd number of words, because a multiple of one is 0 only if it is 0 itself. numpy adds them up
where the process has it loaded, as it has wherever there are arrays; it is not loaded for this.
"""

from __future__ import annotations

import sys
import zlib
from array import array
from typing import Any

from rddlite.serde.compress import Buffer

LARGE = 1 << 20
"""Smaller buffers are not worth it."""
_ROW_WORDS = 511
_WORD = 8
_MASK = (1 << 64) - 1


def summed(buffer: Buffer, start: int = 0) -> int:
    """The checksum of a buffer of any size behind what has the checksum `start`."""
    view = memoryview(buffer).cast("B")
    n_rows = len(view) // (_WORD * _ROW_WORDS)
    end = n_rows * _WORD * _ROW_WORDS
    numpy = sys.modules.get("numpy")
    # Another thread may be importing it.
    is_loaded = hasattr(numpy, "frombuffer") and hasattr(numpy, "add")
    sums = _sums_by_numpy(numpy, view[:end], n_rows) if is_loaded else _sums(view[:end])
    return zlib.crc32(view[end:], zlib.crc32(sums, start))


def _sums_by_numpy(numpy: Any, view: memoryview, n_rows: int) -> Buffer:
    words = numpy.frombuffer(view, "<u8").reshape(n_rows, _ROW_WORDS)
    sums: Buffer = memoryview(numpy.add.reduce(words, axis=1).astype("<u8", copy=False)).cast("B")
    return sums


def _sums(view: memoryview) -> Buffer:
    sums = array("Q")
    for start in range(0, len(view), _WORD * _ROW_WORDS):
        row = array("Q", view[start : start + _WORD * _ROW_WORDS].tobytes())
        if sys.byteorder == "big":
            row.byteswap()
        sums.append(sum(row) & _MASK)
    if sys.byteorder == "big":
        sums.byteswap()
    return sums.tobytes()
