"""A retry schedule as a pure iterator of delays."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random


def delays(first: float, factor: float, longest: float, jitter: Random | None = None) -> Iterator[float]:
    """Growing delays in seconds, for ever: `first`, `first * factor` ... up to `longest`.

    With `jitter`, each is shortened by up to a half, so that many waiters do not return together.

    >>> from itertools import islice
    >>> list(islice(delays(1, 2, 5), 4))
    [1, 2, 4, 5]
    """
    delay = first
    while True:
        yield delay if jitter is None else delay * (1 - jitter.random() / 2)
        delay = min(delay * factor, longest)
