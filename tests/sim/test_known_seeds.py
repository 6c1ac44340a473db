"""Seeds that failed once, with what they found.

A change of the simulator gives a seed another story; what each found is therefore also a unit test of its own.
"""

from __future__ import annotations

import pytest

from rddlite.testing.simulation import FakeCluster

KNOWN = {
    112: "an executor whose loss was told before its registration was counted on",
    238: "an executor that was told to end was counted on when its registration came late",
    4253: "jobs failed for lack of executors in the very batch in which one registered",
    7812: "a provider gave up in the batch in which an executor registered",
    8587: "an executor that must run one attempt alone turned out to have another one astray",
}


@pytest.mark.parametrize("seed", KNOWN, ids=lambda seed: f"seed-{seed}")
def test_a_seed_that_failed_once(seed: int) -> None:
    FakeCluster(seed).run()
