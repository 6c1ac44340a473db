"""The same events at the same times give the same commands: in the same process, and in any other."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from rddlite.schedule.core import Scheduler
from rddlite.testing.simulation import FakeCluster

SEEDS = range(300, 340)
ROOT = Path(__file__).resolve().parents[2]


def digest() -> str:
    """Of everything that the scheduler commanded in some runs."""
    found = hashlib.sha256()
    for seed in SEEDS:
        found.update(repr(FakeCluster(seed).run().answers).encode())
    return found.hexdigest()


@pytest.mark.parametrize("seed", SEEDS)
def test_a_log_replays_to_the_same_commands(seed: int) -> None:
    cluster = FakeCluster(seed).run()
    again = Scheduler(cluster.options)
    answers = [again.handle_all(events, now) for events, now in cluster.log]
    assert answers == cluster.answers
    assert again.next_deadline() == cluster.scheduler.next_deadline()


def test_the_same_seed_gives_the_same_run() -> None:
    first, second = FakeCluster(SEEDS[0]).run(), FakeCluster(SEEDS[0]).run()
    assert first.log == second.log
    assert first.answers == second.answers


def test_commands_do_not_depend_on_the_hash_seed() -> None:
    program = "from tests.sim.test_replay import digest; print(digest())"
    path = os.pathsep.join((str(ROOT / "src"), str(ROOT)))
    found = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": path},
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        ).stdout
        for hash_seed in ("1", "2")
    }
    assert found == {f"{digest()}\n"}
