"""What follows when a map task that ran again gave other records: everything that has read the first ones runs again.

A reader takes its share of every map output. Records that moved from one share to another would be missed by readers
that are done, or be read twice, so nothing made from the first ones may meet anything made from the others. Rolled back
is all that was made from the shuffle, directly or through others, of live jobs and of jobs that are over: fingerprints
know nothing of values, so what lies further down is not asked whether it changed. What a job has delivered it delivers
again. A shuffle that was not complete since the last roll-back has no readers: a task that gives other records each
time costs one roll-back per loss, and however many maps differ, the second one finds nothing to do.
"""

from __future__ import annotations

from rddlite.base.ids import ShuffleId
from rddlite.schedule.commands import MapOutputsLost, RolledBack
from rddlite.schedule.dag import DagScheduler
from rddlite.schedule.stages import Stage
from rddlite.schedule.states import TaskState
from rddlite.schedule.tasks import TaskScheduler
from rddlite.schedule.turn import Turn


class RollBack:
    """Takes back what was made of a map output that is another one now. Owns nothing."""

    def __init__(self, turn: Turn, tasks: TaskScheduler, dag: DagScheduler) -> None:
        self._turn = turn
        self._tasks = tasks
        self._dag = dag

    def of(self, shuffle: ShuffleId, map_index: int) -> None:
        """An output with other records is about to be taken for that map, which has none now."""
        outputs = self._dag.outputs.shuffles[shuffle]
        if not outputs.was_complete:
            return
        outputs.was_complete = False
        self._dag.outputs.rolled_back_at = self._tasks.next_attempt
        why = f"it was made from records of shuffle {shuffle} that are others now"
        stale = self._dag.outputs.made_from(shuffle)
        n_tasks = sum(self._discard(each, why) for each in stale)
        inputs = {shuffle, *stale}
        results = [job.result for job in self._dag.jobs.values() if not inputs.isdisjoint(job.result.plan.parents)]
        n_tasks += sum(self._repeat(result, why) for result in results)
        if n_tasks:
            self._turn.commands.append(RolledBack(shuffle, map_index, outputs.label, n_tasks))

    def _discard(self, shuffle: ShuffleId, why: str) -> int:
        """All outputs of a shuffle, and what runs to make them. Files stay: whoever reads them now may end well."""
        stage = self._dag.maps.get(shuffle)
        n_running = self._tasks.roll_back(stage.tasks, why) if stage is not None and stage.tasks is not None else 0
        indices = self._dag.outputs.shuffles[shuffle].lose_all(self._tasks.next_attempt)
        if indices:
            self._dag.lose_outputs(shuffle, indices, MapOutputsLost(shuffle, len(indices), why))
        return n_running + len(indices)

    def _repeat(self, result: Stage, why: str) -> int:
        """All results of a job that is not over, and what runs to make them."""
        tasks = result.tasks
        if tasks is None:
            return 0
        n_running = self._tasks.roll_back(tasks, why)
        done = [index for index, state in enumerate(tasks.status) if state == TaskState.DONE]
        self._tasks.reopen(tasks, done)
        return n_running + len(done)
