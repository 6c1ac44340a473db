"""The checks find tables that contradict each other."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from rddlite.plan.model import MapStage
from rddlite.schedule import invariants
from rddlite.schedule.commands import ExecutorGone
from rddlite.schedule.dag import DagScheduler
from rddlite.schedule.states import AttemptState, ExecutorState, StageState, TaskState
from rddlite.schedule.tasks import TaskScheduler
from tests.helpers.scheduling import Rig, job, map_stage

Damage = Callable[[DagScheduler, TaskScheduler], object]


def busy() -> Rig:
    """Two jobs in the middle of it: one in its maps, one in its results."""
    rig = Rig("a", "b", slots=2)
    rig.submit(job(0, 3, map_stage(0, 2)))
    rig.finish(MapStage(0))
    rig.submit(job(1, 1, map_stage(1, 9)))
    return rig


def first_attempt(tasks: TaskScheduler) -> object:
    return next(iter(tasks.table.members["a"].attempts.values()))


DAMAGES = {
    "load": lambda dag, tasks: setattr(tasks.table.members["a"], "load", 0),
    "state": lambda dag, tasks: setattr(tasks.table.members["a"], "state", ExecutorState.GONE),
    "suspect in a bucket": lambda dag, tasks: setattr(tasks.table.members["a"], "state", ExecutorState.SUSPECT),
    "exclusive": lambda dag, tasks: setattr(tasks.table.members["a"], "is_exclusive", True),
    "hosts": lambda dag, tasks: tasks.table.usable_hosts.clear(),
    "slots": lambda dag, tasks: setattr(tasks.table, "n_slots", 1),
    "member gone": lambda dag, tasks: tasks.table.bury(ExecutorGone("a", "host-a", "?")),
    "usable": lambda dag, tasks: setattr(tasks.table.members["a"], "is_usable", False),
    "excluded": lambda dag, tasks: tasks.table.exclude(tasks.table.members["a"]),
    "leaving": lambda dag, tasks: tasks.table.drain(tasks.table.members["a"]),
    "all excluded": lambda dag, tasks: [tasks.table.exclude(each) for each in tasks.table.members.values()],
    "copies": lambda dag, tasks: setattr(tasks, "n_copies", 1),
    "copy of nothing": lambda dag, tasks: dag.maps[1].tasks.copies.update({0: first_attempt(tasks)}),
    "slow": lambda dag, tasks: (
        tasks.slow.update({0: dag.jobs[0].result.tasks.running[0]})
        or setattr(dag.jobs[0].result.tasks.trouble(0), "copies", 4)
    ),
    "wary": lambda dag, tasks: dag.maps[1].tasks.wary.update({0: 1.0}),
    "wary for ever": lambda dag, tasks: tasks.placing.wary.update({dag.maps[1].tasks: None}),
    "share": lambda dag, tasks: setattr(dag.maps[1].tasks.pool, "n_running", 0),
    "pool of nobody": lambda dag, tasks: setattr(dag.maps[1].tasks.pool, "n_sets", 7),
    "no pool": lambda dag, tasks: tasks.placing.pools.pools.clear(),
    "attempt ended": lambda dag, tasks: setattr(first_attempt(tasks), "state", AttemptState.ENDED),
    "attempt astray": lambda dag, tasks: setattr(first_attempt(tasks), "state", AttemptState.STRAY),
    "attempt lost": lambda dag, tasks: tasks.table.members["a"].attempts.popitem(),
    "attempt elsewhere": lambda dag, tasks: setattr(first_attempt(tasks), "executor", "b"),
    "pending": lambda dag, tasks: setattr(dag.maps[1].tasks, "n_pending", 1),
    "left": lambda dag, tasks: setattr(dag.maps[1].tasks, "n_left", 0),
    "status": lambda dag, tasks: dag.maps[1].tasks.status.__setitem__(0, TaskState.ALONE),
    "closed": lambda dag, tasks: setattr(dag.maps[1].tasks, "is_open", False),
    "queue": lambda dag, tasks: dag.maps[1].tasks.pool.queue.clear(),
    "order": lambda dag, tasks: setattr(dag.maps[1].tasks, "priority", (9, 9)),
    "queue of the dead": lambda dag, tasks: tasks.placing.alone.update({object(): None}),
    "unknown loss": lambda dag, tasks: dag.outputs.shuffles[0].holders.clear(),
    "dead holder": lambda dag, tasks: dag.outputs.shuffles[0].places.__setitem__(0, ("zz", 1)),
    "have": lambda dag, tasks: dag.outputs.shuffles[0].have.__setitem__(0, 0),
    "missing": lambda dag, tasks: setattr(dag.outputs.shuffles[0], "n_missing", 1),
    "stale output": lambda dag, tasks: setattr(dag.outputs.shuffles[0], "valid_from", 99),
    "stale attempt": lambda dag, tasks: setattr(dag.outputs.shuffles[1], "valid_from", 99),
    "unread": lambda dag, tasks: setattr(dag.outputs.shuffles[0], "was_complete", False),
    "sizes": lambda dag, tasks: setattr(dag.outputs.shuffles[0], "sizes", bytearray(3)),
    "stage done": lambda dag, tasks: setattr(dag.maps[1], "state", StageState.DONE),
    "stage idle": lambda dag, tasks: setattr(dag.maps[0], "state", StageState.IDLE),
    "stage waits": lambda dag, tasks: setattr(dag.maps[1], "state", StageState.WAITING),
    "input missing": lambda dag, tasks: dag.jobs[0].result.missing.update({0: None}),
    "dependents": lambda dag, tasks: dag.maps[1].dependents.clear(),
    "users": lambda dag, tasks: dag.maps[1].users.update({77: None}),
    "job over": lambda dag, tasks: dag.jobs.pop(1),
    "stage unknown": lambda dag, tasks: dag.stages.popitem(),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damage_is_found(damage: Damage) -> None:
    rig = busy()
    invariants.check(rig.scheduler)
    damage(*rig.scheduler.parts())
    with pytest.raises(invariants.InvariantBroken):
        invariants.check(rig.scheduler)


def test_a_free_slot_while_tasks_wait_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TaskScheduler, "launch", lambda self: None)
    with pytest.raises(invariants.InvariantBroken, match="while a slot is free"):
        Rig("a").submit(job(0, 1))
