"""Which task goes to which executor: one pass over the tasks that wait and the room that is there.

Free slots are filled everywhere before anything queues at an executor; the oldest job comes first; a task set that
prefers hosts may leave slots free for a while, which later ones then use. The cost of a pass grows with what it
launches, not with the number of tasks, task sets or executors: only a change that could make an earlier refusal wrong
makes a pass look at all executors again.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable, Iterable

from rddlite.base.ids import ExecutorId
from rddlite.schedule.executors import Executor, ExecutorTable
from rddlite.schedule.taskset import Priority, TaskSet
from rddlite.schedule.turn import Turn

Start = Callable[[TaskSet, int, Executor], None]


class Placing:
    """The queue of task sets that have something to launch, and the rules by which it empties.

    Called by `tasks.TaskScheduler` only; `start` launches one task.
    """

    def __init__(self, turn: Turn, table: ExecutorTable, locality_wait: float, start: Start) -> None:
        self._turn = turn
        self._table = table
        self._locality_wait = locality_wait
        self._start = start
        self.queue: list[tuple[Priority, TaskSet]] = []
        self.alone: dict[TaskSet, None] = {}
        self._reserved: dict[ExecutorId, Executor] = {}
        self._freed: dict[ExecutorId, Executor] = {}
        self.delayed: dict[TaskSet, float] = {}
        self._version = -1

    # What waits

    def consider(self, tasks: TaskSet) -> None:
        """This set has something to launch (if it is open)."""
        if not tasks.is_open:
            return
        if tasks.alone:
            self.alone[tasks] = None
        if tasks.n_pending and not tasks.is_queued:
            tasks.is_queued = True
            insort(self.queue, (tasks.priority, tasks))

    def withdraw(self, tasks: TaskSet) -> None:
        """Launch nothing of this set for now."""
        self.alone.pop(tasks, None)
        self.delayed.pop(tasks, None)
        tasks.is_stalled = False
        if tasks.is_queued:
            tasks.is_queued = False
            del self.queue[bisect_left(self.queue, (tasks.priority,))]

    def freed(self, executor: Executor) -> None:
        """There is more room than before at this executor."""
        self._freed[executor.id] = executor

    def relax(self) -> None:
        """Tasks that waited long enough for a preferred host take any, in the next pass."""
        for tasks, deadline in list(self.delayed.items()):
            if self._turn.now >= deadline:
                del self.delayed[tasks]
                tasks.is_relaxed = True
                tasks.is_stalled = False

    def next_deadline(self) -> float | None:
        """When a task set has waited long enough for its preferred hosts."""
        return min(self.delayed.values(), default=None)

    # One pass

    def run(self) -> None:
        """Launch what can be launched."""
        if self.alone or self._reserved:
            self._place_alone()
        if self._version != self._table.version:
            self._version = self._table.version
            for _, tasks in self.queue:
                tasks.is_stalled = False
        position = 0
        may_queue_ahead = True
        while position < len(self.queue) and self._table.least_loaded() is not None:
            tasks = self.queue[position][1]
            if tasks.preferences is not None and self._table.n_alive > 1:
                self._fill_near(tasks, may_queue_ahead)
            else:
                self._fill(tasks, may_queue_ahead)
            if tasks.n_pending:
                may_queue_ahead = False
                position += 1
            else:
                tasks.is_queued = False
                self.delayed.pop(tasks, None)
                del self.queue[position]
        self._freed.clear()

    def _fill(self, tasks: TaskSet, may_queue_ahead: bool) -> None:
        """Any task anywhere, least loaded executors first."""
        table = self._table
        self.delayed.pop(tasks, None)
        while tasks.n_pending:
            executor = table.least_loaded()
            if executor is None or (executor.level and not self._worth_queueing(tasks, may_queue_ahead)):
                return
            self._start(tasks, tasks.next_pending(), executor)

    def _worth_queueing(self, tasks: TaskSet, may_queue_ahead: bool) -> bool:
        """Whether a task should queue at a busy executor: not the last round of a stage where another executor might
        be free earlier, and nothing that would overtake what an older job left waiting."""
        table = self._table
        return may_queue_ahead and (table.n_alive == 1 or tasks.n_pending > table.n_slots)

    def _fill_near(self, tasks: TaskSet, may_queue_ahead: bool) -> None:
        """Tasks to the hosts that they prefer; to others once nothing else is possible, or after the wait."""
        table = self._table
        is_first_look = not tasks.is_stalled
        for level, bucket in enumerate(table.levels):
            if level and (table.levels[0] or not self._worth_queueing(tasks, may_queue_ahead)):
                break
            offers = bucket.values() if is_first_look else self._freed.values()
            self._offer(tasks, level, [each for each in offers if each.level == level])
            if tasks.n_pending and bucket and not level and not self._has_hope(tasks):
                self._offer(tasks, level, list(bucket.values()))
            if not tasks.n_pending:
                return
        tasks.is_relaxed = False
        tasks.is_stalled = True
        if table.levels[0] and tasks not in self.delayed:
            self.delayed[tasks] = self._turn.now + self._locality_wait

    def _offer(self, tasks: TaskSet, level: int, executors: Iterable[Executor]) -> None:
        """Fill these executors up to the end of their level, in turns of one task each."""
        preferences = tasks.preferences
        assert preferences is not None
        turns = deque(executors)
        while turns and tasks.n_pending:
            executor = turns.popleft()
            index = preferences.next_for(executor.host)
            if index is None:
                if not tasks.is_relaxed and self._has_hope(tasks):
                    continue
                index = tasks.next_pending()
            self._start(tasks, index, executor)
            if executor.level == level:
                turns.append(executor)

    def _has_hope(self, tasks: TaskSet) -> bool:
        """Whether some pending task prefers the host of a live executor."""
        assert tasks.preferences is not None
        return tasks.preferences.has_hope(self._table.alive_hosts, self._table.version)

    # Tasks that need an executor for themselves

    def _place_alone(self) -> None:
        for executor in list(self._reserved.values()):
            tasks = executor.reserved_by
            if tasks is None or not tasks.is_open or not tasks.alone:
                self._give_back(executor)
            elif not executor.load:
                del self._reserved[executor.id]
                executor.reserved_by = None
                self._start(tasks, tasks.alone[0], executor)
        for tasks in list(self.alone):
            self._reserve_for(tasks)
            if not tasks.alone:
                del self.alone[tasks]

    def _reserve_for(self, tasks: TaskSet) -> None:
        """Let as many executors run empty as the set has tasks that must run alone; start on those that are."""
        n_reserved = sum(1 for each in self._reserved.values() if each.reserved_by is tasks)
        while n_reserved < len(tasks.alone):
            executor = self._table.reservable()
            if executor is None:
                return
            self._table.reserve(executor, tasks)
            if executor.load:
                self._reserved[executor.id] = executor
                n_reserved += 1
            else:
                executor.reserved_by = None
                self._start(tasks, tasks.alone[0], executor)

    def _give_back(self, executor: Executor) -> None:
        del self._reserved[executor.id]
        if executor.reserved_by is not None:
            self._table.unreserve(executor)
            self.freed(executor)
