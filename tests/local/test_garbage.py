"""Cycles that tasks leave behind are not kept, although workers look for them rarely."""

from __future__ import annotations

import os

import pytest

from rddlite import Context

pytestmark = pytest.mark.local

MB = 1 << 20


def _leave_a_cycle(_):
    """One that holds much memory, in few objects; and what the process has now."""
    cycle = [bytearray(os.urandom(1) * (8 * MB))]
    cycle.append(cycle)
    with open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_memory_does_not_grow_with_the_cycles_that_tasks_left():
    with Context("local[1]") as sc:
        resident = sc.parallelize(range(80), 80).map(_leave_a_cycle).collect()
    assert max(resident) - min(resident) < 250 * MB
    assert min(resident) < 200 * MB
