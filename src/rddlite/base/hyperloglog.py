"""How many different values there are, about: HyperLogLog over hashes of 64 bits, exact while they are few.

Knows hashes only; a sketch is pickled between processes and merged on the driver. The estimate is the improved one of
Ertl (2017), which needs no correction for small or large numbers.
"""

from __future__ import annotations

import math
import struct
from array import array
from collections.abc import Iterable, Sequence
from itertools import chain

_BITS = 64
_WORD = 8
_HALF = 1 << _BITS - 1
_SMALLEST_PRECISION = 4
_LARGEST_PRECISION = 24
_EXACT = 1024
"""So many different values are counted exactly, however few registers there are."""


def precision_for(relative_deviation: float) -> int:
    """How many bits of a hash choose the register, for estimates of this relative standard deviation."""
    return min(_LARGEST_PRECISION, max(_SMALLEST_PRECISION, math.ceil(2 * math.log2(1.106 / relative_deviation))))


class DistinctCount:
    """A sketch of `2 ** precision` registers. Hashes of 64 bits, with a sign; they are mixed here.

    The lowest bits of what comes of that choose the register; it keeps by how many zeros the other bits began, at most.
    """

    __slots__ = ("_bound", "_due", "_few", "_limits", "_precision", "_registers", "_seen")

    def __init__(self, precision: int) -> None:
        self._precision = precision
        self._few: set[int] | None = set()
        self._registers = bytearray()
        self._limits: list[int] = []
        self._bound = _HALF
        self._seen = self._due = 0

    def add(self, hashes: Sequence[int]) -> None:
        """Add these."""
        # The hash of bytes is SipHash, which spreads well, in C; all executors have the same seed for it.
        mixed = map(hash, chain.from_iterable(struct.iter_unpack(f"{_WORD}s", array("q", hashes))))
        if self._few is None:
            self._seen += len(hashes)
            self._raise_registers(filter(self._bound.__gt__, mixed))
            if self._seen >= self._due:
                self._lower_bound()
            return
        self._few.update(mixed)
        self._spread_if_many(self._few)

    def merge(self, other: DistinctCount) -> None:
        """Add all that the other one has seen; both must have the same precision."""
        if other._few is not None:
            if self._few is not None:
                self._few |= other._few
                self._spread_if_many(self._few)
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

    def _spread_if_many(self, few: set[int]) -> None:
        if len(few) > max(_EXACT, 1 << self._precision - 3):  # about as large as the registers
            self._spread()

    def _spread(self) -> None:
        if self._few is None:
            return
        few, self._few = self._few, None
        self._registers = bytearray(1 << self._precision)
        self._raise_registers(few)

    def _raise_registers(self, mixed: Iterable[int]) -> None:
        registers, precision = self._registers, self._precision
        rest, low = _BITS - precision, (1 << precision) - 1
        if not self._limits:
            # Below its limit a value raises its register; few do, once many have been seen.
            self._limits = [(1 << rest) >> register for register in registers]
        limits = self._limits
        for value in mixed:
            place, others = value & low, (value + _HALF) >> precision
            if others < limits[place]:
                registers[place] = rest - others.bit_length() + 1
                limits[place] = (1 << rest) >> registers[place]

    def _lower_bound(self) -> None:
        """No value from the bound on can raise any register; to be found now and then, as it takes a look at all."""
        self._bound = (max(self._limits) << self._precision) - _HALF
        self._due = self._seen + max(self._seen >> 2, len(self._limits))

    def __getstate__(self) -> tuple[object, ...]:
        return (self._precision, self._few, bytes(self._registers))

    def __setstate__(self, state: tuple[int, set[int] | None, bytes]) -> None:
        self._precision, self._few, self._registers = state[0], state[1], bytearray(state[2])
        self._limits, self._bound = [], _HALF
        self._seen = self._due = 0


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
