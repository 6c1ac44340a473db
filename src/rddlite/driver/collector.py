"""Large results from executors whose files this process cannot read: fetched by a thread of its own, into files.

An attempt counts as ended only when its result is here: an executor that is lost after that takes nothing with it, and
one that is lost before has its attempt run again like any other. The thread starts with the first result. What becomes
of a fetch is posted to the loop, which owns everything else.
"""

from __future__ import annotations

import contextlib
import os
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO, Protocol

from rddlite.base.faults import fault_point
from rddlite.base.ids import AttemptId, ExecutorId, TaskResult
from rddlite.base.log import logger
from rddlite.base.outcome import StoredResult, Success

_REMEMBERED_GONE = 1_000
_log = logger("driver")


class Fetch(Protocol):
    """How bytes are had from the block server of an executor. Used by one thread."""

    def fetch(self, executor: ExecutorId, address: str, block: str, file: BinaryIO) -> None:
        """Write the whole block to `file`.

        Raises:
            OSError: if it cannot be had, after what retries there are.
        """
        ...

    def close(self) -> None:
        """Close all connections."""
        ...


@dataclass(frozen=True, slots=True)
class ResultFetched:
    """The result of an attempt is in a file of the driver's."""

    executor: ExecutorId
    attempt: AttemptId
    outcome: Success


@dataclass(frozen=True, slots=True)
class ResultMissed:
    """The result of an attempt could not be fetched."""

    executor: ExecutorId
    attempt: AttemptId
    why: str


@dataclass(frozen=True, slots=True)
class _Wish:
    executor: ExecutorId
    attempt: AttemptId
    address: str
    outcome: Success
    size: int


class Collector:
    """Fetches one result after another. `collect`, `forget` and `close` are called by the loop thread."""

    def __init__(self, directory: str, make_fetch: Callable[[], Fetch], post: Callable[[Any], None]) -> None:
        self._directory = directory
        self._make_fetch = make_fetch
        self._post = post
        self._wishes: queue.SimpleQueue[_Wish | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._gone: dict[ExecutorId, None] = {}

    def collect(self, executor: ExecutorId, attempt: AttemptId, address: str, outcome: Success) -> None:
        """Fetch the stored result of this outcome; `ResultFetched` or `ResultMissed` will be posted."""
        assert isinstance(outcome.value, StoredResult)
        if self._thread is None:
            os.makedirs(self._directory, mode=0o700, exist_ok=True)
            self._thread = threading.Thread(target=self._run, name="rddlite-collector", daemon=True)
            self._thread.start()
        self._wishes.put(_Wish(executor, attempt, address, outcome, outcome.value.size))

    def forget(self, executor: ExecutorId) -> None:
        """This executor is gone: its attempts run again elsewhere, so nobody is told of its results any more."""
        self._gone[executor] = None
        if len(self._gone) > _REMEMBERED_GONE:
            del self._gone[next(iter(self._gone))]

    def close(self) -> None:
        """End the thread when it has finished what it does now."""
        if self._thread is not None:
            self._wishes.put(None)

    def _run(self) -> None:
        fetch = self._make_fetch()
        try:
            while (wish := self._wishes.get()) is not None:
                if wish.executor not in self._gone:  # else the results behind it would wait for nothing
                    self._post(self._fetched(fetch, wish))
        finally:
            fetch.close()

    def _fetched(self, fetch: Fetch, wish: _Wish) -> ResultFetched | ResultMissed:
        block = str(TaskResult(wish.attempt))
        path = os.path.join(self._directory, block)
        try:
            with open(path, "wb") as file:
                fault_point("result.fetch")
                fetch.fetch(wish.executor, wish.address, block, file)
                size = file.tell()
            if size != wish.size:
                raise OSError(f"{size} bytes came, not {wish.size}")
        except OSError as error:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
            if wish.executor not in self._gone:
                _log.warning("the result of attempt %d could not be fetched: %s", wish.attempt, error)
            return ResultMissed(wish.executor, wish.attempt, str(error))
        outcome = Success(StoredResult(path, wish.size), wish.outcome.metrics, wish.outcome.accumulators)
        return ResultFetched(wish.executor, wish.attempt, outcome)
