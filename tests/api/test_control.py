"""Groups, tags and properties of threads; what tasks know of themselves; what is told of jobs and of the context."""

from __future__ import annotations

import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from rddlite import Conf, Context, InheritableThread, TaskContext, inheritable_thread_target
from rddlite.errors import JobCancelled

GROUP = "spark.jobGroup.id"


@pytest.fixture(scope="module")
def sc():
    with Context("local[2,2]", "tests") as context:
        yield context


def about_task(part):
    task = TaskContext.get()
    assert task is TaskContext() is TaskContext.get()
    yield (task.partitionId(), task.attemptNumber(), task.stageId(), task.getLocalProperty("a"), task.taskAttemptId())


def test_tasks_know_themselves(sc):
    assert TaskContext.get() is None
    with pytest.raises(RuntimeError, match="inside tasks only"):
        TaskContext()
    sc.setLocalProperty("a", "b")
    try:
        first = sc.range(4, numSlices=4).mapPartitions(about_task)
        found, again = first.collect(), first.collect()
        deep = sc.range(4, numSlices=4).mapPartitions(about_task).map(lambda t: (t[3], 1)).reduceByKey(max).collect()
    finally:
        sc.setLocalProperty("a", None)
    assert [(p, n, a) for p, n, _, a, _ in found] == [(i, 0, "b") for i in range(4)]
    assert len({stage for _, _, stage, _, _ in found}) == 1
    assert found[0][2] != again[0][2]
    assert len({attempt for *_, attempt in found + again}) == 8
    assert deep == [("b", 1)]
    assert {a for _, _, _, a, _ in first.collect()} == {None}


def test_the_context_of_an_attempt_that_is_not_the_first(sc):
    def fails_once(part):
        if TaskContext.get().attemptNumber() == 0:
            raise ValueError("again")
        return [TaskContext.get().attemptNumber()]

    assert sc.range(1, numSlices=1).mapPartitions(fails_once).collect() == [1]


def test_tags(sc):
    assert sc.getJobTags() == set()
    sc.addJobTag("b")
    sc.addJobTag("a")
    sc.addJobTag("a")
    assert sc.getJobTags() == {"a", "b"}
    sc.removeJobTag("c")
    sc.removeJobTag("a")
    assert sc.getJobTags() == {"b"}
    other = []
    thread = threading.Thread(target=lambda: other.append(sc.getJobTags()))
    thread.start()
    thread.join()
    assert other == [set()]
    sc.clearJobTags()
    assert sc.getJobTags() == set()
    for bad, error in (("", ValueError), ("a,b", ValueError), (3, TypeError)):
        for method in (sc.addJobTag, sc.removeJobTag, sc.cancelJobsWithTag):
            with pytest.raises(error, match="tag"):
                method(bad)


def wait_for(condition):
    until = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_cancelling_by_tag_cancels_no_other_job(sc, tmp_path):
    def sleepy():
        return sc.range(1, numSlices=1).map(lambda x: time.sleep(600)).collect()

    def tagged():
        sc.addJobTag("mine")
        sc.addJobTag("too")
        sleepy()

    def untagged(go_on=tmp_path / "go on"):
        def wait(x):
            while not go_on.exists():
                time.sleep(0.01)

        return sc.range(1, numSlices=1).map(wait).count()

    tracker = sc.statusTracker()
    with ThreadPoolExecutor() as threads:
        spared, doomed = threads.submit(untagged), threads.submit(tagged)
        wait_for(lambda: len(tracker.getActiveStageIds()) == 2)
        assert len(tracker.getActiveJobsIds()) == 2
        sc.cancelJobsWithTag("nobody's")
        sc.cancelJobsWithTag("too")
        with pytest.raises(JobCancelled, match="jobs with the tag too were cancelled"):
            doomed.result()
        (tmp_path / "go on").touch()
        assert spared.result() == 1


def fail_within(group):
    with group:
        raise ZeroDivisionError


def test_groups_end_with_their_block(sc):
    with sc.jobGroup("outer", "first"):
        with sc.jobGroup("inner"):
            assert sc.getLocalProperty(GROUP) == "inner"
            assert sc.getLocalProperty("spark.job.description") is None
        with pytest.raises(ZeroDivisionError):
            fail_within(sc.jobGroup("other"))
        assert sc.getLocalProperty(GROUP) == "outer"
        assert sc.getLocalProperty("spark.job.description") == "first"
    assert sc.getLocalProperty(GROUP) is None


def test_threads_that_inherit(sc):
    found = []

    def look():
        found.append((sc.getLocalProperty(GROUP), sc.getJobTags()))

    with sc.jobGroup("mine"):
        sc.addJobTag("t")
        inheriting, plain = InheritableThread(look, name="x"), threading.Thread(target=look)
        wrapped = inheritable_thread_target(look)
        sc.clearJobTags()
    for thread in (inheriting, plain):
        thread.start()
        thread.join()
    wrapped()
    look()
    assert found == [("mine", {"t"}), (None, set()), ("mine", {"t"}), (None, set())]
    assert inheriting.name == "x"


def test_status(sc):
    tracker = sc.statusTracker()
    with sc.jobGroup("status"):
        sc.range(10, numSlices=3).map(lambda x: (x, x)).reduceByKey(max, 2).count()
        with pytest.raises(Exception, match="division"):
            sc.range(1).map(lambda x: 1 // x).count()
    good, bad = (tracker.getJobInfo(job) for job in tracker.getJobIdsForGroup("status"))
    assert (good.status, bad.status) == ("SUCCEEDED", "FAILED")
    stages = [tracker.getStageInfo(stage) for stage in good.stageIds]
    assert sorted(stage.numTasks for stage in stages) == [2, 3]
    assert all(stage.numCompletedTasks == stage.numTasks for stage in stages)
    assert tracker.getStageInfo(bad.stageIds[0]).numFailedTasks == 2
    assert tracker.getJobInfo(10**9) is None
    assert tracker.getStageInfo(10**9) is None
    assert tracker.getActiveJobsIds() == tracker.getActiveStageIds() == []
    assert good.jobId not in tracker.getJobIdsForGroup()
    # The other task of the job that failed may still be told to end.
    wait_for(lambda: [info.numRunningTasks for info in tracker.getExecutorInfos()] == [0])


def test_log_levels(sc):
    ours = logging.getLogger("rddlite")
    before = ours.level
    try:
        sc.setLogLevel("error")
        assert ours.level == logging.ERROR
        with pytest.raises(ValueError, match="setLogLevel: logLevel must be one of ALL"):
            sc.setLogLevel("loud")
    finally:
        ours.setLevel(before)


def test_executor_environment_of_a_conf():
    conf = Conf().setExecutorEnv("A", "1").setExecutorEnv(pairs=[("B", "2"), ("C", "3")]).setSparkHome("/x")
    assert conf.getAll() == [
        ("spark.executorEnv.A", "1"), ("spark.executorEnv.B", "2"), ("spark.executorEnv.C", "3"), ("spark.home", "/x"),
    ]  # fmt: skip
    for wrong in ({}, {"key": "a", "value": "b", "pairs": []}):
        with pytest.raises(ValueError, match="either key and value, or pairs"):
            Conf().setExecutorEnv(**wrong)
