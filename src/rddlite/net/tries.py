"""How long a source is tried before it counts as unreachable, and what is told of it then.

A refused connection is an answer: a process that listened there does no more. A few refusals in a row settle it.
Everything else (silence, a broken connection, nonsense) is worth `retries` more tries, with growing pauses. Bytes that
come start the count anew. Times are handed in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rddlite.base.backoff import delays
from rddlite.base.units import show_seconds

if TYPE_CHECKING:
    from random import Random

_REFUSALS = 3
_AFTER_REFUSAL = (0.05, 2.0, 0.1)
_AFTER_FAILURE = (0.05, 4.0, 3.0)


class Tries:
    """The tries of one source since bytes last came from it."""

    def __init__(self, retries: int, jitter: Random | None = None) -> None:
        self._retries = retries
        self._jitter = jitter
        self._begin()

    def progressed(self) -> None:
        """Bytes came: whatever failed before counts no more."""
        if self._reasons:
            self._begin()

    def refused(self, why: str, started: float, now: float) -> float | None:
        """A try begun at `started` was refused: when to try again, None for never."""
        self._n_refused += 1
        self._note(why, started)
        return None if self._n_refused >= _REFUSALS else now + next(self._refusal_pauses)

    def failed(self, why: str, started: float, now: float) -> float | None:
        """A try begun at `started` failed: when to try again, None for never."""
        self._note(why, started)
        return None if len(self._reasons) - self._n_refused > self._retries else now + next(self._pauses)

    def story(self, now: float) -> str:
        """What was found, and how often."""
        reasons = ", then ".join(dict.fromkeys(self._reasons))
        n = len(self._reasons)
        times = "once" if n == 1 else f"{n} times"
        return f"{reasons} (tried {times} in {show_seconds(now - self._since)})"

    def _begin(self) -> None:
        self._since = 0.0
        self._reasons: list[str] = []
        self._n_refused = 0
        self._pauses = delays(*_AFTER_FAILURE, self._jitter)
        self._refusal_pauses = delays(*_AFTER_REFUSAL)

    def _note(self, why: str, started: float) -> None:
        if not self._reasons:
            self._since = started
        self._reasons.append(why)
