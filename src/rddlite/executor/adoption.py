"""Map outputs of an executor that leaves, copied here file by file so that nothing has to be computed again.

A thread of its own fetches; the executor's loop asks and passes the answers on. An output is published as its writer
publishes it: the data first, then the index, both complete. What cannot be had is named in the answer, and no harm:
it is lost with its executor, as it would have been anyway.
"""

from __future__ import annotations

import contextlib
import os
import queue
import threading
from collections.abc import Callable

from rddlite.base.ids import AttemptId, ShuffleData, ShuffleId
from rddlite.base.log import logger
from rddlite.executor.descriptors import Descriptors
from rddlite.net.auth import ExecutorKeys
from rddlite.net.fetch import Fetcher
from rddlite.net.inbox import Inbox
from rddlite.net.messages import Adopt, Adopted
from rddlite.net.transfer import INDEX, WHOLE, Source, Wanted
from rddlite.shuffle.format import data_path, index_path, temporary_path

_log = logger("executor")


class Adopter:
    """`adopt` and `answers` are called by the executor's loop, `close` at the end."""

    def __init__(
        self, executor: str, scratch: str, keys: ExecutorKeys, descriptors: Descriptors, make: Callable[[], Fetcher]
    ) -> None:
        self._executor = executor
        self._scratch = scratch
        self._keys = keys
        self._make = make
        self._inbox = Inbox()
        self._wishes: queue.SimpleQueue[Adopt | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._has_answers = False
        descriptors.watch(self._inbox.fileno(), self._wake)

    def adopt(self, wish: Adopt) -> None:
        """Copy these outputs; the answer comes."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="rddlite-adopter", daemon=True)
            self._thread.start()
        self._wishes.put(wish)

    def answers(self) -> list[Adopted]:
        """What was finished since this was asked last."""
        if not self._has_answers:
            return []
        self._has_answers = False
        return self._inbox.drain()

    def close(self) -> None:
        """End the thread after what it does now, without waiting for it."""
        self._wishes.put(None)

    def _wake(self) -> None:
        self._has_answers = True

    def _run(self) -> None:
        fetcher = self._make()
        try:
            while (wish := self._wishes.get()) is not None:
                self._inbox.post(self._adopted(fetcher, wish))
        finally:
            fetcher.close()

    def _adopted(self, fetcher: Fetcher, wish: Adopt) -> Adopted:
        source = Source(f"executor {wish.source}", wish.address, self._keys.executors.public)
        done: list[list[int]] = []
        why = ""
        for shuffle, map_index, attempt in (row for row in wish.outputs if len(row) == 3):
            block = ShuffleData(ShuffleId(shuffle), map_index, AttemptId(attempt))
            try:
                self._copy(fetcher, source, block)
            except OSError as error:
                why = why or str(error)
                _log.warning("%s of executor %s could not be copied: %s", block, wish.source, error)
            else:
                done.append([shuffle, map_index, attempt])
        return Adopted(self._executor, wish.source, done, why)

    def _copy(self, fetcher: Fetcher, source: Source, block: ShuffleData) -> None:
        data, index = (temporary_path(self._scratch, block, part) for part in ("data", "index"))
        try:
            for path, part in ((data, WHOLE), (index, INDEX)):
                with open(path, "wb") as file:
                    fetcher.fetch_to(source, Wanted(str(block), part), file)
            os.rename(data, data_path(self._scratch, block))
            os.rename(index, index_path(self._scratch, block))
        except BaseException:
            for path in (data, index):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(path)
            raise
