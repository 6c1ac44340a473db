"""Stages are cut at wide dependencies and nowhere else."""

from __future__ import annotations

import operator
from typing import Any

from rddlite.base.callsite import CallSite
from rddlite.base.ids import JobId
from rddlite.lineage.aggregator import Aggregator
from rddlite.lineage.graph import Node, ShuffleDependency
from rddlite.lineage.narrow import Coalesced, Pipelined, Union
from rddlite.lineage.ops import Map, UserFunction
from rddlite.lineage.partitioner import HashPartitioner
from rddlite.lineage.sources import FileText, Range
from rddlite.lineage.wide import CoGrouped, Shuffled
from rddlite.plan.cut import CutJob, cut
from rddlite.plan.explain import debug_string, explain
from rddlite.plan.model import MapStage, ResultStage
from rddlite.plan.resolve import settle

SITE = CallSite("test", "job.py", 1)


def source(n: int = 3) -> Node:
    return Range(SITE, range(30), n)


def mapped(parent: Node) -> Node:
    return Pipelined(SITE, parent, Map(UserFunction(str, SITE)))


def reduced(parent: Node, n: int = 2) -> Shuffled:
    add = UserFunction(operator.add, SITE)
    return Shuffled(
        SITE, ShuffleDependency(parent, HashPartitioner(n), Aggregator(None, add, add), combine_on_map=True)
    )


def job(node: Node) -> CutJob:
    return cut(JobId(7), node, range(node.n_partitions or 0), SITE)


def test_narrow_lineage_is_one_stage() -> None:
    cut_job = job(Coalesced(SITE, Union(SITE, [mapped(source(3)), mapped(source(4))]), 2))
    assert cut_job.plan.maps == {}
    assert cut_job.plan.result.n_tasks == 2
    assert cut_job.plan.result.key == ResultStage(JobId(7))


def test_a_shuffle_makes_a_map_stage() -> None:
    wide = reduced(mapped(source(3)))
    plan = job(mapped(wide)).plan
    shuffle = wide.shuffle.shuffle_id
    assert plan.result.parents == (shuffle,)
    assert plan.result.n_tasks == 2
    stage = plan.maps[shuffle]
    assert (stage.key, stage.n_tasks, stage.n_out, stage.parents) == (MapStage(shuffle), 3, 2, ())


def test_a_shuffle_used_twice_is_one_stage() -> None:
    wide = reduced(source())
    plan = job(Union(SITE, [mapped(wide), mapped(wide)])).plan
    assert list(plan.maps) == [wide.shuffle.shuffle_id]
    assert plan.result.parents == (wide.shuffle.shuffle_id,)


def test_co_partitioned_sides_are_read_in_place() -> None:
    left, right = reduced(source(3), 4), reduced(source(5), 4)
    grouped = CoGrouped(SITE, [left, right], HashPartitioner(4))
    plan = job(grouped).plan
    assert set(plan.maps) == {left.shuffle.shuffle_id, right.shuffle.shuffle_id}
    assert plan.result.n_tasks == 4


def test_sides_placed_otherwise_are_shuffled() -> None:
    left, right = reduced(source(3), 4), mapped(source(5))
    plan = job(CoGrouped(SITE, [left, right], HashPartitioner(4))).plan
    assert len(plan.maps) == 2
    assert {stage.n_tasks for stage in plan.maps.values()} == {3, 5}


def test_a_thousand_shuffles_are_cut_without_recursion() -> None:
    node: Node = source()
    for _ in range(1000):
        node = reduced(node)
    assert len(job(node).plan.maps) == 1000


def test_ten_thousand_operations_and_unions() -> None:
    node = source()
    for _ in range(10_000):
        node = mapped(node)
    assert job(node).plan.result.n_tasks == 3
    many = Union(SITE, [source(1) for _ in range(10_000)])
    assert job(many).plan.result.n_tasks == 10_000


def test_listing_settles_what_rests_on_it() -> None:
    text = FileText(SITE, "somewhere", 2, True)
    node = Coalesced(SITE, Union(SITE, [mapped(text), source(2)]), 4)
    assert node.n_partitions is None or node.n_partitions == 0
    asked: list[Any] = []

    def listing(file: FileText) -> list[str]:
        asked.append(file)
        return ["a", "b", "c"]

    settle(node, listing)
    assert asked == [text]
    assert node.n_partitions == 4
    settle(node, listing)
    assert asked == [text]


def test_explain_names_stages_operations_and_exchanges() -> None:
    text = explain(mapped(reduced(mapped(source()))))
    assert "Stage 1: 3 tasks" in text
    assert "map(str) at job.py:1" not in text  # the site's method is what was called
    assert "test(str) at job.py:1" in text
    assert "combined by key first, to 2 partitions" in text
    assert text.index("exchange") < text.index("Stage 2: 2 tasks") < text.index("results to the driver")


def test_debug_string_marks_exchanges_and_names() -> None:
    wide = reduced(source())
    wide.name = "totals"
    lines = debug_string(mapped(wide)).decode().splitlines()
    assert lines[0].startswith("(2) map at test at job.py:1")
    assert "totals Shuffled" in lines[1]
    assert lines[2].lstrip().startswith("+-(3) Range")


def test_debug_string_of_deep_lineage_is_cut_off() -> None:
    node = source()
    for _ in range(5000):
        node = mapped(node)
    assert len(debug_string(node).splitlines()) < 2500


def test_only_the_stage_with_the_effect_may_not_run_twice() -> None:
    node = reduced(source())
    settle(node, lambda text: [])
    job = cut(JobId(0), node, range(2), SITE, can_copy=False)
    assert not job.plan.result.can_copy
    assert all(stage.can_copy for stage in job.plan.maps.values())


def test_a_job_is_in_its_pool() -> None:
    assert job(source()).plan.pool == "default"
    assert cut(JobId(0), source(), range(1), SITE, pool="etl").plan.pool == "etl"
