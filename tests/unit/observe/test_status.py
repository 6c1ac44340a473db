"""What the scheduler says becomes what people ask."""

from __future__ import annotations

import dataclasses

import pytest

from rddlite.base.hotkeys import HotKey, pack_hot
from rddlite.base.ids import AttemptId, JobId, ShuffleId, StageId
from rddlite.base.outcome import WorkerDied
from rddlite.observe import status
from rddlite.schedule.commands import (
    Cancelled,
    ForgetShuffle,
    JobDone,
    JobFailed,
    MapOutputsLost,
    NoExecutorsLeft,
    StageEnded,
    StageGaveUp,
    StageSkipped,
    TaskCopied,
    TaskFailedForGood,
)
from tests.unit.observe.notes import EXECUTOR, Story, map_stage, plan, result_stage


@pytest.fixture
def story():
    return Story()


def run_job(story: Story, job: int = 0, stage: int = 0) -> None:
    story.submit(plan(job))
    story.start(stage, result_stage(job), 2, job)
    story.run(stage, 0)
    story.run(stage, 1)
    story.complete(stage)
    story.tell(JobDone(JobId(job)))


def test_a_job_of_two_stages(story):
    story.submit(plan(0, [(5, [])], description="mine", group="g"))
    story.start(0, map_stage(5), 2, 0)
    story.run(0, 0, seconds=1.0, records_read=10, bytes_read=100, shuffle_records_written=4, shuffle_bytes_written=40)
    spilled = {"bytes_spilled": 2, "spill_runs": 1, "spilled_by": "a; b"}
    story.run(0, 1, seconds=3.0, records_read=30, bytes_read=300, peak_memory=7, **spilled)
    story.now += 4
    story.complete(0)
    story.start(1, result_stage(0), 2, 0)
    story.run(1, 0, seconds=0.5, shuffle_records_read=4, shuffle_bytes_read=40, records_written=1, bytes_written=9)
    story.run(1, 1, seconds=0.5, bytes_spilled=3, spill_runs=2, spilled_by="b; c")
    story.now += 1
    story.complete(1)
    story.tell(JobDone(JobId(0)))
    story.now += 10
    job, maps, result = story.job(), story.stage(0), story.stage(1)
    assert (job.state, job.seconds, job.description, job.group) == ("succeeded", 5, "mine", "g")
    assert (job.tasks, job.attempts, job.failed, job.n_stages) == (4, 4, 0, 2)
    assert (job.records_read, job.bytes_read, job.shuffle_bytes_written, job.shuffle_bytes_read) == (40, 400, 40, 40)
    assert (job.shuffle_records_written, job.shuffle_records_read, job.spilled, job.peak_memory) == (4, 4, 5, 7)
    assert (maps.spill_runs, maps.spilled_by, job.spill_runs, job.spilled_by) == (1, "a; b", 3, "a; b; c")
    assert "spilled 3 B in 2 runs (b; c)" in str(result)
    assert (job.records_written, job.bytes_written, job.lost) == (1, 9, 0)
    assert (maps.kind, maps.state, maps.tasks, maps.done, maps.seconds) == ("map", "done", 2, 2, 4)
    assert (maps.slowest_seconds, maps.slowest_task, maps.median_seconds) == (3.0, 1, 1.0)
    assert (maps.largest_partition_bytes, maps.median_partition_bytes) == (300, 100)
    assert (maps.largest_partition_records, maps.median_partition_records) == (30, 10)
    assert (result.kind, result.label, result.seconds) == ("result", "collect at x.py:2", 1)
    assert result.largest_partition_bytes == 40
    assert job.most_skewed is maps


def test_what_came_from_other_hosts_is_told(story):
    story.submit(plan(0))
    story.start(0, result_stage(0), 2, 0)
    story.run(0, 0, shuffle_bytes_read=3 << 20, remote_bytes_read=2 << 20, fetch_wait_seconds=0.5)
    story.run(0, 1, shuffle_bytes_read=1 << 20, remote_bytes_read=1 << 20, fetch_wait_seconds=1.0)
    story.complete(0)
    story.tell(JobDone(JobId(0)))
    assert (story.job().remote_bytes_read, story.job().fetch_wait_seconds) == (3 << 20, 1.5)
    assert "fetched 3.0 MiB from other hosts (tasks waited 1.5 s for it)" in story.job().line()


def test_hot_keys_of_tasks_are_those_of_their_stage(story):
    story.submit(plan(0, [(5, [])]))
    story.start(0, map_stage(5), 3, 0)
    story.run(0, 0, shuffle_records_written=50, hot_keys=pack_hot(4, [("'a'", 30), ("'b'", 10)]))
    story.run(0, 1, shuffle_records_written=50, hot_keys=pack_hot(4, [("'a'", 40)]))
    story.run(0, 2, shuffle_records_written=100)
    stage = story.stage(0)
    assert stage.hottest_keys == (HotKey("'a'", 70, 0.35), HotKey("'b'", 10, 0.05))
    assert stage.is_skewed_by_key
    assert "hottest keys of stage 0: 'a' 35%, 'b' 5%" in story.job().line()


def test_the_largest_partition_is_shown_in_bytes_and_records(story):
    story.submit(plan(0))
    story.start(0, result_stage(0), 2, 0)
    story.run(0, 0, shuffle_bytes_read=3 << 10, shuffle_records_read=4000)
    story.run(0, 1, shuffle_bytes_read=1 << 10, shuffle_records_read=1000)
    assert "3.0 KiB / 1.0 KiB, 4,000 / 1,000 records" in str(story.job())
    assert not story.stage(0).is_skewed_by_key


def test_a_running_job_tells_how_far_it_is(story):
    story.submit(plan())
    story.start(0, result_stage(0), 2, 0)
    story.run(0, 0)
    story.launch(0, 1)
    (job,) = story.store.active(story.now + 2)
    (stage,) = job.stages
    assert (job.state, job.seconds, stage.state) == ("running", 2, "running")
    assert (stage.done, stage.running, stage.tasks, stage.seconds) == (1, 1, 2, 2)
    assert story.store.jobs(story.now + 2) == [job]


@pytest.mark.parametrize("how", ["raised", "fetch_failed", "worker_died", "out_of_memory"])
def test_attempts_that_fail_are_counted_and_what_they_read_is_not(story, how):
    story.submit(plan())
    story.start(0, result_stage(0), 2, 0)
    story.run(0, 0, how, records_read=5)
    story.run(0, 0, records_read=5)
    stage = story.stage(0)
    assert (stage.attempts, stage.failed, stage.done, stage.records_read, stage.running) == (2, 1, 1, 5, 0)


@pytest.mark.parametrize("how", ["executor_lost", "not_there"])
def test_attempts_that_go_with_their_executor_are_lost(story, how):
    story.submit(plan())
    story.start(0, result_stage(0), 2, 0)
    story.run(0, 0, how)
    assert (story.stage(0).failed, story.stage(0).lost, story.stage(0).running) == (0, 1, 0)


def test_copies_of_slow_attempts_are_counted(story):
    story.submit(plan())
    story.start(0, result_stage(0), 2, 0)
    story.run(0, 0)
    story.launch(0, 1)
    copy = story.launch(0, 1)
    story.tell(TaskCopied(StageId(0), 1, copy, "slow"), TaskCopied(StageId(7), 1, copy, "of a stage of nobody"))
    assert (story.stage(0).attempts, story.stage(0).copied, story.job().copied) == (3, 1, 1)
    assert "1 slow attempt copied" in story.job().line()
    assert "1 slow attempt copied" in str(story.stage(0))


def test_attempts_that_were_told_old_places_are_neither_failed_nor_lost(story):
    story.submit(plan())
    story.start(0, result_stage(0), 2, 0)
    story.run(0, 0, "outdated")
    assert (story.stage(0).failed, story.stage(0).lost, story.stage(0).outdated) == (0, 0, 1)
    assert "inputs of 1 attempt were elsewhere by then" in story.job().line()


def test_killed_attempts_are_neither_failed_nor_lost(story):
    story.submit(plan())
    story.start(0, result_stage(0), 2, 0)
    story.run(0, 0, "killed")
    assert (story.stage(0).failed, story.stage(0).lost, story.stage(0).attempts) == (0, 0, 1)


def test_outputs_lost_after_their_stage_was_done(story):
    story.submit(plan(0, [(5, [])]))
    story.start(0, map_stage(5), 2, 0)
    story.run(0, 0)
    story.run(0, 1)
    story.now += 1
    story.complete(0)
    story.start(1, result_stage(0), 2, 0)
    story.tell(MapOutputsLost(ShuffleId(5), 1, "gone"), StageEnded(StageId(1), 0, "an input was lost"))
    assert story.stage(1).state == "waiting"
    story.start(0, map_stage(5), 1, 0, attempt=1)
    assert (story.stage(0).done, story.stage(0).tasks, story.stage(0).lost) == (1, 2, 1)
    story.run(0, 1)
    story.now += 2
    story.complete(0)
    story.start(1, result_stage(0), 2, 0, attempt=1)
    assert (story.stage(0).done, story.stage(0).attempts, story.stage(0).seconds) == (2, 3, 3)
    assert story.stage(1).state == "running"


def test_what_runs_again_does_not_change_what_was_read(story):
    story.submit(plan(0, [(5, [])]))
    story.start(0, map_stage(5), 2, 0)
    story.run(0, 0, records_read=10)
    story.run(0, 1, records_read=20)
    story.complete(0)
    story.tell(MapOutputsLost(ShuffleId(5), 1, "gone"))
    story.start(0, map_stage(5), 1, 0, attempt=1)
    story.run(0, 1, records_read=20)
    assert (story.stage(0).records_read, story.stage(0).attempts, story.stage(0).done) == (30, 3, 2)


def test_outputs_lost_while_their_stage_runs(story):
    story.submit(plan(0, [(5, [])]))
    story.start(0, map_stage(5), 2, 0)
    story.run(0, 0)
    story.tell(MapOutputsLost(ShuffleId(5), 1, "gone"))
    assert (story.stage(0).done, story.stage(0).lost) == (0, 1)


def test_a_stage_computed_before_is_skipped(story):
    story.submit(plan(0, [(5, [])]))
    story.start(0, map_stage(5), 2, 0)
    story.complete(0)
    story.tell(JobDone(JobId(0)))
    story.submit(plan(1, [(4, []), (5, [4])]))
    story.tell(StageSkipped(StageId(0), JobId(1)))
    stage = story.stage(0, job=1)
    assert (stage.state, stage.kind, stage.label, stage.tasks) == ("skipped", "map", "map at x.py:1", 0)
    assert story.job(1).n_stages == 2  # shuffle 4 is only needed by what is skipped


def test_a_skipped_stage_that_nobody_remembers(story):
    story.submit(plan(1, [(5, [])]))
    story.tell(StageSkipped(StageId(70), JobId(1)))
    assert story.stage(70, job=1).state == "skipped"


def test_a_skipped_stage_that_has_to_run_after_all(story):
    story.submit(plan(1, [(5, [])]))
    story.tell(StageSkipped(StageId(0), JobId(1)))
    story.start(0, map_stage(5), 1, 1)
    assert story.stage(0, job=1).state == "running"
    assert story.stage(0, job=1).tasks == 1


def shared_stage(story: Story) -> None:
    story.submit(plan(0, [(5, [])]))
    story.submit(plan(1, [(5, [])]))
    story.start(0, map_stage(5), 2, 0, 1)
    story.run(0, 0)


def test_a_shared_stage_belongs_to_the_oldest_job(story):
    shared_stage(story)
    assert (story.stage(0, job=0).state, story.stage(0, job=1).state) == ("running", "skipped")
    assert (story.job(0).tasks, story.job(1).tasks) == (2, 0)


def test_a_shared_stage_goes_on_for_the_other_job(story):
    shared_stage(story)
    story.tell(JobFailed(JobId(0), Cancelled("enough")))
    story.run(0, 1)
    story.complete(0)
    assert (story.job(0).state, story.stage(0, job=0).state, story.stage(0, job=0).done) == (
        "cancelled",
        "cancelled",
        1,
    )
    assert (story.stage(0, job=1).state, story.stage(0, job=1).done) == ("done", 2)


def test_a_shared_stage_that_was_done_stays_with_its_job(story):
    shared_stage(story)
    story.run(0, 1)
    story.complete(0)
    story.tell(JobDone(JobId(0)))
    assert (story.stage(0, job=0).state, story.stage(0, job=1).state) == ("done", "skipped")


def failed_for_good(outcome):
    return TaskFailedForGood(StageId(0), result_stage(0), "collect", 1, 0, EXECUTOR, "host", outcome, "4 deaths")


@pytest.mark.parametrize(
    ("cause", "state", "why"),
    [
        (Cancelled("by the user"), "cancelled", "by the user"),
        (failed_for_good(WorkerDied(1, None)), "failed", "task 1 of stage 0 (collect) failed: 4 deaths"),
        (StageGaveUp(StageId(0), "map", 4, ()), "failed", "stage 0 (map) lost its inputs 4 times in a row"),
        (NoExecutorsLeft(30.0, ()), "failed", "no executor was there for 30.0 s"),
    ],
)
def test_how_jobs_fail(story, cause, state, why):
    story.submit(plan())
    story.start(0, result_stage(0), 2, 0)
    story.tell(JobFailed(JobId(0), cause))
    story.tell(StageEnded(StageId(0), 0, "job 0 failed"))
    assert (story.job().state, story.job().why) == (state, why)
    assert story.stage(0).state == ("cancelled" if state == "cancelled" else "failed")
    assert why in str(story.job())


def test_stale_and_unknown_news_is_ignored(story):
    story.end(9, 0, AttemptId(1))
    story.tell(StageEnded(StageId(9), 0), StageSkipped(StageId(9), JobId(9)), JobDone(JobId(9)))
    story.start(3, result_stage(9), 2, 9)
    assert story.store.jobs(0) == []
    assert story.store.job(JobId(9)) is None


def test_a_late_success_that_is_taken_counts(story):
    story.submit(plan(0, [(5, [])]))
    story.start(0, map_stage(5), 2, 0)
    attempt = story.launch(0, 0)
    story.tell(StageEnded(StageId(0), 0, "an input was lost"))
    story.end(0, 0, attempt, records_read=3)
    assert (story.stage(0).done, story.stage(0).records_read, story.stage(0).running) == (1, 3, 0)


def test_memory_is_bounded_by_live_jobs(story, monkeypatch):
    monkeypatch.setattr(status, "_KEPT_JOBS", 5)
    monkeypatch.setattr(status, "_KEPT_STAGES", 7)
    for job in range(50):
        story.submit(plan(job, [(job, [])]))
        story.start(2 * job, map_stage(job), 2, job)
        story.launch(2 * job, 0)
        story.complete(2 * job)
        story.tell(MapOutputsLost(ShuffleId(job), 1, "gone"), ForgetShuffle(ShuffleId(job)))
        story.tell(JobDone(JobId(job)))
    store = story.store
    assert [job.id for job in store.jobs(story.now)] == [45, 46, 47, 48, 49]
    assert len(store._skipped) == 7
    assert (store._active, store._stages, store._lost) == ({}, {}, {})


def test_summaries_are_frozen(story):
    run_job(story)
    job = story.job()
    with pytest.raises(dataclasses.FrozenInstanceError):
        job.seconds = 1
    run_job(story, job=1, stage=1)
    assert story.store.jobs(story.now)[0] == job


def test_a_job_prints_a_table(story):
    story.submit(plan(3, [(5, []), (6, [5])]))
    story.start(0, map_stage(5), 2, 3)
    story.complete(0)
    story.tell(StageSkipped(StageId(0), JobId(3)))
    story.start(1, map_stage(6), 2, 3)
    for index, seconds in enumerate((1.0, 3.0)):
        story.run(1, index, seconds=seconds, bytes_read=1 << 20, shuffle_bytes_written=2048, shuffle_records_written=9)
    story.complete(1)
    story.start(2, result_stage(3), 2, 3)
    story.run(2, 0, "raised")
    story.run(2, 0, shuffle_records_read=9, peak_memory=5 << 20)
    story.now += 4.2
    story.tell(JobDone(JobId(3)))
    lines = str(story.job(3)).splitlines()
    assert lines[0] == (
        "job 3 collect at x.py:2: 4.2 s, read 2.0 MiB, shuffled 4.0 KiB, 1 attempt failed, "
        "slowest 3.0 s vs median 1.0 s"
    )
    assert len(lines) == 5
    assert len({line.index("map: map at") for line in lines[2:4]}) == 1
    assert "3.0 s / 1.0 s" in lines[3]
    assert "1.0 MiB / 1.0 MiB" in lines[3]
    assert "1/2" in lines[4]
    assert "5.0 MiB" in lines[4]
    assert "9 / 9 records" in lines[4]


def test_a_stage_prints_a_line(story):
    run_job(story)
    assert str(story.stage(0)) == "stage 0 (result collect at x.py:2): done in 0 ms, 2 tasks"
