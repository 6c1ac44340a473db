"""How many different values there are, about: HyperLogLog over hashes of 64 bits, exact while they are few.

Knows hashes only; a sketch is pickled between processes and merged on the driver. The estimate is the improved one of
Ertl (2017), which needs no correction for small or large numbers.
"""

from __future__ import annotations

import math
import struct
from array import array
from collections.abc import Iterable
from itertools import chain

_BITS = 64
_WORD = 8
_MASK = (1 << _BITS) - 1
_SMALLEST_PRECISION = 4
_LARGEST_PRECISION = 24


def precision_for(relative_deviation: float) -> int:
    """How many bits of a hash choose the register, for estimates of this relative standard deviation."""
    return min(_LARGEST_PRECISION, max(_SMALLEST_PRECISION, math.ceil(2 * math.log2(1.106 / relative_deviation))))


class DistinctCount:
    """A sketch of `2 ** precision` registers. Hashes of 64 bits, with a sign; they are mixed here."""

    __slots__ = ("_few", "_limits", "_precision", "_registers")

    def __init__(self, precision: int) -> None:
        self._precision = precision
        self._few: set[int] | None = set()
        self._registers = bytearray()
        self._limits: list[int] = []

    def add(self, hashes: Iterable[int]) -> None:
        """Add these."""
        # The hash of bytes is SipHash, which spreads well, in C; all executors have the same seed for it.
        mixed = set(map(hash, chain.from_iterable(struct.iter_unpack(f"{_WORD}s", array("q", hashes)))))
        if self._few is None:
            self._raise_registers(mixed)
            return
        self._few |= mixed
        if len(self._few) > 1 << max(0, self._precision - 3):  # about as large as the registers
            self._spread()

    def merge(self, other: DistinctCount) -> None:
        """Add all that the other one has seen; both must have the same precision."""
        if other._few is not None:
            if self._few is not None:
                self._few |= other._few
                if len(self._few) > 1 << max(0, self._precision - 3):
                    self._spread()
            else:
                self._raise_registers(other._few)
            return
        self._spread()
        self._registers = bytearray(map(max, self._registers, other._registers))
        self._limits = []

    def estimate(self) -> int:
        """About how many different values were added."""
        if self._few is not None:
            return len(self._few)
        m, q = 1 << self._precision, _BITS - self._precision
        counts = [0] * (q + 2)
        for value in self._registers:
            counts[value] += 1
        z = m * _tau(1 - counts[q + 1] / m)
        for k in range(q, 0, -1):
            z = 0.5 * (z + counts[k])
        z += m * _sigma(counts[0] / m)
        return round(m * m / (2 * math.log(2) * z))

    def _spread(self) -> None:
        if self._few is None:
            return
        few, self._few = self._few, None
        self._registers = bytearray(1 << self._precision)
        self._raise_registers(few)

    def _raise_registers(self, mixed: Iterable[int]) -> None:
        registers, rest = self._registers, _BITS - self._precision
        low = (1 << rest) - 1
        if not self._limits:
            # Below its limit a value raises its register; few do, once many have been seen.
            self._limits = [(1 << rest) >> register for register in registers]
        limits = self._limits
        for value in mixed:
            place = (value & _MASK) >> rest
            if value & low < limits[place]:
                registers[place] = rest - (value & low).bit_length() + 1
                limits[place] = (1 << rest) >> registers[place]

    def __getstate__(self) -> tuple[object, ...]:
        return (self._precision, self._few, bytes(self._registers))

    def __setstate__(self, state: tuple[int, set[int] | None, bytes]) -> None:
        self._precision, self._few, self._registers = state[0], state[1], bytearray(state[2])
        self._limits = []


def _sigma(x: float) -> float:
    if x == 1:
        return math.inf
    y, z = 1.0, x
    while True:
        x *= x
        before, z = z, z + x * y
        y += y
        if z == before:
            return z


def _tau(x: float) -> float:
    if x in (0, 1):
        return 0.0
    y, z = 1.0, 1 - x
    while True:
        x = math.sqrt(x)
        before = z
        y *= 0.5
        z -= (1 - x) ** 2 * y
        if z == before:
            return z / 3
