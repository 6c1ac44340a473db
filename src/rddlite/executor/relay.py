"""Iterators whose items are made by a thread of their own, one at a time, when asked for.

What must nest at run time (an iterator handed to a mapPartitions function over another one, coalesced partitions over
coalesced ones) takes interpreter frames at each level, and an interpreter holds a few hundred of them in a thread,
whatever its stack. A relay every so many levels gives the levels below it a thread and so frames of their own. Only
one thread of such a chain runs at any time, and nothing is made that was not asked for.
"""

from __future__ import annotations

import contextlib
import contextvars
import threading
from collections.abc import Iterator
from typing import Any

from rddlite.executor.memory import more_data

LEVELS = 100
"""Levels between two relays: several frames each, far from the default recursion limit of 1,000."""

_STACK_BYTES = 2 << 20
_PATIENCE = 0.2


class Relay(Iterator[Any]):
    """Hands out the items of `source`, which from now on belongs to the relay's thread. Used by one thread."""

    def __init__(self, source: Iterator[Any]) -> None:
        self._source = source
        self._wanted, self._made = threading.Lock(), threading.Lock()
        self._wanted.acquire()
        self._made.acquire()
        self._item: Any = None
        self._error: BaseException | None = None
        self._is_over = self._is_abandoned = False
        self._thread: threading.Thread | None = None

    def __next__(self) -> Any:
        if self._is_over:
            raise StopIteration
        if self._thread is None:
            self._thread = _start(self._run)
        self._wanted.release()
        self._made.acquire()
        if self._error is not None:
            error, self._error = self._error, None
            raise error
        if self._is_over:
            raise StopIteration
        item, self._item = self._item, None
        return item

    def close(self) -> None:
        """Ask the thread to end; it does as soon as it is done with the item in hand."""
        self._is_abandoned = self._is_over = True
        with contextlib.suppress(RuntimeError):  # the thread has not come back to wait yet, and will see the flag
            self._wanted.release()

    def join(self) -> bool:
        """Wait a moment for the thread to end; not longer, as nothing can end one that is in the user's code."""
        if self._thread is not None:
            self._thread.join(_PATIENCE)
        return self._thread is None or not self._thread.is_alive()

    def _run(self) -> None:
        while not self._is_over:
            self._wanted.acquire()
            if self._is_abandoned:
                break
            try:
                self._item = next(self._source)
            except StopIteration:
                self._is_over = True
            except BaseException as error:  # it belongs to the thread that asked
                self._error, self._is_over = error, True
            self._made.release()


def _start(run: Any) -> threading.Thread:
    context = contextvars.copy_context()
    usual = threading.stack_size(_STACK_BYTES)
    try:
        thread = threading.Thread(target=context.run, args=(run,), name="rddlite-relay", daemon=True)
        with more_data(_STACK_BYTES):
            thread.start()
    finally:
        threading.stack_size(usual)
    return thread
