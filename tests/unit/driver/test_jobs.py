"""The hand-over between the loop and the thread that waits."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from rddlite.base.ids import JobId
from rddlite.base.outcome import InlineResult, StoredResult
from rddlite.driver.jobs import JobHandle
from rddlite.errors import JobCancelled
from rddlite.lineage.consumers import Collect, Count
from rddlite.serde.records import encode_object, encode_records


def handle(n: int, consumer: object) -> JobHandle:
    return JobHandle(JobId(0), n, consumer, threading.Condition())  # type: ignore[arg-type]


def test_values_come_in_task_order_whatever_the_order_of_arrival() -> None:
    job = handle(3, Count())
    for index in (2, 0, 1):
        job.deliver(index, InlineResult(b"".join(encode_object(index * 10))))
    assert not job.is_done
    job.finish(None)
    assert job.wait(0)
    assert job.values() == [0, 10, 20]


def test_collected_frames_are_joined_and_stored_results_deleted(tmp_path: Path) -> None:
    path = tmp_path / "result-1"
    path.write_bytes(b"".join(encode_records([1, 2])) + b"".join(encode_records([3])))
    job = handle(2, Collect())
    job.deliver(0, StoredResult(str(path), path.stat().st_size))
    size = job.deliver(1, InlineResult(b""))
    assert size == path.stat().st_size
    job.finish(None)
    assert job.values() == [[1, 2, 3], []]
    assert not path.exists()


def test_a_failed_job_raises_and_leaves_no_files(tmp_path: Path) -> None:
    early, late = tmp_path / "early", tmp_path / "late"
    early.write_bytes(b"x")
    late.write_bytes(b"x")
    job = handle(2, Collect())
    job.deliver(0, StoredResult(str(early), 1))
    job.finish(JobCancelled("enough"))
    job.finish(None)
    job.deliver(1, StoredResult(str(late), 1))
    with pytest.raises(JobCancelled, match="enough"):
        job.values()
    assert not early.exists()
    assert not late.exists()


def test_a_value_that_comes_again_takes_the_place_of_the_first(tmp_path: Path) -> None:
    first = tmp_path / "first"
    first.write_bytes(b"x" * 100)
    again = b"".join(encode_records([7]))
    job = handle(1, Collect())
    assert job.deliver(0, StoredResult(str(first), 100)) == 100
    assert job.deliver(0, InlineResult(again)) == len(again)
    assert not first.exists()
    job.finish(None)
    assert job.values() == [[7]]
