"""How many cores this process may use: CPU affinity and cgroup quota, not what the machine has."""

from __future__ import annotations

import os


def usable_cores() -> int:
    """At least 1."""
    cores = len(os.sched_getaffinity(0))
    quota = _quota_v2() or _quota_v1()
    return max(1, min(cores, quota) if quota else cores)


def _quota_v2() -> int | None:
    try:
        with open("/sys/fs/cgroup/cpu.max") as file:
            quota, period = file.read().split()
    except (OSError, ValueError):
        return None
    return None if quota == "max" else max(1, int(quota) // int(period))


def _quota_v1() -> int | None:
    values = []
    for name in ("cpu.cfs_quota_us", "cpu.cfs_period_us"):
        try:
            with open(f"/sys/fs/cgroup/cpu/{name}") as file:
                values.append(int(file.read()))
        except (OSError, ValueError):
            return None
    return None if values[0] <= 0 else max(1, values[0] // values[1])
