"""Sizes in one byte, on a logarithmic scale: how map outputs tell how large each of their reduce partitions is."""

from __future__ import annotations

from bisect import bisect_left

_BASE = 1.15
_MANY_CODES = 256

DECODED = (0, *(round(_BASE**code) for code in range(_MANY_CODES - 1)))
"""About the size, by code."""
_UPPER = [0, *(_BASE ** (code + 0.5) for code in range(_MANY_CODES - 2))]


def encode_size(size: int) -> int:
    """A size in one byte: 0 means exactly empty, other codes are off by at most 10 % (up to 2 PiB).

    >>> encode_size(0), decode_size(encode_size(1))
    (0, 1)
    """
    return bisect_left(_UPPER, size)


def decode_size(code: int) -> int:
    """About the size that was encoded."""
    return DECODED[code]
