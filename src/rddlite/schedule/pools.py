"""Pools: whose turn it is among jobs that share the executors. FIFO has one pool, FAIR one for each name in use.

Between pools Spark's fair order: first those that run fewer tasks than their minimum share, then by what they run for
their weight. Within a pool the oldest job comes first. Owned by `placing.Placing` and `tasks.TaskScheduler`.
"""

from __future__ import annotations

from bisect import bisect_left, insort

from rddlite.schedule.options import PoolOptions, SchedulerOptions
from rddlite.schedule.taskset import Priority, TaskSet


class Pool:
    """Some jobs. `queue` holds task sets that have something to launch, `n_sets` counts all that were opened and not
    cancelled, `n_running` the attempts launched for them that occupy an executor.
    """

    __slots__ = ("_min_share", "_weight", "n_running", "n_sets", "name", "queue")

    def __init__(self, options: PoolOptions) -> None:
        self.name = options.name
        self._weight = options.weight
        self._min_share = options.min_share
        self.n_running = 0
        self.n_sets = 0
        self.queue: list[tuple[Priority, TaskSet]] = []

    def insert(self, tasks: TaskSet) -> None:
        """It has something to launch."""
        tasks.is_queued = True
        insort(self.queue, (tasks.priority, tasks))

    def remove(self, tasks: TaskSet) -> None:
        """It has nothing to launch any more."""
        tasks.is_queued = False
        del self.queue[bisect_left(self.queue, (tasks.priority,))]

    def claim(self) -> tuple[bool, float, str]:
        """The pool with the lowest one comes first."""
        if self.n_running < self._min_share:
            return (False, self.n_running / self._min_share, self.name)
        return (True, self.n_running / self._weight, self.name)


class Pools:
    """All pools in use, by name."""

    def __init__(self, options: SchedulerOptions) -> None:
        self._is_fair = options.mode == "FAIR"
        self._options = {each.name: each for each in options.pools}
        self.pools: dict[str, Pool] = {}

    def enter(self, tasks: TaskSet, name: str) -> None:
        """The task set belongs to the pool of that name from now on (and to no other)."""
        name = name if self._is_fair else ""
        if tasks.pool is not None:
            if tasks.pool.name == name:
                return
            self.leave(tasks)
        pool = self.pools.get(name)
        if pool is None:
            pool = self.pools[name] = Pool(self._options.get(name, PoolOptions(name)))
        pool.n_sets += 1
        tasks.pool = pool

    def leave(self, tasks: TaskSet) -> None:
        """The task set is over, or goes to another pool."""
        pool = tasks.pool
        if pool is not None:
            tasks.pool = None
            pool.n_sets -= 1
            self.tidy(pool)

    def tidy(self, pool: Pool) -> None:
        """Drop a pool that nobody uses any more."""
        if not pool.n_running and not pool.n_sets and self.pools.get(pool.name) is pool:
            del self.pools[pool.name]

    def n_running(self) -> int:
        """How many attempts occupy executors."""
        return sum(pool.n_running for pool in self.pools.values())

    def queues(self) -> list[Pool]:
        """The pools that have something to launch."""
        return [pool for pool in self.pools.values() if pool.queue]
