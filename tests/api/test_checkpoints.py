"""Checkpoints: the same records without the lineage, also when what they came from is gone."""

from __future__ import annotations

from collections.abc import Iterator
from operator import add
from pathlib import Path
from typing import Any

import pytest

from rddlite import Context, StorageLevel
from rddlite.errors import JobFailed, PathUnreadable, UsageError


@pytest.fixture(scope="module", params=["inline", pytest.param("local[2]", marks=pytest.mark.local)])
def sc(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Context]:
    local_dir = str(tmp_path_factory.mktemp("scratch"))
    with Context(request.param, "checkpoints", {"local.dir": local_dir, "progress.show": "false"}) as context:
        yield context


@pytest.fixture
def folder(sc: Context, tmp_path: Path) -> Path:
    sc.setCheckpointDir(str(tmp_path))
    return tmp_path


def test_the_lineage_is_cut_after_the_first_job(sc: Context, folder: Path) -> None:
    calls = sc.accumulator(0)

    def counted(x: int) -> tuple[int, list[int]]:
        calls.add(1)
        return x % 5, [x]

    rdd = sc.range(100, numSlices=4).map(counted).reduceByKey(add, 3)
    later = rdd.mapValues(len)
    rdd.setName("sums").checkpoint()
    assert not rdd.isCheckpointed()
    assert rdd.getCheckpointFile() is None
    expected = sorted(rdd.collect())
    assert rdd.isCheckpointed()
    assert not rdd.isLocallyCheckpointed()
    assert rdd.getCheckpointFile() == f"{sc.getCheckpointDir()}/rdd-{rdd.id()}"
    saved = Path(str(rdd.getCheckpointFile()).removeprefix("file:"))
    assert sorted(path.name for path in saved.iterdir()) == ["_SUCCESS", "part-00000", "part-00001", "part-00002"]
    assert b"ParallelCollection" not in rdd.toDebugString()
    assert b"Range" not in rdd.toDebugString()
    assert rdd.toDebugString().startswith(b"(3) sums Checkpoint")
    assert rdd.name() == "sums"
    seen = calls.value
    assert sorted(rdd.collect()) == expected
    assert dict(later.collect()) == dict.fromkeys(range(5), 20), "what was made of it before reads the files too"
    assert rdd.partitionBy(3) is rdd, "it is partitioned as before"
    assert rdd.getNumPartitions() == 3
    assert calls.value == seen


@pytest.mark.parametrize("level", [StorageLevel.OFF_HEAP, StorageLevel.DISK_ONLY], ids=str)
def test_a_cached_rdd_is_not_computed_again_for_it(sc: Context, folder: Path, level: StorageLevel) -> None:
    """Kept as bytes, which all workers read: objects would be made again where their owner is busy."""
    calls = sc.accumulator(0)

    def counted(x: int) -> int:
        calls.add(1)
        return x

    rdd = sc.range(50, numSlices=2).map(counted).persist(level)
    rdd.checkpoint()
    assert rdd.sum() == 1225
    assert rdd.isCheckpointed()
    assert rdd.is_cached
    assert rdd.id() in sc.getPersistentRDDs()
    assert rdd.sum() == 1225
    assert calls.value == 50
    rdd.unpersist(blocking=True)
    assert rdd.sum() == 1225
    assert calls.value == 50


def test_only_the_nearest_is_written(sc: Context, folder: Path) -> None:
    below = sc.range(10, numSlices=2).map(lambda x: x + 1)
    below.checkpoint()
    above = below.map(lambda x: x * 2)
    above.checkpoint()
    assert above.sum() == 110
    assert (above.isCheckpointed(), below.isCheckpointed()) == (True, False)
    assert below.sum() == 55
    assert below.isCheckpointed()


def test_a_loop_with_checkpoints_and_shuffles(sc: Context, folder: Path) -> None:
    rdd = sc.parallelize([(i, 1) for i in range(20)], 2)
    for step in range(6):
        rdd = rdd.map(lambda pair: ((pair[0] + 1) % 20, pair[1] + 1)).reduceByKey(add, 2)
        if step % 2:
            rdd.checkpoint()
            rdd.count()
    assert sorted(rdd.collect()) == [(i, 7) for i in range(20)]
    assert len(rdd.toDebugString().splitlines()) == 1


def test_a_shuffle_that_ran_before_the_cut_is_used_on(sc: Context, folder: Path) -> None:
    rdd = sc.range(30, numSlices=3).map(lambda x: (x % 3, x)).partitionBy(2)
    below = rdd.map(lambda pair: (pair[0], 1))
    counts = below.reduceByKey(add, 4)
    assert dict(counts.collect()) == {0: 10, 1: 10, 2: 10}
    rdd.checkpoint()
    assert rdd.count() == 30
    assert dict(counts.collect()) == {0: 10, 1: 10, 2: 10}
    assert dict(below.reduceByKey(add, 3).collect()) == {0: 10, 1: 10, 2: 10}


def test_a_failed_job_leaves_it_for_the_next(sc: Context, folder: Path) -> None:
    rdd = sc.range(4, numSlices=2).map(lambda x: 12 // (3 - x))
    rdd.checkpoint()
    with pytest.raises(JobFailed):
        rdd.collect()
    assert not rdd.isCheckpointed()
    assert list(folder.glob("*/*")) == []
    with pytest.raises(JobFailed, match="ZeroDivisionError"):
        rdd.take(1)  # which succeeds, but not all partitions can be saved
    assert not rdd.isCheckpointed()
    assert list(folder.glob("*/*")) == []


def test_what_is_missing_is_said(sc: Context, tmp_path: Path) -> None:
    sc._checkpoint_dir = None
    assert sc.getCheckpointDir() is None
    with pytest.raises(UsageError, match="setCheckpointDir"):
        sc.range(3).checkpoint()
    with pytest.raises(TypeError, match="dirName"):
        sc.setCheckpointDir(7)  # type: ignore[arg-type]
    sc.setCheckpointDir(f"file:{tmp_path}/new")
    rdd = sc.range(3)
    rdd.checkpoint()
    assert rdd.count() == 3
    assert str(rdd.getCheckpointFile()).startswith(f"file:{tmp_path}/new/")


def test_files_that_are_gone_or_damaged_are_named(sc: Context, folder: Path) -> None:
    rdd = sc.range(1000, numSlices=1)
    rdd.checkpoint()
    rdd.count()
    part = Path(str(rdd.getCheckpointFile()).removeprefix("file:")) / "part-00000"
    part.write_bytes(part.read_bytes()[:-8])
    with pytest.raises(JobFailed, match="part-00000 ends 8 bytes early"):
        rdd.count()
    part.unlink()
    with pytest.raises(JobFailed, match="part-00000"):
        rdd.count()


@pytest.mark.parametrize("first", ["nothing", "cache", "disk"])
def test_local_checkpoints(sc: Context, first: str) -> None:
    calls = sc.accumulator(0)

    def counted(x: int) -> tuple[int, int]:
        calls.add(1)
        return x % 3, x

    rdd = sc.range(30, numSlices=3).map(counted).reduceByKey(add, 2)
    if first != "nothing":
        rdd.persist(StorageLevel.DISK_ONLY if first == "disk" else StorageLevel.MEMORY_ONLY)
    rdd.localCheckpoint()
    assert rdd.isLocallyCheckpointed()
    assert not rdd.isCheckpointed()
    expected = sorted(rdd.collect())
    assert rdd.isCheckpointed()
    assert rdd.isLocallyCheckpointed()
    assert rdd.getCheckpointFile() is None
    assert rdd.toDebugString().startswith(b"(2) LocalCheckpoint")
    assert sorted(rdd.collect()) == expected
    assert rdd.mapValues(str).count() == 3
    assert calls.value == 30


def test_a_local_checkpoint_after_a_job_that_took_a_part(sc: Context) -> None:
    rdd = sc.range(30, numSlices=3).map(lambda x: x + 1)
    rdd.localCheckpoint()
    assert rdd.first() == 1
    assert rdd.isCheckpointed()
    assert rdd.sum() == 465


@pytest.mark.parametrize("then", ["nothing", "cache", "again"])
def test_a_local_checkpoint_that_is_taken_back_before_it_is_made_is_not_made(
    sc: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, then: str
) -> None:
    monkeypatch.chdir(tmp_path)
    rdd = sc.range(30, numSlices=3).map(lambda x: x + 1)
    rdd.localCheckpoint()
    rdd.unpersist()
    if then == "cache":
        rdd.cache()
    elif then == "again":
        rdd.localCheckpoint()
    assert rdd.sum() == 465
    assert rdd.isCheckpointed() == (then == "again")
    assert rdd.getCheckpointFile() is None
    assert rdd.is_cached == (then != "nothing")
    assert not list(tmp_path.iterdir()), "no other checkpoint takes its place"


def test_a_local_checkpoint_that_is_taken_back_while_it_is_made_is_not_made(
    sc: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    rdd = sc.range(30, numSlices=3).map(lambda x: x + 1)
    rdd.localCheckpoint()
    plain = sc._plain_job

    def then_take_back(*job: Any) -> list[Any]:
        values = plain(*job)
        rdd.unpersist(blocking=True)
        return values

    monkeypatch.setattr(sc, "_plain_job", then_take_back)
    assert rdd.first() == 1  # which leaves two partitions to be made
    assert not rdd.isCheckpointed()
    assert rdd.sum() == 465
    assert not rdd.isCheckpointed()


def test_a_local_checkpoint_that_is_lost_says_so(sc: Context) -> None:
    rdd = sc.range(30, numSlices=3).map(lambda x: x + 1)
    rdd.localCheckpoint()
    rdd.count()
    root = Path(str(sc.getConf().get("local.dir")))
    mark = rdd._node.cached
    assert mark is not None
    (part,) = root.glob(f"**/cache/cached-{mark.id}-1")
    data = bytearray(part.read_bytes())
    data[50] ^= 1
    part.write_bytes(data)
    with pytest.raises(JobFailed, match=r"partition 1 of the local checkpoint of map at .* is lost"):
        rdd.count()


def test_a_directory_that_cannot_be_made_is_told_at_once(sc: Context, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    before = sc.getCheckpointDir()
    with pytest.raises(PathUnreadable, match="file"):
        sc.setCheckpointDir(str(tmp_path / "file" / "below"))
    assert sc.getCheckpointDir() == before
    sc.setCheckpointDir((tmp_path / "new" / "deep").as_uri())
    assert (tmp_path / "new" / "deep").is_dir()


@pytest.mark.parametrize("content", [b"RD", b"hello", b"SEQ" + bytes(100)])
def test_what_is_no_pickle_file_is_named(sc: Context, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "other").write_bytes(content)
    with pytest.raises(JobFailed, match=r"other (is no file that saveAsPickleFile|ends .* bytes early)"):
        sc.pickleFile(str(tmp_path / "other")).collect()
