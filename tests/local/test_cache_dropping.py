"""Cached partitions that are dropped while jobs compute and read them."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from pathlib import Path

from rddlite import Context

_PATIENCE = 60.0


def _wait_for(path: Path) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(0.01)


def test_dropping_ends_though_a_job_fills_the_cache_again(tmp_path: Path) -> None:
    """One worker keeps something and is busy for long, so that it drops that late; the other one keeps more until then:
    there is always something that is kept, until the job is done.
    """
    busy, gate, dropped, many = (tmp_path / name for name in ("busy", "gate", "dropped", "many"))

    def slow(x: int) -> tuple[int, str]:
        own = tmp_path / f"worker-{os.getpid()}"
        if own.exists() and not busy.exists():
            with contextlib.suppress(FileExistsError):
                busy.touch(exist_ok=False)
                _wait_for(gate)
                return x, str(x)
        own.touch()
        if busy.exists():
            _wait_for(dropped)
        if x == 60:
            many.touch()
        return x, str(x)

    with Context("local[2]", conf={"progress.show": "false"}) as sc:
        kept = sc.range(100, numSlices=100).map(slow).persist()
        counts: list[int] = []
        job = threading.Thread(target=lambda: counts.append(kept.count()))
        job.start()
        _wait_for(busy)
        deadline = time.monotonic() + _PATIENCE
        while not sc.getRDDStorageInfo() and time.monotonic() < deadline:
            time.sleep(0.01)
        dropping = threading.Thread(target=lambda: kept.unpersist(blocking=True))
        dropping.start()
        while kept.is_cached and time.monotonic() < deadline:
            time.sleep(0.01)
        dropped.touch()
        _wait_for(many)
        gate.touch()
        job.join(_PATIENCE)
        dropping.join(_PATIENCE)
        assert counts == [100]
        assert not dropping.is_alive()
        assert sc.getRDDStorageInfo() == []
        assert kept.count() == 100
