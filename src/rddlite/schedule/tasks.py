"""Where and when tasks run: executors, attempts, launches and kills. Knows task sets, but not what they are for.

What it never does: decide whether a failed task is worth a retry, or what must exist (that is `dag` and `endings`).
It launches only in `launch`, which the scheduler calls once after a batch of events. Task sets that got work back are
gathered in `refilled` for `dag`, which may have to bring their inputs back first (True: tasks that were done are among
it); barrier stages of which one task is no more are `broken`, for `gangs`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from rddlite.base.ids import AttemptId, ExecutorId, StageId
from rddlite.schedule.commands import AttemptEnded, DropExecutor, ExecutorGone, Kill, Launch, SuspectExecutor
from rddlite.schedule.events import ExecutorJoined, ExecutorReturned
from rddlite.schedule.executors import Executor, ExecutorTable
from rddlite.schedule.options import SchedulerOptions
from rddlite.schedule.pace import FEWEST_TASKS, Pace
from rddlite.schedule.placing import Placing
from rddlite.schedule.states import AttemptState, ExecutorState
from rddlite.schedule.taskset import Attempt, Priority, TaskSet
from rddlite.schedule.turn import Turn

_RUNNING = AttemptState.RUNNING
_KILLING = AttemptState.KILLING
_STRAY = AttemptState.STRAY
_ENDED = AttemptState.ENDED


class TaskScheduler:
    """Offers to launches. Owns the executors, all attempts, and the task sets handed to it."""

    def __init__(self, turn: Turn, options: SchedulerOptions) -> None:
        self._turn = turn
        self._kill_repeat = options.kill_repeat
        self._retry_wait = options.retry_wait
        self._quantile = options.speculation_quantile if options.speculation else None
        self.table = ExecutorTable(turn, options)
        self.placing = Placing(turn, self.table, options, self._start)
        self.refilled: dict[StageId, bool] = {}
        self.broken: dict[StageId, str] = {}
        self.slow: dict[AttemptId, Attempt] = {}
        self.n_copies = 0
        self._kills: deque[tuple[float, Attempt, str]] = deque()
        self._n_attempts = 0

    # Executors

    def joined(self, event: ExecutorJoined) -> None:
        """A new executor, or a repeated or late message of one that is known."""
        executor = self.table.members.get(event.executor)
        if executor is not None:
            if executor.state is not ExecutorState.SUSPECT:
                self.table.heard(executor)
        elif event.executor in self.table.gone:
            self._turn.commands.append(DropExecutor(event.executor, "it was declared lost before"))
        else:
            self.placing.freed(self.table.join(event.executor, event.host, event.slots))

    def heartbeat(self, executor_id: ExecutorId) -> None:
        """A sign of life. One that was declared lost is told so."""
        executor = self.table.members.get(executor_id)
        if executor is not None:
            if executor.state is not ExecutorState.SUSPECT:
                self.table.heard(executor)
        elif executor_id in self.table.gone:
            self._turn.commands.append(DropExecutor(executor_id, "it was declared lost before"))

    def suspected(self, executor_id: ExecutorId) -> None:
        """Nothing may reach it for now."""
        executor = self.table.members.get(executor_id)
        if executor is not None and executor.state is not ExecutorState.SUSPECT:
            self.table.suspect(executor)

    def suspect_quiet(self) -> None:
        """Nothing was heard of some for a while: what they were told may be lost, or they are cut off."""
        for executor in self.table.quiet():
            self.table.suspect(executor)
            self._turn.commands.append(SuspectExecutor(executor.id, "nothing was heard of it for a while"))

    def readmit(self, executor: Executor) -> None:
        """It was excluded, and is not any more."""
        self.table.readmit(executor)
        self.placing.freed(executor)

    def returned(self, event: ExecutorReturned) -> None:
        """Both sides agree on what runs there: what it lacks is pending again, what nobody needs is killed (again)."""
        executor = self.table.members.get(event.executor)
        if executor is None:
            why = "it does not belong to this application any more"
            self.table.bury(ExecutorGone(event.executor, "", why))
            self._turn.commands.append(DropExecutor(event.executor, why))
            return
        if executor.state is ExecutorState.SUSPECT:
            self.table.restore(executor)
        else:
            self.table.heard(executor)
        for attempt in list(executor.attempts.values()):
            if attempt.id in event.attempts:
                self._reconcile_present(executor, attempt)
            else:
                self._reconcile_absent(executor, attempt)
        for unknown in sorted(event.attempts - executor.attempts.keys()):
            self._turn.commands.append(Kill(executor.id, unknown, "nobody knows this attempt any more"))
        self.placing.freed(executor)

    def _reconcile_present(self, executor: Executor, attempt: Attempt) -> None:
        if attempt.state is _STRAY:
            del attempt.tasks.strays[attempt.id]
            attempt.pool.n_running += 1
            self.table.occupy(executor)
            self._kill(attempt, "another attempt took its place")
        elif attempt.state is _KILLING:
            self._turn.commands.append(Kill(executor.id, attempt.id, "it was not needed any more"))

    def _reconcile_absent(self, executor: Executor, attempt: Attempt) -> None:
        """The launch never got there, or its end was reported and the report got lost: it may still come."""
        if attempt.state is _RUNNING:
            self._turn.move(attempt, _STRAY)
            attempt.tasks.strays[attempt.id] = attempt
            self.slow.pop(attempt.id, None)
            self._vacate(executor, attempt)
            attempt.alone = False
            self._note_end(attempt, "not_there")
            self.requeue(attempt)
            self.break_gang(attempt.tasks, f"task {attempt.index} was not there when {executor.title()} came back")
        else:
            self._forget(attempt)

    def lost(self, executor: Executor, gone: ExecutorGone) -> None:
        """Gone for good: what ran there is pending again, uncharged."""
        for attempt in list(executor.attempts.values()):
            was_running = attempt.state is _RUNNING
            self._forget(attempt)
            if was_running:
                self.requeue(attempt)
                self.break_gang(attempt.tasks, str(gone))
                self._note_end(attempt, "executor_lost")
        self.table.remove(executor, gone)

    # Task sets

    def open(self, tasks: TaskSet, priority: Priority, pool: str) -> None:
        """Tasks of this set may be launched from now on."""
        n_tasks = tasks.plan.n_tasks
        if self._quantile is not None and tasks.pace is None and tasks.plan.can_copy and n_tasks >= FEWEST_TASKS:
            tasks.pace = Pace(n_tasks, self._quantile)
        self.placing.pools.enter(tasks, pool)
        tasks.priority = priority
        tasks.is_open = True
        self.placing.consider(tasks)

    def close(self, tasks: TaskSet) -> None:
        """Nothing of this set may be launched for now; what runs goes on."""
        tasks.is_open = False
        self.placing.withdraw(tasks)

    def cancel(self, tasks: TaskSet, why: str) -> None:
        """Nobody needs this set any more."""
        self.close(tasks)
        for attempt in (*tasks.running.values(), *tasks.copies.values()):
            self._kill(attempt, why)
        self.n_copies -= len(tasks.copies)
        for stray in list(tasks.strays.values()):
            self._forget(stray)
        self.placing.pools.leave(tasks)

    def reprioritise(self, tasks: TaskSet, priority: Priority, pool: str) -> None:
        """Another job is the oldest that wants this set."""
        if priority != tasks.priority:
            self.placing.withdraw(tasks)
            self.placing.pools.enter(tasks, pool)
            tasks.priority = priority
            self.placing.consider(tasks)

    def requeue(self, attempt: Attempt, *, has_failed: bool = False) -> bool:
        """This running attempt is no more, and its task has to run again: False if another attempt of it runs on.

        One that has failed runs elsewhere if that is possible.
        """
        tasks, index = attempt.tasks, attempt.index
        if index in tasks.copies:
            self.drop(attempt)
            return False
        failed_on = tasks.trouble(index).failed_on
        is_wary = has_failed and bool(failed_on) and self.table.has_usable_besides(failed_on)
        tasks.requeue(index, self._turn.now + self._retry_wait if is_wary else None)
        self.refilled.setdefault(tasks.stage, False)
        self.placing.consider(tasks)
        return True

    def break_gang(self, tasks: TaskSet, why: str) -> None:
        """One of these tasks has to run again: if they run together or not at all, then all of them."""
        if tasks.plan.is_barrier:
            self.broken.setdefault(tasks.stage, why)

    def beaten(self, attempt: Attempt) -> None:
        """One of the two attempts of a task was taken: this one is not needed."""
        self._kill(attempt, "another attempt of its task succeeded")

    def reopen(self, tasks: TaskSet, indices: Iterable[int]) -> None:
        """The outputs of these tasks were lost before the set was complete."""
        for index in indices:
            tasks.reopen(index)
        self.refilled[tasks.stage] = True
        self.placing.consider(tasks)

    def roll_back(self, tasks: TaskSet, why: str) -> int:
        """What these tasks have read is not there any more: whatever runs is killed, uncharged, and has to run again.

        Answers how many tasks ran. Successes must not be taken, should they come after all.
        """
        running = list(tasks.running.values())
        for attempt in (*tasks.copies.values(), *running):
            self.requeue(attempt)
            self._kill(attempt, why)
        for stray in list(tasks.strays.values()):
            self._forget(stray)
        return len(running)

    def drop(self, attempt: Attempt) -> Attempt:
        """One of the two running attempts of its task is out of the race; answers with the other one."""
        self.n_copies -= 1
        return attempt.tasks.drop(attempt)

    def overtake(self, tasks: TaskSet, index: int) -> None:
        """A late success of an earlier attempt was taken: the one now running, if any, is not needed."""
        current = tasks.running.get(index)
        if current is None:
            tasks.settle_late(index)
            if not tasks.wary:
                self.placing.wary.pop(tasks, None)
            return
        if index in tasks.copies:
            self._kill(self.drop(current), "an earlier attempt succeeded")
        tasks.succeed(index)
        self._kill(current, "an earlier attempt succeeded")

    # Attempts

    @property
    def next_attempt(self) -> AttemptId:
        """The id of the next attempt: all that exist have lower ones."""
        return AttemptId(self._n_attempts)

    def take(self, executor: Executor, attempt_id: AttemptId) -> tuple[Attempt, AttemptState] | None:
        """The attempt whose end is reported, with the state it ended in; None if nobody knows it (any more)."""
        attempt = executor.attempts.get(attempt_id)
        if attempt is None:
            return None
        state = attempt.state
        self._forget(attempt)
        assert isinstance(state, AttemptState)
        return attempt, state

    def launch(self) -> None:
        """Fill what room there is."""
        self.placing.run()

    def repeat_kills(self) -> None:
        """Send again what was not answered in time."""
        while self._kills and self._turn.now >= self._kills[0][0]:
            _, attempt, why = self._kills.popleft()
            if attempt.state is _KILLING:
                self._send_kill(attempt, why)

    def next_kill(self) -> float | None:
        """When the next unanswered kill is sent again."""
        while self._kills and self._kills[0][1].state is not _KILLING:
            self._kills.popleft()
        return self._kills[0][0] if self._kills else None

    def copy(self, attempt: Attempt, executor: Executor) -> AttemptId:
        """Run the task of this running attempt on this executor as well; the first success counts."""
        attempt.tasks.trouble(attempt.index).number += 1
        self.n_copies += 1
        return self._start(attempt.tasks, attempt.index, executor, is_copy=True)

    def _start(self, tasks: TaskSet, index: int, executor: Executor, *, is_copy: bool = False) -> AttemptId:
        attempt_id = AttemptId(self._n_attempts)
        self._n_attempts += 1
        number = tasks.number_of_next(index)
        attempt = Attempt(attempt_id, tasks, index, number, executor.id)
        attempt.alone = executor.is_exclusive
        if is_copy:
            tasks.begin_copy(attempt)
        else:
            tasks.begin(attempt)
        executor.attempts[attempt_id] = attempt
        attempt.pool.n_running += 1
        self.table.occupy(executor)
        self._turn.commands.append(Launch(executor.id, attempt_id, tasks.stage, tasks.plan.key, index, number))
        return attempt_id

    def _kill(self, attempt: Attempt, why: str) -> None:
        self.slow.pop(attempt.id, None)
        self._turn.move(attempt, _KILLING)
        self._send_kill(attempt, why)

    def _send_kill(self, attempt: Attempt, why: str) -> None:
        self._turn.commands.append(Kill(attempt.executor, attempt.id, why))
        self._kills.append((self._turn.now + self._kill_repeat, attempt, why))

    def _forget(self, attempt: Attempt) -> None:
        """Out of all tables; what its task is now is up to the caller."""
        executor = self.table.members[attempt.executor]
        del executor.attempts[attempt.id]
        if self.slow:
            self.slow.pop(attempt.id, None)
        if attempt.state is _STRAY:
            del attempt.tasks.strays[attempt.id]
        else:
            self._vacate(executor, attempt)
        self._turn.move(attempt, _ENDED)

    def _vacate(self, executor: Executor, attempt: Attempt) -> None:
        if attempt.alone:
            executor.is_exclusive = False
        pool = attempt.pool
        pool.n_running -= 1
        if not pool.n_running:
            self.placing.pools.tidy(pool)
        self.table.release(executor)
        self.placing.freed(executor)

    def _note_end(self, attempt: Attempt, status: str) -> None:
        tasks = attempt.tasks
        self._turn.commands.append(
            AttemptEnded(tasks.stage, tasks.plan.key, attempt.index, attempt.id, attempt.executor, status, False, None)
        )
