"""Files of other executors, copied here: map outputs of one that leaves, so that nothing has to be computed again, and
cached partitions that several executors are to keep.

A thread of its own fetches; the executor's loop asks and passes the answers on. An output is published as its writer
publishes it: the data first, then the index, both complete. What cannot be had is named in the answer, and no harm:
it is lost with its executor, as it would have been anyway.
"""

from __future__ import annotations

import contextlib
import os
import queue
import threading
from collections.abc import Callable, Iterable

from rddlite.base.cached import Form, Kept, News
from rddlite.base.ids import AttemptId, CachedData, CacheId, ShuffleData, ShuffleId
from rddlite.base.log import logger
from rddlite.executor.descriptors import Descriptors
from rddlite.net.auth import ExecutorKeys
from rddlite.net.fetch import Fetcher
from rddlite.net.inbox import Inbox
from rddlite.net.messages import Adopt, Adopted, CopyBlock
from rddlite.net.transfer import INDEX, WHOLE, Source, Wanted
from rddlite.shuffle.format import data_path, index_path, temporary_path
from rddlite.storage.blocks import FOLDER
from rddlite.storage.frames import Frames

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
        self._wishes: queue.SimpleQueue[Adopt | CopyBlock | None] = queue.SimpleQueue()
        self._unwanted: set[int] = set()
        self._thread: threading.Thread | None = None
        self._has_answers = False
        descriptors.watch(self._inbox.fileno(), self._wake)

    def adopt(self, wish: Adopt | CopyBlock) -> None:
        """Copy these outputs, or this partition; the answer comes."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="rddlite-adopter", daemon=True)
            self._thread.start()
        self._wishes.put(wish)

    def forget_caches(self, caches: Iterable[int]) -> None:
        """Their partitions are not wanted any more, also those that are on their way."""
        self._unwanted.update(caches)

    def answers(self) -> list[Adopted | News]:
        """What was finished since this was asked last: outputs, and what became of cached partitions."""
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
                if isinstance(wish, CopyBlock):
                    self._inbox.post(self._copied(fetcher, wish))
                else:
                    self._inbox.post(self._adopted(fetcher, wish))
        finally:
            fetcher.close()

    def _adopted(self, fetcher: Fetcher, wish: Adopt) -> Adopted:
        source = Source(f"executor {wish.source}", wish.address, self._keys.executors.public)
        done: list[list[int]] = []
        why = ""
        wanted = [row for row in wish.outputs if len(row) == 3]
        for shuffle, map_index, attempt in wanted:
            block = ShuffleData(ShuffleId(shuffle), map_index, AttemptId(attempt))
            try:
                self._copy(fetcher, source, block)
            except OSError as error:
                why = why or f"{block}: {error}"
            else:
                done.append([shuffle, map_index, attempt])
        if n_lost := len(wanted) - len(done):
            text = "%d of %d map outputs of executor %s could not be copied; the first was %s"
            _log.warning(text, n_lost, len(wanted), wish.source, why)
        return Adopted(self._executor, wish.source, done, why)

    def _copied(self, fetcher: Fetcher, wish: CopyBlock) -> News:
        """The copy is a file, whatever the source has in memory. It must be sound: it may be all that is left."""
        source = Source(f"executor {wish.source}", wish.address, self._keys.executors.public)
        name = str(CachedData(CacheId(wish.cache), wish.partition))
        path = os.path.join(self._scratch, FOLDER, name)
        temporary = f"{path}.copy.tmp"
        try:
            with open(temporary, "wb") as file:
                fetcher.fetch_to(source, Wanted(name, WHOLE), file)
            os.rename(temporary, path)
            frames = Frames.at(path)
            if wish.cache not in self._unwanted and frames.is_sound:
                kept = Kept(wish.cache, wish.partition, Form.FILE, frames.size, wish.seconds, copies=wish.copies)
                return News((kept,))
            os.unlink(path)
        except OSError as error:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            if wish.cache not in self._unwanted:
                _log.warning("%s of executor %s could not be copied: %s", name, wish.source, error)
        return News(dropped=((wish.cache, wish.partition),))

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
