"""Schedulers that are wrong on purpose about what is cached: each is caught, also without the invariants."""

from __future__ import annotations

import pytest

from rddlite.base.ids import ShuffleId
from rddlite.errors import InternalError
from rddlite.schedule import events as ev
from rddlite.schedule import invariants
from rddlite.schedule.dag import DagScheduler
from rddlite.schedule.sparing import Sparing
from rddlite.schedule.stages import Stage
from rddlite.testing.members import Foul
from rddlite.testing.simulation import FakeCluster
from tests.sim.test_planted_bugs import Plant

SEEDS = range(1600)


def computes_what_it_is_spared(patch: pytest.MonkeyPatch) -> None:
    """Answers are not heeded."""
    original = Sparing.take
    patch.setattr(Sparing, "take", lambda self, stage, shuffles: original(self, stage, ()))


def goes_on_with_what_nobody_needs(patch: pytest.MonkeyPatch) -> None:
    """A parent that runs already is not stopped."""

    def cached_found(self: DagScheduler, event: ev.CachedFound) -> None:
        stage = self.stages.get(event.stage)
        if stage is not None and event.question == stage.question:
            for shuffle in self._sparing.take(stage, event.shuffles):
                self.maps[shuffle].dependents.pop(stage.id, None)
            self._unsettled[stage] = None

    patch.setattr(DagScheduler, "cached_found", cached_found)


def stays_a_dependent(patch: pytest.MonkeyPatch) -> None:
    """What a stage is spared is computed once others have asked for it, and after they do not need it any more."""
    original = DagScheduler.cached_found

    def cached_found(self: DagScheduler, event: ev.CachedFound) -> None:
        original(self, event)
        stage = self.stages.get(event.stage)
        for shuffle in stage.spared if stage is not None else ():
            self.maps[shuffle].dependents[event.stage] = stage  # type: ignore[assignment]

    patch.setattr(DagScheduler, "cached_found", cached_found)


def never_brings_back_what_a_task_misses(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Sparing, "distrust", lambda self, stage, shuffle: False)


def trusts_the_same_answer_again(patch: pytest.MonkeyPatch) -> None:
    """A stage that waits again for what a task has missed asks for it, and is told the same."""
    original = Sparing.distrust

    def distrust(self: Sparing, stage: Stage, shuffle: ShuffleId) -> bool:
        found = original(self, stage, shuffle)
        stage.distrusted.clear()
        return found

    patch.setattr(Sparing, "distrust", distrust)


def waits_for_an_answer_that_came(patch: pytest.MonkeyPatch) -> None:
    """It asks, and asks again, and never goes on."""
    original = Sparing.must_wait

    def must_wait(self: Sparing, stage: Stage) -> bool:
        stage.is_answered = False
        return original(self, stage)

    patch.setattr(Sparing, "must_wait", must_wait)


def forgets_to_ask(patch: pytest.MonkeyPatch) -> None:
    """It waits without having asked."""
    patch.setattr(Sparing, "must_wait", lambda self, stage: not stage.is_answered and bool(stage.missing))


UNSEEN: tuple[Plant, ...] = (goes_on_with_what_nobody_needs, stays_a_dependent)
"""Of these the invariants see the cause; that a task is launched in vain takes more coincidences."""
BUGS: tuple[Plant, ...] = (
    computes_what_it_is_spared,
    goes_on_with_what_nobody_needs,
    stays_a_dependent,
    never_brings_back_what_a_task_misses,
    trusts_the_same_answer_again,
    waits_for_an_answer_that_came,
    forgets_to_ask,
)


def first_catch() -> str | None:
    """The first seed that shows that something is wrong, among those with cached RDDs."""
    for seed in SEEDS:
        cluster = FakeCluster(seed)
        if cluster.caches is not None:
            try:
                cluster.run()
            except (Foul, InternalError) as caught:
                return f"seed {seed}: {caught}"
    return None


@pytest.mark.parametrize("plant", BUGS, ids=lambda plant: plant.__name__)
def test_a_planted_bug_is_caught(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)
    assert first_catch() is not None


@pytest.mark.parametrize("plant", [each for each in BUGS if each not in UNSEEN], ids=lambda plant: plant.__name__)
def test_a_planted_bug_shows_without_the_invariants(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(invariants, "check", lambda scheduler: None)
    plant(monkeypatch)
    assert first_catch() is not None
