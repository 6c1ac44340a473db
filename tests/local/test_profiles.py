"""Profiles of tasks in worker processes: what they hold, how they are shown and dumped."""

from __future__ import annotations

import pstats

import pytest

from rddlite import BasicProfiler, Context, Profiler, TaskContext
from rddlite.errors import ProfilingOff

pytestmark = pytest.mark.local


def heat(x):
    room = [0] * 10
    return x, len(room)


class Quiet(BasicProfiler):
    def show(self, id):  # noqa: A002 - PySpark's name
        print("profile of", id)


class Timid(Profiler):
    """A profiler of one's own: counts tasks."""

    def __init__(self, ctx):
        self.tasks = ctx.accumulator(0)

    def profile(self, func, *args, **kwargs):
        self.tasks.add(1)
        return func(*args, **kwargs)

    def stats(self):
        return self.tasks.value


def names(stats):
    return {name for _, _, name in stats.stats}


def test_time_and_memory(tmp_path, capsys):
    with Context("local[2]", "profiles", {"profile": True, "profile.memory": True}) as sc:
        rdd = sc.parallelize(range(10), 2).map(heat)
        rdd.count()
        rdd.collect()
        pairs = rdd.reduceByKey(max)
        pairs.count()
        collector = sc.profiler_collector
        ids = [number for number, _, _ in collector.profilers]
        assert ids == [rdd.id(), rdd.id(), pairs.id(), pairs.id()]
        times, memory = (profiler for number, profiler, _ in collector.profilers if number == rdd.id())
        calls = {name: n for (_, _, name), (_, n, *_) in times.stats().stats.items()}
        assert calls["heat"] == 20
        assert "heat" in names(collector.profilers[2][1].stats())
        ((file, lines),) = memory.stats().items()
        assert file == __file__
        assert sorted(n for _, _, n in lines.values()) == [20, 20]
        sc.show_profiles()
        shown = capsys.readouterr().out
        assert shown.count(f"Profile of RDD<id={rdd.id()}>") == 2
        assert "return x, len(room)" in shown
        sc.show_profiles()
        assert capsys.readouterr().out == ""
        sc.dump_profiles(tmp_path / "dumped")
        assert collector.profilers == []
    written = {path.name for path in (tmp_path / "dumped").iterdir()}
    assert written == {f"rdd_{n}{suffix}" for n in set(ids) for suffix in (".pstats", "_memory.txt")}
    assert "heat" in names(pstats.Stats(str(tmp_path / "dumped" / f"rdd_{rdd.id()}.pstats")))


def test_a_failed_job_and_a_retried_task_count_what_was_accepted():
    with Context("local[2,2]", "profiles", {"profile": True}, profiler_cls=Timid) as sc:

        def fails_at_first(part):
            if TaskContext.get().attemptNumber() == 0:
                raise ValueError("once")
            return part

        rdd = sc.parallelize(range(4), 2).mapPartitions(fails_at_first)
        assert rdd.count() == 4
        ((number, profiler, _),) = sc.profiler_collector.profilers
        assert (number, profiler.stats()) == (rdd.id(), 2)
        sc.profiler_collector.profilers.clear()


def test_a_class_of_ones_own_shows_what_it_likes(capsys):
    with Context("local[1]", "profiles", {"profile": True}, profiler_cls=Quiet) as sc:
        first = sc.parallelize(range(100)).map(lambda x: 2 * x)
        first.take(10)
        assert sc.range(5).countApprox(10_000) == 5
        sc.show_profiles()
        assert capsys.readouterr().out.splitlines()[0] == f"profile of {first.id()}"


def test_nothing_is_profiled_without_the_setting():
    with Context("local[1]", "profiles") as sc:
        assert sc.range(3).count() == 3
        assert sc.profiler_collector is None
        with pytest.raises(ProfilingOff, match=r"show_profiles: nothing is profiled: set spark\.python\.profile"):
            sc.show_profiles()
        with pytest.raises(RuntimeError, match=r"dump_profiles"):
            sc.dump_profiles("nowhere")
