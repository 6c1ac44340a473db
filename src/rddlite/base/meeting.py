"""What tasks of a barrier stage can ask for when they meet, and how an executor is told of it."""

from __future__ import annotations

import struct
from enum import IntEnum

ASK = struct.Struct("<qqB")
"""How a frame begins in which a worker asks: the attempt, which meeting of it this is (from 1 on), and a `Wish`."""


class Wish(IntEnum):
    """What a task asks for: to wait for the others, or to get what all of them bring; both need all of them. Then, at
    once: where the others are; and that nobody waits any longer.
    """

    BARRIER = 0
    GATHER = 1
    PLACES = 2
    GIVE_UP = 3
