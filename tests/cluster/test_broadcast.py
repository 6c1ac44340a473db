"""Broadcasts to executors that cannot read the driver's files, nor each other's: pieces, peers, and their loss."""

from __future__ import annotations

import gc
import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rddlite import Context
from rddlite.driver.broadcasts import Broadcasts
from rddlite.errors import BroadcastDestroyed, BroadcastUnavailable, JobFailed
from rddlite.net.transfer import ByteRange
from rddlite.shared.pieces import PIECE_BYTES
from rddlite.testing.faults import Faults
from tests.cluster.joiners import Joiners
from tests.helpers.cluster import PATIENT, kill, wait_for_executors, wait_until

PIECES = 6
VALUE = np.random.default_rng(1).integers(0, 1 << 30, PIECES * PIECE_BYTES // 8 - 2000)
TOTAL = int(VALUE.sum())
N = 3
MASTER = f"local-cluster[{N},1,512m]"
PAIRS = f"local-cluster[{N},2,512m]"
"""Two workers of each executor may want it at the same time."""


def files(local_dir: Path, executor: str = "*") -> list[Path]:
    """Complete files of broadcasts that executors hold."""
    found = local_dir.glob(f"rddlite-*/app-*/executor-{executor}/broadcast/broadcast-*")
    return sorted(path for path in found if not path.suffix)


def all_files(local_dir: Path) -> list[Path]:
    return sorted(local_dir.glob("rddlite-*/app-*/**/broadcast/*"))


def conf(local_dir: Path) -> dict[str, Any]:
    return {**PATIENT, "local.dir": str(local_dir)}


def read_everywhere(sc: Context, value: Callable[[], Any], n_tasks: int = 4 * N) -> None:
    """Every executor has tasks that read it, and find it whole."""
    assert totals_everywhere(sc, value, n_tasks) == {TOTAL}


def totals_everywhere(sc: Context, value: Callable[[], Any], n_tasks: int = 4 * N) -> set[int]:
    """What tasks find of which every executor has some."""
    n_executors = len(sc.executors)

    def read(seen: Path) -> int:
        total = int(value().sum())
        (seen / str(os.getppid())).touch()
        until = time.monotonic() + 120  # no executor takes the tasks of one that has had none yet
        while sum(Path("/proc", each.name).exists() for each in seen.iterdir()) < n_executors:
            assert time.monotonic() < until, "not all executors take part"
            time.sleep(0.02)
        return total

    with tempfile.TemporaryDirectory() as seen:
        return set(sc.parallelize([Path(seen)] * n_tasks, n_tasks).map(read).collect())


def test_each_executor_gets_it_once(tmp_path: Path) -> None:
    with Context(PAIRS, conf=conf(tmp_path)) as sc:
        made = sc.broadcast(VALUE)
        for _ in range(2):
            read_everywhere(sc, lambda: made.value)
        assert len(files(tmp_path)) == N
        assert len({path.stat().st_ino for path in files(tmp_path)}) == N, "each is a host of its own"


def test_the_driver_hands_out_about_one_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    find = Broadcasts.find

    def find_and_count(self: Broadcasts, block: str, piece: int) -> ByteRange:
        asked.append(piece)
        return find(self, block, piece)

    monkeypatch.setattr(Broadcasts, "find", find_and_count)
    monkeypatch.setattr("rddlite.shared.swarm._LEASE", 600.0)  # however slow this machine is
    with Context(MASTER, conf=conf(tmp_path)) as sc:
        made = sc.broadcast(VALUE)
        read_everywhere(sc, lambda: made.value)
        assert len(files(tmp_path)) == N
    assert set(asked) == set(range(PIECES))
    assert len(asked) < 2 * PIECES, "the other copies came from other executors"


def test_executors_on_the_drivers_host_read_its_file(joiners: Joiners, temporary: Path, tmp_path: Path) -> None:
    with Context("rdd://127.0.0.1:0", conf=conf(tmp_path)) as sc:
        joiners.join(sc)
        joiners.join(sc)
        made = sc.broadcast(VALUE)
        read_everywhere(sc, lambda: made.value)
        assert len(all_files(tmp_path)) == 1
        assert pieces_of_joiners(temporary) == []


def test_executors_on_one_host_that_is_not_the_drivers_link_one_file(
    joiners: Joiners, temporary: Path, tmp_path: Path
) -> None:
    with Context("rdd://127.0.0.1:0", conf=conf(tmp_path)) as sc:
        (token,) = tmp_path.glob("rddlite-*/app-*/token")
        token.unlink()
        for _ in range(2):
            joiners.join(sc)
        made = sc.broadcast(VALUE)
        assert sc.range(1, numSlices=1).map(lambda x: int(made.value.sum())).collect() == [TOTAL]
        read_everywhere(sc, lambda: made.value)
        found = [path for path in pieces_of_joiners(temporary) if not path.suffix]
        assert len(found) == 2
        assert len({path.stat().st_ino for path in found}) == 1


def pieces_of_joiners(root: Path) -> list[Path]:
    return sorted(root.glob("**/broadcast/broadcast-*"))


def test_writing_to_it_stays_in_the_worker(tmp_path: Path) -> None:
    with Context("local-cluster[1,1,512m]", conf=conf(tmp_path)) as sc:
        made = sc.broadcast(np.zeros(100_000))

        def change(x: int) -> float:
            made.value[:] += 1
            return float(made.value[0])

        assert sorted(sc.range(3, numSlices=3).map(change).collect()) == [1.0, 2.0, 3.0]
        assert made.value[0] == 0


def test_unpersist_and_destroy_reach_every_executor(tmp_path: Path) -> None:
    with Context(MASTER, conf=conf(tmp_path)) as sc:
        made = sc.broadcast(VALUE)
        read_everywhere(sc, lambda: made.value)
        made.unpersist(blocking=True)
        wait_until(lambda: not files(tmp_path), "executors delete it")
        read_everywhere(sc, lambda: made.value)
        used = sc.range(6, numSlices=6).map(lambda x: int(made.value[0]))
        assert len(set(used.collect())) == 1
        made.destroy(blocking=True)
        wait_until(lambda: not all_files(tmp_path), "nobody has it any more")

        def is_refused() -> bool:
            try:
                used.collect()
            except JobFailed as error:
                return isinstance(error.__cause__, BroadcastDestroyed)
            return False

        wait_until(is_refused, "functions pickled before are refused")


def test_dropping_it_reaches_every_executor(tmp_path: Path) -> None:
    with Context(MASTER, conf=conf(tmp_path)) as sc:

        def use() -> None:
            made = sc.broadcast(VALUE)
            read_everywhere(sc, lambda: made.value)
            assert files(tmp_path)

        use()
        gc.collect()
        wait_until(lambda: not all_files(tmp_path), "nobody has it any more")


@pytest.mark.parametrize("action", ["kill", "kill-executor"])
def test_who_downloads_is_killed(faults: Faults, tmp_path: Path, action: str) -> None:
    faults.arm("broadcast.fetch", action)
    with Context(MASTER, conf=conf(tmp_path)) as sc:
        made = sc.broadcast(VALUE)
        found = sc.range(12, numSlices=12).map(lambda x: int(made.value.sum())).collect()
        assert set(found) == {TOTAL}
        assert faults.fired("broadcast.fetch") == 1


@pytest.mark.parametrize("action", ["kill-executor", "raise"])
def test_who_serves_is_killed_or_fails(faults: Faults, tmp_path: Path, action: str) -> None:
    """One who has it whole is asked first; what it cannot give comes from elsewhere."""
    with Context(MASTER, conf=conf(tmp_path)) as sc:
        made = sc.broadcast(VALUE)
        assert sc.range(1, numSlices=1).map(lambda x: int(made.value.sum())).collect() == [TOTAL]
        (path,) = files(tmp_path)
        holder = path.parent.parent.name.removeprefix("executor-")
        faults.arm("serve.block", action, executor=holder)
        read_everywhere(sc, lambda: made.value)
        assert faults.fired("serve.block", executor=holder) == 1


def test_holders_die_one_after_another(tmp_path: Path) -> None:
    with Context(MASTER, conf=conf(tmp_path)) as sc:
        made = sc.broadcast(VALUE)
        for _ in range(N):
            read_everywhere(sc, lambda: made.value)
            first = wait_for_executors(sc, N)[0]
            kill(sc, first)
            wait_until(lambda first=first: first not in [each.id for each in sc.executors], "the loss is noticed")
            wait_for_executors(sc, N)
        read_everywhere(sc, lambda: made.value)


def test_a_damaged_copy_is_not_passed_on(tmp_path: Path) -> None:
    """What the one executor that has it whole holds was changed on its disk: others get it from the driver."""
    with Context("local-cluster[1,1,512m]", conf=conf(tmp_path)) as sc:
        made = sc.broadcast(VALUE)
        read_everywhere(sc, lambda: made.value)
    with Context(MASTER, conf=conf(tmp_path)) as sc:
        made = sc.broadcast(VALUE)
        only = sc.range(1, numSlices=1).map(lambda x: int(made.value.sum())).collect()
        assert only == [TOTAL]
        (path,) = files(tmp_path)
        with open(path, "r+b") as file:
            for piece in range(PIECES):
                file.seek(piece * PIECE_BYTES + PIECE_BYTES // 2)
                file.write(b"damaged!")
        holder = path.parent.parent.name.removeprefix("executor-")
        assert TOTAL in totals_everywhere(sc, lambda: made.value)
        assert len(files(tmp_path)) == N
        good = [each for each in files(tmp_path) if each != path]
        assert len({each.read_bytes() for each in good}) == 1
        assert all(each.read_bytes() != path.read_bytes() for each in good), f"executor {holder} passed it on"


def test_it_is_cancelled_while_it_comes(faults: Faults, tmp_path: Path) -> None:
    """A worker that waits for another one's download can be interrupted, and so can the one that downloads."""
    faults.arm("broadcast.fetch", "hold", times=N)
    with Context(PAIRS, conf=conf(tmp_path)) as sc:
        made = sc.broadcast(VALUE)
        used = sc.range(2 * N, numSlices=2 * N).map(lambda x: int(made.value.sum()))
        failures: list[Exception] = []

        def run() -> None:
            try:
                used.collect()
            except Exception as error:
                failures.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        faults.wait_fired("broadcast.fetch", N)
        sc.cancelAllJobs()
        thread.join()
        assert [type(error).__name__ for error in failures] == ["JobCancelled"]
        faults.release("broadcast.fetch")
        assert set(used.collect()) == {TOTAL}


def test_nobody_can_be_reached(faults: Faults, tmp_path: Path) -> None:
    """The file of the driver is gone, for a reason that nobody knows of: every attempt says so."""
    with Context("local-cluster[2,1,512m]", conf=conf(tmp_path)) as sc:
        made = sc.broadcast(VALUE)
        for path in all_files(tmp_path):
            os.unlink(path)
        with pytest.raises(JobFailed, match="could not be fetched") as caught:
            sc.range(1).map(lambda x: made.value.sum()).collect()
        assert isinstance(caught.value.__cause__, BroadcastUnavailable)
        assert caught.value.attempt == 3, "another attempt might have done better"


def test_accumulators_on_a_cluster(faults: Faults) -> None:
    faults.arm("task.reduce", "kill-executor")
    with Context(MASTER, conf=PATIENT) as sc:
        mapped, reduced = sc.accumulator(0), sc.accumulator(0)
        pairs = sc.range(600, numSlices=6).map(lambda x: (mapped.add(1), (x % 7, x))[1])
        found = pairs.reduceByKey(lambda a, b: a + b, 4).map(lambda pair: (reduced.add(pair[1]), pair)[1])
        assert dict(found.collect()) == {k: sum(range(k, 600, 7)) for k in range(7)}
        assert faults.fired("task.reduce") == 1
        assert (mapped.value, reduced.value) == (600, sum(range(600)))
        for executor in sc.executors[:2]:
            os.kill(executor.pid, signal.SIGKILL)
        assert dict(found.collect()) == {k: sum(range(k, 600, 7)) for k in range(7)}
        assert (mapped.value, reduced.value) == (600, 2 * sum(range(600)))
