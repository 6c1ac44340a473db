"""Schedulers that are wrong on purpose about lineages that are cut while jobs run: the simulation notices."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rddlite.errors import InternalError
from rddlite.plan.model import JobPlan
from rddlite.schedule import invariants
from rddlite.schedule.dag import DagScheduler
from rddlite.testing.members import Foul
from rddlite.testing.simulation import FakeCluster
from tests.sim.test_planted_bugs import Plant

SEEDS = range(1600)


def lets_parents_go_that_a_stage_still_has(patch: pytest.MonkeyPatch) -> None:
    """A job that knows of the cut has nothing in its plan but what it needs itself."""
    patch.setattr(DagScheduler, "_with_parents", lambda self, plan: plan)


def keeps_only_the_nearest(patch: pytest.MonkeyPatch) -> None:
    """What the parents that come with a stage need themselves is forgotten."""

    def with_parents(self: DagScheduler, plan: JobPlan) -> JobPlan:
        known = [self.maps[shuffle].plan for shuffle in plan.maps if shuffle in self.maps]
        near = {parent: self.maps[parent].plan for stage in known for parent in stage.parents}
        return replace(plan, maps={**near, **plan.maps})

    patch.setattr(DagScheduler, "_with_parents", with_parents)


def keeps_what_was_cut(patch: pytest.MonkeyPatch) -> None:
    """A stage that nobody has any more comes back with the parents that it had."""
    original = DagScheduler._use

    def use(self: DagScheduler, plan: object, job_id: int) -> None:
        first = vars(self).setdefault("first", {})
        original(self, first.setdefault(plan.key, plan), job_id)  # type: ignore[attr-defined]

    patch.setattr(DagScheduler, "_use", use)


BUGS: tuple[Plant, ...] = (
    lets_parents_go_that_a_stage_still_has,
    keeps_only_the_nearest,
    keeps_what_was_cut,
)


def first_catch() -> str | None:
    """The first seed that shows that something is wrong, among those with lineages that are cut."""
    for seed in SEEDS:
        cluster = FakeCluster(seed)
        if cluster.saved is not None:
            try:
                cluster.run()
            except (Foul, InternalError, KeyError) as caught:
                return f"seed {seed}: {caught!r}"
    return None


@pytest.mark.parametrize("plant", BUGS, ids=lambda plant: plant.__name__)
@pytest.mark.parametrize("is_checked", [True, False])
def test_a_planted_bug_is_caught(plant: Plant, is_checked: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not is_checked:
        monkeypatch.setattr(invariants, "check", lambda scheduler: None)
    plant(monkeypatch)
    caught = first_catch()
    assert caught is not None
    print(caught)
