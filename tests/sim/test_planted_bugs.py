"""Schedulers that are wrong on purpose: the simulator or the invariants catch each of them within a few seeds.

Each bug is one that a scheduler could really have. It is planted by replacing methods, so the classes themselves stay
as they are. Most of them are planted a second time with the invariants switched off: the referee, which knows nothing
of the scheduler's tables, has to see them by their consequences.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest

from rddlite.base.ids import ShuffleId
from rddlite.base.outcome import OutOfMemory, Raised, Success, TaskOutcome, WorkerDied
from rddlite.errors import InternalError
from rddlite.plan.model import MapStage, ResultStage
from rddlite.schedule import events as ev
from rddlite.schedule import invariants
from rddlite.schedule.absence import Absence
from rddlite.schedule.commands import ExecutorGone, Kill, MapOutputsLost
from rddlite.schedule.core import Scheduler
from rddlite.schedule.dag import DagScheduler
from rddlite.schedule.endings import Endings
from rddlite.schedule.executors import Executor, ExecutorTable
from rddlite.schedule.outputs import FIRST, MapOutputs, ShuffleOutputs
from rddlite.schedule.retries import Charged, Trouble
from rddlite.schedule.rollback import RollBack
from rddlite.schedule.states import AttemptState, ExecutorState
from rddlite.schedule.tasks import TaskScheduler
from rddlite.schedule.taskset import Attempt, TaskSet
from rddlite.testing.members import Foul
from rddlite.testing.simulation import FakeCluster

MOST_SEEDS = 500
Plant = Callable[[pytest.MonkeyPatch], None]


def forgets_to_requeue_on_executor_loss(patch: pytest.MonkeyPatch) -> None:
    def lost(self: TaskScheduler, executor: Executor, gone: ExecutorGone) -> None:
        for attempt in list(executor.attempts.values()):
            self._forget(attempt)
        self.table.remove(executor, gone)

    patch.setattr(TaskScheduler, "lost", lost)


def charges_tasks_for_a_lost_executor(patch: pytest.MonkeyPatch) -> None:
    original = Scheduler._lose

    def lose(self: Scheduler, executor: Executor, cause: str) -> None:
        running = [each for each in executor.attempts.values() if each.state is AttemptState.RUNNING]
        for attempt in running:
            if attempt.id in executor.attempts and attempt.state is AttemptState.RUNNING:
                self._endings.task_ended(ev.TaskEnded(executor.id, attempt.id, WorkerDied(None, 9)))
        original(self, executor, cause)

    patch.setattr(Scheduler, "_lose", lose)


def takes_outputs_of_the_dead(patch: pytest.MonkeyPatch) -> None:
    lost, task_ended = TaskScheduler.lost, Endings.task_ended

    def remembering(self: TaskScheduler, executor: Executor, gone: ExecutorGone) -> None:
        graves = vars(self).setdefault("graves", {})
        graves.update({(executor.id, attempt.id): attempt for attempt in executor.attempts.values()})
        lost(self, executor, gone)

    def trusting(self: Endings, event: ev.TaskEnded) -> None:
        ghost = vars(self._tasks).get("graves", {}).pop((event.executor, event.attempt), None)
        if ghost is not None and isinstance(event.outcome, Success):
            self._succeeded_late(ghost, AttemptState.STRAY, event.outcome)
        else:
            task_ended(self, event)

    patch.setattr(TaskScheduler, "lost", remembering)
    patch.setattr(Endings, "task_ended", trusting)


def delivers_a_repeated_result(patch: pytest.MonkeyPatch) -> None:
    task_ended, publish = Endings.task_ended, Endings._publish

    def noting(self: Endings, attempt: Attempt, outcome: Success) -> None:
        vars(self).setdefault("published", {})[attempt.id] = attempt
        publish(self, attempt, outcome)

    def repeating(self: Endings, event: ev.TaskEnded) -> None:
        known = vars(self).get("published", {}).get(event.attempt)
        task_ended(self, event)
        if known is not None and isinstance(event.outcome, Success) and isinstance(known.tasks.plan.key, ResultStage):
            publish(self, known, event.outcome)

    patch.setattr(Endings, "_publish", noting)
    patch.setattr(Endings, "task_ended", repeating)


def forgets_the_grace_timer(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Absence, "next_deadline", lambda self: None)


def never_asks_for_executors(patch: pytest.MonkeyPatch) -> None:
    original = Absence.update

    def update(self: Absence) -> None:
        before = list(self._turn.commands)
        original(self)
        kept = [each for each in self._turn.commands if each in before or type(each).__name__ != "WantExecutors"]
        self._turn.commands[:] = kept

    patch.setattr(Absence, "update", update)


def spins_on_its_deadline(patch: pytest.MonkeyPatch) -> None:
    """The timer fires with another expression than the one that is reported."""

    def silent(self: ExecutorTable) -> list[Executor]:
        return [each for each in self._by_silence.values() if self._turn.now - each.deadline > 1.0]

    patch.setattr(ExecutorTable, "silent", silent)


def keeps_stages_of_ended_jobs(patch: pytest.MonkeyPatch) -> None:
    def unuse(self: DagScheduler, shuffle: int, job_id: int) -> None:
        self.maps[shuffle].users.pop(job_id)

    patch.setattr(DagScheduler, "_unuse", unuse)


def makes_all_outputs_again(patch: pytest.MonkeyPatch) -> None:
    original = DagScheduler.lose_outputs

    def lose_outputs(self: DagScheduler, shuffle: int, indices: tuple[int, ...], note: MapOutputsLost) -> None:
        outputs = self.outputs.shuffles[shuffle]
        others = [index for index, place in enumerate(outputs.places) if place is not None]
        for index in others:
            outputs.lose(index)
        original(self, shuffle, (*indices, *others), note)

    patch.setattr(DagScheduler, "lose_outputs", lose_outputs)


def launches_on_suspects(patch: pytest.MonkeyPatch) -> None:
    original = ExecutorTable.suspect

    def suspect(self: ExecutorTable, executor: Executor) -> None:
        original(self, executor)
        executor.state = ExecutorState.ALIVE
        self._settle(executor)
        executor.state = ExecutorState.SUSPECT

    patch.setattr(ExecutorTable, "suspect", suspect)


def cancels_shared_stages(patch: pytest.MonkeyPatch) -> None:
    original = DagScheduler.cancel

    def cancel(self: DagScheduler, job_id: int, why: str) -> None:
        job = self.jobs.get(job_id)
        original(self, job_id, why)
        for shuffle in job.plan.maps if job is not None else ():
            stage = self.maps.get(shuffle)
            if stage is not None and stage.is_active:
                self._deactivate(stage, why)

    patch.setattr(DagScheduler, "cancel", cancel)


def leaves_attempts_of_cancelled_jobs_running(patch: pytest.MonkeyPatch) -> None:
    def send_kill(self: TaskScheduler, attempt: Attempt, why: str) -> None:
        """Only marks it."""

    patch.setattr(TaskScheduler, "_send_kill", send_kill)


def does_not_reconcile(patch: pytest.MonkeyPatch) -> None:
    """What was launched into a broken connection is waited for for ever."""
    patch.setattr(TaskScheduler, "_reconcile_absent", lambda self, executor, attempt: None)


def kills_what_a_returned_executor_still_runs(patch: pytest.MonkeyPatch) -> None:
    original = TaskScheduler._reconcile_present

    def present(self: TaskScheduler, executor: Executor, attempt: Attempt) -> None:
        original(self, executor, attempt)
        self._turn.commands.append(Kill(executor.id, attempt.id, "to be sure"))

    patch.setattr(TaskScheduler, "_reconcile_present", present)


def retries_beside_others_after_running_out_of_memory(patch: pytest.MonkeyPatch) -> None:
    original = Trouble.charge

    def charge(self: Trouble, outcome: Charged, options: object) -> str | None:
        note = original(self, outcome, options)  # type: ignore[arg-type]
        self.alone = self.alone and not isinstance(outcome, OutOfMemory)
        return note

    patch.setattr(Trouble, "charge", charge)


def retries_what_cannot_be_helped(patch: pytest.MonkeyPatch) -> None:
    original = Trouble.charge

    def charge(self: Trouble, outcome: Charged, options: object) -> str | None:
        hopeful = Raised(outcome.failure, retryable=True) if isinstance(outcome, Raised) else outcome
        return original(self, hopeful, options)  # type: ignore[arg-type]

    patch.setattr(Trouble, "charge", charge)


def keeps_a_table_of_outputs_too_long(patch: pytest.MonkeyPatch) -> None:
    def changed(self: ShuffleOutputs) -> None:
        self.epoch += 1

    patch.setattr(ShuffleOutputs, "_changed", changed)


def blames_executors_for_the_drivers_delay(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Scheduler, "_driver_delayed", lambda self, event: None)


def ignores_a_failed_fetch(patch: pytest.MonkeyPatch) -> None:
    """The reader is retried, but the output that it could not read still counts."""

    def fetch_failed(self: Endings, attempt: Attempt, state: AttemptState, outcome: TaskOutcome) -> None:
        if state is AttemptState.RUNNING:
            self._tasks.requeue(attempt)

    patch.setattr(Endings, "_fetch_failed", fetch_failed)


def blames_the_whole_executor_for_a_failed_fetch(patch: pytest.MonkeyPatch) -> None:
    original = Endings._fetch_failed

    def fetch_failed(self: Endings, attempt: Attempt, state: AttemptState, outcome: TaskOutcome) -> None:
        original(self, attempt, state, outcome)  # type: ignore[arg-type]
        self._dag.lose_executor(ExecutorGone(outcome.executor, "", "?"))  # type: ignore[union-attr]

    patch.setattr(Endings, "_fetch_failed", fetch_failed)


def deletes_the_output_that_counts(patch: pytest.MonkeyPatch) -> None:
    original = Endings._succeeded_late

    def late(self: Endings, attempt: Attempt, state: AttemptState, outcome: Success) -> None:
        key = attempt.tasks.plan.key
        outputs = self._dag.outputs.shuffles.get(key.shuffle) if isinstance(key, MapStage) else None
        if outputs is not None and outputs.have[attempt.index]:
            outputs.lose(attempt.index)
        original(self, attempt, state, outcome)

    patch.setattr(Endings, "_succeeded_late", late)


def overfills_executors(patch: pytest.MonkeyPatch) -> None:
    original = ExecutorTable.release

    def release(self: ExecutorTable, executor: Executor) -> None:
        original(self, executor)
        if executor.load and len(executor.attempts) % 3 == 0:
            original(self, executor)

    patch.setattr(ExecutorTable, "release", release)


def starts_before_all_inputs_are_there(patch: pytest.MonkeyPatch) -> None:
    original = DagScheduler._bring_inputs

    def bring_inputs(self: DagScheduler, stage: object) -> None:
        if len(stage.missing) == 1 and len(stage.plan.parents) > 1:  # type: ignore[attr-defined]
            self._start(stage)  # type: ignore[arg-type]
        else:
            original(self, stage)  # type: ignore[arg-type]

    patch.setattr(DagScheduler, "_bring_inputs", bring_inputs)


def launches_what_runs_already(patch: pytest.MonkeyPatch) -> None:
    original = TaskSet.next_pending

    def next_pending(self: TaskSet) -> int:
        index = original(self)
        return min(self.running) if len(self.running) > 4 else index

    patch.setattr(TaskSet, "next_pending", next_pending)


def keeps_what_was_made_from_other_records(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(RollBack, "of", lambda self, shuffle, map_index: None)


def repeats_no_result_that_was_made_from_other_records(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(RollBack, "_repeat", lambda self, result, why: 0)


def lets_readers_of_other_records_go_on(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(TaskScheduler, "roll_back", lambda self, tasks, why: 0)


def takes_late_outputs_that_were_made_from_other_records(patch: pytest.MonkeyPatch) -> None:
    original = ShuffleOutputs.lose_all
    patch.setattr(ShuffleOutputs, "lose_all", lambda self, valid_from: original(self, FIRST))


def forgets_fingerprints_with_the_outputs(patch: pytest.MonkeyPatch) -> None:
    original = ShuffleOutputs.lose

    def lose(self: ShuffleOutputs, index: int) -> None:
        original(self, index)
        if self._digests is not None:
            self._digests[index] = 0

    patch.setattr(ShuffleOutputs, "lose", lose)


def rolls_back_the_nearest_readers_only(patch: pytest.MonkeyPatch) -> None:
    def made_from(self: MapOutputs, shuffle: int) -> list[int]:
        return [each for each, outputs in self.shuffles.items() if shuffle in outputs.parents]

    patch.setattr(MapOutputs, "made_from", made_from)


def rolls_back_although_the_records_are_the_same(patch: pytest.MonkeyPatch) -> None:
    original = ShuffleOutputs.is_other

    def is_other(self: ShuffleOutputs, index: int, fingerprint: bytes) -> bool:
        return original(self, index, fingerprint) or self.was_complete

    patch.setattr(ShuffleOutputs, "is_other", is_other)


def counts_every_output_of_a_lost_executor(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Endings, "_counted", lambda self, setbacks: setbacks)


def tells_only_of_losses_that_were_known_before(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Endings, "explain", lambda self: self._unexplained.clear())


def releases_what_is_not_read_yet(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(DagScheduler, "_is_used_up", lambda self, shuffle: True)


def releases_where_others_would_help(patch: pytest.MonkeyPatch) -> None:
    original = DagScheduler._release

    def release(self: DagScheduler, shuffles: Iterable[ShuffleId]) -> None:
        members, self._tasks.table.members = self._tasks.table.members, {None: None}
        original(self, shuffles)
        self._tasks.table.members = members

    patch.setattr(DagScheduler, "_release", release)


BUGS: tuple[Plant, ...] = (
    releases_what_is_not_read_yet,
    releases_where_others_would_help,
    keeps_what_was_made_from_other_records,
    repeats_no_result_that_was_made_from_other_records,
    lets_readers_of_other_records_go_on,
    takes_late_outputs_that_were_made_from_other_records,
    forgets_fingerprints_with_the_outputs,
    rolls_back_the_nearest_readers_only,
    rolls_back_although_the_records_are_the_same,
    counts_every_output_of_a_lost_executor,
    tells_only_of_losses_that_were_known_before,
    forgets_to_requeue_on_executor_loss,
    charges_tasks_for_a_lost_executor,
    takes_outputs_of_the_dead,
    delivers_a_repeated_result,
    forgets_the_grace_timer,
    never_asks_for_executors,
    spins_on_its_deadline,
    keeps_stages_of_ended_jobs,
    makes_all_outputs_again,
    launches_on_suspects,
    cancels_shared_stages,
    leaves_attempts_of_cancelled_jobs_running,
    does_not_reconcile,
    kills_what_a_returned_executor_still_runs,
    retries_beside_others_after_running_out_of_memory,
    retries_what_cannot_be_helped,
    keeps_a_table_of_outputs_too_long,
    blames_executors_for_the_drivers_delay,
    ignores_a_failed_fetch,
    blames_the_whole_executor_for_a_failed_fetch,
    deletes_the_output_that_counts,
    overfills_executors,
    starts_before_all_inputs_are_there,
    launches_what_runs_already,
)


def first_catch() -> str | None:
    """The first seed that shows that something is wrong, and how."""
    for seed in range(MOST_SEEDS):
        try:
            FakeCluster(seed).run()
        except (Foul, InternalError) as caught:
            return f"seed {seed}: {type(caught).__name__}: {caught}".splitlines()[0][:150]
    return None


def test_the_scheduler_as_it_is_passes_the_same_seeds() -> None:
    assert first_catch() is None


@pytest.mark.parametrize("plant", BUGS, ids=lambda plant: plant.__name__)
def test_a_planted_bug_is_caught(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)
    caught = first_catch()
    assert caught is not None
    print(caught)


@pytest.mark.parametrize("plant", BUGS, ids=lambda plant: plant.__name__)
def test_a_planted_bug_shows_without_the_invariants(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(invariants, "check", lambda scheduler: None)
    plant(monkeypatch)
    caught = first_catch()
    assert caught is not None
    print(caught)
