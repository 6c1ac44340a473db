"""Whatever dies or fills up while tasks write to disk for lack of memory: answers stay exact, and nothing is left."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rddlite import Context
from rddlite.errors import DiskFull, JobCancelled, JobFailed
from rddlite.testing.faults import Faults
from tests.helpers.cluster import PATIENT, assert_accounted, wait_for_executors, wait_until

FORCED = {"memory.operators": "2k", "progress.show": "false"}
"""Hardly anything fits."""
N = 6000


def grouped(sc: Context) -> Any:
    pairs = sc.range(N, numSlices=6).map(lambda i: (i % 301, i))
    return sorted((key, sum(values)) for key, values in pairs.groupByKey(4).collect())


def combined(sc: Context) -> Any:
    return sorted(sc.range(N, numSlices=6).map(lambda i: (i % 301, i)).reduceByKey(lambda a, b: a + b, 4).collect())


def joined(sc: Context) -> Any:
    left = sc.range(N, numSlices=6).map(lambda i: (i % 301, i))
    right = sc.range(301, numSlices=2).map(lambda i: (i, 1))
    return sorted(left.join(right, 4).map(lambda p: (p[0], p[1][0])).reduceByKey(lambda a, b: a + b, 4).collect())


EXPECTED = [(key, sum(range(key, N, 301))) for key in range(301)]
ALL = [grouped, combined, joined]


@pytest.mark.parametrize("point", ["task.map", "map.write", "task.reduce", "spill.write", "spill.read"])
@pytest.mark.parametrize("compute", ALL)
def test_a_worker_is_killed(faults: Faults, compute: Any, point: str) -> None:
    faults.arm(point, "kill")
    with Context("local[2]", conf=FORCED) as sc:
        assert compute(sc) == EXPECTED
        assert faults.fired(point) == 1
        assert sc.jobs()[-1].spill_runs > 0
        assert_accounted(sc)


@pytest.mark.parametrize("point", ["map.commit", "spill.write", "spill.read"])
def test_an_executor_is_killed(faults: Faults, point: str) -> None:
    faults.arm(point, "kill-executor")
    with Context("local-cluster[3,1,256m]", conf={**PATIENT, **FORCED}) as sc:
        assert grouped(sc) == EXPECTED
        assert faults.fired(point) == 1
        wait_for_executors(sc, 3)
        assert combined(sc) == EXPECTED
        assert_accounted(sc)


def test_map_outputs_that_were_combined_in_several_tables_are_made_again(tmp_path: Path) -> None:
    """Which table a record was in depends on when memory was full: that is no reason to take anything back."""
    with Context("local[2]", conf={**FORCED, "local.dir": str(tmp_path)}) as sc:
        totals = sc.range(N, numSlices=6).map(lambda i: (i % 301, i)).reduceByKey(lambda a, b: a + b, 4)
        assert sorted(totals.collect()) == EXPECTED
        outputs = sorted(tmp_path.glob("rddlite-*/app-*/executor-0/shuffle/*.data"))
        for path in outputs[1:3]:
            path.unlink()
        assert sorted(totals.collect()) == EXPECTED
        (maps,) = [stage for stage in sc.jobs()[-1].stages if stage.kind == "map"]
        assert maps.attempts == 2


def test_a_job_is_cancelled_while_a_task_writes(faults: Faults) -> None:
    faults.arm("spill.read", "hold", times=4)
    with Context("local[2]", conf=FORCED) as sc:

        def cancel() -> None:
            faults.wait_fired("spill.read")
            sc.cancelAllJobs()

        canceller = threading.Thread(target=cancel)
        canceller.start()
        with pytest.raises(JobCancelled):
            grouped(sc)
        canceller.join()
        faults.release("spill.read")
        assert grouped(sc) == EXPECTED


def test_the_driver_is_stopped_while_views_are_in_use() -> None:
    """A group on disk goes with the task that reads it."""
    with Context("local[1]", conf=FORCED) as sc:
        hot = sc.range(N, numSlices=3).map(lambda i: (0, i)).groupByKey(1)
        assert hot.mapValues(lambda values: (len(values), sum(values), sum(values))).collect() == [
            (0, (N, sum(range(N)), sum(range(N))))
        ]
        (key, values), *_ = hot.collect()
        assert (key, list(values)) == (0, list(range(N)))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of three megabytes."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small file system")
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "none", str(tmp_path)], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.decode().strip()}")
    yield tmp_path
    subprocess.run(["umount", str(tmp_path)], check=True)


def free_bytes(path: Path) -> int:
    stat = os.statvfs(path)
    return stat.f_bavail * stat.f_frsize


def test_the_disk_is_full(small_disk: Path) -> None:
    """The map outputs, which are not divided, fit; what the reducer has to write does not."""
    with Context("local[1]", conf={**FORCED, "local.dir": str(small_disk)}) as sc:
        large = sc.range(1000, numSlices=2).map(lambda i: (i, bytes(2000))).partitionBy(1).groupByKey(1)
        with pytest.raises(JobFailed, match=r"no space left .* local\.dir") as caught:
            large.mapValues(len).collect()
        assert isinstance(caught.value.__cause__, DiskFull)
        assert caught.value.__cause__.errno == errno.ENOSPC
        outputs = sum(path.stat().st_size for path in small_disk.glob("rddlite-*/app-*/executor-0/shuffle/*"))
        wait_until(lambda: free_bytes(small_disk) > (3 << 20) - outputs - (100 << 10), "what was written is gone")
        assert combined(sc) == EXPECTED


def test_a_worker_dies_with_its_runs(tmp_path: Path, faults: Faults) -> None:
    """Runs have no names: what a killed worker has written needs nobody to remove it."""
    faults.arm("spill.read", "hold")
    with Context("local[1]", conf={**FORCED, "local.dir": str(tmp_path)}) as sc:

        def kill() -> None:
            faults.wait_fired("spill.read")
            assert list(tmp_path.glob("rddlite-*/app-*/executor-0/spill/*")) == []
            os.kill(sc.executors[0].workers[0], signal.SIGKILL)
            faults.release("spill.read")

        killer = threading.Thread(target=kill)
        killer.start()
        assert grouped(sc) == EXPECTED
        killer.join()
        assert list(tmp_path.glob("rddlite-*/app-*/executor-0/spill/*")) == []
