"""A queue into a loop: any thread posts, the loop's thread drains and is woken from its poll.

A post is safe in a signal handler too, whatever its thread was doing. The descriptor is written once when the queue
stops being empty, not once per item: appending, draining and the flag follow an order in which no wake gets lost.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections import deque
from typing import Any


class Inbox:
    """Items on their way to the thread that owns the loop. After `close`, posts go nowhere."""

    def __init__(self) -> None:
        self._items: deque[Any] = deque()
        self._fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._is_awake = False
        # Keeps a late post from writing to a descriptor that was closed, and perhaps is somebody else's by now.
        self._fd_lock = threading.RLock()

    def post(self, item: Any) -> None:
        """Add an item, from any thread."""
        self._items.append(item)
        if not self._is_awake:
            self._is_awake = True
            with self._fd_lock:
                if self._fd >= 0:
                    os.eventfd_write(self._fd, 1)

    def drain(self) -> list[Any]:
        """Everything posted so far, in order. Called by the loop's thread only."""
        if not self._is_awake:
            return []  # what is being posted right now writes to the descriptor yet
        # The flag falls after the descriptor was read and before items are taken: a post that still sees it raised has
        # its item taken here, one that sees it fallen writes again.
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._fd)
        self._is_awake = False
        items = self._items
        return [items.popleft() for _ in range(len(items))]

    def fileno(self) -> int:
        """Readable while there is something to drain."""
        return self._fd

    def close(self) -> None:
        """Give the descriptor back."""
        with self._fd_lock:
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1
