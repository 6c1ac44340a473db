"""Whatever is said in whatever order, the scheduler never fails and its tables agree with each other."""

from __future__ import annotations

import math
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from rddlite.base.metrics import TaskMetrics
from rddlite.base.outcome import FetchFailed, InlineResult, Killed, MapStatus, OutOfMemory, Success, WorkerDied
from rddlite.plan.model import JobPlan, ResultStage, StagePlan
from rddlite.schedule import commands as cmd
from rddlite.schedule import events as ev
from rddlite.schedule import invariants
from rddlite.schedule.core import Scheduler, SchedulerOptions
from rddlite.schedule.options import PoolOptions
from tests.helpers.matching import of
from tests.helpers.scheduling import map_stage, raised

MAPS = {
    0: map_stage(0, 3),
    1: map_stage(1, 2, (0,), hosts=(("h1",), ("h0", "h2"))),
    2: map_stage(2, 0),
    3: replace(map_stage(3, 4, (0, 1, 2)), has_cached=True),
}
CUT = {**MAPS, 1: map_stage(1, 2), 3: map_stage(3, 4, (2,))}
"""The same shuffles, of which some do not need others any more."""
executors = st.sampled_from(["0", "1", "2"])
attempts = st.integers(0, 25)
shuffles = st.integers(0, 4)
jobs = st.integers(0, 9)
outcomes = st.one_of(
    st.just(Success(InlineResult(b""), TaskMetrics())),
    st.just(Success(MapStatus("0", 0, b"", 0, 0), TaskMetrics())),
    st.builds(raised, st.sampled_from(["x", None]), retryable=st.booleans()),
    st.just(WorkerDied(1, None)),
    st.just(OutOfMemory(1, 2)),
    st.just(Killed("?")),
    st.builds(FetchFailed, shuffles, st.integers(-1, 5), executors, attempts, st.just("gone")),
    st.builds(FetchFailed, shuffles, st.just(0), st.just(""), st.just(0), st.just("gone")),
)


@st.composite
def plans(draw: st.DrawFn) -> JobPlan:
    job_id, parents = draw(jobs), tuple(draw(st.lists(st.integers(0, 3), max_size=2)))
    known = draw(st.sampled_from([MAPS, MAPS, CUT]))
    maps = known if any(parents) else {each: known[each] for each in parents}
    n_tasks = draw(st.integers(0, 4))
    result = StagePlan(
        ResultStage(job_id), parents, n_tasks, can_copy=draw(st.booleans()), has_cached=draw(st.booleans())
    )
    return JobPlan(job_id, range(n_tasks), result, maps, draw(groups), "", draw(pools))


groups = st.sampled_from([None, "g"])
pools = st.sampled_from(["default", "small", "other"])
progresses = st.lists(st.tuples(attempts, st.floats(0, 100), st.integers(0, 5)), max_size=3).map(tuple)
moved = st.lists(st.tuples(shuffles, st.integers(-1, 5), attempts), max_size=4).map(tuple)
events = st.one_of(
    st.builds(ev.JobSubmitted, plans()),
    st.builds(ev.TaskEnded, executors, attempts, outcomes),
    st.builds(ev.TaskEnded, executors, attempts, outcomes),
    st.builds(ev.TaskEnded, executors, attempts, outcomes),
    st.builds(ev.ExecutorJoined, executors, st.sampled_from(["h0", "h1"]), st.integers(0, 3)),
    st.builds(ev.ExecutorSuspected, executors, st.just("cut")),
    st.builds(ev.ExecutorReturned, executors, st.frozensets(attempts, max_size=4)),
    st.builds(ev.ExecutorLost, st.sampled_from(["0", "1", "2", "3"]), st.just("died")),
    st.builds(ev.Heartbeat, executors, progresses),
    st.builds(ev.ExecutorDraining, executors, st.just("asked to")),
    st.builds(ev.OutputsMoved, executors, executors, moved, st.sampled_from(["", "disk full"])),
    st.builds(ev.OutputsLost, executors, shuffles, st.tuples(st.integers(0, 5)), st.just("gone")),
    st.builds(ev.ShuffleForgotten, shuffles),
    st.builds(ev.ShuffleReleased, shuffles),
    st.builds(ev.CachedFound, st.integers(0, 8), st.integers(0, 6), st.lists(shuffles, max_size=3).map(tuple)),
    st.builds(ev.JobCancelled, jobs, st.just("stop")),
    st.builds(ev.GroupCancelled, groups, st.just("stop")),
    st.builds(ev.ProviderFailed, st.just("none")),
    st.builds(ev.DriverDelayed, st.floats(0, 20)),
    st.just(ev.Tick()),
)
steps = st.lists(st.tuples(st.lists(events, min_size=1, max_size=3), st.floats(0, 10)), max_size=50)


def _is_submitted_again(event: ev.Event, submitted: set[int]) -> bool:
    """The driver never reuses a job's id."""
    if not isinstance(event, ev.JobSubmitted):
        return False
    is_known = event.plan.job_id in submitted
    submitted.add(event.plan.job_id)
    return is_known


@given(steps, st.integers(0, 2), st.sampled_from(["FIFO", "FAIR"]), st.sampled_from([3.0, math.inf]))
def test_any_events_in_any_order(
    steps: list[tuple[list[ev.Event], float]], launch_ahead: int, mode: str, quiet: float
) -> None:
    scheduler = Scheduler(
        SchedulerOptions(
            launch_ahead=launch_ahead, max_failures=2, max_deaths=2, quiet=quiet, drain_limit=8.0, retry_wait=8.0,
            exclude_after=1.0, speculation_quantile=0.3, mode=mode, pools=(PoolOptions("small", 1, 2),),
        )
    )  # fmt: skip
    submitted: set[int] = set()
    ended: list[int] = []
    now = 0.0
    for batch, seconds in steps:
        now += seconds
        batch = [event for event in batch if not _is_submitted_again(event, submitted)]
        commands = scheduler.handle_all(batch, now)
        invariants.check(scheduler)
        ended += [each.job_id for each in commands if isinstance(each, cmd.JobDone | cmd.JobFailed)]
        for launch in of(cmd.Launch, commands):
            stage = scheduler.parts()[0].stages[launch.stage]
            for shuffle in stage.plan.parents:
                if shuffle not in stage.spared:
                    scheduler.outputs_of(shuffle)
    assert len(ended) == len(set(ended))
