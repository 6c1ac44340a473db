"""Short work that Ctrl-C must not cut in half: it is done first, and interrupts the program then."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any


def uninterrupted(work: Callable[[], Any]) -> None:
    """Do the work in a thread of its own, where no KeyboardInterrupt comes, and wait for its end.

    Raises:
        KeyboardInterrupt: after the work, if one came meanwhile.
        BaseException: whatever the work raises.
    """
    raised: list[BaseException] = []
    claimed, done = threading.Lock(), threading.Event()

    def run() -> None:
        if not claimed.acquire(blocking=False):
            return
        try:
            work()
        except BaseException as error:
            raised.append(error)
        finally:
            done.set()

    interrupt: BaseException | None = None
    try:
        threading.Thread(target=run, name="rddlite-uninterrupted").start()
    except BaseException as error:
        if claimed.acquire(blocking=False):
            raise  # the work has not begun, and never will
        interrupt = error
    while not done.is_set():
        try:
            done.wait()
        except BaseException as error:  # what the program's own signal handlers raise, too
            interrupt = error
    if interrupt is not None:
        raise interrupt
    if raised:
        raise raised[0]
