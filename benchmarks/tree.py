"""CPU seconds and memory of a process and everything below it, read from /proc (Linux)."""

from __future__ import annotations

import os
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")


def _stat(pid: int) -> list[str] | None:
    """Fields of /proc/PID/stat from the state on, or None if there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return None


def processes(root: int) -> list[int]:
    """`root` and all its descendants."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit() and (stat := _stat(int(entry))) is not None:
            children.setdefault(int(stat[1]), []).append(int(entry))
    found = [root]
    for pid in found:
        found += children.get(pid, [])
    return found


def cpu_seconds(root: int) -> float:
    """User and system time of the tree so far, with the children that ended and were waited for."""
    ticks = 0
    for pid in processes(root):
        if (stat := _stat(pid)) is not None:
            ticks += sum(map(int, stat[11:15]))
    return ticks / _TICK


def memory(root: int) -> tuple[int, int]:
    """Bytes that the tree holds now, pages that several processes share counted once (PSS), and its largest process."""
    sizes = [_sizes(pid) for pid in processes(root)]
    return sum(proportional for proportional, _ in sizes), max((resident for _, resident in sizes), default=0)


def _sizes(pid: int) -> tuple[int, int]:
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0, 0
    fields = {line.split()[0]: line.split()[1] for line in rollup.splitlines()[1:]}
    return int(fields.get("Pss:", 0)) * 1024, int(fields.get("Rss:", 0)) * 1024
