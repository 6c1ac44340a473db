"""Lineages that are cut by checkpoints while jobs run: what is saved, and the referee's book of who reads what since.

From some job on, a map stage has no parents any more: what it would read of them is saved. A stage that an earlier job
has brought to the scheduler keeps its parents for as long as any job has it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from random import Random

from rddlite.base.ids import ShuffleId
from rddlite.plan.model import JobPlan, MapStage, StagePlan
from rddlite.testing.workload import Workload


class Saved:
    """The shuffles that are cut, once a job without their parents was submitted."""

    def __init__(self, work: Workload) -> None:
        self._work = work
        self._cut: set[ShuffleId] = set()

    def mark(self, random: Random) -> None:
        """Cut some shuffles in the plans of later jobs."""
        work = self._work
        cut: set[ShuffleId] = set()
        submissions: list[tuple[float, JobPlan]] = []
        for moment, plan in work.submissions:
            candidates = sorted(each for each in plan.maps if work.shuffles[each].parents and submissions)
            cut.update(each for each in candidates if random.random() < 0.6)
            submissions.append((moment, self._without(plan, cut)))
        work.submissions = submissions

    def _without(self, plan: JobPlan, cut: set[ShuffleId]) -> JobPlan:
        maps: dict[ShuffleId, StagePlan] = {}
        todo = list(plan.result.parents)
        while todo:
            shuffle = todo.pop()
            if shuffle not in maps:
                full = self._work.shuffles[shuffle]
                maps[shuffle] = replace(full, parents=(), has_cached=False) if shuffle in cut else full
                todo.extend(maps[shuffle].parents)
        return replace(plan, maps=dict(sorted(maps.items())), passing=plan.passing & maps.keys())

    def submitted(self, plan: JobPlan) -> None:
        """A job is on its way: what is cut in it is saved by now."""
        shuffles = self._work.shuffles
        self._cut.update(each for each, stage in plan.maps.items() if stage.parents != shuffles[each].parents)

    def is_cut(self, shuffle: ShuffleId) -> bool:
        """Whether tasks of that map stage read what is saved."""
        return shuffle in self._cut

    def read(self, parent: ShuffleId) -> list[int]:
        """What is saved of a shuffle: its outputs, which never differ."""
        work = self._work
        plan = work.shuffles[parent]
        inputs = [value for each in plan.parents for value in self.read(each)]
        return [work.make(MapStage(parent), index, inputs) for index in range(plan.n_tasks)]


class Lineages:
    """The map stages as jobs have brought them."""

    def __init__(self, work: Workload) -> None:
        self._work = work
        self._brought: dict[ShuffleId, StagePlan] = {}

    def submitted(self, plan: JobPlan) -> JobPlan:
        """A job begins; answers with its plan, and all that stages of it need that earlier jobs have brought."""
        maps: dict[ShuffleId, StagePlan] = {}
        todo = list(plan.maps)
        while todo:
            shuffle = todo.pop()
            if shuffle not in maps:
                maps[shuffle] = self._brought.setdefault(shuffle, plan.maps.get(shuffle, self.of(shuffle)))
                todo.extend(maps[shuffle].parents)
        return replace(plan, maps=maps)

    def ended(self, live: Iterable[JobPlan]) -> None:
        """A job has ended; these go on."""
        used = {shuffle for plan in live for shuffle in plan.maps}
        self._brought = {shuffle: plan for shuffle, plan in self._brought.items() if shuffle in used}

    def of(self, shuffle: ShuffleId) -> StagePlan:
        """The stage as it is, or as it was first."""
        return self._brought.get(shuffle) or self._work.shuffles[shuffle]

    def all(self) -> dict[ShuffleId, StagePlan]:
        """Every stage."""
        return {**self._work.shuffles, **self._brought}
