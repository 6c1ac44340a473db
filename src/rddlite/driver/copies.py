"""Which executor is to copy which cached partition: those that more executors are to keep than do.

Asks for copies as soon as a partition is kept somewhere, and again when an executor that kept it is lost or another one
has joined. A copy that failed is not asked for again, and nothing waits for copies: they are hints like all that the
`CacheTable` knows. Owned by the loop's thread.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Protocol

from rddlite.base.cached import Block
from rddlite.base.ids import ExecutorId
from rddlite.base.log import logger
from rddlite.driver.cachetable import CacheTable
from rddlite.driver.roster import Roster
from rddlite.net.messages import BlocksChanged, CopyBlock, Message

_log = logger("driver")


class Sender(Protocol):
    """What messages go out through."""

    def send(self, executor: ExecutorId, message: Message) -> None:
        """Send one to an executor."""
        ...


class Copies:
    """See the header."""

    def __init__(self, caches: CacheTable, roster: Roster, sender: Sender) -> None:
        self._caches = caches
        self._roster = roster
        self._sender = sender
        self._asked: dict[Block, set[ExecutorId]] = {}
        self._n_asked: Counter[ExecutorId] = Counter()
        self._short: dict[Block, None] = {}
        self._has_warned = False

    def changed(self, executor: ExecutorId, message: BlocksChanged) -> None:
        """An executor told what it keeps; the table knows it already."""
        for kept in message.kept:
            if kept.copies > 1:
                self._settle((kept.cache, kept.partition))
        for row in message.dropped:
            if len(row) == 2 and (row[0], row[1]) in self._asked:
                block = (row[0], row[1])
                if not self._caches.keepers(block):
                    self._asked.pop(block, None)
                    self._short.pop(block, None)

    def joined(self) -> None:
        """There is another executor."""
        for block in list(self._short):
            self._settle(block)

    def lost(self, executor: ExecutorId, kept: Iterable[Block]) -> None:
        """An executor is gone, and so is what it kept."""
        self._n_asked.pop(executor, None)
        missing = dict.fromkeys(kept)
        for block, asked in self._asked.items():
            if executor in asked:
                asked.discard(executor)
                missing[block] = None
        for block in missing:
            self._settle(block)

    def _settle(self, block: Block) -> None:
        """Ask for as many copies of a block as are missing."""
        keepers = self._caches.keepers(block)
        wanted = max((kept.copies for kept in keepers.values()), default=1)
        if wanted <= 1:
            self._asked.pop(block, None)
            self._short.pop(block, None)
            return
        asked = self._asked.setdefault(block, set())
        missing = wanted - len(asked.union(keepers))
        for target in self._targets(asked.union(keepers))[: max(0, missing)]:
            source = self._caches.holders(block)[0]
            address = self._roster.place(source)[1]
            if address:
                asked.add(target)
                self._n_asked[target] += 1
                missing -= 1
                seconds = keepers[source].seconds
                self._sender.send(target, CopyBlock(*block, seconds, wanted, source, address))
        if missing > 0:
            self._short[block] = None
            self._warn(wanted)
        else:
            self._short.pop(block, None)

    def _targets(self, others: set[ExecutorId]) -> list[ExecutorId]:
        """Executors that may take a copy besides these, those first that were asked for fewest."""
        free = [
            each
            for each in self._roster.ids()
            if each not in others and not self._roster.is_suspect(each) and self._roster.place(each)[1]
        ]
        return sorted(free, key=self._n_asked.__getitem__)

    def _warn(self, wanted: int) -> None:
        if not self._has_warned:
            self._has_warned = True
            n = len(self._roster.ids())
            _log.warning(
                "cached partitions are to be kept on %d executors, and there %s: copies are made when more have joined",
                wanted,
                "is one" if n == 1 else f"are {n}",
            )
