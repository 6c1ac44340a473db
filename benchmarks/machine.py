"""The machine and its Python in one line: a number without them says nothing."""

from __future__ import annotations

import os
import platform
from pathlib import Path


def describe() -> str:
    """CPU model, usable cores, memory, kernel, Python, load."""
    cores = len(os.sched_getaffinity(0))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    python = f"{platform.python_implementation()} {platform.python_version()}"
    load = os.getloadavg()[0]
    kernel = platform.release().split("-")[0]
    return f"{_cpu()}, {cores} cores, {memory:.0f} GiB; Linux {kernel}; {python}; load before the run {load:.1f}"


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
