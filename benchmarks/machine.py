"""The machine, the versions and the day in one line: a number without them says nothing."""

from __future__ import annotations

import datetime
import os
import platform
from pathlib import Path
from typing import TYPE_CHECKING

from rddlite.version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping


def describe() -> str:
    """CPU model, usable cores, memory, kernel, Python, load."""
    cores = len(os.sched_getaffinity(0))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    python = f"{platform.python_implementation()} {platform.python_version()}"
    load = os.getloadavg()[0]
    kernel = platform.release().split("-")[0]
    return f"{_cpu()}, {cores} cores, {memory:.0f} GiB; Linux {kernel}; {python}; load before the run {load:.1f}"


def versions(peers: Mapping[str, str]) -> str:
    """rddlite and what it is compared with."""
    return ", ".join([f"rddlite {__version__}", *(f"{name} {version}" for name, version in peers.items())])


def today() -> str:
    """The date, as 2026-01-31."""
    return datetime.datetime.now(tz=datetime.timezone.utc).date().isoformat()


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
