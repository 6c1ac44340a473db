"""When an executor says `Register`: once all is ready and connected, again after every break, until it is answered.

Pure. No message is assumed delivered, so a registration without an answer is repeated; without any answer for long
enough the driver has written this executor off, and it gives up.
"""

from __future__ import annotations

_REPEAT = 1.0
_FIRST_ANSWER = 30.0


class Enrolment:
    """Owned by the agent."""

    def __init__(self, now: float) -> None:
        self._is_ready = False
        self._is_connected = False
        self.is_accepted = False
        """Whether the driver took the last registration."""
        self._silence = _FIRST_ANSWER
        self._register_at: float | None = None
        self._give_up_at: float | None = now + _FIRST_ANSWER

    def ready(self, now: float) -> None:
        """All workers are there. Counts once."""
        if not self._is_ready:
            self._is_ready = True
            self._register_soon(now)

    def connected(self, now: float) -> None:
        """The connection is there (again)."""
        self._is_connected = True
        self._register_soon(now)

    def disconnected(self, now: float) -> None:
        """The connection broke."""
        self._is_connected = self.is_accepted = False
        self._register_at = None
        if self._give_up_at is None:
            self._give_up_at = now + self._silence

    def accepted(self, silence: float) -> None:
        """The driver answered; from now on it may be out of reach for `silence` seconds."""
        self.is_accepted = True
        self._silence = silence
        self._register_at = self._give_up_at = None

    def wants_to_register(self, now: float) -> bool:
        """Whether to register now; true once for each time."""
        if self._register_at is None or now < self._register_at:
            return False
        self._register_at = now + _REPEAT
        return True

    def has_given_up(self, now: float) -> bool:
        """Whether the driver was out of reach for too long."""
        return self._give_up_at is not None and now >= self._give_up_at

    @property
    def deadline(self) -> float | None:
        """When something is due next."""
        if self._register_at is None or self._give_up_at is None:
            return self._give_up_at if self._register_at is None else self._register_at
        return min(self._register_at, self._give_up_at)

    def _register_soon(self, now: float) -> None:
        if self._is_ready and self._is_connected and not self.is_accepted:
            self._register_at = now
