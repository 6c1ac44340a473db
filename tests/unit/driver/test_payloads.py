"""Payloads are flat, functions are pickled once, and tasks share nothing that a function captured."""

from __future__ import annotations

import pickle
import threading
from typing import Any, ClassVar

import pytest

from rddlite.base.callsite import CallSite
from rddlite.base.ids import JobId
from rddlite.driver.payloads import StagePayload, UnionPayload, stage_payload
from rddlite.driver.planning import cut_off, planning
from rddlite.driver.submit import Submitter
from rddlite.errors import NotPicklable
from rddlite.executor.payloads import load_stage
from rddlite.lineage.caching import Cached
from rddlite.lineage.checkpoint import Checkpointed, LocallyCheckpointed
from rddlite.lineage.consumers import Collect, Reduce
from rddlite.lineage.graph import Node, ShuffleDependency
from rddlite.lineage.narrow import Coalesced, PartitionwiseUnion, Pipelined, Union
from rddlite.lineage.ops import Map, UserFunction
from rddlite.lineage.paired import Cartesian
from rddlite.lineage.partitioner import HashPartitioner
from rddlite.lineage.sources import Parallelized, Range
from rddlite.lineage.wide import Shuffled
from rddlite.plan.cut import cut
from rddlite.storage.level import StorageLevel

SITE = CallSite("map", "job.py", 1)


def mapped(parent: Node, f: object) -> Pipelined:
    return Pipelined(SITE, parent, Map(UserFunction(f, SITE)))  # type: ignore[arg-type]


def payload(node: Node, consumer: object = None) -> StagePayload:
    job = cut(JobId(0), node, range(node.n_partitions or 0), SITE)
    return StagePayload(job.bodies[job.plan.result.key], consumer or Collect())


def test_the_rebuilt_stage_has_the_same_shape() -> None:
    node = mapped(Union(SITE, [Range(SITE, range(4), 2), mapped(Range(SITE, range(3), 1), str)]), repr)
    stage = load_stage(payload(node, Reduce(UserFunction(max, SITE))).data)
    assert [type(each).__name__ for each in stage.nodes] == ["Range", "Range", "Pipelined", "Union", "Pipelined"]
    assert stage.shuffle is None
    assert stage.consumer.f.call is max
    assert stage.nodes[-1].op.f.call is repr  # type: ignore[attr-defined]


def test_captures_are_made_anew_for_every_task() -> None:
    captured: list[int] = []
    data = payload(mapped(Range(SITE, range(4), 2), lambda x: captured.append(x) or captured)).data
    first, second = load_stage(data), load_stage(data)
    f, g = first.nodes[-1].op.f.call, second.nodes[-1].op.f.call  # type: ignore[attr-defined]
    assert f(1) == [1]
    assert g(2) == [2]
    assert captured == []


def test_a_function_is_pickled_at_its_first_use_and_then_kept() -> None:
    captured = [1]
    node = mapped(Range(SITE, range(4), 2), lambda x: list(captured))
    captured.append(2)
    payload(node)
    captured.append(3)
    later = load_stage(payload(mapped(node, str)).data)
    assert later.nodes[1].op.f.call(0) == [1, 2]  # type: ignore[attr-defined]


def test_sources_behind_a_partition() -> None:
    node = Coalesced(SITE, Union(SITE, [mapped(Parallelized(SITE, [b"a", b"b"]), str), Range(SITE, range(9), 3)]), 2)
    stage = payload(node)
    assert pickle.loads(stage.sources_of(0)) == {(0, 0): b"a", (0, 1): b"b"}
    assert pickle.loads(stage.sources_of(1)) == {(2, 0): range(3), (2, 1): range(3, 6), (2, 2): range(6, 9)}


@pytest.mark.parametrize("cut_to", [LocallyCheckpointed, lambda node: Checkpointed(node, "/there", ["a", "b"])])
@pytest.mark.parametrize(
    "above",
    [mapped, lambda node, f: Union(SITE, [node, Range(SITE, range(9), 3)]), lambda node, f: Coalesced(SITE, node, 1)],
)
def test_tasks_are_launched_though_the_lineage_is_cut_meanwhile(above: Any, cut_to: Any) -> None:
    node = mapped(Parallelized(SITE, [b"a", b"b"]), str)
    node.cached = Cached(StorageLevel.DISK_ONLY)
    stage = payload(above(node, repr))
    before = stage.sources_of(0), stage.cached_of(0)
    node.successor = cut_to(node)
    assert (stage.sources_of(0), stage.cached_of(0)) == before


@pytest.mark.parametrize("kind", ["union", "wide union", "coalesced", "side by side", "cartesian", "shuffled"])
def test_tasks_are_launched_though_what_stands_on_several_parents_is_cut_meanwhile(kind: str) -> None:
    left, right = mapped(Parallelized(SITE, [b"a", b"b"]), str), Range(SITE, range(9), 2)
    node: Node
    match kind:
        case "union":
            node = Union(SITE, [left, right])
        case "wide union":
            node = Union(SITE, [left, right, *(Range(SITE, range(i), 1) for i in range(300))])
        case "coalesced":
            node = Coalesced(SITE, right, 1)
        case "side by side":
            node = PartitionwiseUnion(SITE, [left, right])
        case "cartesian":
            node = Cartesian(SITE, left, right)
        case _:
            node = Union(SITE, [Shuffled(SITE, ShuffleDependency(left, HashPartitioner(4))), right])
    partitions = range(node.n_partitions or 0)
    job = cut(JobId(0), mapped(node, repr), partitions, SITE)
    stage = stage_payload(job.bodies[job.plan.result.key], Collect())

    def sent() -> list[bytes]:
        return [stage.piece(index).sources_of(index) for index in partitions]

    before = sent()
    cut_off(node, Checkpointed(node, "/there", [f"part-{index}" for index in partitions]))
    assert not node.deps
    assert sent() == before


def test_ten_thousand_operations_are_a_flat_table() -> None:
    node: Node = Range(SITE, range(4), 2)
    f = UserFunction(str, SITE)
    for _ in range(10_000):
        node = Pipelined(SITE, node, Map(f))
    stage = payload(node)
    assert len(load_stage(stage.data).nodes) == 10_001
    assert pickle.loads(stage.sources_of(1)) == {(0, 1): range(2, 4)}


def test_a_wide_union_is_pickled_in_pieces() -> None:
    """Each task gets a few neighbours of its parent, whatever the number of parents; empty parents change nothing."""
    sizes = [0, 2, 0, 0, 1, 3] * 50
    parents = [mapped(Range(SITE, range(10 * i, 10 * i + n), n), str) for i, n in enumerate(sizes)]
    node = mapped(mapped(Union(SITE, parents), repr), len)
    job = cut(JobId(0), node, range(node.n_partitions or 0), SITE)
    whole = stage_payload(job.bodies[job.plan.result.key], Collect())
    assert isinstance(whole, UnionPayload)
    owners = [(i, k) for i, n in enumerate(sizes) for k in range(n)]
    for index, (parent, k) in enumerate(owners):
        piece = whole.piece(index)
        ((_, parent_index), numbers) = pickle.loads(piece.sources_of(index)).popitem()
        assert (parent_index, numbers) == (k, range(10 * parent + k, 10 * parent + k + 1))
    stage = load_stage(whole.piece(0).data)
    assert len(stage.nodes) < 30
    union = stage.nodes[-3]
    assert isinstance(union, Union)
    through = union.passes_through(0)
    assert through is not None
    assert through[0].parent is stage.nodes[3]
    assert through[1] == 0
    assert len({whole.piece(index).digest for index in range(len(owners))}) > 10


def test_a_narrow_union_is_one_payload() -> None:
    node = Union(SITE, [Range(SITE, range(2), 1)] * 3)
    job = cut(JobId(0), node, range(3), SITE)
    whole = stage_payload(job.bodies[job.plan.result.key], Collect())
    assert whole.piece(0) is whole.piece(2) is whole


def test_what_cannot_be_pickled_is_named() -> None:
    lock = threading.Lock()
    with pytest.raises(NotPicklable, match="lock"):
        payload(mapped(Range(SITE, range(4), 2), lambda x: lock))


def test_what_is_too_large_is_named_with_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rddlite.driver.payloads._LARGEST_FUNCTION", 1 << 20)
    small, table = 7, bytes(3 << 20)
    with pytest.raises(NotPicklable, match=r"takes 3\.0 MiB .*'table': 3\.0 MiB; .*at most 1\.0 MiB can travel"):
        payload(mapped(Range(SITE, range(4), 2), lambda x: (table, small)))


def test_no_lineage_is_cut_while_a_job_is_planned() -> None:
    source = Range(SITE, range(4), 2)
    node = mapped(mapped(source, Cutting()), len)
    Submitter(lambda event: None).submission(node, Collect(), range(2), SITE, threading.Condition(), None, None)
    assert Cutting.was_free
    assert not any(Cutting.was_free)
    cut_off(source, Range(SITE, range(4), 2))
    assert source.successor is not None


class Cutting:
    """A function that is pickled while another thread would like to cut a lineage."""

    was_free: ClassVar[list[bool]] = []

    def __call__(self, record: Any) -> Any:
        return record

    def __reduce__(self) -> tuple[Any, ...]:
        asking = threading.Thread(target=lambda: self.was_free.append(planning.is_free()))
        asking.start()
        asking.join()
        return (len, ())
