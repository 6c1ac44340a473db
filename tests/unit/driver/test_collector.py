"""Large results on their way from another host into a file of the driver's."""

from __future__ import annotations

import queue
from typing import TYPE_CHECKING, Any, BinaryIO

import pytest

from rddlite.base.ids import AttemptId, ExecutorId
from rddlite.base.metrics import TaskMetrics
from rddlite.base.outcome import StoredResult, Success
from rddlite.driver.collector import Collector, ResultFetched, ResultMissed

if TYPE_CHECKING:
    from pathlib import Path

PATIENCE = 30.0
EXECUTOR = ExecutorId("3")


class Shelf:
    """Blocks by address and name."""

    def __init__(self, **blocks: bytes) -> None:
        self.blocks = {name.replace("_", "-"): data for name, data in blocks.items()}
        self.is_closed = False

    def fetch(self, executor: ExecutorId, address: str, block: str, file: BinaryIO) -> None:
        assert (executor, address) == (EXECUTOR, "tcp://there")
        if block not in self.blocks:
            raise FileNotFoundError(f"no {block}")
        file.write(self.blocks[block])

    def close(self) -> None:
        self.is_closed = True


def success(size: int) -> Success:
    return Success(StoredResult("/there/result", size), TaskMetrics(seconds=2.0), b"counted")


@pytest.fixture
def posted() -> queue.SimpleQueue[Any]:
    return queue.SimpleQueue()


def test_a_result_comes_with_what_its_attempt_counted(tmp_path: Path, posted: queue.SimpleQueue[Any]) -> None:
    collector = Collector(str(tmp_path / "results"), lambda: Shelf(result_7=b"value"), posted.put)
    collector.collect(EXECUTOR, AttemptId(7), "tcp://there", success(5))
    fetched = posted.get(timeout=PATIENCE)
    collector.close()
    assert isinstance(fetched, ResultFetched)
    value = fetched.outcome.value
    assert isinstance(value, StoredResult)
    assert (tmp_path / "results" / "result-7").read_bytes() == b"value"
    assert value == StoredResult(str(tmp_path / "results" / "result-7"), 5)
    assert (fetched.outcome.metrics.seconds, fetched.outcome.accumulators) == (2.0, b"counted")


@pytest.mark.parametrize(("size", "why"), [(4, "5 bytes came, not 4"), (5, "no result-8")])
def test_what_cannot_be_had_is_told_and_leaves_nothing(
    tmp_path: Path, posted: queue.SimpleQueue[Any], size: int, why: str
) -> None:
    attempt = AttemptId(7 if size == 4 else 8)
    collector = Collector(str(tmp_path), lambda: Shelf(result_7=b"value"), posted.put)
    collector.collect(EXECUTOR, attempt, "tcp://there", success(size))
    missed = posted.get(timeout=PATIENCE)
    collector.close()
    assert isinstance(missed, ResultMissed)
    assert missed.attempt == attempt
    assert why in missed.why
    assert list(tmp_path.iterdir()) == []


def test_nobody_waits_for_the_results_of_an_executor_that_is_gone(
    tmp_path: Path, posted: queue.SimpleQueue[Any]
) -> None:
    collector = Collector(str(tmp_path), lambda: Shelf(result_9=b"value"), posted.put)
    gone = ExecutorId("1")
    collector.forget(gone)
    collector.collect(gone, AttemptId(8), "tcp://nowhere", success(5))  # fetching it would fail the test
    collector.collect(EXECUTOR, AttemptId(9), "tcp://there", success(5))
    assert posted.get(timeout=PATIENCE).attempt == 9
    collector.close()
    assert posted.empty()
