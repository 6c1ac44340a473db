"""The life of a context: one at a time, settings, groups and properties, runJob. Each test makes its own."""

from __future__ import annotations

import threading

import pytest

from rddlite import Conf, Context
from rddlite.errors import ConfigError, ContextRunning, ContextStopped, InvalidMaster, JobCancelled, NestedRDD
from tests.api.oracle import layout


@pytest.fixture
def own():
    with Context("inline", "own") as context:
        yield context


def test_with_stops_at_the_end():
    with Context("inline") as sc:
        assert sc.range(3).count() == 3
    with pytest.raises(ContextStopped):
        sc.range(3)


def test_stop_twice(own):
    own.stop()
    own.stop()


def test_one_at_a_time(own):
    with pytest.raises(ContextRunning, match=r"already running.*master=inline appName=own.*test_context\.py:\d+"):
        Context("inline", "second")
    assert own.range(3).count() == 3
    own.stop()
    with Context("inline", "second") as second:
        assert second.range(3).count() == 3


def test_a_bad_master_leaves_no_context_behind():
    for master in ("nonsense", "local[0]", "local[x]", "spark://host:7077", ""):
        with pytest.raises(InvalidMaster):
            Context(master)
    with Context("inline") as sc:
        assert sc.master == "inline"


def test_bad_settings_leave_no_context_behind():
    with pytest.raises(ConfigError, match=r"unknown setting 'default.paralelism'; did you mean 'default.parallelism'"):
        Context("inline", conf={"default.paralelism": 3})
    with pytest.raises(ConfigError, match=r"driver.maxResultSize"):
        Context("inline", conf={"driver.maxResultSize": "much"})
    with pytest.raises(ConfigError, match=r"storage.options"):
        Context("inline", conf={"storage.options": "{"})
    with pytest.raises(ConfigError, match=r"storage.options"):
        Context("inline", conf={"storage.options": "[1]"})
    Context("inline").stop()


def test_get_or_create():
    first = Context.getOrCreate({"master": "inline", "app.name": "first"})
    try:
        assert Context.getOrCreate(Conf().setMaster("local[2]")) is first
        assert first.appName == "first"
    finally:
        first.stop()
    second = Context.getOrCreate(Conf().setMaster("inline"))
    assert second is not first
    second.stop()


def test_get_or_create_from_many_threads_makes_one():
    made = []
    threads = [
        threading.Thread(target=lambda: made.append(Context.getOrCreate({"master": "inline"}))) for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    try:
        assert len(made) == 6
        assert len(set(map(id, made))) == 1
        assert made[0].range(3).count() == 3
    finally:
        made[0].stop()


def test_arguments_override_the_conf():
    conf = Conf().setMaster("local[2]").setAppName("conf").set("default.parallelism", 3)
    with Context("inline", "argument", conf) as sc:
        assert (sc.master, sc.appName, sc.defaultParallelism) == ("inline", "argument", 3)
        conf.set("default.parallelism", 9)
        sc.getConf().set("default.parallelism", 8)
        assert sc.getConf().get("default.parallelism") == "3"
    assert conf.get("master") == "local[2]"


def test_default_parallelism_rules_where_it_is_set():
    with Context("inline", conf={"default.parallelism": 3}) as sc:
        pairs = sc.parallelize([(i, i) for i in range(10)])
        assert pairs.getNumPartitions() == 3
        assert sc.range(5).getNumPartitions() == 3
        wide = sc.parallelize([(i, i) for i in range(10)], 7)
        for rdd in (
            wide.reduceByKey(max),
            wide.groupByKey(),
            wide.groupBy(str),
            wide.distinct(),
            wide.partitionBy(None),
            wide.sortByKey(),
            wide.sortBy(str),
            wide.join(wide),
            wide.cogroup(wide),
            wide.subtract(wide),
            wide.subtractByKey(wide),
            wide.foldByKey(0, max),
        ):
            assert rdd.getNumPartitions() == 3
        placed = wide.partitionBy(5)
        assert placed.join(placed).getNumPartitions() == 3
        assert placed.reduceByKey(max, 5).getNumPartitions() == 5


def test_what_a_context_says_of_itself(own):
    assert own.applicationId.startswith("local-")
    assert own.startTime > 1_600_000_000_000
    assert own.version.count(".") == 2
    (executor,) = own.executors
    assert executor.host
    own.range(3, numSlices=2).count()
    assert own.jobs()[-1].id is not None


def test_local_properties_belong_to_the_thread(own):
    own.setLocalProperty("mine", 1)
    own.setJobGroup("group", "what it does")
    seen = []
    thread = threading.Thread(target=lambda: seen.append(own.getLocalProperty("mine")))
    thread.start()
    thread.join()
    assert seen == [None]
    assert own.getLocalProperty("mine") == "1"
    assert own.getLocalProperty("spark.jobGroup.id") == "group"
    assert own.getLocalProperty("spark.job.description") == "what it does"
    own.setJobDescription("something else")
    assert own.getLocalProperty("spark.job.description") == "something else"
    own.setLocalProperty("mine", None)
    assert own.getLocalProperty("mine") is None


def test_jobs_carry_the_group_and_the_description(own):
    own.setJobGroup("nightly", "counting")
    own.range(3).count()
    assert (own.jobs()[-1].group, own.jobs()[-1].description) == ("nightly", "counting")
    own.setLocalProperty("spark.jobGroup.id", None)
    own.setJobDescription(None)
    own.range(3).count()
    assert own.jobs()[-1].group is None


@pytest.mark.parametrize("how", ["group", "all"])
def test_cancel(own, how, tmp_path):
    """Inline tasks run in the waiting thread: the job ends when the task in hand has."""
    started, go = threading.Event(), threading.Event()
    globals()["_events"] = (started, go)
    errors = []

    def run():
        own.setJobGroup("doomed", "waits")
        try:
            own.range(3, numSlices=3).map(_wait).count()
        except JobCancelled as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    assert started.wait(30)
    own.cancelJobGroup("other")
    own.cancelJobGroup("doomed") if how == "group" else own.cancelAllJobs()
    go.set()
    thread.join(30)
    assert len(errors) == 1
    assert "cancelled" in str(errors[0])
    assert own.range(3).count() == 3


def _wait(x):
    started, go = globals()["_events"]
    started.set()
    go.wait(30)
    return x


def test_jobs_are_in_the_pool_of_their_thread(own, monkeypatch):
    driver, pools = own._live_driver(), []
    run_job = driver.run_job

    def watched(*args, **kwargs):
        pools.append(kwargs["pool"])
        return run_job(*args, **kwargs)

    monkeypatch.setattr(driver, "run_job", watched)
    assert own.parallelize([1, 2]).count() == 2
    own.setLocalProperty("spark.scheduler.pool", "etl")
    assert own.parallelize([1, 2]).count() == 2
    own.setLocalProperty("spark.scheduler.pool", None)
    assert pools == [None, "etl"]


def test_run_job(own):
    rdd = own.range(8, numSlices=4)
    assert own.runJob(rdd, lambda part: part) == list(range(8))
    assert own.runJob(rdd, lambda part: [sum(part)], [3, 1, 3]) == [13, 5, 13]
    assert own.runJob(rdd, lambda part: [sum(part)], range(2)) == [1, 5]
    assert own.runJob(rdd, lambda part: part, []) == []
    assert own.runJob(own.emptyRDD(), lambda part: [1]) == []
    assert own.runJob(rdd, lambda part: part, [0], True) == [0, 1]


def test_a_context_inside_a_task_is_refused(own):
    def make(x):
        with pytest.raises(NestedRDD, match="inside a task"):
            Context("inline")
        return x

    assert own.range(2).map(make).collect() == [0, 1]


def test_rdds_of_another_context_are_refused():
    with Context("inline") as first:
        old = first.range(3)
    with Context("inline") as second:
        for use in (
            lambda: second.range(3).union(old),
            lambda: second.union([old]),
            lambda: second.range(3).keyBy(str).join(old.keyBy(str)),
            lambda: second.runJob(old, list),
        ):
            with pytest.raises((ValueError, ContextStopped)):
                use()
        assert layout(second.range(2)) == [[0, 1]]
