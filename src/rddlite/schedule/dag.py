"""What must exist: jobs, the stages they need, and map outputs that come and go.

A stage is active while something needs it: a result stage while its job lives, a map stage while an active stage reads
its shuffle and outputs are missing. Everything follows from three facts kept up to date: who depends on whom
(`Stage.dependents`), which inputs are missing (`Stage.missing`), and what has tasks to launch. Events only mark stages;
`settle` then moves them until nothing is left to move, iteratively: lineages may be a thousand stages deep. A lost
output is computed again only when a stage has a task to launch that reads it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from rddlite.base.ids import JobId, ShuffleId, StageId
from rddlite.plan.model import JobPlan, StagePlan
from rddlite.schedule.affinity import nearest
from rddlite.schedule.commands import (
    Cancelled,
    ExecutorGone,
    ForgetShuffle,
    JobCause,
    JobDone,
    JobFailed,
    MapOutputsLost,
    ReleaseShuffle,
    StageEnded,
    StageSkipped,
    StageStarted,
)
from rddlite.schedule.events import CachedFound
from rddlite.schedule.locality import Hosts
from rddlite.schedule.outputs import MapOutputs
from rddlite.schedule.sparing import Sparing
from rddlite.schedule.stages import Job, Stage
from rddlite.schedule.states import JobState, StageState
from rddlite.schedule.tasks import TaskScheduler
from rddlite.schedule.taskset import Priority, TaskSet
from rddlite.schedule.turn import Turn


class DagScheduler:
    """Jobs and stages. Owns both, and the table of map outputs."""

    def __init__(self, turn: Turn, tasks: TaskScheduler) -> None:
        self._turn = turn
        self._tasks = tasks
        self.outputs = MapOutputs()
        self.jobs: dict[JobId, Job] = {}
        self.maps: dict[ShuffleId, Stage] = {}
        self.stages: dict[StageId, Stage] = {}
        self._sparing = Sparing(turn, self.outputs, self.maps)
        self._unsettled: dict[Stage, None] = {}
        self._n_stages = 0
        self._order_changed = False

    # Jobs

    def submit(self, plan: JobPlan) -> None:
        """A job begins. One with this id that runs already is left alone."""
        if plan.job_id in self.jobs:
            return
        plan = self._with_parents(plan)
        for map_plan in plan.maps.values():
            self._use(map_plan, plan.job_id)
        result = self._make_stage(self._new_stage_id(), plan.result, plan.job_id)
        job = self.jobs[plan.job_id] = Job(plan, result)
        self._activate(result)
        if not plan.result.n_tasks:
            self.finish(job)
            return
        reached = self._note_skipped(result, plan.job_id)
        self._release(plan.passing - reached)
        self._order_changed = plan.job_id != max(self.jobs)

    def _with_parents(self, plan: JobPlan) -> JobPlan:
        """The plan, and what stages of it need that other jobs have brought here with longer lineages: they were cut
        since. Such a stage keeps its parents for as long as it is here.
        """
        maps = dict(plan.maps)
        todo = list(maps)
        while todo:
            known = self.maps.get(todo.pop())
            for shuffle in known.plan.parents if known is not None else ():
                if shuffle not in maps:
                    maps[shuffle] = self.maps[shuffle].plan
                    todo.append(shuffle)
        return plan if len(maps) == len(plan.maps) else replace(plan, maps=maps)

    def cancel(self, job_id: JobId, why: str) -> None:
        """The job is not wanted any more."""
        job = self.jobs.get(job_id)
        if job is not None:
            self._end(job, JobState.CANCELLED, Cancelled(why))

    def cancel_group(self, group: str | None, why: str) -> None:
        """No job of the group is wanted any more; None means every job."""
        for job in list(self.jobs.values()):
            if group is None or job.plan.group == group:
                self.cancel(job.id, why)

    def fail(self, jobs: Iterable[Job], cause: JobCause) -> None:
        """These jobs cannot get their result."""
        for job in jobs:
            self._end(job, JobState.FAILED, cause)

    def finish(self, job: Job) -> None:
        """Every result of the job was delivered."""
        self._end(job, JobState.DONE, None)

    def jobs_that_need(self, stage: Stage) -> list[Job]:
        """Jobs that cannot end well without this active stage, oldest first."""
        found: set[JobId] = set()
        seen, todo = {stage.id}, [stage]
        while todo:
            current = todo.pop()
            if current.shuffle is None:
                found.update(current.users)
            for dependent in current.dependents.values():
                if dependent.id not in seen:
                    seen.add(dependent.id)
                    todo.append(dependent)
        return [self.jobs[job_id] for job_id in sorted(found)]

    def _end(self, job: Job, state: JobState, cause: JobCause | None) -> None:
        self._turn.move(job, state)
        if cause is None:
            self._turn.commands.append(JobDone(job.id))
            why = f"job {job.id} is done"
        else:
            self._turn.commands.append(JobFailed(job.id, cause))
            why = cause.why if isinstance(cause, Cancelled) else f"job {job.id} failed"
        del self.jobs[job.id]
        if job.result.is_active:
            self._deactivate(job.result, why)
        else:
            self._drop(job.result)
        for shuffle in job.plan.maps:
            self._unuse(shuffle, job.id)
        self._order_changed = True

    # Stages come and go with the jobs that have them in their plan

    def _use(self, plan: StagePlan, job_id: JobId) -> None:
        """The job may need this map stage."""
        shuffle = plan.key.shuffle  # type: ignore[union-attr]
        outputs = self.outputs.shuffles.get(shuffle)
        if outputs is None:
            outputs = self.outputs.new(shuffle, plan, self._new_stage_id())
        stage = self.maps.get(shuffle)
        if stage is None:
            stage = self.maps[shuffle] = self._make_stage(outputs.stage, plan, job_id)
            if not outputs.n_missing:
                self._turn.move(stage, StageState.DONE)
        stage.users[job_id] = None

    def _unuse(self, shuffle: ShuffleId, job_id: JobId) -> None:
        """The job has ended."""
        stage = self.maps[shuffle]
        del stage.users[job_id]
        if stage.users:
            return
        self._drop(stage)
        del self.maps[shuffle]
        outputs = self.outputs.shuffles[shuffle]
        if outputs.forgotten:
            self.forget(shuffle)
        elif outputs.is_worthless():
            del self.outputs.shuffles[shuffle]

    def forget(self, shuffle: ShuffleId) -> None:
        """Nothing in the driver can reach this shuffle; put off while an unfinished job has it in its plan."""
        outputs = self.outputs.shuffles.get(shuffle)
        if outputs is not None and shuffle in self.maps:
            outputs.forgotten = True
            return
        self.outputs.shuffles.pop(shuffle, None)
        self._turn.commands.append(ForgetShuffle(shuffle))

    def _new_stage_id(self) -> StageId:
        self._n_stages += 1
        return StageId(self._n_stages - 1)

    def _make_stage(self, stage_id: StageId, plan: StagePlan, job_id: JobId) -> Stage:
        stage = self.stages[stage_id] = Stage(stage_id, plan)
        stage.users[job_id] = None
        return stage

    def _drop(self, stage: Stage) -> None:
        self._turn.move(stage, StageState.DROPPED)
        self._unsettled.pop(stage, None)
        del self.stages[stage.id]

    def _note_skipped(self, result: Stage, job_id: JobId) -> set[ShuffleId]:
        """Tell which of the stages that the job would need are complete already; answers with all that it needs."""
        seen: set[ShuffleId] = set()
        todo = list(reversed(result.plan.parents))
        while todo:
            shuffle = todo.pop()
            if shuffle in seen:
                continue
            seen.add(shuffle)
            stage = self.maps[shuffle]
            if stage.state is StageState.DONE:
                self._turn.commands.append(StageSkipped(stage.id, job_id))
            else:
                todo.extend(reversed(stage.plan.parents))
        return seen

    # Stages become active and idle with need

    def settle(self) -> None:
        """Bring every marked stage to the state that follows from what is missing and who needs it."""
        if self._tasks.refilled:
            for stage_id, has_more in self._tasks.refilled.items():
                if stage_id in self.stages:
                    self._unsettled[self.stages[stage_id]] = None
                    if has_more:
                        self._sparing.doubt(self.stages[stage_id])
            self._tasks.refilled.clear()
        while self._unsettled:
            stage, _ = self._unsettled.popitem()
            if stage.state is StageState.RUNNING:
                if stage.missing and stage.tasks and stage.tasks.has_work():
                    self.interrupt(stage, f"outputs of {_names(stage.missing)} were lost")
                else:
                    self._sparing.look_again(stage)
            if stage.state is StageState.WAITING:
                self._bring_inputs(stage)
        if self._order_changed:
            self._order_changed = False
            self._reprioritise()

    def _bring_inputs(self, stage: Stage) -> None:
        """Start a waiting stage, or see to it that what it misses is being computed."""
        if stage.plan.has_cached and self._sparing.must_wait(stage):
            return
        if not stage.missing:
            self._start(stage)
            return
        for shuffle in stage.missing:
            parent = self.maps[shuffle]
            if parent.state is StageState.IDLE:
                self._activate(parent)

    def _activate(self, stage: Stage) -> None:
        self._turn.move(stage, StageState.WAITING)
        stage.missing = {each: None for each in stage.plan.parents if not self.outputs.is_complete(each)}
        for shuffle in stage.plan.parents:
            self.maps[shuffle].dependents[stage.id] = stage
        self._unsettled[stage] = None

    def _start(self, stage: Stage) -> None:
        self._turn.move(stage, StageState.RUNNING)
        stage.attempt += 1
        if stage.tasks is None:
            have = None if stage.shuffle is None else self.outputs.shuffles[stage.shuffle].have
            stage.tasks = TaskSet(self._turn, stage.id, stage.plan, have, self._near(stage))
        tasks = stage.tasks
        tasks.stage_attempt = stage.attempt
        jobs = tuple(job.id for job in self.jobs_that_need(stage))
        self._turn.commands.append(
            StageStarted(stage.id, stage.plan.key, stage.attempt, stage.plan.label, tasks.n_left, jobs)
        )
        self._tasks.open(tasks, self._priority(stage, jobs), self.jobs[jobs[0]].plan.pool)

    def _near(self, stage: Stage) -> Hosts:
        """The hosts that hold most of what each task reads, where that is known and makes a difference."""
        plan = stage.plan
        if not plan.parents or any(plan.hosts) or len(self._tasks.table.usable_hosts) < 2:
            return ()
        host_of = {each.id: each.host for each in self._tasks.table.members.values()}
        partitions = range(plan.n_tasks) if stage.shuffle is not None else self.jobs[min(stage.users)].plan.partitions
        read = [self.outputs.shuffles[each] for each in plan.parents if each not in stage.spared]
        return nearest(read, partitions, host_of)

    def interrupt(self, stage: Stage, why: str) -> None:
        """A running stage has to wait for inputs again (if only to find that they are there); what runs goes on."""
        assert stage.tasks is not None
        self._turn.move(stage, StageState.WAITING)
        self._turn.commands.append(StageEnded(stage.id, stage.attempt, why))
        self._tasks.close(stage.tasks)
        self._unsettled[stage] = None

    def _complete(self, stage: Stage) -> None:
        """Every task of the stage is done."""
        was_active = stage.is_active
        self._turn.move(stage, StageState.DONE)
        if stage.tasks is not None:
            self._turn.commands.append(StageEnded(stage.id, stage.attempt))
            self._tasks.cancel(stage.tasks, "its stage is complete")
            stage.tasks = None
        stage.setbacks.clear()
        self._sparing.end(stage)
        for dependent in stage.dependents.values():
            dependent.missing.pop(stage.shuffle, None)  # type: ignore[arg-type]
            if dependent.state is StageState.WAITING:
                self._unsettled[dependent] = None
        if was_active:
            self._release_parents([stage], "its output is not needed any more")
        if stage.shuffle is not None:
            self._release(each for each in stage.plan.parents if self._is_used_up(each))
        else:
            for job_id in list(stage.users):
                self.finish(self.jobs[job_id])

    def _deactivate(self, stage: Stage, why: str) -> None:
        """Nothing needs the stage any more, nor its parents, unless something else does."""
        self._retire(stage, why)
        self._release_parents([stage], why)

    def _release_parents(self, stages: list[Stage], why: str) -> None:
        while stages:
            stage = stages.pop()
            for shuffle in stage.plan.parents:
                self._let_go(stage, shuffle, why, stages)

    def _let_go(self, stage: Stage, shuffle: ShuffleId, why: str, idle: list[Stage]) -> None:
        """The stage does not need this parent. If nothing else does, it is one of those that are `idle`."""
        parent = self.maps[shuffle]
        parent.dependents.pop(stage.id, None)
        if parent.is_active and not parent.dependents:
            self._retire(parent, why)
            idle.append(parent)

    def _retire(self, stage: Stage, why: str) -> None:
        """End an active stage before it is complete: kill what runs, keep the outputs that exist."""
        if stage.state is StageState.RUNNING:
            self._turn.commands.append(StageEnded(stage.id, stage.attempt, why))
        if stage.tasks is not None:
            self._tasks.cancel(stage.tasks, why)
            stage.tasks = None
        self._sparing.end(stage)
        if stage.shuffle is None:
            self._drop(stage)
        else:
            self._turn.move(stage, StageState.IDLE)
            stage.setbacks.clear()
            if stage.plan.is_barrier:  # a part of them would be of no use
                self.outputs.shuffles[stage.shuffle].drop_all(self._tasks.next_attempt)

    def cached_found(self, event: CachedFound) -> None:
        """The driver says which parents the tasks of a stage need not read."""
        stage = self.stages.get(event.stage)
        if stage is None or event.question != stage.question or not stage.question:
            return
        idle: list[Stage] = []
        for shuffle in self._sparing.take(stage, event.shuffles):
            self._let_go(stage, shuffle, "what would be made of its output is cached", idle)
        self._release_parents(idle, "what would be made of its output is cached")
        self._unsettled[stage] = None

    def miss_cached(self, stage: Stage, shuffle: ShuffleId) -> None:
        """A task of the stage needed this parent after all."""
        if self._sparing.distrust(stage, shuffle):
            self._unsettled[stage] = None

    def _reprioritise(self) -> None:
        """The set of jobs has changed: stages may have got another oldest job."""
        for stage in self.stages.values():
            if stage.state is StageState.RUNNING and stage.tasks is not None:
                jobs = [job.id for job in self.jobs_that_need(stage)]
                self._tasks.reprioritise(stage.tasks, self._priority(stage, jobs), self.jobs[jobs[0]].plan.pool)

    def _priority(self, stage: Stage, jobs: Sequence[JobId]) -> Priority:
        return (jobs[0], stage.id)

    # Outputs come and go

    def progressed(self, stage: Stage) -> None:
        """A task of the stage succeeded and was taken."""
        if stage.setbacks:
            stage.setbacks.clear()
        if stage.tasks is not None:
            if not stage.tasks.n_left:
                self._complete(stage)
        elif stage.shuffle is not None and self.outputs.is_complete(stage.shuffle):
            self._complete(stage)

    def lose_outputs(self, shuffle: ShuffleId, indices: Sequence[int], note: MapOutputsLost) -> None:
        """These outputs, already out of the table, are gone: mark every stage that is touched by it."""
        self._turn.commands.append(note)
        stage = self.maps.get(shuffle)
        if self.outputs.shuffles[shuffle].is_barrier:
            indices = (*indices, *self.outputs.shuffles[shuffle].drop_all(self._tasks.next_attempt))
        if stage is None:
            if self.outputs.shuffles[shuffle].is_worthless():
                del self.outputs.shuffles[shuffle]
            return
        if stage.tasks is not None:
            self._tasks.reopen(stage.tasks, indices)
            if note.executor is not None:  # else it was rolled back as a whole
                self._tasks.break_gang(stage.tasks, f"some of its outputs were lost: {note.reason}")
        elif stage.state is StageState.DONE:
            self._turn.move(stage, StageState.IDLE)
            for dependent in stage.dependents.values():
                dependent.missing[shuffle] = None
                self._unsettled[dependent] = None

    def release(self, shuffle: ShuffleId) -> None:
        """Have its outputs deleted, unless an unfinished job has it in its plan."""
        outputs = self.outputs.shuffles.get(shuffle)
        if outputs is None or shuffle in self.maps or not outputs.release():
            return
        if outputs.is_worthless():
            del self.outputs.shuffles[shuffle]
        self._turn.commands.append(ReleaseShuffle(shuffle))

    def _release(self, shuffles: Iterable[ShuffleId]) -> None:
        """Have outputs deleted that will be needed only if what was made from them is lost, where one executor has all:
        its end takes both. Elsewhere they are kept, so that the end of one of many costs little.
        """
        if len(self._tasks.table.members) != 1:
            return
        for shuffle in shuffles:
            stage = self.maps[shuffle]
            is_free = stage.state is StageState.DONE and not stage.dependents and len(stage.users) == 1
            if is_free and self.outputs.shuffles[shuffle].release():
                self._turn.move(stage, StageState.IDLE)
                self._turn.commands.append(ReleaseShuffle(shuffle))

    def _is_used_up(self, shuffle: ShuffleId) -> bool:
        """Whether all is there that its only job makes of a shuffle that passes."""
        readers = self.jobs[min(self.maps[shuffle].users)].readers.get(shuffle)
        return readers is not None and all(map(self.outputs.is_complete, readers))

    def lose_executor(self, gone: ExecutorGone) -> None:
        """Every output that the executor held is gone."""
        for shuffle, indices in self.outputs.lose_executor(gone.executor):
            self.lose_outputs(shuffle, indices, MapOutputsLost(shuffle, len(indices), "", gone.executor, gone))
        for stage in self.stages.values():
            if self._sparing.doubt(stage):  # what it kept is gone
                self._unsettled[stage] = None


def _names(shuffles: Iterable[ShuffleId]) -> str:
    return "shuffles " + ", ".join(str(each) for each in shuffles)
