"""What must hold of executors, attempts, pools and what waits for a place: a part of `invariants.check`.

Reads and changes nothing. Each function checks one part against itself and its neighbours, and yields what is wrong as
text.
"""

from __future__ import annotations

from collections.abc import Iterator

from rddlite.schedule.core import Scheduler
from rddlite.schedule.draining import Draining
from rddlite.schedule.exclusion import Exclusion
from rddlite.schedule.executors import Executor, ExecutorTable
from rddlite.schedule.placing import Placing
from rddlite.schedule.states import AttemptState, ExecutorState
from rddlite.schedule.tasks import TaskScheduler
from rddlite.schedule.taskset import TaskSet


def wrong(scheduler: Scheduler) -> Iterator[str]:
    """All that is wrong."""
    dag, tasks = scheduler.parts()
    live = [stage.tasks for stage in dag.stages.values() if stage.tasks is not None]
    yield from _executors(tasks.table)
    yield from _attempts(live, tasks)
    yield from _pools(live, tasks)
    yield from _placing([each for each in live if each.is_open], tasks.table, tasks.placing)
    yield from _watchers(tasks.table, *scheduler.watchers(), may_wait=bool(dag.jobs) and not tasks.table.n_usable)


def _executors(table: ExecutorTable) -> Iterator[str]:
    members = list(table.members.values())
    usable = [each for each in members if each.is_usable]
    if table.n_usable != len(usable) or table.n_slots != sum(each.slots for each in usable):
        yield "counts of usable executors and slots are wrong"
    hosts: dict[str, int] = {}
    for each in usable:
        hosts[each.host] = hosts.get(each.host, 0) + 1
    if hosts != table.usable_hosts:
        yield f"usable hosts are {hosts}, not {table.usable_hosts}"
    if not usable and any(each.state is ExecutorState.ALIVE for each in members):
        yield "executors are alive, and all of them are excluded"
    for executor in members:
        yield from _executor(table, executor)
    for level, bucket in enumerate(table.levels):
        for executor_id, executor in bucket.items():
            if executor.level != level or table.members.get(executor_id) is not executor:
                yield f"{executor.title()} is in bucket {level}, not {executor.level}"
    if any(table.levels[: table.lowest]):
        yield f"executors are on levels below {table.lowest}"
    ahead = table.enough_ahead // max(1, table.n_slots)
    if table.n_levels != min(len(table.levels), 1 + max(ahead, 1)):
        yield f"{table.n_levels} levels are in use for {table.n_slots} slots"
    if not table.members.keys().isdisjoint(table.gone):
        yield "an executor is a member and gone"


def _executor(table: ExecutorTable, executor: Executor) -> Iterator[str]:
    name = f"executor {executor.id}"
    if executor.state not in (ExecutorState.ALIVE, ExecutorState.SUSPECT, ExecutorState.DRAINING):
        yield f"{name} is a member but {executor.state.name}"
    if executor.is_usable != (executor.state is ExecutorState.ALIVE and not executor.is_excluded):
        yield f"{name} is {'usable' if executor.is_usable else 'not usable'} against its state"
    if executor.state is not ExecutorState.SUSPECT and executor.is_leaving != (
        executor.state is ExecutorState.DRAINING
    ):
        yield f"{name} is {executor.state.name}, and {'wants' if executor.is_leaving else 'does not want'} to leave"
    occupying = [each for each in executor.attempts.values() if each.state is not AttemptState.STRAY]
    if executor.load != len(occupying):
        yield f"{name} has load {executor.load} but {len(occupying)} attempts"
    level: int | None = executor.load // executor.slots
    if level not in range(table.n_levels) or executor.is_exclusive or not executor.is_usable:
        level = None
    if executor.level != level or (level is not None and executor.id not in table.levels[level]):
        yield f"{name} is on level {executor.level} instead of {level}"
    alone = [each for each in occupying if each.alone]
    if alone and sum(1 for each in occupying if each.state is AttemptState.RUNNING) > 1:
        yield f"{name} runs {len(occupying)} attempts beside one that must be alone"
    if executor.is_exclusive != bool(alone or executor.reserved_by is not None):
        yield f"{name} is exclusive without a reason, or not exclusive in spite of one"


def _attempts(live: list[TaskSet], tasks: TaskScheduler) -> Iterator[str]:
    known = set(map(id, live))
    for executor in tasks.table.members.values():
        for attempt in executor.attempts.values():
            name, of = f"attempt {attempt.id}", attempt.tasks
            if attempt.executor != executor.id:
                yield f"{name} is in the table of executor {executor.id}"
            counted = (of.running.get(attempt.index), of.copies.get(attempt.index))
            if attempt.state is AttemptState.RUNNING and attempt not in counted:
                yield f"{name} runs but its task set does not know it"
            if attempt.state is AttemptState.STRAY and of.strays.get(attempt.id) is not attempt:
                yield f"{name} is astray but its task set does not know it"
            if attempt.state is not AttemptState.KILLING and id(of) not in known:
                yield f"{name} is {attempt.state.name} for a stage that nobody needs"
            if attempt.state is AttemptState.ENDED:
                yield f"{name} has ended and is still there"
    if tasks.n_copies != sum(len(each.copies) for each in live):
        yield f"{tasks.n_copies} copies are counted"
    for attempt in tasks.slow.values():
        if attempt.state is not AttemptState.RUNNING or not attempt.tasks.may_copy(attempt):
            yield f"{attempt.title()} is {attempt.state.name} and waits for a copy"


def _pools(live: list[TaskSet], tasks: TaskScheduler) -> Iterator[str]:
    pools = tasks.placing.pools.pools
    occupying = [
        attempt.pool
        for executor in tasks.table.members.values()
        for attempt in executor.attempts.values()
        if attempt.state is not AttemptState.STRAY
    ]
    sets = [each.pool for each in live]
    for pool in pools.values():
        if pool.n_running != occupying.count(pool) or pool.n_sets != sets.count(pool):
            yield f"pool {pool.name!r} counts {pool.n_running} attempts and {pool.n_sets} task sets"
        if not pool.n_running and not pool.n_sets:
            yield f"pool {pool.name!r} is kept for nothing"
    if any(each.pool is None or pools.get(each.pool.name) is not each.pool for each in live):
        yield "a task set is in no pool, or in one that was dropped"


def _placing(live: list[TaskSet], table: ExecutorTable, placing: Placing) -> Iterator[str]:
    queued: list[TaskSet] = []
    for pool in placing.pools.pools.values():
        queued += (tasks for _, tasks in pool.queue)
        if [priority for priority, _ in pool.queue] != sorted(tasks.priority for _, tasks in pool.queue):
            yield "the queue of task sets is out of order"
        if any(tasks.pool is not pool for _, tasks in pool.queue):
            yield f"a task set of another pool is in the queue of pool {pool.name!r}"
    gangs = [each for each in live if each.plan.is_barrier]
    yield from _gangs(gangs, table, placing)
    for tasks in live:
        if tasks in gangs:
            continue
        if (tasks.n_pending or tasks.wary) and tasks not in queued:
            yield f"stage {tasks.stage} has tasks to launch but is not in the queue"
        if tasks.alone and tasks not in placing.alone:
            yield f"stage {tasks.stage} has tasks to run alone that nobody will launch"
        if bool(tasks.wary) != (tasks in placing.wary):
            yield f"stage {tasks.stage} has {len(tasks.wary)} tasks that failed, and their timer is wrong"
        is_held_back = placing.before is not None and tasks.priority > placing.before
        if tasks.n_pending and table.levels[0] and tasks not in placing.delayed and not is_held_back:
            yield f"stage {tasks.stage} has pending tasks while a slot is free"
        for index in tasks.wary:
            trouble = tasks.troubles.get(index)
            if is_held_back:
                continue
            if trouble is None or not table.levels[0].keys() <= set(trouble.failed_on):
                yield f"stage {tasks.stage} has a task that failed while a slot is free where it has not failed"
    if any(tasks not in live for tasks in (*queued, *placing.alone, *placing.delayed, *placing.wary)):
        yield "tasks of a stage that does not run may be launched"
    if any(tasks.is_queued != (tasks in queued) for tasks in live):
        yield "a task set is wrong about being queued"
    if table.reservable() is not None:
        for tasks in live:
            n_reserved = sum(1 for executor in table.members.values() if executor.reserved_by is tasks)
            if n_reserved < len(tasks.alone):
                yield f"stage {tasks.stage} has tasks to run alone, and no executor empties for them"


def _gangs(gangs: list[TaskSet], table: ExecutorTable, placing: Placing) -> Iterator[str]:
    waiting = sorted((each for each in gangs if each.n_pending), key=lambda each: each.priority)
    if {*waiting} != placing.gangs.keys():
        yield "barrier stages wait that nobody will start, or the other way round"
    for tasks in gangs:
        if tasks.n_pending not in (0, len(tasks.status)) or tasks.alone or tasks.wary or tasks.copies:
            yield f"of the tasks of barrier stage {tasks.stage} some wait, and others do not"
    possible = [each for each in waiting if each.n_pending <= table.n_slots]
    if placing.before != (possible[0].priority if possible else None):
        yield f"what comes after {placing.before} waits, and should not, or the other way round"
    n_free = sum(each.slots - each.load for each in table.levels[0].values())
    if possible and possible[0].n_pending <= n_free:
        yield f"barrier stage {possible[0].stage} waits while {n_free} slots are free"


def _watchers(table: ExecutorTable, exclusion: Exclusion, draining: Draining, *, may_wait: bool) -> Iterator[str]:
    if exclusion.until.keys() != {each.id for each in table.members.values() if each.is_excluded}:
        yield f"excluded executors are not {list(exclusion.until)}"
    if draining.drains.keys() != {each.id for each in table.members.values() if each.is_leaving}:
        yield f"executors that leave are not {list(draining.drains)}"
    for drain in draining.drains.values():
        name = f"executor {drain.executor.id}"
        targets = [table.members.get(each) for each in (*drain.asked, *drain.waiting)]
        if any(each is None or each.state is not ExecutorState.ALIVE for each in targets):
            yield f"{name} waits for an executor that cannot take its outputs"
        if drain.is_due and not drain.executor.load and not drain.asked and not may_wait:
            yield f"{name} waits to be released for no reason"
