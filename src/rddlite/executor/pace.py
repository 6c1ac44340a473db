"""How fast the workers of an executor get through tasks, and what follows from it. Pure.

A worker costs more to hear than a tiny task. So of these many are sent ahead, and as long as every worker has more than
enough of them nobody listens for a moment: their ends are read together then, and answered together.
"""

from __future__ import annotations

SHORT = 0.02
"""Seconds: longer tasks are not worth being sent ahead."""
_TINY = 0.0005
_MOST_AHEAD = 8
_MOST_TINY_AHEAD = 48
_PAUSE = 0.002
_MEASURED = 16
"""After so many ends the pace is measured again."""


class Pace:
    """Owned by the agent. `seconds` is what a worker takes from one end of a task to the next."""

    def __init__(self, now: float) -> None:
        self.seconds = SHORT
        self._since, self._n = now, 0

    def ended(self, n_running: int, now: float) -> None:
        """One of so many workers has ended a task. A while in which nothing ran counts as if it had."""
        self._n += 1
        if self._n >= _MEASURED and now > self._since:
            self.seconds = (now - self._since) * n_running / self._n
            self._since, self._n = now, 0

    def most_ahead(self) -> int:
        """How many tasks a running worker may have beside the one that it runs."""
        return _MOST_AHEAD if self.seconds > _TINY else _MOST_TINY_AHEAD

    def is_worth_sending(self, n_free: int, n_running: int) -> bool:
        """Whether so many more tasks for these workers are enough for a message to each."""
        return n_free > (0 if self.seconds > _TINY else _MOST_TINY_AHEAD * n_running // 4)

    def pause(self, n_ahead: int) -> float:
        """For how many seconds nobody needs to listen to workers, the least busy of which has so many tasks ahead."""
        return _PAUSE if self.seconds <= _TINY and n_ahead * self.seconds > _PAUSE else 0.0
