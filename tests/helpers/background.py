"""Something that is done to a cluster while the test's own thread waits for a job."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def in_the_background(work: Callable[[], object]) -> Iterator[None]:
    """`work` goes on in a thread, and is over at the end. What it raises fails the test."""
    failures: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:  # shown by the test's own thread
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        thread.join()
        assert not failures, failures
