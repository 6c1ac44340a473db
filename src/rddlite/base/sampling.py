"""Samples of partitions, the same for the same seed on every process and host."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random
from typing import Any

_DRAWS_THROWN_AWAY = 10


def generator(seed: int, index: int) -> Random:
    """The stream of one partition, as PySpark seeds it: neighbouring seeds need a few draws to part."""
    stream = Random(seed ^ index)
    for _ in range(_DRAWS_THROWN_AWAY):
        stream.randint(0, 1)
    return stream


def sample_keys(fraction: float, seed: int, index: int, pairs: Iterable[tuple[Any, Any]]) -> list[Any]:
    """The keys of about `fraction` of the pairs of partition `index`, in order."""
    if fraction >= 1.0:
        return [pair[0] for pair in pairs]
    draw = generator(seed, index).random
    return [pair[0] for pair in pairs if draw() < fraction]
