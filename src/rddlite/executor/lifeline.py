"""Nobody outlives whom they work for: death signals for children, and a watch on the driver for the executor."""

from __future__ import annotations

import ctypes
import os
import select

_PR_SET_PDEATHSIG = 1
_PF_EXITING = 0x4
_PATIENCE_MS = 5_000
# Looked up before any fork: a child only makes the call.
_prctl = ctypes.CDLL(None, use_errno=True).prctl


def die_with_parent(parent: int, signal_number: int) -> None:
    """Have the kernel send this signal when the parent process ends. To be called first thing in a forked child.

    Should the parent have ended already, this process does as well.
    """
    if _prctl(_PR_SET_PDEATHSIG, signal_number, 0, 0, 0) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    if os.getppid() != parent:
        os._exit(0)


def await_end(pid: int) -> None:
    """If this process is about to end, wait until it has, a few seconds at most.

    Its descriptors are closed one by one: the end of a pipe can be seen before a lock that it held is free.
    """
    ended = watch_process(pid)
    if ended is None:
        return
    try:
        if is_ending(pid):
            poll = select.poll()
            poll.register(ended, select.POLLIN)
            poll.poll(_PATIENCE_MS)
    finally:
        os.close(ended)


def is_ending(pid: int) -> bool:
    """Whether a process has ended, or is about to."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return True
    return fields[0] in "ZX" or bool(int(fields[6]) & _PF_EXITING)


def watch_process(pid: int) -> int | None:
    """A descriptor that becomes readable when the process ends; None if it has ended."""
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        return None
