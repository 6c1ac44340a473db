"""Map outputs that vanish, rot, do not fit, or come out otherwise the second time: answers stay those of one run."""

from __future__ import annotations

import logging
import os
import random
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rddlite import RDD, Context
from rddlite.errors import DiskFull, JobFailed
from rddlite.testing.faults import Faults
from tests.helpers.background import in_the_background
from tests.helpers.cluster import (
    EXPECTED,
    MAPS,
    NO_COPIES,
    PATIENT,
    REDUCES,
    assert_accounted,
    counts,
    kill,
    outputs_of,
    wait_for_executors,
    wait_until,
)
from tests.helpers.joined import join, joined_cluster, where_to_join


def delete(path: Path) -> None:
    path.unlink()


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def flip_one_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("kind", ["data", "index"])
@pytest.mark.parametrize("damage", [delete, truncate, flip_one_bit], ids=lambda f: f.__name__)
def test_damaged_map_outputs(tmp_path: Path, damage: Callable[[Path], None], kind: str) -> None:
    with Context("local-cluster[2,1,256m]", conf={**PATIENT, "local.dir": str(tmp_path)}) as sc:
        summed = counts(sc)
        assert dict(summed.collect()) == EXPECTED
        held = {executor: outputs_of(tmp_path, executor) for executor in wait_for_executors(sc, 2)}
        assert sum(map(len, held.values())) == MAPS
        damaged = [path for paths in held.values() for path in paths[:1]]
        for path in damaged:
            damage(path.with_suffix(f".{kind}"))
        again = summed.map(lambda count: count)
        assert dict(again.collect()) == EXPECTED
        (maps,) = [stage for stage in sc.jobs()[-1].stages if stage.kind == "map"]
        assert maps.attempts <= len(damaged) + maps.copied, "only what was lost is computed again"
        assert_accounted(sc)
        assert dict(again.collect()) == EXPECTED
        job = sc.jobs()[-1]
        assert job.attempts == REDUCES + job.copied


def test_blocks_rot_while_a_job_runs(faults: Faults, tmp_path: Path) -> None:
    faults.arm("task.reduce", "hold", times=REDUCES)
    with Context("local-cluster[2,1,256m]", conf={**PATIENT, **NO_COPIES, "local.dir": str(tmp_path)}) as sc:
        first = wait_for_executors(sc, 2)[0]
        damaged: list[Path] = []

        def harm() -> None:
            faults.wait_fired("task.reduce")
            for path in outputs_of(tmp_path, first):
                flip_one_bit(path)
                damaged.append(path)
            faults.release("task.reduce")

        with in_the_background(harm):
            assert dict(counts(sc).collect()) == EXPECTED
        maps, _ = sc.jobs()[-1].stages
        assert maps.attempts == MAPS + len(damaged)
        assert_accounted(sc)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of four megabytes."""
    if os.getuid() != 0:
        pytest.skip("mounting a small disk needs root")
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "small", str(place)], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"cannot mount a small disk: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_the_scratch_directories_are_full(small_disk: Path) -> None:
    with Context("local-cluster[2,1,256m]", conf={**PATIENT, "local.dir": str(small_disk)}) as sc:
        with pytest.raises(JobFailed, match=r"no space left.*local\.dir") as caught:
            sc.range(8, numSlices=4).map(lambda x: (x, os.urandom(4 << 20))).partitionBy(2).count()
        assert isinstance(caught.value.__cause__, DiskFull)
        assert dict(counts(sc).collect()) == EXPECTED, "what fits still runs"
    assert [path for path in small_disk.rglob("*") if path.is_file() and not path.name.startswith(".")] == []


def test_one_executor_has_no_room_left(small_disk: Path) -> None:
    """Each executor gets tasks at once. Those of the small disk run again where there is room."""
    with joined_cluster(PATIENT) as cluster:
        sc = cluster.sc
        with join(sc, *where_to_join(sc), "--scratch-dir", str(small_disk)) as small:
            large = sc.range(9, numSlices=9).map(lambda x: (x, os.urandom(5 << 20))).partitionBy(2)
            assert large.mapValues(len).values().sum() == 9 * 5 << 20
            assert sc.jobs()[-1].failed > 0
            assert small.id in [each.id for each in sc.executors]
            sc.stop()


N = 12_000


def by_random_keys(sc: Context) -> RDD[int]:
    return sc.range(N, numSlices=MAPS).map(lambda x: (random.randrange(1 << 30), x)).partitionBy(6).values()


class Thing:
    """Hashed by its address."""

    def __init__(self, x: int) -> None:
        self.x = x


def in_the_order_of_a_set(sc: Context) -> RDD[int]:
    def shuffled(part: Iterator[int]) -> Iterator[int]:
        return (thing.x for thing in {Thing(x) for x in part})

    return sc.range(N, numSlices=MAPS).mapPartitions(shuffled).repartition(6)


@pytest.mark.parametrize("numbers", [by_random_keys, in_the_order_of_a_set], ids=lambda f: f.__name__)
@pytest.mark.parametrize("has_middle", [False, True], ids=["result", "another shuffle"])
def test_a_rerun_gives_other_records(
    faults: Faults,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
    numbers: Callable[[Context], RDD[int]],
    has_middle: bool,
) -> None:
    """Some reducers have read the outputs that are lost then. Mixed with those of the rerun, numbers would be missing
    and others there twice.
    """
    point = "map.commit" if has_middle else "task.reduce"
    faults.arm(point, "hold", times=100, after=MAPS + 2 if has_middle else 2)
    conf = {**PATIENT, **NO_COPIES, "local.dir": str(tmp_path / "scratch")}
    (tmp_path / "scratch").mkdir()
    with Context("local-cluster[2,1,256m]", conf=conf) as sc, caplog.at_level(logging.WARNING):
        both = wait_for_executors(sc, 2)

        def shuffles_at(executor: str) -> set[int]:
            return {int(path.name.split("-")[1]) for path in outputs_of(tmp_path / "scratch", executor)}

        def is_missed(executor: str) -> bool:
            """Whether it holds what was read for something that is not lost with it."""
            (other,) = set(both) - {executor}
            first = min(shuffles_at(executor) | shuffles_at(other))
            return first in shuffles_at(executor) and (not has_middle or bool(shuffles_at(other) - {first}))

        def are_two_done() -> bool:
            return any(stage.state == "running" and stage.done >= 2 for stage in sc.jobs()[-1].stages)

        def kill_one() -> None:
            # Two partitions are done, and their reducers saw all map outputs. One of these executors goes now.
            faults.wait_fired(point)
            wait_until(are_two_done, "the driver has heard of two that are done")
            victim = wait_until(lambda: next(filter(is_missed, both), None), "one holds what is of use to the other")
            kill(sc, victim)
            wait_until(lambda: victim not in [each.id for each in sc.executors], "the loss is noticed")
            faults.release(point)

        with in_the_background(kill_one):
            shuffled = numbers(sc)
            if has_middle:
                shuffled = shuffled.map(lambda x: (x, x)).partitionBy(3).values()
            assert sorted(shuffled.collect()) == list(range(N))
    assert "gave other records" in caplog.text
    operation = "map" if numbers is by_random_keys else "mapPartitions"
    assert f"{operation} at test_cluster_blocks.py" in caplog.text, "the operation is named"


def test_a_rerun_that_gives_the_same_records_is_taken_as_it_is(
    faults: Faults, caplog: pytest.LogCaptureFixture
) -> None:
    """The order of records may differ; nothing that was done already is done again."""
    faults.arm("task.reduce", "hold", times=100, after=2)
    with Context("local-cluster[2,1,256m]", conf=PATIENT) as sc, caplog.at_level(logging.WARNING):
        first, second = wait_for_executors(sc, 2)

        def kill_one() -> None:
            faults.wait_fired("task.reduce", 2)
            kill(sc, second)
            wait_until(lambda: second not in [each.id for each in sc.executors], "the loss is noticed")
            faults.release("task.reduce")

        with in_the_background(kill_one):
            pairs = sc.range(1200, numSlices=MAPS).map(lambda x: (x % 50, x)).partitionBy(6)
            assert sorted(pairs.values().collect()) == list(range(1200))
        assert_accounted(sc)
        assert first in wait_for_executors(sc, 2)
    assert "other records" not in caplog.text
