"""Cached partitions in the simulator: some stages read some of their parents through a cached RDD.

A block is what one partition of that RDD holds: all outputs of the shuffle that it is made from. Executors that made
one keep it, mostly; others may have a copy; both go with their executor, or any time. What the driver is said to know
of them is a hint: it may be late, too much or too little. Everything follows from a random generator of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from random import Random

from rddlite.base.ids import ExecutorId, ShuffleId
from rddlite.plan.model import StageKey, StagePlan
from rddlite.schedule import commands as cmd
from rddlite.testing.workload import Workload

Block = tuple[ShuffleId, int]
"""A shuffle, and the index of the tasks that read it through this block."""


class Caches:
    """Which stages read what through a cache, and who keeps it. `is_there` tells which executors can be reached."""

    def __init__(self, random: Random, is_there: Callable[[ExecutorId], bool]) -> None:
        self._random = random
        self._is_there = is_there
        self._through: set[tuple[StageKey, ShuffleId]] = set()
        self._kept: dict[Block, tuple[dict[ExecutorId, None], list[int]]] = {}
        self._is_unsure = random.random() < 0.5

    def mark(self, work: Workload) -> None:
        """Draw the stages of these jobs that read parents through cached RDDs."""
        work.shuffles = {shuffle: self._marked(plan) for shuffle, plan in work.shuffles.items()}
        submissions = []
        for moment, plan in work.submissions:
            maps = {shuffle: work.shuffles[shuffle] for shuffle in plan.maps}
            submissions.append((moment, replace(plan, result=self._marked(plan.result), maps=maps)))
        work.submissions = submissions

    def _marked(self, plan: StagePlan) -> StagePlan:
        if plan.is_barrier:
            return plan
        cached = [shuffle for shuffle in plan.parents if self._random.random() < 0.7]
        self._through.update((plan.key, shuffle) for shuffle in cached)
        return replace(plan, has_cached=bool(cached))

    def keep(self, task: cmd.Launch, shuffle: ShuffleId, values: list[int], others: Iterable[ExecutorId]) -> None:
        """A task has read all outputs of a shuffle; some of the others copy what its executor keeps of that."""
        if (task.key, shuffle) in self._through and self._random.random() < 0.9:
            holders, _ = self._kept.setdefault((shuffle, task.index), ({}, values))
            holders[task.executor] = None
            if self._random.random() < 0.6:
                holders.update(dict.fromkeys(others))

    def find(self, task: cmd.Launch, shuffle: ShuffleId) -> list[int] | None:
        """What is kept of what a task would read."""
        holders, values = self._kept.get((shuffle, task.index), ({}, []))
        is_kept = (task.key, shuffle) in self._through and any(map(self._is_there, holders))
        return list(values) if is_kept else None

    def drop_some(self) -> bool:
        """Blocks are evicted; False if there was none."""
        blocks = sorted(self._kept)
        for block in self._random.sample(blocks, self._random.randint(0, len(blocks))):
            del self._kept[block]
        return bool(blocks)

    def answer(self, find: cmd.FindCached) -> tuple[float, tuple[ShuffleId, ...]]:
        """After how long the driver answers, and what."""
        cached = [shuffle for shuffle in find.shuffles if (find.key, shuffle) in self._through]
        delay = self._random.choice((0.0, 0.0, 0.3, 1.0)) if self._is_unsure else 0.0
        if self._is_unsure and self._random.random() < 0.5:
            return delay, tuple(cached) if self._random.random() < 0.8 else ()
        return delay, tuple(each for each in cached if all(self._has(each, index) for index in find.tasks))

    def _has(self, shuffle: ShuffleId, index: int) -> bool:
        holders, _ = self._kept.get((shuffle, index), ({}, []))
        return any(map(self._is_there, holders))
