"""What must hold between any two events. `check` is run after every event by tests, the simulator and debug mode.

Reads every part and changes none. Its cost grows with all that is alive, so it is off in normal runs. Each function
checks one part against itself and its neighbours, and yields what is wrong as text; what concerns executors and the
places of tasks is in `whereabouts`.
"""

from __future__ import annotations

from collections.abc import Iterator

from rddlite.errors import InternalError
from rddlite.schedule import whereabouts
from rddlite.schedule.core import Scheduler
from rddlite.schedule.dag import DagScheduler
from rddlite.schedule.executors import ExecutorTable
from rddlite.schedule.outputs import MOST_SIZES, ShuffleOutputs
from rddlite.schedule.stages import Stage
from rddlite.schedule.states import AttemptState, StageState, TaskState
from rddlite.schedule.taskset import Attempt, TaskSet


class InvariantBroken(InternalError):
    """The scheduler's tables contradict each other."""


def check(scheduler: Scheduler) -> None:
    """Check everything.

    Raises:
        InvariantBroken: with all that is wrong.
    """
    dag, tasks = scheduler.parts()
    wrong = [
        *_stages(dag),
        *_task_sets(dag, tasks.table),
        *_outputs(dag, tasks.table),
        *whereabouts.wrong(scheduler),
        *_jobs(dag),
        *_timers(scheduler, dag, tasks.table),
    ]
    if wrong:
        raise InvariantBroken("\n".join(wrong))


def _stages(dag: DagScheduler) -> Iterator[str]:
    results = [job.result for job in dag.jobs.values()]
    known = [*dag.maps.values(), *results]
    if {stage.id for stage in known} != dag.stages.keys() or len(known) != len(dag.stages):
        yield "stages by id differ from the stages of jobs and shuffles"
    for stage in known:
        yield from _stage(dag, stage)


def _stage(dag: DagScheduler, stage: Stage) -> Iterator[str]:
    name = f"stage {stage.id}"
    if not stage.users or not stage.users.keys() <= dag.jobs.keys():
        yield f"{name} is used by jobs {list(stage.users)}, of which some have ended"
    if stage.is_active:
        yield from _active_stage(dag, stage)
    elif stage.tasks is not None:
        yield f"{name} is {stage.state.name} and has tasks"
    elif stage.spared or stage.distrusted or stage.question or stage.is_doubted:
        yield f"{name} is {stage.state.name} and is spared {list(stage.spared)}, or asks for it"
    if stage.shuffle is not None:
        if (stage.state is StageState.DONE) != dag.outputs.is_complete(stage.shuffle):
            yield f"{name} is {stage.state.name} with {dag.outputs.shuffles[stage.shuffle].n_missing} outputs missing"
        for dependent in stage.dependents.values():
            is_read = stage.shuffle in dependent.plan.parents and stage.shuffle not in dependent.spared
            if not dependent.is_active or not is_read:
                yield f"{dependent.title()} is no dependent of {name}"


def _active_stage(dag: DagScheduler, stage: Stage) -> Iterator[str]:
    name = f"stage {stage.id}"
    read = [each for each in stage.plan.parents if each not in stage.spared]
    missing = {each for each in read if not dag.outputs.is_complete(each)}
    if missing != stage.missing.keys():
        yield f"{name} misses {missing}, not {list(stage.missing)}"
    for shuffle in read:
        if dag.maps[shuffle].dependents.get(stage.id) is not stage:
            yield f"{name} is unknown to its parent, shuffle {shuffle}"
    if not stage.spared.keys() <= {*stage.plan.parents} - stage.distrusted.keys():
        yield f"{name} is spared {list(stage.spared)}, which it must not be"
    if stage.is_answered or stage.is_doubted:
        yield f"{name} has an answer that was not heeded, or should have asked again"
    if stage.shuffle is not None and not stage.dependents:
        yield f"{name} is active but nothing needs it"
    if stage.state is StageState.WAITING and stage.question:
        return
    if stage.state is StageState.WAITING:
        if not missing:
            yield f"{name} waits for nothing"
        for shuffle in missing:
            if not dag.maps[shuffle].is_active:
                yield f"{name} waits for shuffle {shuffle}, which nobody computes"
    elif stage.tasks is None or not stage.tasks.is_open:
        yield f"{name} runs without an open task set"
    elif missing and stage.tasks.has_work():
        yield f"{name} has tasks to launch but misses {missing}"


def _task_sets(dag: DagScheduler, table: ExecutorTable) -> Iterator[str]:
    for stage in dag.stages.values():
        if stage.tasks is not None:
            yield from _task_set(stage, stage.tasks, table)
            if stage.shuffle is not None:
                have = dag.outputs.shuffles[stage.shuffle].have
                done = stage.tasks.status.translate(_IS_DONE)
                if have != done:
                    yield f"{stage.title()} and its table of outputs disagree"
                for attempt in (*stage.tasks.running.values(), *stage.tasks.strays.values()):
                    if attempt.id < dag.outputs.shuffles[stage.shuffle].valid_from:
                        yield f"{attempt.title()} goes on, but what it has read is not there any more"


_IS_DONE = bytes(int(state == TaskState.DONE) for state in range(256))


def _task_set(stage: Stage, tasks: TaskSet, table: ExecutorTable) -> Iterator[str]:
    name, count = f"stage {stage.id}", tasks.status.count
    if tasks.n_pending != count(TaskState.PENDING):
        yield f"{name} has {count(TaskState.PENDING)} pending tasks, not {tasks.n_pending}"
    if sorted(tasks.alone) != [i for i, state in enumerate(tasks.status) if state == TaskState.ALONE]:
        yield f"{name} has wrong tasks to run alone: {tasks.alone}"
    if tasks.n_left != len(tasks.status) - count(TaskState.DONE):
        yield f"{name} has {tasks.n_left} tasks left to do by its count"
    if not tasks.n_left:
        yield f"{name} has nothing left to do but is not done"
    if sorted(tasks.running) != [i for i, state in enumerate(tasks.status) if state == TaskState.RUNNING]:
        yield f"{name} and its attempts disagree on what runs: {sorted(tasks.running)}"
    if tasks.is_open != (stage.state is StageState.RUNNING):
        yield f"{name} is {stage.state.name} but its task set is {'open' if tasks.is_open else 'closed'}"
    if sorted(tasks.wary) != [i for i, state in enumerate(tasks.status) if state == TaskState.WARY]:
        yield f"{name} has wrong tasks to run elsewhere: {sorted(tasks.wary)}"
    for attempt in (*tasks.running.values(), *tasks.copies.values(), *tasks.strays.values()):
        yield from _attempt_of(name, attempt, table)
    for index, copy in tasks.copies.items():
        if index not in tasks.running or tasks.running[index].executor == copy.executor:
            yield f"{name} has a copy of task {index} beside nothing, or on the same executor"
    if tasks.preferences is not None:
        pending = [i for i, state in enumerate(tasks.status) if state == TaskState.PENDING]
        for host, n_pending in tasks.preferences.pending_on.items():
            if host and n_pending != sum(1 for i in pending if host in tasks.hosts[i]):
                yield f"{name} counts {n_pending} pending tasks on {host}"


def _attempt_of(name: str, attempt: Attempt, table: ExecutorTable) -> Iterator[str]:
    executor = table.members.get(attempt.executor)
    if executor is None or executor.attempts.get(attempt.id) is not attempt:
        yield f"{name} counts on {attempt.title()}, which its executor does not have"
    if attempt.state not in (AttemptState.RUNNING, AttemptState.STRAY):
        yield f"{name} counts on {attempt.title()}, which is {attempt.state.name}"


def _outputs(dag: DagScheduler, table: ExecutorTable) -> Iterator[str]:
    for shuffle, outputs in dag.outputs.shuffles.items():
        yield from _shuffle(f"shuffle {shuffle}", outputs, table)
        yield from _sizes(f"shuffle {shuffle}", outputs)
        if shuffle not in dag.maps and (outputs.is_worthless() or outputs.forgotten):
            yield f"shuffle {shuffle} is kept for nothing"


def _shuffle(name: str, outputs: ShuffleOutputs, table: ExecutorTable) -> Iterator[str]:
    if list(outputs.have) != [int(place is not None) for place in outputs.places]:
        yield f"{name} has places that differ from what it has"
    if outputs.n_missing == 0 and not outputs.was_complete:
        yield f"{name} is complete, and nobody is thought to have read it"
    if outputs.n_missing != outputs.have.count(0):
        yield f"{name} misses {outputs.have.count(0)} outputs, not {outputs.n_missing}"
    for index, place in enumerate(outputs.places):
        if place is None:
            continue
        if place[0] not in table.members:
            yield f"{name} counts on output {index} of executor {place[0]}, which is gone"
        if place[1] < outputs.valid_from:
            yield f"{name} counts on output {index} of attempt {place[1]}, which has read what is not there any more"
        if index not in outputs.holders.get(place[0], ()):
            yield f"{name} would not notice the loss of output {index} with executor {place[0]}"


def _sizes(name: str, outputs: ShuffleOutputs) -> Iterator[str]:
    expected = len(outputs.places) * outputs.n_out
    if outputs.sizes is not None and (len(outputs.sizes) != expected or expected > MOST_SIZES):
        yield f"{name} has {len(outputs.sizes)} sizes"


def _jobs(dag: DagScheduler) -> Iterator[str]:
    for job in dag.jobs.values():
        if not job.result.is_active:
            yield f"{job.title()} lives but its result stage is {job.result.state.name}"
    if not dag.jobs and (dag.stages or dag.maps):
        yield "stages are kept although there is no job"


def _timers(scheduler: Scheduler, dag: DagScheduler, table: ExecutorTable) -> Iterator[str]:
    deadline = scheduler.next_deadline()
    if deadline is None:
        if table.members or dag.jobs:
            yield "no timer runs although there are executors or jobs"
    elif not deadline > scheduler.now:
        yield f"the next deadline {deadline} is not after {scheduler.now}"
    for tasks in scheduler.gangs().since.keys() ^ {
        each for each in scheduler.parts()[1].placing.gangs if each.n_pending > table.n_slots
    }:
        yield f"barrier stage {tasks.stage} is watched for nothing, or lacks slots and is not watched"
    if dag.jobs and not table.members and any(job.deadline is None for job in dag.jobs.values()):
        yield "a job waits without executors and without a deadline"
