"""How much memory workers may have and do have, read from the kernel's own files (no psutil: executors start fast).

The executor samples the resident size of its workers and of their children; a worker limits its own data segment, so
that a burst between two samples is a MemoryError in the task rather than a machine without memory.
"""

from __future__ import annotations

import contextlib
import os
import resource
from collections.abc import Iterator

from rddlite.base.config import Settings

_PAGE = os.sysconf("SC_PAGE_SIZE")
_SHARE_OF_MACHINE = 0.8
_BURST = 1.25
_ROOM = 64 << 20
_FIRST_TO_GO = "1000"


def worker_limit(settings: Settings, slots: int, given: int | None = None) -> int:
    """Most resident bytes of one worker; `given` is what the whole executor may have, if that is not for the settings
    to say.
    """
    total: int | None = given or settings["executor.memory"]
    return (int(usable_memory() * _SHARE_OF_MACHINE) if total is None else total) // slots


def usable_memory() -> int:
    """Bytes that this process and its children may use: the machine's memory, or less if a cgroup says so."""
    machine = os.sysconf("SC_PHYS_PAGES") * _PAGE
    return min([machine, *_cgroup_limits()])


def _cgroup_limits() -> Iterator[int]:
    for file in _cgroup_files():
        # An unlimited group says "max" (v2) or a number beyond any machine (v1).
        with contextlib.suppress(OSError, ValueError), open(file) as limit:
            yield int(limit.read())


def _cgroup_files() -> Iterator[str]:
    """The limit files of this process's groups and all groups above."""
    try:
        with open("/proc/self/cgroup") as file:
            lines = file.read().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            root, name = "/sys/fs/cgroup", "memory.max"
        elif "memory" in controllers.split(","):
            root, name = "/sys/fs/cgroup/memory", "memory.limit_in_bytes"
        else:
            continue
        while True:
            yield f"{root}{path.rstrip('/')}/{name}"
            if path in ("", "/"):
                break
            path = os.path.dirname(path)


def resident(pid: int) -> int:
    """Resident bytes of one process; 0 if it is gone."""
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:
            return int(file.read().split()[1]) * _PAGE
    except (OSError, IndexError):
        return 0


def tree_resident(pid: int, limit: int) -> int:
    """Resident bytes of a process and its descendants. If they pass `limit`, pages of mapped files do not count (the
    kernel can drop them at any time), and each shared page counts once.
    """
    pids = [pid, *_descendants(pid)]
    total = sum(map(resident, pids))
    if total > limit:
        total = sum(map(_allocated, pids))
    if total > limit and len(pids) > 1:
        # Forked children share most of their pages with the parent. Counting them properly is slow, so only now.
        return sum(map(_proportional, pids))
    return total


def _allocated(pid: int) -> int:
    """Resident bytes that are no pages of files."""
    total = 0
    with contextlib.suppress(OSError), open(f"/proc/{pid}/status", "rb") as file:
        for line in file:
            if line.startswith((b"RssAnon:", b"RssShmem:")):
                total += int(line.split()[1]) << 10
    return total or resident(pid)


def _descendants(pid: int) -> Iterator[int]:
    todo = [pid]
    while todo:
        parent = todo.pop()
        try:
            with open(f"/proc/{parent}/task/{parent}/children", "rb") as file:
                children = [int(child) for child in file.read().split()]
        except OSError:
            continue
        yield from children
        todo += children


def _proportional(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/smaps_rollup", "rb") as file:
            for line in file:
                if line.startswith(b"Pss:"):
                    return int(line.split()[1]) << 10
    except OSError:
        pass
    return resident(pid)


def limit_data(limit: int) -> None:
    """Let this process allocate a good deal more than `limit` bytes, and no more; allocations fail then.

    Only the soft limit is set: `more_data` can raise it.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = max(int(limit * _BURST), limit + _ROOM) + _data_size()
    soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


@contextlib.contextmanager
def more_data(size: int) -> Iterator[None]:
    """Inside, address space of `size` bytes more may be reserved (for the stack of a thread, most of it never used)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if soft == resource.RLIM_INFINITY:
        yield
        return
    resource.setrlimit(resource.RLIMIT_DATA, (soft + size if hard == resource.RLIM_INFINITY else hard, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def shift_data_limit(size: int) -> None:
    """Allow so many bytes more (or less, if negative) than before: private mappings of files count as allocated, though
    nothing of them is, until it is changed.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if soft != resource.RLIM_INFINITY:
        wanted = max(0, soft + size)
        resource.setrlimit(
            resource.RLIMIT_DATA, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard)
        )


def _data_size() -> int:
    with open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[5]) * _PAGE


def peak_resident() -> int:
    """The largest resident size that this process ever had, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def offer_to_oom_killer() -> None:
    """Make this process the kernel's first choice when the machine runs out of memory."""
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write(_FIRST_TO_GO)
