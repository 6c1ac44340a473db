"""Which shuffles tasks need not read, because what they would make of them is kept; how long one is reachable."""

from __future__ import annotations

import gc
import threading
from typing import Any

import pytest

from rddlite.base.cached import Form
from rddlite.base.callsite import CallSite
from rddlite.base.ids import AttemptId, ExecutorId, JobId, StageId
from rddlite.driver import submit as submit_module
from rddlite.driver.cachetable import CacheTable
from rddlite.driver.payloads import stage_payload
from rddlite.driver.roster import Roster
from rddlite.driver.stages import StageBlobs
from rddlite.driver.submit import Submitter
from rddlite.lineage.caching import Cached
from rddlite.lineage.checkpoint import Checkpointed, LocallyCheckpointed
from rddlite.lineage.consumers import Collect
from rddlite.lineage.graph import Node, ShuffleDependency
from rddlite.lineage.narrow import Coalesced, Pipelined, Union
from rddlite.lineage.ops import Map, UserFunction
from rddlite.lineage.partitioner import HashPartitioner
from rddlite.lineage.sources import Range
from rddlite.lineage.wide import Shuffled
from rddlite.net.messages import BlocksChanged, KeptBlock
from rddlite.plan.cut import cut
from rddlite.schedule import commands as cmd
from rddlite.schedule.events import ShuffleForgotten
from rddlite.shuffle.locations import MapLocation, decode_tables
from rddlite.storage.level import StorageLevel

SITE = CallSite("map", "job.py", 1)
E1 = ExecutorId("e1")


def shuffled(n: int = 3) -> Shuffled:
    return Shuffled(SITE, ShuffleDependency(Range(SITE, range(9), 2), HashPartitioner(n)))


def mapped(parent: Node) -> Pipelined:
    return Pipelined(SITE, parent, Map(UserFunction(repr, SITE)))


def shuffle_of(node: Shuffled) -> int:
    (dep,) = node.deps
    assert isinstance(dep, ShuffleDependency)
    return dep.shuffle_id


class Stage:
    """The result stage of a job, as the loop keeps it."""

    def __init__(self, node: Node) -> None:
        job = cut(JobId(0), node, range(node.n_partitions or 0), SITE)
        self.plan = job.plan.result
        self.caches = CacheTable()
        self.blobs = StageBlobs(self._missing, Roster().place, self.caches)
        payload = stage_payload(job.bodies[self.plan.key], Collect())
        self.blobs.add(self.plan.key, payload, self.plan.parents, job.plan.partitions)

    def _missing(self, shuffle: int) -> Any:
        raise LookupError(shuffle)

    def keep(self, mark: int, *partitions: int) -> None:
        kept = [KeptBlock(mark, partition, int(Form.FILE), 10, 1.0) for partition in partitions]
        self.caches.changed(E1, BlocksChanged(E1, False, kept, []))

    def unread(self, *tasks: int) -> tuple[int, ...]:
        find = cmd.FindCached(0, self.plan.key, 1, tasks or range(self.plan.n_tasks), self.plan.parents)
        return self.blobs.unread(find)


def cached(node: Node) -> int:
    node.cached = Cached(StorageLevel.DISK_ONLY)
    return node.cached.id


def test_a_shuffle_is_read_unless_every_task_finds_its_partition() -> None:
    below = shuffled()
    mark = cached(below)
    stage = Stage(mapped(below))
    assert stage.unread() == ()
    stage.keep(mark, 0, 2)
    assert stage.unread() == ()
    assert stage.unread(0, 2) == (shuffle_of(below),)
    stage.keep(mark, 1)
    assert stage.unread() == (shuffle_of(below),)
    stage.caches.forget_executor(E1)
    assert stage.unread(0) == ()


def test_each_shuffle_is_looked_at_for_itself() -> None:
    one, other, plain = shuffled(), shuffled(), shuffled()
    marks = cached(one), cached(other)
    stage = Stage(Union(SITE, [mapped(one), other, plain]))
    for mark in marks:
        stage.keep(mark, 0, 1, 2)
    assert stage.unread() == (shuffle_of(one), shuffle_of(other))
    assert stage.unread(0, 1, 2, 8) == (shuffle_of(one), shuffle_of(other))
    assert set(stage.unread(0, 5)) == {shuffle_of(each) for each in (one, other, plain)}


def test_a_task_of_several_partitions_needs_all_of_them() -> None:
    below = shuffled(4)
    mark = cached(below)
    stage = Stage(Coalesced(SITE, below, 2))
    stage.keep(mark, 0, 1, 2)
    assert stage.unread(0) == (shuffle_of(below),)
    assert stage.unread(1) == ()


def test_a_wide_union_is_looked_at_piece_by_piece() -> None:
    parents = [shuffled(1) for _ in range(20)]
    marks = [cached(each) for each in parents[:-1]]
    stage = Stage(Union(SITE, parents))
    for mark in marks:
        stage.keep(mark, 0)
    assert stage.unread() == tuple(shuffle_of(each) for each in parents[:-1])


def test_what_is_kept_of_the_nearest_counts_and_what_is_below_it_is_no_matter() -> None:
    below = shuffled()
    lower = cached(below)
    above = mapped(below)
    upper = cached(above)
    stage = Stage(mapped(above))
    stage.keep(lower, 0)
    stage.keep(upper, 1)
    assert stage.unread(0, 1) == (shuffle_of(below),)
    assert stage.unread(2) == ()


def test_tasks_know_a_lineage_as_it_was_before_it_was_cut() -> None:
    below = mapped(shuffled())
    mark = cached(below)
    stage = Stage(Union(SITE, [below, Range(SITE, range(3), 1)]))
    stage.keep(mark, 0, 1, 2)
    below.successor = Checkpointed(below, "/there", ["a", "b", "c"])
    assert stage.unread() == stage.plan.parents


def test_a_task_is_sent_out_without_what_its_stage_is_spared_and_told_that_nobody_has_it() -> None:
    below = shuffled()
    cached(below)
    stage = Stage(below)
    launch = cmd.Launch(E1, AttemptId(0), StageId(0), stage.plan.key, 1, 0)
    blobs, task = stage.blobs.task(launch)
    (tables,) = [blob for blob in blobs if blob.digest == task.outputs]
    assert decode_tables(tables.data) == {shuffle_of(below): [MapLocation("", "", 0)]}


def test_a_stage_with_nothing_cached_must_have_all_it_reads() -> None:
    stage = Stage(shuffled())
    with pytest.raises(LookupError):
        stage.blobs.task(cmd.Launch(E1, AttemptId(0), StageId(0), stage.plan.key, 0, 0))


def test_a_shuffle_is_not_forgotten_before_the_job_that_was_planned_with_it_was_handed_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[Any] = []
    submitter = Submitter(told.append)
    to_cut = [mapped(shuffled())]
    cached(to_cut[0])
    top = Shuffled(SITE, ShuffleDependency(to_cut[0], HashPartitioner(2)))

    def submit() -> Any:
        return submitter.submission(top, Collect(), range(2), SITE, threading.Condition(), None, None)

    def cut_by_others_in_between(*args: Any, **options: Any) -> Any:
        """The job is cut into stages; then another thread has cut the lineage, and submits a job that knows of it."""
        job = cut(*args, **options)
        monkeypatch.setattr(submit_module, "cut", cut)
        node = to_cut.pop()
        node.successor = LocallyCheckpointed(node)
        assert len(submit().plan.maps) == 1
        return job

    monkeypatch.setattr(submit_module, "cut", cut_by_others_in_between)
    submission = submit()
    lower = min(submission.plan.maps)
    assert len(submission.plan.maps) == 2
    gc.collect()
    assert told == []
    del submission
    gc.collect()
    assert told == [ShuffleForgotten(lower)]
