"""Schedulers that are wrong on purpose about barrier stages: each is caught, also without the invariants."""

from __future__ import annotations

import pytest

from rddlite.schedule import invariants
from rddlite.schedule.gangs import Gangs
from rddlite.schedule.outputs import FIRST, ShuffleOutputs
from rddlite.schedule.placing import Placing
from rddlite.schedule.stages import Stage
from rddlite.schedule.states import StageState
from rddlite.schedule.tasks import TaskScheduler
from tests.sim.test_planted_bugs import Plant, first_catch


def starts_a_part_of_a_gang(patch: pytest.MonkeyPatch) -> None:
    """As many of its tasks as there are slots."""

    def place_gangs(self: Placing) -> None:
        for tasks in list(self.gangs):
            while tasks.n_pending and self._table.levels[0]:
                executor = self._table.least_loaded()
                assert executor is not None
                self._start(tasks, tasks.next_pending(), executor)
            del self.gangs[tasks]

    patch.setattr(Placing, "_place_gangs", place_gangs)


def starts_one_task_of_a_gang_again(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(TaskScheduler, "break_gang", lambda self, tasks, why: None)
    patch.setattr(Gangs, "broke", lambda self, stage, why: None)


def lets_the_others_of_a_gang_go_on(patch: pytest.MonkeyPatch) -> None:
    """What a broken gang still runs is neither killed nor forgotten."""

    def take_back(self: Gangs, stage: Stage, why: str) -> None:
        if stage.state is StageState.RUNNING:
            self._dag.interrupt(stage, why)

    patch.setattr(Gangs, "_take_back", take_back)


def keeps_outputs_of_a_broken_gang(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ShuffleOutputs, "drop_all", lambda self, valid_from: [])


def takes_late_outputs_of_a_broken_gang(patch: pytest.MonkeyPatch) -> None:
    original = ShuffleOutputs.drop_all
    patch.setattr(ShuffleOutputs, "drop_all", lambda self, valid_from: original(self, FIRST))


def has_gangs_queue(patch: pytest.MonkeyPatch) -> None:
    """A gang starts as soon as there are enough slots, free or not."""

    def place_gangs(self: Placing) -> None:
        for tasks in list(self.gangs):
            if tasks.n_pending <= self._table.n_slots and self._table.least_loaded() is not None:
                executors = list(self._table.usable())
                room = [each for each in executors if each.level is not None]
                del self.gangs[tasks]
                for number in range(tasks.n_pending):
                    self._start(tasks, tasks.next_pending(), room[number % len(room)])

    patch.setattr(Placing, "_place_gangs", place_gangs)


def forgets_the_timer_of_gangs(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Gangs, "next_deadline", lambda self: None)


def gives_gangs_up_at_once(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Gangs, "_is_over", lambda self, since: True)


BUGS: tuple[Plant, ...] = (
    starts_a_part_of_a_gang,
    starts_one_task_of_a_gang_again,
    lets_the_others_of_a_gang_go_on,
    keeps_outputs_of_a_broken_gang,
    takes_late_outputs_of_a_broken_gang,
    has_gangs_queue,
    forgets_the_timer_of_gangs,
    gives_gangs_up_at_once,
)


@pytest.mark.parametrize("plant", BUGS, ids=lambda plant: plant.__name__)
def test_a_planted_bug_is_caught(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)
    assert first_catch() is not None


@pytest.mark.parametrize("plant", BUGS, ids=lambda plant: plant.__name__)
def test_a_planted_bug_shows_without_the_invariants(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(invariants, "check", lambda scheduler: None)
    plant(monkeypatch)
    assert first_catch() is not None
