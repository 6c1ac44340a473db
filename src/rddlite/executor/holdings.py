"""Which worker of an executor keeps which cached partition, and so which worker a task had better run on. Pure.

A block in memory belongs to the worker that made it last: where another one had to make it again, because its owner
was busy for too long, the older copy is dropped. Files belong to all workers, and a block may have one beside what a
worker has in memory. Frames in a worker's memory can be read by the others through the descriptor, so nobody waits for
their owner. For objects, which the owner has to pickle first, a task waits till its owner is free about as long as it
would take to make them again, and then asks it for copies.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from rddlite.base.cached import Block, Form, Kept, News, Wanted
from rddlite.net.messages import BlocksChanged, KeptBlock

EVERYBODY = -1
"""In place of a worker: what the executor itself keeps."""


def blocks_changed(executor: str, news: News, *, is_all: bool = False) -> BlocksChanged:
    """The news as the driver is told them."""
    kept = [
        KeptBlock(each.cache, each.partition, int(each.form), each.size, each.seconds, each.copies)
        for each in news.kept
    ]
    return BlocksChanged(executor, is_all, kept, [list(block) for block in news.dropped])


class Claim(NamedTuple):
    """The worker that a task had better run on, and for how many seconds that is worth waiting."""

    worker: int
    patience: float


class Holdings:
    """See the header. Owned by the agent."""

    def __init__(self) -> None:
        self._owners: dict[Block, tuple[int, Kept]] = {}
        self._files: dict[Block, Kept] = {}

    def changed(self, worker: int, news: News) -> list[tuple[int, Block]]:
        """Take what a worker tells. Answers with copies that others need not keep any more, and who has them."""
        stale = []
        for kept in news.kept:
            owner = self._owner(kept.block)
            is_others = owner not in (None, worker)
            if kept.form is Form.FILE:
                self._files[kept.block] = kept
                if not is_others:
                    self._owners.pop(kept.block, None)
                continue
            if is_others and owner is not None:
                stale.append((owner, kept.block))
            self._owners[kept.block] = (worker, kept)
        for block in news.dropped:
            self._files.pop(block, None)
            if self._owner(block) == worker:
                del self._owners[block]
        return stale

    def as_told(self, news: News) -> News:
        """What the driver is to know of such news of one worker: others may keep what that has dropped."""
        gone = (block for block in news.dropped if block not in self._owners and block not in self._files)
        return News(news.kept, tuple(gone))

    def worker_gone(self, worker: int) -> News:
        """Its memory is gone: the blocks that went with it, and those of which a file is left."""
        gone = [block for block, (owner, _) in self._owners.items() if owner == worker]
        for block in gone:
            del self._owners[block]
        left = tuple(self._files[block] for block in gone if block in self._files)
        return News(left, tuple(block for block in gone if block not in self._files))

    def all(self) -> tuple[Kept, ...]:
        """Every block that is kept here: of those in a file and in memory first the file."""
        return (*self._files.values(), *(kept for _, kept in self._owners.values()))

    def claim(self, wanted: Iterable[Wanted]) -> Claim | None:
        """Who keeps most of what a task reads, by the time it would take to make it again."""
        seconds: dict[int, float] = {}
        live: dict[int, float] = {}
        for each in wanted:
            found = self._owners.get(each.block)
            if found is None:
                continue
            worker, kept = found
            seconds[worker] = seconds.get(worker, 0.0) + kept.seconds
            if kept.form is Form.LIVE:
                live[worker] = live.get(worker, 0.0) + kept.seconds
        if not seconds:
            return None
        worker = max(seconds, key=lambda each: (live.get(each, -1.0), seconds[each]))
        return Claim(worker, live.get(worker, 0.0))

    def routed(self, worker: int, wanted: Sequence[Wanted], pids: dict[int, int]) -> list[Wanted] | None:
        """What a task is told that runs on this worker: where it can read frames of others, or whom it can ask for
        objects, by their process ids; None if there is nothing to add.
        """
        found = [self._routed(worker, each, pids) for each in wanted]
        return found if found != wanted else None

    def _routed(self, worker: int, wanted: Wanted, pids: dict[int, int]) -> Wanted:
        owner, kept = self._owners.get(wanted.block, (EVERYBODY, None))
        if kept is None or owner == worker or not pids.get(owner):
            return wanted
        if kept.form is Form.LIVE:
            return wanted._replace(owner=pids[owner], seconds=kept.seconds)
        return wanted._replace(path=f"/proc/{pids[owner]}/fd/{kept.fd}", inode=kept.inode)

    def _owner(self, block: Block) -> int | None:
        found = self._owners.get(block)
        return None if found is None else found[0]
