"""The scheduler: `handle(event, now) -> commands`. One owner thread, no clock, no I/O, nothing random.

Wires the parts together and keeps the order in which they act: all events of a batch first, stages settled after each,
then the watch over an empty cluster, then one pass that launches tasks. Timers fire on `Tick` only, so that whatever is
queued can be handled before any of them, and with the same expression (`now >= deadline`) that `next_deadline` reports.
The same events at the same times give the same commands. Driven by driver/loop.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

from rddlite.base.ids import AttemptId, ExecutorId, ShuffleId
from rddlite.schedule.absence import Absence
from rddlite.schedule.commands import Command, DropExecutor, ExecutorGone
from rddlite.schedule.dag import DagScheduler
from rddlite.schedule.draining import Draining
from rddlite.schedule.endings import Endings
from rddlite.schedule.events import (
    CachedFound,
    DriverDelayed,
    Event,
    ExecutorDraining,
    ExecutorJoined,
    ExecutorLost,
    ExecutorReturned,
    ExecutorSuspected,
    GroupCancelled,
    Heartbeat,
    JobCancelled,
    JobSubmitted,
    OutputsLost,
    OutputsMoved,
    ProviderFailed,
    ShuffleForgotten,
    ShuffleReleased,
    TaskEnded,
    Tick,
)
from rddlite.schedule.exclusion import Exclusion
from rddlite.schedule.executors import Executor
from rddlite.schedule.gangs import Gangs
from rddlite.schedule.options import SchedulerOptions
from rddlite.schedule.speculation import Speculation
from rddlite.schedule.states import AttemptState, ExecutorState
from rddlite.schedule.tasks import TaskScheduler
from rddlite.schedule.turn import Stimulus, Turn
from rddlite.schedule.views import AttemptView, ExecutorView

__all__ = ["Scheduler", "SchedulerOptions"]


class Scheduler:
    """The brain of one application.

    Every method is for the owner thread. What comes in and goes out is frozen; nothing is shared with the caller.
    """

    def __init__(self, options: SchedulerOptions | None = None, turn: Turn | None = None) -> None:
        options = options or SchedulerOptions()
        self._turn = turn or Turn()
        self._tasks = TaskScheduler(self._turn, options)
        self._dag = DagScheduler(self._turn, self._tasks)
        self._exclusion = Exclusion(self._turn, options, self._tasks)
        self._gangs = Gangs(self._turn, options, self._tasks, self._dag)
        self._endings = Endings(self._turn, options, self._tasks, self._dag, self._exclusion, self._gangs)
        self._speculation = Speculation(self._turn, options, self._tasks, self._dag)
        self._draining = Draining(self._turn, options.drain_limit, self._tasks, self._dag)
        self._absence = Absence(self._turn, options.grace, self._tasks.table, self._dag)
        self._reactions = self._wire()

    def _wire(self) -> dict[type, Callable[[Any], None]]:
        dag, tasks = self._dag, self._tasks
        return {
            JobSubmitted: self._job_submitted,
            JobCancelled: lambda event: dag.cancel(event.job_id, event.why),
            GroupCancelled: lambda event: dag.cancel_group(event.group, event.why),
            ExecutorJoined: tasks.joined,
            ExecutorSuspected: lambda event: tasks.suspected(event.executor),
            ExecutorReturned: self._executor_returned,
            ExecutorLost: self._executor_lost,
            ExecutorDraining: self._draining.asked,
            OutputsMoved: self._draining.moved,
            Heartbeat: self._heartbeat,
            TaskEnded: self._endings.task_ended,
            OutputsLost: self._endings.outputs_lost,
            ShuffleForgotten: lambda event: dag.forget(event.shuffle),
            ShuffleReleased: lambda event: dag.release(event.shuffle),
            CachedFound: dag.cached_found,
            ProviderFailed: lambda event: self._absence.provider_failed(event.why),
            DriverDelayed: self._driver_delayed,
            Tick: self._tick,
        }

    # The machine

    def handle(self, event: Event, now: float) -> list[Command]:
        """React to one event at time `now`, which never goes back."""
        return self.handle_all((event,), now)

    def handle_all(self, events: Iterable[Event], now: float) -> list[Command]:
        """React to events that arrived together, in order; tasks are launched once, after the last of them."""
        turn = self._turn
        commands: list[Command] = []
        turn.commands = commands
        turn.now = max(turn.now, now)
        for event in events:
            turn.stimulus = _stimulus(event)
            self._reactions[type(event)](event)
            if self._tasks.broken:
                self._gangs.mend()
            self._dag.settle()
        self._endings.explain()
        self._absence.update()
        self._dag.settle()
        tasks = self._tasks
        if not tasks.table.n_usable:
            self._exclusion.readmit_one()
        if self._draining.drains:
            self._draining.update()
        tasks.launch()
        if self._gangs.is_needed:
            self._gangs.update()
        if tasks.slow:
            self._speculation.run()
        turn.commands = []
        return commands

    def next_deadline(self) -> float | None:
        """When a `Tick` is due: strictly later than the time of the last event; None if no timer runs."""
        timers = (
            self._tasks.table.next_silence(),
            self._tasks.next_kill(),
            self._tasks.placing.next_deadline(),
            self._absence.next_deadline(),
            self._exclusion.next_deadline() if self._exclusion.until else None,
            self._draining.next_deadline() if self._draining.drains else None,
            self._gangs.next_deadline(),
        )
        deadline = min((timer for timer in timers if timer is not None), default=None)
        if deadline is None or deadline > self._turn.now:
            return deadline
        return math.nextafter(self._turn.now, math.inf)

    # Questions

    def outputs_of(self, shuffle: ShuffleId) -> tuple[int, tuple[tuple[ExecutorId, AttemptId], ...]]:
        """Where the outputs of a complete shuffle are, by map index, and the epoch of that answer.

        To be asked while a `Launch` of a stage that reads the shuffle is carried out, before the next event is handled.
        The tuple is made once per epoch; with the same epoch comes the same tuple.

        Raises:
            LookupError: if the shuffle is unknown or outputs are missing.
        """
        outputs = self._dag.outputs.shuffles[shuffle]
        return outputs.epoch, outputs.table()

    def executors(self) -> tuple[ExecutorView, ...]:
        """The executors that belong to the application, in the order in which they joined, with what runs there."""
        return tuple(_view(executor) for executor in self._tasks.table.members.values())

    @property
    def now(self) -> float:
        """The time of the last event."""
        return self._turn.now

    def parts(self) -> tuple[DagScheduler, TaskScheduler]:
        """The two machines inside, for `invariants` and tests to read."""
        return self._dag, self._tasks

    def watchers(self) -> tuple[Exclusion, Draining]:
        """What watches over executors, for `invariants` to read."""
        return self._exclusion, self._draining

    def gangs(self) -> Gangs:
        """What watches over barrier stages, for `invariants` to read."""
        return self._gangs

    # Events that concern several parts

    def _job_submitted(self, event: JobSubmitted) -> None:
        self._dag.submit(event.plan)
        job = self._dag.jobs.get(event.plan.job_id)
        if job is not None:
            self._gangs.submitted(job)

    def _heartbeat(self, event: Heartbeat) -> None:
        self._tasks.heartbeat(event.executor)
        if event.progress:
            self._speculation.heard(event)

    def _executor_returned(self, event: ExecutorReturned) -> None:
        self._tasks.returned(event)
        self._draining.returned(event.executor)

    def _executor_lost(self, event: ExecutorLost) -> None:
        executor = self._tasks.table.members.get(event.executor)
        if executor is not None:
            self._lose(executor, event.cause)
        else:
            was_member = event.executor in self._tasks.table.gone
            gone = ExecutorGone(event.executor, "", event.cause)
            self._tasks.table.bury(gone)
            self._absence.note_end(None if was_member else gone)

    def _lose(self, executor: Executor, cause: str) -> None:
        """The one door: however the loss was noticed, all that follows from it follows here."""
        gone = ExecutorGone(executor.id, executor.host, cause)
        self._tasks.lost(executor, gone)
        self._exclusion.forget(executor.id)
        self._draining.lost(executor.id)
        self._dag.lose_executor(gone)
        self._absence.note_loss(gone)

    def _driver_delayed(self, event: DriverDelayed) -> None:
        self._tasks.table.excuse(event.seconds)
        self._absence.excuse(event.seconds)
        self._draining.excuse(event.seconds)
        self._gangs.excuse(event.seconds)

    def _tick(self, event: Tick) -> None:
        for executor in self._tasks.table.silent():
            self._lose(executor, "it was silent for too long")
            self._turn.commands.append(DropExecutor(executor.id, "it was silent for too long"))
        self._tasks.suspect_quiet()
        self._tasks.repeat_kills()
        self._tasks.placing.relax()
        self._exclusion.tick()
        self._draining.tick()
        self._gangs.tick()
        self._absence.tick()


def _stimulus(event: Event) -> Stimulus:
    """What to remember of an event: its name and its ids, nothing large."""
    if isinstance(event, TaskEnded):
        return ("TaskEnded", event.executor, event.attempt, type(event.outcome).__name__)
    name = type(event).__name__
    if isinstance(event, JobSubmitted):
        return (name, event.plan.job_id)
    subjects = (getattr(event, each, None) for each in ("executor", "job_id", "shuffle", "source"))
    subject = next((each for each in subjects if each is not None), None)
    return (name,) if subject is None else (name, subject)


def _view(executor: Executor) -> ExecutorView:
    attempts = tuple(
        AttemptView(
            attempt.id,
            attempt.tasks.stage,
            attempt.tasks.plan.key,
            attempt.index,
            attempt.number,
            attempt.state is AttemptState.KILLING,
        )
        for attempt in executor.attempts.values()
        if attempt.state is not AttemptState.STRAY
    )
    is_excluded = executor.is_excluded and executor.state is ExecutorState.ALIVE
    state = "excluded" if is_excluded else executor.state.name.lower()
    return ExecutorView(executor.id, executor.host, executor.slots, state, attempts)
