"""Executors that want to leave: what runs there ends, its map outputs move to others, and it is released.

Theory of operation: from `asked` on nothing is launched there. When nothing runs there any more, every map output that
counts and that it holds is assigned to an executor that stays; each of those gets its share in one command after the
other, answered by `moved`. What one could not take is offered to one other executor; then it stays where it is. If
jobs run, and nobody is there who could take anything, others may come yet. When nothing is left to wait for, or after
the limit, the executor may end: that end is an ordinary loss, and what was left there is computed again when needed.
While an executor that leaves is suspect, nothing new is begun.
"""

from __future__ import annotations

from collections import deque

from rddlite.base.ids import AttemptId, ExecutorId, ShuffleId
from rddlite.schedule.commands import DropExecutor, ForgetOutput, MoveOutputs, ReleaseExecutor, WantExecutors
from rddlite.schedule.dag import DagScheduler
from rddlite.schedule.events import ExecutorDraining, OutputsMoved
from rddlite.schedule.executors import Executor
from rddlite.schedule.states import ExecutorState
from rddlite.schedule.tasks import TaskScheduler
from rddlite.schedule.turn import Turn

Output = tuple[ShuffleId, int, AttemptId]
MOST_AT_ONCE = 512
"""Outputs that one command names at most."""
MOST_TRIES = 2


class Drain:
    """One executor that wants to leave.

    `waiting` has what is assigned to each target and was not asked for yet, `asked` what was asked for and not
    answered; `tried` the targets that every output was asked of.
    """

    __slots__ = ("asked", "deadline", "executor", "is_released", "tried", "waiting")

    def __init__(self, executor: Executor, deadline: float) -> None:
        self.executor = executor
        self.deadline = deadline
        self.is_released = False
        self.waiting: dict[ExecutorId, deque[Output]] = {}
        self.asked: dict[ExecutorId, dict[Output, None]] = {}
        self.tried: dict[Output, list[ExecutorId]] = {}

    @property
    def is_due(self) -> bool:
        """Whether something has to be done for it."""
        return not self.is_released and self.executor.state is ExecutorState.DRAINING

    def give_up(self, target: ExecutorId) -> None:
        """Expect nothing more from this target of what was assigned to it."""
        self.waiting.pop(target, None)
        self.asked.pop(target, None)


class Draining:
    """All executors that want to leave and are members still: `drains`, by id."""

    def __init__(self, turn: Turn, limit: float, tasks: TaskScheduler, dag: DagScheduler) -> None:
        self._turn = turn
        self._limit = limit
        self._table = tasks.table
        self._dag = dag
        self._version = -1
        self._n_rounds = 0
        self.drains: dict[ExecutorId, Drain] = {}

    # Events

    def asked(self, event: ExecutorDraining) -> None:
        """It wants to leave. If that is said again after it was released, it does not know that it was."""
        executor, drain = self._table.members.get(event.executor), self.drains.get(event.executor)
        if drain is not None:
            drain.is_released = False
        elif executor is not None:
            self._table.drain(executor)
            self.drains[executor.id] = Drain(executor, self._turn.now + self._limit)
            if self._dag.jobs and not self._table.n_usable:
                self._turn.commands.append(WantExecutors(f"executor {executor.id} leaves: {event.why}"))
        elif event.executor in self._table.gone:
            self._turn.commands.append(DropExecutor(event.executor, "it was declared lost before"))

    def moved(self, event: OutputsMoved) -> None:
        """Copies were made: those that are of use count, others are deleted."""
        target = self._table.members.get(event.target)
        if target is None:
            return
        drain = self.drains.get(event.source)
        for shuffle, index, attempt in event.outputs:
            is_taken = not target.is_leaving and self._dag.outputs.move(
                shuffle, index, event.source, attempt, target.id
            )
            if not is_taken:
                self._turn.commands.append(ForgetOutput(target.id, shuffle, index, attempt))
        if drain is not None and target.id in drain.asked:
            asked = drain.asked[target.id]
            for output in event.outputs:
                asked.pop(output, None)
            if event.why or not asked:
                del drain.asked[target.id]

    def returned(self, executor_id: ExecutorId) -> None:
        """It registered again: what it was told before may never have reached it."""
        drain = self.drains.get(executor_id)
        if drain is not None:
            drain.is_released = False
        for each in self.drains.values():
            each.give_up(executor_id)

    def lost(self, executor_id: ExecutorId) -> None:
        """It is gone."""
        self.drains.pop(executor_id, None)

    def excuse(self, seconds: float) -> None:
        """The driver was late by that much."""
        for drain in self.drains.values():
            drain.deadline += seconds

    def tick(self) -> None:
        """Release those that have waited long enough."""
        for drain in self.drains.values():
            if drain.is_due and self._turn.now >= drain.deadline:
                self._release(drain, f"it could not hand over everything within {self._limit:g} s")

    def next_deadline(self) -> float | None:
        """When the first one has waited long enough."""
        return min((drain.deadline for drain in self.drains.values() if drain.is_due), default=None)

    # After a batch of events

    def update(self) -> None:
        """Move what can be moved, and release those of which nothing more is to be had."""
        if self._version != self._table.version:
            self._version = self._table.version
            for drain in self.drains.values():
                for target in (*drain.asked, *drain.waiting):
                    member = self._table.members.get(target)
                    if member is None or member.state is not ExecutorState.ALIVE:
                        drain.give_up(target)
        for drain in self.drains.values():
            if drain.is_due and not drain.executor.load:
                self._go_on(drain)

    def _go_on(self, drain: Drain) -> None:
        if not drain.asked and not drain.waiting:
            self._assign(drain)
        for target in [each for each in drain.waiting if each not in drain.asked]:
            self._ask(drain, target)
        if not drain.asked:
            n_left = sum(len(outputs.held_by(drain.executor.id)) for outputs in self._dag.outputs.shuffles.values())
            if n_left and self._dag.jobs and not self._table.n_usable:
                return
            why = f"nobody could take {n_left} of its map outputs" if n_left else "nobody needs anything there"
            self._release(drain, why)

    def _assign(self, drain: Drain) -> None:
        """Spread over the executors that stay what this one holds and they have not been asked for in vain."""
        alive = [each for each in self._table.members.values() if each.state is ExecutorState.ALIVE]
        targets = [each.id for each in alive if each.is_usable]
        others = [each.id for each in alive if not each.is_usable]
        outputs = [
            (shuffle, index, attempt)
            for shuffle, places in self._dag.outputs.shuffles.items()
            for index, attempt in places.held_by(drain.executor.id)
            if len(drain.tried.get((shuffle, index, attempt), ())) < MOST_TRIES
        ]
        if not targets or not outputs:
            return
        share = -(-len(outputs) // len(targets))
        self._n_rounds += 1  # so that not every round begins with the same target
        for number, output in enumerate(outputs):
            first = self._n_rounds + number // share
            nearest = (targets[(first + step) % len(targets)] for step in range(min(len(targets), MOST_TRIES)))
            tried = drain.tried.get(output, ())
            target = next((each for each in (*nearest, *others) if each not in tried), None)
            if target is not None:
                drain.waiting.setdefault(target, deque()).append(output)

    def _ask(self, drain: Drain, target: ExecutorId) -> None:
        waiting = drain.waiting[target]
        outputs = tuple(waiting.popleft() for _ in range(min(MOST_AT_ONCE, len(waiting))))
        if not waiting:
            del drain.waiting[target]
        for output in outputs:
            drain.tried.setdefault(output, []).append(target)
        drain.asked[target] = dict.fromkeys(outputs)
        self._turn.commands.append(MoveOutputs(drain.executor.id, target, outputs))

    def _release(self, drain: Drain, why: str) -> None:
        drain.is_released = True
        drain.waiting.clear()
        drain.asked.clear()
        self._turn.commands.append(ReleaseExecutor(drain.executor.id, why))
