"""How many bytes in flight the transfers of one process may occupy together, and who of them gets how many.

In flight is what a sender was allowed to send and what came and was not taken yet. The window is divided evenly among
the transfers at work. One that has nothing in flight is always allowed a little, also where others hold everything, so
that no consumer of several transfers can wait for one that waits for it. Credit goes out in large steps.
"""

from __future__ import annotations

from rddlite.net.transfer import Receiver

LEAST = 64 << 10
"""What a transfer with nothing in flight gets at least."""
_STEPS = 4


class Window:
    """The window of one fetcher. Owned by its thread."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._receivers: list[Receiver] = []

    @property
    def occupied(self) -> int:
        """Bytes in flight now."""
        return sum([receiver.due + receiver.held for receiver in self._receivers])

    def enter(self, receiver: Receiver) -> None:
        """This transfer is at work from now on."""
        self._receivers.append(receiver)

    def leave(self, receiver: Receiver) -> None:
        """This transfer is over."""
        self._receivers.remove(receiver)

    def first(self, receiver: Receiver) -> int:
        """What a transfer that has nothing due is to be allowed when it asks (again)."""
        return self._room(receiver, 0)

    def more(self, receiver: Receiver) -> int:
        """What a transfer is to be allowed beyond what it has; 0 while it has enough, or all is in use."""
        share = self._share()
        return self._room(receiver, share // _STEPS) if receiver.due + receiver.held <= share - share // _STEPS else 0

    def _room(self, receiver: Receiver, least: int) -> int:
        has = receiver.due + receiver.held
        room = min(self._share() - has, self.size - self.occupied)
        if room < max(least, 1):
            return 0 if has else LEAST
        return max(room, LEAST) if not has else room

    def _share(self) -> int:
        return max(LEAST, self.size // max(len(self._receivers), 1))
