"""What to do when a file descriptor is ready. One epoll, whose own descriptor can be waited for in another poll.

Level-triggered: what was not read is found again. Owned by the executor's loop.
"""

from __future__ import annotations

import select
from collections.abc import Callable

Action = Callable[[], None]


class Descriptors:
    """Descriptors that are watched, each with its action."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._actions: dict[int, Action] = {}

    def fileno(self) -> int:
        """Readable while any watched descriptor is ready."""
        return self._epoll.fileno()

    def watch(self, fd: int, action: Action) -> None:
        """Do this whenever the descriptor is readable, at its end, or in error."""
        self._epoll.register(fd, select.EPOLLIN)
        self._actions[fd] = action

    def watch_writes(self, fd: int, *, wanted: bool) -> None:
        """Also act when the (watched) descriptor is writable, or no longer."""
        if fd in self._actions:
            self._epoll.modify(fd, select.EPOLLIN | (select.EPOLLOUT if wanted else 0))

    def unwatch(self, fd: int) -> None:
        """Forget the descriptor, if it is watched; to be called before it is closed."""
        if self._actions.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def dispatch(self) -> None:
        """Act for every descriptor that is ready now."""
        for fd, _ in self._epoll.poll(0):
            # An action before this one may have ended what this one is about.
            action = self._actions.get(fd)
            if action is not None:
                action()

    def close(self) -> None:
        """Stop watching."""
        self._epoll.close()
        self._actions.clear()
