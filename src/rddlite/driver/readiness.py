"""Whether the first executors are there, or why they never will be: what the start of a context waits for."""

from __future__ import annotations

import threading


class Readiness:
    """Filled in by the loop thread, waited for by the thread that starts the driver."""

    def __init__(self, n_wanted: int) -> None:
        self.n_wanted = self._n_missing = n_wanted
        self._settled = threading.Event()
        self.failure: str | None = None
        if not n_wanted:
            self._settled.set()

    def registered(self) -> None:
        """One more executor is there."""
        self._n_missing -= 1
        if self._n_missing <= 0:
            self._settled.set()

    def failed(self, why: str) -> None:
        """One of the first executors will not come. Counts only while they are waited for."""
        if not self._settled.is_set():
            self.failure = why
            self._settled.set()

    def end(self) -> None:
        """Nobody will come any more."""
        self._settled.set()

    @property
    def n_registered(self) -> int:
        """How many are there by now."""
        return self.n_wanted - self._n_missing

    def wait(self, timeout: float) -> bool:
        """Wait until the wait is over; False if it is not, and nobody has come for so many seconds."""
        while True:
            n_before = self._n_missing
            if self._settled.wait(timeout):
                return True
            if self._n_missing == n_before:
                return False
