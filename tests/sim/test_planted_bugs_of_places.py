"""Planted bugs of copies, exclusion, retries elsewhere, quiet and leaving executors, and pools: each is caught.

As in `test_planted_bugs`, but only by the referee, without the invariants.
"""

from __future__ import annotations

import pytest

from rddlite.base.ids import AttemptId, ExecutorId, ShuffleId
from rddlite.schedule import events as ev
from rddlite.schedule import invariants
from rddlite.schedule.draining import Drain, Draining
from rddlite.schedule.endings import Endings
from rddlite.schedule.exclusion import Exclusion
from rddlite.schedule.executors import Executor, ExecutorTable
from rddlite.schedule.options import SchedulerOptions
from rddlite.schedule.outputs import MapOutputs, ShuffleOutputs
from rddlite.schedule.pace import Pace, Verdict
from rddlite.schedule.placing import Placing
from rddlite.schedule.speculation import Speculation
from rddlite.schedule.states import AttemptState, ExecutorState
from rddlite.schedule.tasks import TaskScheduler
from rddlite.schedule.taskset import Attempt, TaskSet
from tests.sim.test_planted_bugs import Plant, first_catch


def lets_the_slower_attempt_run_on(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(TaskScheduler, "beaten", lambda self, attempt: self._turn.move(attempt, AttemptState.KILLING))


def launches_again_although_a_copy_runs(patch: pytest.MonkeyPatch) -> None:
    original = TaskScheduler.requeue

    def requeue(self: TaskScheduler, attempt: Attempt, *, has_failed: bool = False) -> bool:
        if attempt.tasks.copies.pop(attempt.index, None) is not None:
            self.n_copies -= 1
        return original(self, attempt, has_failed=has_failed)

    patch.setattr(TaskScheduler, "requeue", requeue)


def copies_to_the_same_executor(patch: pytest.MonkeyPatch) -> None:
    original = TaskScheduler.copy

    def copy(self: TaskScheduler, attempt: Attempt, executor: Executor) -> AttemptId:
        return original(self, attempt, self.table.members[attempt.executor])

    patch.setattr(TaskScheduler, "copy", copy)


def copies_what_has_just_begun(patch: pytest.MonkeyPatch) -> None:
    original = Pace.judge

    def judge(self: Pace, seconds: float, records: int, options: SchedulerOptions) -> Verdict:
        return original(self, seconds + 1000.0, records, options)

    patch.setattr(Pace, "judge", judge)


def copies_without_end(patch: pytest.MonkeyPatch) -> None:
    original = Speculation.run

    def run(self: Speculation) -> None:
        n_copies, self._tasks.n_copies = self._tasks.n_copies, -1000
        original(self)
        self._tasks.n_copies += 1000 + n_copies

    patch.setattr(Speculation, "run", run)


def charges_copies_that_fail(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Endings, "_counts", lambda self, attempt, outcome: True)


def charges_nothing_while_a_copy_runs(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Endings, "_counts", lambda self, attempt, outcome: attempt.index not in attempt.tasks.copies)


def copies_stages_that_must_not_run_twice(patch: pytest.MonkeyPatch) -> None:
    original = TaskScheduler.open

    def opened(self: TaskScheduler, tasks: TaskSet, priority: tuple[int, int], pool: str) -> None:
        original(self, tasks, priority, pool)
        if tasks.pace is None and self._quantile is not None and tasks.plan.n_tasks > 2:
            tasks.pace = Pace(tasks.plan.n_tasks, self._quantile)

    patch.setattr(TaskScheduler, "open", opened)


def launches_on_excluded_executors(patch: pytest.MonkeyPatch) -> None:
    def exclude(self: ExecutorTable, executor: Executor) -> None:
        """Only says so."""

    patch.setattr(ExecutorTable, "exclude", exclude)


def excludes_the_last_executor(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Exclusion, "_can_spare", lambda self, executor, score: True)
    patch.setattr(Exclusion, "readmit_one", lambda self: None)


def excludes_for_failures_of_one_task(patch: pytest.MonkeyPatch) -> None:
    original = Exclusion._score
    patch.setattr(Exclusion, "_score", lambda self, executor_id: 3 * original(self, executor_id))


def tries_again_where_it_failed(patch: pytest.MonkeyPatch) -> None:
    original = TaskScheduler.requeue

    def requeue(self: TaskScheduler, attempt: Attempt, *, has_failed: bool = False) -> bool:
        return original(self, attempt)

    patch.setattr(TaskScheduler, "requeue", requeue)


def waits_for_ever_for_another_executor(patch: pytest.MonkeyPatch) -> None:
    def relax(self: Placing) -> None:
        for tasks in list(self.delayed):
            del self.delayed[tasks]
            tasks.is_relaxed, tasks.is_stalled = True, False

    patch.setattr(Placing, "relax", relax)
    patch.setattr(Placing, "next_deadline", lambda self: min(self.delayed.values(), default=None))
    patch.setattr(ExecutorTable, "has_usable_besides", lambda self, others: True)


def charges_what_a_leaving_executor_gives_back(patch: pytest.MonkeyPatch) -> None:
    def drain(self: ExecutorTable, executor: Executor) -> None:
        if executor.state is ExecutorState.ALIVE:
            self._turn.move(executor, ExecutorState.DRAINING)
            self._settle(executor)

    patch.setattr(ExecutorTable, "drain", drain)


def never_suspects_the_quiet(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ExecutorTable, "quiet", lambda self: [])
    patch.setattr(ExecutorTable, "heard", heard_without_quiet)


def heard_without_quiet(self: ExecutorTable, executor: Executor) -> None:
    executor.quiet_at = float("inf")
    executor.deadline = self._turn.now + self._silence
    for order in (self._by_quiet, self._by_silence):
        order[executor.id] = executor
        order.move_to_end(executor.id)


def launches_on_executors_that_leave(patch: pytest.MonkeyPatch) -> None:
    def drain(self: ExecutorTable, executor: Executor) -> None:
        executor.is_leaving = True

    patch.setattr(ExecutorTable, "drain", drain)


def releases_before_anything_is_moved(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Draining, "_go_on", lambda self, drain: self._release(drain, "why not"))


def releases_while_tasks_run(patch: pytest.MonkeyPatch) -> None:
    original = Draining.update

    def update(self: Draining) -> None:
        original(self)
        for drain in self.drains.values():
            if drain.is_due and drain.executor.load:
                self._go_on(drain)

    patch.setattr(Draining, "update", update)


def never_releases(patch: pytest.MonkeyPatch) -> None:
    def release(self: Draining, drain: Drain, why: str) -> None:
        drain.is_released = True

    patch.setattr(Draining, "_release", release)


def forgets_the_limit_of_leaving(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Draining, "tick", lambda self: None)
    patch.setattr(Draining, "next_deadline", lambda self: None)


def moves_outputs_to_those_who_leave(patch: pytest.MonkeyPatch) -> None:
    original = Draining._ask

    def ask(self: Draining, drain: Drain, target: ExecutorId) -> None:
        leaving = [each for each in self.drains if each != drain.executor.id]
        if leaving:
            drain.waiting[leaving[0]] = drain.waiting.pop(target)
        original(self, drain, leaving[0] if leaving else target)

    patch.setattr(Draining, "_ask", ask)


def asks_one_executor_again_and_again(patch: pytest.MonkeyPatch) -> None:
    original = Draining._ask

    def ask(self: Draining, drain: Drain, target: ExecutorId) -> None:
        original(self, drain, target)
        drain.tried.clear()

    patch.setattr(Draining, "_ask", ask)


def moves_without_telling_readers(patch: pytest.MonkeyPatch) -> None:
    def move(
        self: MapOutputs, shuffle: ShuffleId, index: int, source: ExecutorId, attempt: AttemptId, target: ExecutorId
    ) -> bool:
        outputs = self.shuffles.get(shuffle)
        return outputs is not None and outputs.places[index] == (source, attempt)

    patch.setattr(MapOutputs, "move", move)


def loses_a_moved_output_with_its_source(patch: pytest.MonkeyPatch) -> None:
    def lose_all_of(self: ShuffleOutputs, executor: ExecutorId) -> list[int]:
        lost = [index for index in dict.fromkeys(self.holders.pop(executor, ())) if self.have[index]]
        for index in lost:
            self.lose(index)
        return lost

    patch.setattr(ShuffleOutputs, "lose_all_of", lose_all_of)


def takes_copies_of_what_does_not_count(patch: pytest.MonkeyPatch) -> None:
    original = Draining.moved

    def moved(self: Draining, event: ev.OutputsMoved) -> None:
        for shuffle, index, _ in event.outputs:
            outputs = self._dag.outputs.shuffles.get(shuffle)
            if outputs is not None and outputs.places[index] is not None:
                outputs.places[index] = (event.source, -1)
        original(self, event)

    patch.setattr(Draining, "moved", moved)


BUGS: tuple[Plant, ...] = (
    lets_the_slower_attempt_run_on,
    launches_again_although_a_copy_runs,
    copies_to_the_same_executor,
    copies_what_has_just_begun,
    copies_without_end,
    charges_copies_that_fail,
    charges_nothing_while_a_copy_runs,
    copies_stages_that_must_not_run_twice,
    launches_on_excluded_executors,
    excludes_the_last_executor,
    excludes_for_failures_of_one_task,
    tries_again_where_it_failed,
    waits_for_ever_for_another_executor,
    charges_what_a_leaving_executor_gives_back,
    never_suspects_the_quiet,
    launches_on_executors_that_leave,
    releases_before_anything_is_moved,
    releases_while_tasks_run,
    never_releases,
    forgets_the_limit_of_leaving,
    moves_outputs_to_those_who_leave,
    asks_one_executor_again_and_again,
    moves_without_telling_readers,
    loses_a_moved_output_with_its_source,
    takes_copies_of_what_does_not_count,
)


@pytest.mark.parametrize("plant", BUGS, ids=lambda plant: plant.__name__)
def test_a_planted_bug_is_caught_without_the_invariants(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(invariants, "check", lambda scheduler: None)
    plant(monkeypatch)
    caught = first_catch()
    assert caught is not None
    print(caught)
