"""The driver with real processes: what is forgotten, what is stopped, what is refused."""

from __future__ import annotations

import gc
import glob
import os
import signal
import threading
import time
from collections.abc import Iterator
from operator import add
from pathlib import Path
from typing import Any

import pytest

from rddlite import Context
from rddlite.base.log import logger
from rddlite.errors import ContextStopped, JobFailed, ProviderError, ResultTooLarge
from rddlite.net.hub import Hub
from rddlite.net.messages import Message, RunTasks

pytestmark = pytest.mark.local


@pytest.fixture
def sc(tmp_path: Path) -> Iterator[Context]:
    with Context("local[2]", conf={"local.dir": str(tmp_path)}) as context:
        yield context


def files(tmp_path: Path, kind: str) -> list[str]:
    return glob.glob(f"{tmp_path}/rddlite-*/app-*/executor-*/{kind}/*")


def eventually(condition: Any) -> None:
    end = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


def test_shuffle_files_go_with_the_last_reference(sc: Context, tmp_path: Path) -> None:
    counts = sc.range(100, numSlices=3).map(lambda x: (x % 5, 1)).reduceByKey(add, 2)
    later = counts.mapValues(str)
    assert len(counts.collect()) == 5
    assert len(files(tmp_path, "shuffle")) == 6
    del counts
    gc.collect()
    assert len(later.collect()) == 5
    assert len(files(tmp_path, "shuffle")) == 6
    del later
    gc.collect()
    eventually(lambda: not files(tmp_path, "shuffle"))


def shuffle_files(tmp_path: Path) -> list[str]:
    """Of all kinds of masters."""
    return glob.glob(f"{tmp_path}/rddlite-*/**/shuffle/*", recursive=True)


def test_shuffle_files_go_with_the_last_reference_inline_too(tmp_path: Path) -> None:
    with Context("inline", conf={"local.dir": str(tmp_path)}) as sc:
        counts = sc.range(100, numSlices=3).map(lambda x: (x % 5, 1)).reduceByKey(add, 2)
        assert counts.count() == 5
        assert len(shuffle_files(tmp_path)) == 6
        del counts
        gc.collect()
        eventually(lambda: not shuffle_files(tmp_path))


def rounds_of(records: Any, n: int) -> Any:
    """Each round is made from the one before, which nobody can name afterwards."""
    for _ in range(n):
        records = records.map(lambda pair: (pair[0] + 1, pair[1])).partitionBy(2)
    return records


def test_map_outputs_go_when_all_that_was_made_from_them_is_there(sc: Context, tmp_path: Path) -> None:
    start = sc.range(100, numSlices=3).map(lambda x: (x, x))
    expected = sorted((x + 4, x) for x in range(100))
    rounds = rounds_of(start, 4)
    assert sorted(rounds.collect()) == expected
    eventually(lambda: len(files(tmp_path, "shuffle")) == 4)
    for path in files(tmp_path, "shuffle"):
        os.unlink(path)
    assert sorted(rounds.collect()) == expected
    eventually(lambda: len(files(tmp_path, "shuffle")) == 4)


def test_map_outputs_stay_where_the_program_can_name_what_reads_them(sc: Context, tmp_path: Path) -> None:
    first = rounds_of(sc.range(100, numSlices=3).map(lambda x: (x, x)), 1)
    last = rounds_of(first, 2)
    assert last.count() == 100
    eventually(lambda: len(files(tmp_path, "shuffle")) == 6 + 4)
    sc.range(1).count()
    assert len(files(tmp_path, "shuffle")) == 6 + 4
    del first
    gc.collect()
    assert last.count() == 100
    eventually(lambda: len(files(tmp_path, "shuffle")) == 4)


def test_map_outputs_stay_for_what_is_still_to_be_checkpointed(sc: Context, tmp_path: Path) -> None:
    sc.setCheckpointDir(str(tmp_path / "checkpoints"))
    marked = rounds_of(sc.range(100, numSlices=3).map(lambda x: (x, x)), 2)
    marked.checkpoint()
    last = rounds_of(marked, 2)
    del marked
    gc.collect()
    assert last.count() == 100
    written = sc.jobs()[-1]
    assert "checkpoint" in written.description
    assert {stage.state for stage in written.stages if stage.kind == "map"} == {"skipped"}
    assert sorted(last.collect()) == sorted((x + 4, x) for x in range(100))


def test_all_map_outputs_stay_where_that_is_set(tmp_path: Path) -> None:
    with Context("local[2]", conf={"local.dir": str(tmp_path), "shuffle.keepRead": True}) as sc:
        last = rounds_of(sc.range(100, numSlices=2).map(lambda x: (x, x)), 3)
        assert last.count() == 100
        assert len(files(tmp_path, "shuffle")) == 3 * 4


@pytest.mark.parametrize("master", ["local[2]", "local-cluster[2,1,512]", "inline"])
def test_map_outputs_that_are_cleaned_are_computed_again(master: str, tmp_path: Path) -> None:
    with Context(master, conf={"local.dir": str(tmp_path)}) as sc:
        first = rounds_of(sc.range(100, numSlices=3).map(lambda x: (x, x)), 1)
        second = rounds_of(first, 1)
        expected = sorted((x + 2, x) for x in range(100))
        for _ in range(2):
            assert sorted(second.collect()) == expected
            assert shuffle_files(tmp_path)
            second.cleanShuffleDependencies()
            eventually(lambda: not shuffle_files(tmp_path))
        kept = first.persist()
        assert kept.count() == 100
        assert sorted(second.collect()) == expected
        second.cleanShuffleDependencies()
        assert kept.count() == 100
        assert {stage.state for stage in sc.jobs()[-1].stages if stage.kind == "map"} == {"skipped"}
        kept.cleanShuffleDependencies()
        eventually(lambda: not shuffle_files(tmp_path))
        assert sorted(second.collect()) == expected


def test_large_results_come_by_file_and_leave_none(sc: Context, tmp_path: Path) -> None:
    blocks = sc.range(6, numSlices=6).map(lambda i: bytes([i]) * 1_000_000).collect()
    assert [len(block) for block in blocks] == [1_000_000] * 6
    assert [block[0] for block in blocks] == list(range(6))
    assert files(tmp_path, "results") == []
    assert claimed(tmp_path) == []


def claimed(tmp_path: Path) -> list[str]:
    return glob.glob(f"{tmp_path}/rddlite-*/app-*/result-*")


def test_large_results_outlive_the_executor_that_wrote_them(sc: Context, tmp_path: Path) -> None:
    old = sc.executors[0].pid
    is_over = tmp_path / "over"

    def block(i: int) -> bytes:
        while i and not is_over.exists():
            time.sleep(0.01)
        return bytes([i]) * 1_000_000

    def replace_executor() -> None:
        eventually(lambda: claimed(tmp_path))
        os.kill(old, signal.SIGTERM)
        eventually(lambda: not os.path.exists(f"/proc/{old}"))
        is_over.touch()

    thread = threading.Thread(target=replace_executor)
    thread.start()
    assert [block[0] for block in sc.range(2, numSlices=2).map(block).collect()] == [0, 1]
    thread.join()
    assert claimed(tmp_path) == []


def test_too_large_results_are_refused_with_size_and_advice(tmp_path: Path) -> None:
    conf = {"driver.maxResultSize": "2m", "local.dir": str(tmp_path)}
    with Context("local[2]", conf=conf) as sc:
        with pytest.raises(ResultTooLarge, match=r"of 2\.0 MiB allowed; .*toLocalIterator"):
            sc.range(6, numSlices=6).map(lambda i: bytes(1_000_000)).collect()
        with pytest.raises(ResultTooLarge, match=r"one task takes 2\.9 MiB, more than the 2\.0 MiB .*toLocalIterator"):
            sc.range(1, numSlices=1).map(lambda i: bytes(3_000_000)).collect()
        eventually(lambda: not files(tmp_path, "results"))
        assert sc.range(3).collect() == [0, 1, 2]


def test_a_failed_job_leaves_no_results(sc: Context, tmp_path: Path) -> None:
    def fail_late(i: int) -> bytes:
        if i == 5:
            time.sleep(0.3)
            raise ValueError(i)
        return bytes(1_000_000)

    with pytest.raises(JobFailed):
        sc.range(6, numSlices=6).map(fail_late).collect()
    eventually(lambda: not files(tmp_path, "results"))


def test_stop_ends_a_job_that_another_thread_waits_for() -> None:
    errors: list[BaseException] = []
    sc = Context("local[2]")

    def wait() -> None:
        try:
            sc.range(2, numSlices=2).foreach(lambda _: time.sleep(600))
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    eventually(lambda: sc.jobs() and sc.jobs()[-1].attempts)
    sc.stop()
    thread.join()
    assert [type(error) for error in errors] == [ContextStopped]


def test_an_executor_that_cannot_start_is_an_error_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/bin/false")
    with pytest.raises(ProviderError, match="exit code 1 before it was ready"):
        Context("local[2]")
    monkeypatch.setattr("sys.executable", "/nowhere/python")
    with pytest.raises(ProviderError, match="could not be started"):
        Context("local[2]")


def test_an_executor_of_another_version_is_refused_with_both_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    logger("driver").setLevel("CRITICAL")
    monkeypatch.setattr("rddlite.driver.versions.__version__", "0.0.7")
    try:
        with pytest.raises(ProviderError, match=r"the executor runs rddlite \S+, the driver rddlite 0\.0\.7"):
            Context("local[2]")
    finally:
        logger("driver").setLevel("NOTSET")


def test_a_failing_loop_fails_its_jobs_and_refuses_new_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    logger("driver").setLevel("CRITICAL")
    monkeypatch.setattr("rddlite.driver.stages.encode_tables", lambda tables: 1 / 0)
    try:
        with Context("local[2]") as sc:
            with pytest.raises(RuntimeError, match="the driver's loop failed: ZeroDivisionError"):
                sc.parallelize([(1, 2)], 2).reduceByKey(add).collect()
            with pytest.raises(ContextStopped):
                sc.range(3).collect()
    finally:
        logger("driver").setLevel("NOTSET")


def test_several_threads_share_the_workers(sc: Context) -> None:
    results: dict[int, int] = {}

    def job(i: int) -> None:
        results[i] = sc.range(1000, numSlices=7).map(lambda x: (x % 3, x * i)).reduceByKey(add, 2).values().sum()

    threads = [threading.Thread(target=job, args=(i,)) for i in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {i: 499_500 * i for i in range(12)}


def test_executors_tell_who_they_are(sc: Context) -> None:
    (executor,) = sc.executors
    assert (executor.slots, executor.state, len(executor.workers)) == (2, "alive", 2)
    pids = set(sc.range(20, numSlices=20).map(lambda _: os.getpid()).collect())
    assert pids <= set(executor.workers)
    eventually(lambda: sc.executors[0].memory > 10 << 20)


def test_an_interrupted_start_leaves_no_thread_and_no_process(tmp_path: Path) -> None:
    before = set(threading.enumerate())

    def interrupt() -> None:
        eventually(lambda: glob.glob(f"{tmp_path}/rddlite-*/app-*/executor-0"))
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        Context("local[2]", conf={"local.dir": str(tmp_path)})
    thread.join()
    assert set(threading.enumerate()) == before
    assert glob.glob(f"{tmp_path}/rddlite-*/*") == []


def test_a_launch_that_got_lost_is_reconciled_and_costs_no_executor(
    sc: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost: list[object] = []
    send = Hub.send

    def lose_one(hub: Hub, peer: str, message: Message) -> bool:
        if isinstance(message, RunTasks) and not lost:
            lost.append(message)
            return False
        return send(hub, peer, message)

    (before,) = sc.executors
    monkeypatch.setattr(Hub, "send", lose_one)
    assert sc.range(100, numSlices=10).map(lambda x: (x % 5, x)).reduceByKey(add, 2).values().sum() == 4950
    assert lost
    (after,) = sc.executors
    assert (after.id, after.pid, after.state) == (before.id, before.pid, "alive")
