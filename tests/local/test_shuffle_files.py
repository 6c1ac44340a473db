"""Map outputs on a real file system: full disks, concurrent attempts, a writer that is killed, a second reader."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import pytest

from rddlite.base.metrics import TaskMetrics
from rddlite.errors import DiskFull
from rddlite.shuffle.format import remove_attempt
from rddlite.shuffle.reader import IndexCache, read_blocks
from tests.unit.shuffle.outputs import SHUFFLE, buckets, keyed, names, table_of, target, write, write_table

pytestmark = pytest.mark.local

RECORDS = [(i, f"value {i}" * 10) for i in range(20_000)]


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 256 KiB."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small file system")
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "none", str(tmp_path)], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.decode().strip()}")
    yield tmp_path
    subprocess.run(["umount", str(tmp_path)], check=True)


def free_bytes(path):
    stat = os.statvfs(path)
    return stat.f_bavail * stat.f_frsize


@pytest.mark.parametrize("buffer_bytes", [32 << 20, 100_000])
def test_a_full_disk_is_named_and_left_as_it_was(small_disk, buffer_bytes):
    where = target(small_disk, buffer_bytes=buffer_bytes)
    before = free_bytes(small_disk)
    with pytest.raises(DiskFull, match=r"local\.dir") as caught:
        write(keyed(4), where, [RECORDS])
    assert str(small_disk) in str(caught.value)
    assert names(small_disk) == []
    assert free_bytes(small_disk) == before


def test_a_disk_that_fills_up_while_buckets_are_put_together(small_disk):
    where = target(small_disk, buffer_bytes=20_000)
    few = [(i, f"{i:0100}") for i in range(1500)]
    before = free_bytes(small_disk)
    with pytest.raises(DiskFull):
        write(keyed(4), where, [few[start : start + 100] for start in range(0, 1500, 100)])
    assert names(small_disk) == []
    assert free_bytes(small_disk) == before


def test_a_combined_table_that_does_not_fit(small_disk):
    with pytest.raises(DiskFull):
        write_table(dict(RECORDS), keyed(4), target(small_disk))
    assert names(small_disk) == []


def test_after_room_was_made_the_next_attempt_succeeds(small_disk):
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * 200_000)
    few = [(i, f"{i:0100}") for i in range(1500)]
    with pytest.raises(DiskFull):
        write(keyed(2), target(small_disk, attempt=1), [few])
    ballast.unlink()
    write(keyed(2), target(small_disk, attempt=2), [few])
    assert sorted(record for bucket in buckets(small_disk, 2, [2]) for record in bucket) == few


def test_two_attempts_of_a_task_at_once_do_not_meet(tmp_path):
    target(tmp_path)
    threads = [
        threading.Thread(
            target=write, args=(keyed(3), target(tmp_path, attempt=attempt, buffer_bytes=50_000), [RECORDS] * 3)
        )
        for attempt in (1, 2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert buckets(tmp_path, 3, [1]) == buckets(tmp_path, 3, [2])


_KILLED_WRITER = """
import pathlib, sys, time
from tests.unit.shuffle.outputs import keyed, target
from rddlite.shuffle.writer import BucketWriter
writer = BucketWriter(keyed(2), target(pathlib.Path(sys.argv[1]), buffer_bytes=1000), 0)
for i in range(100):
    writer.add([(j, j) for j in range(100)])
print(writer.spilled_bytes, flush=True)
time.sleep(600)
"""


def test_a_killed_writer_leaves_nothing(tmp_path):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    child = subprocess.Popen(
        [sys.executable, "-c", _KILLED_WRITER, str(tmp_path)], stdout=subprocess.PIPE, env=environment
    )
    assert child.stdout is not None
    with child.stdout:
        assert int(child.stdout.readline()) > 0
        child.send_signal(signal.SIGKILL)
        child.wait()
    assert names(tmp_path) == []


def test_an_unfinished_data_file_is_removed_with_its_attempt(tmp_path):
    where = target(tmp_path)
    (tmp_path / "shuffle" / f"{where.block}.data.tmp").write_bytes(b"half")
    remove_attempt(str(tmp_path), where.block)
    assert names(tmp_path) == []


def test_a_reader_goes_on_with_the_window_it_has_when_files_go(tmp_path):
    """Files are removed only when nobody needs them; what was read already stays valid all the same."""
    write(keyed(1), target(tmp_path), [RECORDS])
    blocks = read_blocks(table_of(tmp_path, [1]), SHUFFLE, 0, TaskMetrics(), indexes=IndexCache())
    first = next(blocks)
    remove_attempt(str(tmp_path), target(tmp_path).block)
    assert first.records()[0] == RECORDS[0]


def test_many_threads_share_a_cache_of_indexes(tmp_path):
    for attempt in range(1, 21):
        write(keyed(5), target(tmp_path, map_index=attempt - 1, attempt=attempt), [RECORDS[:200]])
    indexes, failures = IndexCache(limit=12), []

    def read_often():
        try:
            for i in range(50):
                metrics = TaskMetrics()
                table = table_of(tmp_path, list(range(1, 21)))
                for frame in read_blocks(table, SHUFFLE, i % 5, metrics, indexes=indexes):
                    frame.records()
                assert metrics.shuffle_records_read == 20 * 40
        except BaseException as error:  # handed to the test's own thread
            failures.append(error)

    threads = [threading.Thread(target=read_often) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
