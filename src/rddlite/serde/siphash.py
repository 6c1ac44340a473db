"""The hash that CPython gives to text and bytes under PYTHONHASHSEED=0, computed in a process with any seed.

CPython hashes str, bytes and naive dates by SipHash over their memory, keyed by the seed; seed 0 is the zero key.
The interpreter has a keyed SipHash of its own (it stamps .pyc files with it); it is used where it proves equal to the
Python code below, which is 50 times slower.
"""

from __future__ import annotations

import _imp
import sys
from collections.abc import Callable

_ROUNDS = {"siphash13": (1, 3), "siphash24": (2, 4)}
_MASK = (1 << 64) - 1

COMPUTABLE = sys.hash_info.algorithm in _ROUNDS and sys.hash_info.width == 64 and sys.hash_info.cutoff == 0
"""Whether this interpreter hashes text by an algorithm known here: any CPython on 64 bits, unless built otherwise."""


def siphash(data: bytes, compression_rounds: int, final_rounds: int) -> int:
    """SipHash-c-d of `data` under the zero key, as an unsigned 64-bit number."""
    state = (0x736F6D6570736575, 0x646F72616E646F6D, 0x6C7967656E657261, 0x7465646279746573)
    whole = len(data) & ~7
    words = [int.from_bytes(data[i : i + 8], "little") for i in range(0, whole, 8)]
    words.append((len(data) & 0xFF) << 56 | int.from_bytes(data[whole:], "little"))
    for word in words:
        v0, v1, v2, v3 = _rounds(state[0], state[1], state[2], state[3] ^ word, compression_rounds)
        state = (v0 ^ word, v1, v2, v3)
    v0, v1, v2, v3 = _rounds(state[0], state[1], state[2] ^ 0xFF, state[3], final_rounds)
    return v0 ^ v1 ^ v2 ^ v3


def _rounds(v0: int, v1: int, v2: int, v3: int, count: int) -> tuple[int, int, int, int]:
    for _ in range(count):
        v0 = (v0 + v1) & _MASK
        v1 = (v1 << 13 & _MASK | v1 >> 51) ^ v0
        v0 = v0 << 32 & _MASK | v0 >> 32
        v2 = (v2 + v3) & _MASK
        v3 = (v3 << 16 & _MASK | v3 >> 48) ^ v2
        v0 = (v0 + v3) & _MASK
        v3 = (v3 << 21 & _MASK | v3 >> 43) ^ v0
        v2 = (v2 + v1) & _MASK
        v1 = (v1 << 17 & _MASK | v1 >> 47) ^ v2
        v2 = v2 << 32 & _MASK | v2 >> 32
    return v0, v1, v2, v3


def _interpreted(data: bytes) -> int:
    return siphash(data, *_ROUNDS[sys.hash_info.algorithm])


def _native(data: bytes) -> int:
    return int.from_bytes(_imp.source_hash(0, data), sys.byteorder)


def _fastest() -> Callable[[bytes], int]:
    """The interpreter's own keyed SipHash where it exists and agrees with the Python code; else that code."""
    sample = bytes(range(23))
    if not hasattr(_imp, "source_hash") or not COMPUTABLE:
        return _interpreted
    return _native if _native(sample) == _interpreted(sample) else _interpreted


_unsigned = _fastest()


def bytes_hash(data: bytes) -> int:
    """`hash(data)` under PYTHONHASHSEED=0, for any object that is hashed over these bytes of memory."""
    if not data:
        return 0
    value = _unsigned(data)
    if value >> 63:
        value -= 1 << 64
    return -2 if value == -1 else value


def str_hash(text: str) -> int:
    """`hash(text)` under PYTHONHASHSEED=0: over the 1, 2 or 4 bytes a character that CPython stores."""
    if text.isascii():
        return bytes_hash(text.encode("ascii"))
    widest = ord(max(text))
    if widest < 0x100:
        return bytes_hash(text.encode("latin-1"))
    order = "le" if sys.byteorder == "little" else "be"
    return bytes_hash(text.encode(f"utf-{16 if widest < 0x10000 else 32}-{order}", "surrogatepass"))
