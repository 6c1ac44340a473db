"""A clock that moves only when told to."""

from __future__ import annotations


class ManualClock:
    """Stands in for `SystemClock`: time is what the test says.

    >>> clock = ManualClock()
    >>> clock.advance(2.5)
    >>> clock.now()
    2.5
    """

    def __init__(self, start: float = 0.0) -> None:
        self._now = start

    def now(self) -> float:
        """The time that was last set."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Let that much time pass.

        Raises:
            ValueError: if time would go back.
        """
        self.move_to(self._now + seconds)

    def move_to(self, moment: float) -> None:
        """Let time pass until `moment`.

        Raises:
            ValueError: if time would go back.
        """
        if moment < self._now:
            raise ValueError(f"time cannot go back from {self._now} to {moment}")
        self._now = moment
