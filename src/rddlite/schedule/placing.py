"""Which task goes to which executor: one pass over the tasks that wait and the room that is there.

Free slots are filled everywhere before anything queues at an executor; pools take turns by their shares, and within a
pool the oldest job comes first; a task set that prefers hosts, or that has tasks which failed elsewhere, may leave
slots free for a while, which later ones then use. The cost of a pass grows with what it launches, not with the number
of tasks, task sets or executors: only a change that could make an earlier refusal wrong makes a pass look at all
executors again.

A gang (the tasks of a barrier stage) starts when there is a free slot for each of them. While one waits for slots that
are busy, whatever comes after it in the order of jobs gets none, so that slots empty for it; what comes before it does.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice

from rddlite.base.ids import AttemptId, ExecutorId
from rddlite.schedule.commands import GangStarted
from rddlite.schedule.executors import Executor, ExecutorTable
from rddlite.schedule.options import SchedulerOptions
from rddlite.schedule.pools import Pool, Pools
from rddlite.schedule.taskset import Priority, TaskSet
from rddlite.schedule.turn import Turn

Start = Callable[[TaskSet, int, Executor], AttemptId]
Launches = Iterator[None]
"""A step is one launch; the end means that nothing more can be launched in this pass."""

_LONGEST_QUEUE = 0.3
"""Seconds that a task which queues may wait for those before it."""
_MOST_LOOKS = 32
"""How many tasks that failed somewhere one task set looks at in a pass: their number has no bound."""


class Placing:
    """The queue of task sets that have something to launch, and the rules by which it empties.

    Called by `tasks.TaskScheduler` only; `start` launches one task.
    """

    def __init__(self, turn: Turn, table: ExecutorTable, options: SchedulerOptions, start: Start) -> None:
        self._turn = turn
        self._table = table
        self._locality_wait = options.locality_wait
        self._launch_ahead = options.launch_ahead
        self._short_task = options.short_task
        self._start = start
        self.pools = Pools(options)
        self.alone: dict[TaskSet, None] = {}
        self.wary: dict[TaskSet, None] = {}
        self.delayed: dict[TaskSet, float] = {}
        self.gangs: dict[TaskSet, None] = {}
        self.before: Priority | None = None
        self._reserved: dict[ExecutorId, Executor] = {}
        self._freed: dict[ExecutorId, Executor] = {}
        self._version = -1
        self._may_queue_ahead = True

    # What waits

    def consider(self, tasks: TaskSet) -> None:
        """This set has something to launch (if it is open)."""
        if not tasks.is_open:
            return
        if tasks.plan.is_barrier:
            if tasks.n_pending:
                self.gangs[tasks] = None
            return
        if tasks.alone:
            self.alone[tasks] = None
        if tasks.wary:
            self.wary[tasks] = None
        if (tasks.n_pending or tasks.wary) and not tasks.is_queued:
            assert tasks.pool is not None
            tasks.pool.insert(tasks)

    def withdraw(self, tasks: TaskSet) -> None:
        """Launch nothing of this set for now."""
        self.alone.pop(tasks, None)
        self.gangs.pop(tasks, None)
        self.wary.pop(tasks, None)
        self.delayed.pop(tasks, None)
        tasks.is_stalled = False
        if tasks.is_queued:
            assert tasks.pool is not None
            tasks.pool.remove(tasks)

    def freed(self, executor: Executor) -> None:
        """There is more room than before at this executor."""
        self._freed[executor.id] = executor

    def relax(self) -> None:
        """Tasks that waited long enough for a preferred host, or for an executor where they have not failed, take any
        in the next pass.
        """
        now = self._turn.now
        for tasks, deadline in list(self.delayed.items()):
            if now >= deadline:
                del self.delayed[tasks]
                tasks.is_relaxed = True
                tasks.is_stalled = False
        for tasks in list(self.wary):
            for index in [index for index, deadline in tasks.wary.items() if now >= deadline]:
                tasks.relax(index)
            if not tasks.wary:
                del self.wary[tasks]

    def next_deadline(self) -> float | None:
        """When tasks have waited long enough for an executor that they would rather have."""
        if not self.delayed and not self.wary:
            return None
        # Those that failed first are first in `wary`.
        others = (deadline for tasks in self.wary for deadline in islice(tasks.wary.values(), 1))
        return min((*self.delayed.values(), *others), default=None)

    # One pass

    def run(self) -> None:
        """Launch what can be launched."""
        if self.alone or self._reserved:
            self._place_alone()
        if self._version != self._table.version or self.before is not None:
            self._version = self._table.version
            for pool in self.pools.pools.values():
                for _, tasks in pool.queue:
                    tasks.is_stalled = False
        self._may_queue_ahead = True
        self.before = None
        if self.gangs:
            self._place_gangs()
        self._fill()
        self._freed.clear()

    def _fill(self) -> None:
        """Launch what comes before a gang that waits, or all."""
        pools = self.pools.pools
        if len(pools) > 1:
            self._share()
        else:
            for pool in pools.values():
                for _ in self._launches(pool):
                    pass

    def _place_gangs(self) -> None:
        """Start gangs, the oldest job's first; at the first one that has to wait for busy slots, the others wait too.
        One for which there are too few slots, free or not, is passed over.
        """
        for tasks in sorted(self.gangs, key=lambda each: each.priority):
            if tasks.n_pending > self._table.n_slots:
                continue
            self.before = tasks.priority
            self._fill()
            if tasks.n_pending > sum(each.slots - each.load for each in self._table.levels[0].values()):
                return
            del self.gangs[tasks]
            self._start_gang(tasks)
        self.before = None

    def _start_gang(self, tasks: TaskSet) -> None:
        placed: dict[int, tuple[AttemptId, ExecutorId]] = {}
        while tasks.n_pending:
            executor = self._table.least_loaded()
            assert executor is not None
            near = tasks.preferences.next_for(executor.host) if tasks.preferences is not None else None
            index = tasks.next_pending() if near is None else near
            placed[index] = (self._start(tasks, index, executor), executor.id)
        attempts, executors = zip(*(placed[index] for index in sorted(placed)), strict=True)
        self._turn.commands.append(GangStarted(tasks.stage, attempts, executors))

    def _share(self) -> None:
        """One launch at a time, by the pool that has the best claim to it."""
        turns = {pool: self._launches(pool) for pool in self.pools.queues()}
        while turns:
            pool = min(turns, key=Pool.claim)
            if next(turns[pool], turns) is turns:
                del turns[pool]

    def _launches(self, pool: Pool) -> Launches:
        """Launch what this pool can, the oldest job first."""
        queue = pool.queue
        position = 0
        while position < len(queue) and self._has_room():
            priority, tasks = queue[position]
            if self.before is not None and priority > self.before:
                return
            if tasks.wary:
                yield from self._elsewhere(tasks)
            if tasks.n_pending:
                if tasks.preferences is not None and self._table.n_usable > 1:
                    yield from self._near(tasks)
                else:
                    yield from self._anywhere(tasks)
            if tasks.n_pending or tasks.wary:
                self._may_queue_ahead = False
                position += 1
            else:
                self.delayed.pop(tasks, None)
                pool.remove(tasks)

    def _has_room(self) -> bool:
        table = self._table
        return bool(table.levels[0]) or (self._may_queue_ahead and table.least_loaded() is not None)

    def _worth_queueing(self, tasks: TaskSet, level: int) -> bool:
        """Whether a task should queue at a busy executor: not the last round of a stage where another executor might
        be free earlier, and nothing that would overtake what an older job left waiting. Many queue only while all that
        ended lately were short, and more are left than queue."""
        n_slots = self._table.n_slots
        if not self._may_queue_ahead:
            return False
        if level > self._launch_ahead:
            is_short = 0 < tasks.longest <= self._short_task and tasks.longest * level <= _LONGEST_QUEUE
            return is_short and tasks.n_pending > level * n_slots
        return self._table.n_usable == 1 or tasks.n_pending > n_slots

    def _anywhere(self, tasks: TaskSet) -> Launches:
        """Any task anywhere, least loaded executors first."""
        table = self._table
        self.delayed.pop(tasks, None)
        while tasks.n_pending:
            executor = table.least_loaded()
            if executor is None or (executor.level and not self._worth_queueing(tasks, executor.level)):
                return
            self._start(tasks, tasks.next_pending(), executor)
            yield

    def _elsewhere(self, tasks: TaskSet) -> Launches:
        """Tasks that failed go where they have not failed yet."""
        for index in list(islice(tasks.wary, _MOST_LOOKS)):
            failed_on = tasks.troubles[index].failed_on
            if not self._table.has_usable_besides(failed_on):
                tasks.relax(index)
                continue
            executor = self._table.least_loaded_besides(failed_on)
            if executor is not None and (not executor.level or self._worth_queueing(tasks, executor.level)):
                self._start(tasks, index, executor)
                yield
        if not tasks.wary:
            del self.wary[tasks]

    def _near(self, tasks: TaskSet) -> Launches:
        """Tasks to the hosts that they prefer; to others once nothing else is possible, or after the wait."""
        table = self._table
        is_first_look = not tasks.is_stalled
        for level, bucket in enumerate(table.levels):
            if level and (table.levels[0] or not self._worth_queueing(tasks, level)):
                break
            offers: Iterable[Executor] = bucket.values() if is_first_look else self._freed.values()
            offers = [each for each in offers if each.level == level]
            if offers:
                yield from self._offer(tasks, level, offers)
            if tasks.n_pending and bucket and not level and not self._has_hope(tasks):
                yield from self._offer(tasks, level, list(bucket.values()))
            if not tasks.n_pending:
                return
        tasks.is_relaxed = False
        tasks.is_stalled = True
        if table.levels[0] and tasks not in self.delayed:
            self.delayed[tasks] = self._turn.now + self._locality_wait

    def _offer(self, tasks: TaskSet, level: int, executors: Iterable[Executor]) -> Launches:
        """Fill these executors up to the end of their level, in turns of one task each."""
        preferences = tasks.preferences
        assert preferences is not None
        turns = deque(executors)
        while turns and tasks.n_pending:
            executor = turns.popleft()
            if executor.level != level:  # another pool has filled it meanwhile
                continue
            index = preferences.next_for(executor.host)
            if index is None:
                if not tasks.is_relaxed and self._has_hope(tasks):
                    continue
                index = tasks.next_pending()
            self._start(tasks, index, executor)
            if executor.level == level:
                turns.append(executor)
            yield

    def _has_hope(self, tasks: TaskSet) -> bool:
        """Whether some pending task prefers the host of a usable executor."""
        assert tasks.preferences is not None
        return tasks.preferences.has_hope(self._table.usable_hosts, self._table.version)

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
            executor = self._table.reservable(tasks.troubles[tasks.alone[0]].failed_on)
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
