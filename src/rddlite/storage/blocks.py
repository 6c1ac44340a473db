"""The cached partitions that one worker keeps in memory, and the executor's files of cached partitions.

Blocks in memory are this process's alone and go with it; files belong to the executor and are read by any worker.
When memory is short, what is cheapest to bring back for each byte goes first; the longer something was not used, the
cheaper it counts (GreedyDual). What becomes of blocks is gathered as news, for the executor and the driver. Decides
nothing about tasks, and computes nothing.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from rddlite.base.cached import Block, Form, Kept, News
from rddlite.base.ids import CachedData, CacheId
from rddlite.errors import NotPicklable
from rddlite.storage.frames import Frames, FrameWriter

FOLDER = "cache"
"""Of an executor's scratch directory."""
_DISK_BYTES_PER_SECOND = 500e6
"""How fast frames come back from a file; the system usually has them in memory still."""

Batch = list[Any]


@dataclass(eq=False, slots=True)
class InMemory:
    """A block in memory: live batches, or frames. `rank` says when it goes: the lowest first."""

    block: Block
    held: list[Batch] | Frames
    size: int
    seconds: float
    to_disk: bool
    copies: int = 1
    rank: float = 0.0
    pickled: Frames | None = None
    """The same as frames, once somebody wanted a copy and there was room."""

    @property
    def form(self) -> Form:
        """How it is kept."""
        return Form.LIVE if isinstance(self.held, list) else Form.FRAMES

    @property
    def cost(self) -> float:
        """Seconds for each byte to bring it back once it has gone from memory."""
        seconds = min(self.seconds, self.size / _DISK_BYTES_PER_SECOND) if self.to_disk else self.seconds
        return seconds / max(self.size, 1)

    def batches(self) -> Iterator[Batch]:
        """The records. Live batches are the very lists: nobody may change them."""
        return iter(self.held) if isinstance(self.held, list) else self.held.batches()

    def kept(self) -> Kept:
        """What to tell of it."""
        fd, inode = (self.held.fd, self.held.inode) if isinstance(self.held, Frames) else (-1, 0)
        return Kept(*self.block, self.form, self.size, self.seconds, fd, self.copies, inode)


class BlockStore:
    """See the header. `capacity` is how many bytes may be kept in memory. May be used by several threads."""

    def __init__(self, scratch: str, capacity: int) -> None:
        self._folder = os.path.join(scratch, FOLDER)
        self._capacity = capacity
        self._blocks: dict[Block, InMemory] = {}
        self._age = 0.0
        self._kept: dict[tuple[Block, bool], Kept] = {}
        self._dropped: dict[Block, None] = {}
        self._lock = threading.RLock()
        self.n_evicted = 0
        self.bytes_evicted = 0

    @property
    def capacity(self) -> int:
        """How many bytes may be kept in memory."""
        return self._capacity

    @property
    def held(self) -> int:
        """About how many bytes are kept in memory."""
        return sum(each.size for each in list(self._blocks.values()))

    @property
    def _held_twice(self) -> int:
        return sum(each.pickled.size for each in list(self._blocks.values()) if each.pickled is not None)

    def find(self, block: Block) -> Iterator[Batch] | None:
        """The records of a block that is kept here, in memory or in a file. A file that is damaged is removed."""
        found = self._blocks.get(block)
        if found is not None:
            found.rank = self._age + found.cost
            return found.batches()
        with suppress(OSError):
            frames = Frames.at(self.path(block))
            if frames.is_sound:
                return frames.batches()
            os.unlink(frames.path)
            with self._lock:
                self._tell_gone(block)
        return None

    def copied(self, block: Block) -> Frames | None:
        """A block that is kept as objects, as frames: for others, whose copy they are. Kept beside the objects where
        there is room that nobody else needs, so that the next one who asks gets the same.

        Raises:
            NotPicklable, OSError: if that cannot be.
        """
        memory = self._blocks.get(block)
        if memory is None or not isinstance(memory.held, list):
            return None
        frames = memory.pickled
        if frames is None:
            frames = write_frames(iter(memory.held), None)
            with self._lock:
                if self.held + self._held_twice + frames.size <= self._capacity:
                    memory.pickled = frames
        return frames

    def has(self, block: Block) -> bool:
        """Whether a block is kept here."""
        return block in self._blocks or os.path.exists(self.path(block))

    def path(self, block: Block) -> str:
        """The file that a block has on disk."""
        return os.path.join(self._folder, str(CachedData(CacheId(block[0]), block[1])))

    def make_room(self, block: Block, size: int, cost: float) -> bool:
        """Whether so much more may be held in memory for this block, after others have gone that are cheaper to bring
        back. Partitions of the same RDD do not make room for each other: all of them are needed equally.
        """
        with self._lock:
            missing = self.held + size - self._capacity
            if missing + self._held_twice <= 0:
                return True
            for each in self._blocks.values():
                each.pickled = None
            if missing <= 0:
                return True
            rank = self._age + cost
            candidates = sorted(
                (each for each in self._blocks.values() if each.block[0] != block[0] and each.rank <= rank),
                key=lambda each: each.rank,
            )
            if size > self._capacity or sum(each.size for each in candidates) < missing:
                self._age = max(self._age, min((each.rank for each in candidates), default=self._age))
                return False
            for each in candidates:
                self._age = max(self._age, each.rank)
                self._evict(each)
                missing -= each.size
                if missing <= 0:
                    break
            return True

    def put(self, memory: InMemory) -> None:
        """Keep a block in memory, unless it is there already."""
        with self._lock:
            memory.rank = self._age + memory.cost
            if self._blocks.setdefault(memory.block, memory) is memory:
                self._tell(memory.kept())

    def filed(self, block: Block, frames: Frames, seconds: float, copies: int = 1) -> None:
        """A block was written to its file."""
        with self._lock:
            if block not in self._blocks or copies > 1:
                self._tell(Kept(*block, Form.FILE, frames.size, seconds, copies=copies))

    def shrink(self, capacity: int) -> None:
        """Evict until no more than this is held in memory."""
        with self._lock:
            for each in sorted(self._blocks.values(), key=lambda each: each.rank):
                if self.held <= capacity:
                    return
                self._age = max(self._age, each.rank)
                self._evict(each)

    def release(self, n_bytes: int, most_cost: float) -> int:
        """Evict objects of about so many bytes, if as many can go that cost no more (seconds per byte) to make again.
        Answers with what they took. Nothing is written to disk for it.
        """
        with self._lock:
            released = 0
            for each in sorted(self._blocks.values(), key=lambda each: each.rank):
                if released >= n_bytes:
                    break
                if each.form is Form.LIVE and not each.to_disk and each.cost <= most_cost:
                    self._age = max(self._age, each.rank)
                    self._evict(each)
                    released += each.size
            return released

    def drop(self, blocks: list[Block]) -> None:
        """Forget these in memory; their files are the executor's to remove."""
        with self._lock:
            for block in blocks:
                memory = self._blocks.pop(block, None)
                if memory is not None:
                    self._tell_gone_from_memory(memory)

    def drop_caches(self, caches: set[int]) -> None:
        """Forget all blocks of these, also those in files: whoever wrote one after others removed them is here."""
        self.drop([block for block in list(self._blocks) if block[0] in caches])
        for cache in caches:
            for block in self._remove_files(cache):
                self._tell_gone(block)

    def _remove_files(self, cache: int) -> list[Block]:
        """Also unfinished ones. Answers with the blocks that were complete."""
        prefix = f"cached-{cache}-"
        removed: list[Block] = []
        with suppress(FileNotFoundError):
            for name in os.listdir(self._folder):
                if name.startswith(prefix):
                    with suppress(FileNotFoundError):
                        os.unlink(os.path.join(self._folder, name))
                    if name[len(prefix) :].isdecimal():
                        removed.append((cache, int(name[len(prefix) :])))
        return removed

    def take_news(self) -> News | None:
        """What became of blocks since this was asked last."""
        if not self._kept and not self._dropped:
            return None
        with self._lock:
            # Files first: of a block that is in memory as well, that is what counts.
            kept = sorted(self._kept.values(), key=lambda each: -each.form)
            news = News(tuple(kept), tuple(self._dropped))
            self._kept, self._dropped = {}, {}
            return news

    def _evict(self, memory: InMemory) -> None:
        self.n_evicted += 1
        self.bytes_evicted += memory.size
        self._blocks.pop(memory.block, None)
        # One of several copies has its file already, unless there were no peers for it, or it could not be written.
        if memory.to_disk and (memory.copies == 1 or not os.path.exists(self.path(memory.block))):
            self._write_out(memory)
        self._tell_gone_from_memory(memory)

    def _write_out(self, memory: InMemory) -> None:
        """To its file; where that cannot be it is no reason to fail: the block can be computed again."""
        with suppress(OSError, MemoryError, NotPicklable):
            write_frames(memory.batches(), self.path(memory.block))

    def _tell(self, kept: Kept) -> None:
        self._dropped.pop(kept.block, None)
        self._kept[kept.block, kept.form is Form.FILE] = kept

    def _tell_gone(self, block: Block) -> None:
        self._kept.pop((block, True), None)
        self._kept.pop((block, False), None)
        self._dropped[block] = None

    def _tell_gone_from_memory(self, memory: InMemory) -> None:
        try:
            size = os.stat(self.path(memory.block)).st_size
        except OSError:
            self._tell_gone(memory.block)
            return
        self._kept.pop((memory.block, False), None)
        self._tell(Kept(*memory.block, Form.FILE, size, memory.seconds, copies=memory.copies))


def write_frames(batches: Iterator[Batch], path: str | None) -> Frames:
    """All of these batches as frames, in memory or in a file.

    Raises:
        NotPicklable, DiskFull, OSError: and nothing is left then.
    """
    writer = FrameWriter(path)
    try:
        for batch in batches:
            writer.add(batch)
        return writer.finish()
    except BaseException:
        writer.abandon()
        raise
