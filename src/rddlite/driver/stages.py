"""What the loop keeps of each stage: its payload, and which blobs each executor has been sent.

A payload goes to an executor once, with the first of its tasks; tables of map outputs once per executor and epoch.
Owned by the loop thread.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from rddlite.base.cached import Block, Wanted, pack_wanted
from rddlite.base.ids import AttemptId, ExecutorId, ShuffleId
from rddlite.driver.cachetable import CacheTable
from rddlite.driver.payloads import Payload
from rddlite.net.messages import Blob, RunTask
from rddlite.plan.model import ResultStage, StageKey
from rddlite.schedule.commands import FindCached, Launch
from rddlite.shuffle.locations import MapLocation, MapTable, encode_tables

_NOBODY = ExecutorId("")
_SPARED = -1, ((_NOBODY, AttemptId(0)),)
"""In place of outputs that are not there: a task that needs them, although it was said not to, misses the first."""

OutputsOf = Callable[[ShuffleId], tuple[int, Sequence[tuple[ExecutorId, AttemptId]]]]


@dataclass(slots=True)
class _Stage:
    payload: Payload
    parents: tuple[ShuffleId, ...]
    partitions: Sequence[int] | None
    tables_epochs: tuple[int, ...] = ()
    tables: Blob | None = None
    digests: set[str] = field(default_factory=set)


class StageBlobs:
    """Turns launches into messages."""

    def __init__(
        self,
        outputs_of: OutputsOf,
        place_of: Callable[[ExecutorId], tuple[str, str, str]],
        caches: CacheTable | None = None,
    ) -> None:
        """`place_of` an executor is its scratch directory, address and token, as `Roster.place` tells them."""
        self._outputs_of = outputs_of
        self._place_of = place_of
        self._caches = caches or CacheTable()
        self._stages: dict[StageKey, _Stage] = {}
        self._sent: dict[ExecutorId, set[str]] = {}

    def add(
        self, key: StageKey, payload: Payload, parents: tuple[ShuffleId, ...], partitions: Sequence[int] | None
    ) -> None:
        """Learn of a stage. One that is known already has another payload once something that it reads was cached, or
        not any more, or its lineage was cut. What was cut once stays so: a plan from before that may come later.
        """
        known = self._stages.get(key)
        if known is None or isinstance(key, ResultStage):
            self._stages[key] = _Stage(payload, parents, partitions)
        elif set(parents) <= set(known.parents):
            known.payload, known.parents = payload, parents

    def has(self, key: StageKey) -> bool:
        """Whether the stage's payload is here."""
        return key in self._stages

    def task(self, launch: Launch) -> tuple[list[Blob], RunTask]:
        """The message for one launch, and the blobs that its executor does not have yet."""
        stage = self._stages[launch.key]
        partition = launch.index if stage.partitions is None else stage.partitions[launch.index]
        payload = stage.payload.piece(partition)
        stage.digests.add(payload.digest)
        sent = self._sent.get(launch.executor)
        if sent is None:
            sent = self._sent[launch.executor] = set()
        unsent: list[Blob] = []
        if payload.digest not in sent:
            unsent.append(Blob(payload.digest, payload.data))
        tables = self._tables(stage) if stage.parents else None
        if tables is not None and tables.digest not in sent:
            unsent.append(tables)
        sent.update(blob.digest for blob in unsent)
        return unsent, RunTask(
            attempt=launch.attempt,
            stage=launch.stage,
            index=launch.index,
            partition_index=partition,
            number=launch.number,
            payload=payload.digest,
            outputs="" if tables is None else tables.digest,
            partition=payload.sources_of(partition),
            cached=self._wanted(payload.cached_of(partition), launch.executor) if payload.has_cached else b"",
        )

    def unread(self, find: FindCached) -> tuple[ShuffleId, ...]:
        """Those of the shuffles that no task reads: what they would make of them is kept, as far as is known."""
        stage = self._stages.get(find.key)
        if stage is None or not stage.payload.has_cached or self._caches.is_empty:
            return ()
        unread = dict.fromkeys(find.shuffles)
        for index in find.tasks:
            partition = index if stage.partitions is None else stage.partitions[index]
            for shuffle in stage.payload.piece(partition).reads(partition, self._caches.keepers):
                unread.pop(shuffle, None)
            if not unread:
                break
        return tuple(unread)

    def forget_executor(self, executor: ExecutorId) -> None:
        """The executor is gone, or lost what it was sent."""
        self._sent.pop(executor, None)

    def forget(self, keys: Iterable[StageKey]) -> set[str]:
        """Drop ended stages; the answer is the digests that no executor needs any more."""
        gone: set[str] = set()
        for key in keys:
            stage = self._stages.pop(key, None)
            if stage is not None:
                gone |= stage.digests
        for stage in self._stages.values():
            gone -= stage.digests
        for sent in self._sent.values():
            sent -= gone
        return gone

    def _wanted(self, blocks: Sequence[Block], executor: ExecutorId) -> bytes:
        return pack_wanted(self._wanted_block(block, executor) for block in blocks)

    def _wanted_block(self, block: Block, executor: ExecutorId) -> Wanted:
        holders = self._caches.holders(block)
        if not holders or executor in holders:
            return Wanted(*block)
        return Wanted(*block, "", holders[0], self._place_of(holders[0])[1])

    def _tables(self, stage: _Stage) -> Blob:
        found = [self._outputs(shuffle, stage) for shuffle in stage.parents]
        epochs = tuple(epoch for epoch, _ in found)
        if stage.tables is None or stage.tables_epochs != epochs:
            tables = {shuffle: self._table(outputs) for shuffle, (_, outputs) in zip(stage.parents, found, strict=True)}
            data = encode_tables(tables)
            stage.tables = Blob(hashlib.blake2b(data, digest_size=16).hexdigest(), data)
            stage.tables_epochs = epochs
            stage.digests.add(stage.tables.digest)
        return stage.tables

    def _outputs(self, shuffle: ShuffleId, stage: _Stage) -> tuple[int, Sequence[tuple[ExecutorId, AttemptId]]]:
        try:
            return self._outputs_of(shuffle)
        except LookupError:
            if not stage.payload.has_cached:
                raise
            return _SPARED

    def _table(self, outputs: Sequence[tuple[ExecutorId, AttemptId]]) -> MapTable:
        places = {executor: self._place_of(executor) for executor in {executor for executor, _ in outputs}}
        table = []
        for executor, attempt in outputs:
            scratch, address, token = places[executor]
            table.append(MapLocation(executor, scratch, attempt, address, token))
        return table
